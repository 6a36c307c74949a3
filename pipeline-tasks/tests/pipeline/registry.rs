//! The registry of products, in a real PostgreSQL.

use std::path::{Path, PathBuf};

use absurd_sdk::{TaskError, Worker, prelude::*};
use absurd_test::Database;
use pipeline_tasks::{
    model::{GroupId, Jansky, Mjd, SkyPosition},
    registry::{
        CalTable, Measurement, MosaicBuild, Product, ProductKind, ProductState, Provenance,
        RegistryError, caltables_valid_at, groups_of_mosaic, image_of_group, install, light_curve,
        mark_deleted, move_product, products_of_group, record_caltable, record_mosaic,
        record_photometry, record_product,
    },
};
use serde_json::json;
use sqlx::PgConnection;

use crate::TestResult;

const FIRST: &str = "2026-01-26T08:05:18";
const SECOND: &str = "2026-01-26T08:10:27";

async fn registry() -> TestResult<Database> {
    let database = Database::start().await?;
    install(database.client().pool()).await?;
    Ok(database)
}

#[expect(clippy::expect_used, reason = "names are constants of this file")]
fn group(name: &str) -> GroupId {
    name.parse().expect("a group's name")
}

fn image(name: &str) -> Product {
    let group = group(name);
    let start = group.to_mjd();
    Product {
        observed: Some((start, Mjd(start.0 + 0.0036))),
        quality: json!({"noise_jy": 0.002})
            .as_object()
            .cloned()
            .unwrap_or_default(),
        ..Product::of_group(
            ProductKind::Image,
            group,
            format!("/stage/images/{name}.fits"),
        )
    }
}

fn measurement(name: &str, source: &str, flux: f64) -> Measurement {
    let image = image(name);
    Measurement {
        group: group(name),
        source_name: source.to_owned(),
        position: SkyPosition::from_degrees(-1.5, 37.1),
        flux: Jansky(flux),
        flux_error: Jansky(0.01),
        snr: flux / 0.01,
        mjd: group(name).to_mjd(),
        image: image.path,
    }
}

async fn count(connection: &mut PgConnection, table: &'static str) -> TestResult<i64> {
    let sql = format!("select count(*) from pipeline.{table}");
    Ok(sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
        .fetch_one(connection)
        .await?)
}

#[tokio::test]
async fn many_workers_install_the_schema_at_once() -> TestResult {
    let database = Database::start().await?;
    let pool = database.client().pool();
    let mut starts = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let pool = pool.clone();
        starts.spawn(async move { install(&pool).await });
    }
    for done in starts.join_all().await {
        done?;
    }
    // A worker that starts while another one registers does not wait for it.
    let mut tx = pool.begin().await?;
    record_product(&mut tx, &image(FIRST)).await?;
    tokio::time::timeout(std::time::Duration::from_secs(20), install(pool)).await??;
    // A newer release brings its schema over products that are there.
    tx.commit().await?;
    sqlx::query("update pipeline.installed set digest = 'older'")
        .execute(pool)
        .await?;
    install(pool).await?;
    let mut connection = pool.acquire().await?;
    assert_eq!(count(&mut connection, "images").await?, 1);
    Ok(())
}

#[tokio::test]
async fn what_is_registered_twice_stands_once() -> TestResult {
    let database = registry().await?;
    let mut connection = database.client().pool().acquire().await?;
    let first = record_product(&mut connection, &image(FIRST)).await?;
    let mut again = image(FIRST);
    again.quality.insert("noise_jy".into(), json!(0.001));
    assert_eq!(record_product(&mut connection, &again).await?, first);
    record_product(&mut connection, &image(SECOND)).await?;
    assert_eq!(count(&mut connection, "products").await?, 2);
    let found = image_of_group(&mut connection, group(FIRST))
        .await?
        .ok_or("no image")?;
    assert_eq!((found.id, found.state), (first, ProductState::Present));
    assert_eq!(found.product, again);
    let unknown = image_of_group(&mut connection, group("2026-01-26T09:00:00")).await?;
    assert_eq!(unknown, None);
    let noise: f64 = sqlx::query_scalar("select noise_jy from pipeline.images where group_id = $1")
        .bind(FIRST)
        .fetch_one(&mut *connection)
        .await?;
    assert!((noise - 0.001).abs() < 1e-12, "{noise}");
    let start: String = sqlx::query_scalar(
        "select to_char(start_utc at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS')
         from pipeline.images where group_id = $1",
    )
    .bind(FIRST)
    .fetch_one(&mut *connection)
    .await?;
    assert_eq!(start, FIRST);
    Ok(())
}

#[tokio::test]
async fn a_light_curve_is_ordered_by_time_and_remeasured_in_place() -> TestResult {
    let database = registry().await?;
    let mut connection = database.client().pool().acquire().await?;
    let later = [
        measurement(SECOND, "S04", 1.4),
        measurement(SECOND, "S05", 0.5),
    ];
    assert_eq!(record_photometry(&mut connection, &later).await?, 2);
    record_photometry(&mut connection, &[measurement(FIRST, "S04", 0.9)]).await?;
    record_photometry(&mut connection, &[measurement(FIRST, "S04", 1.0)]).await?;
    assert_eq!(record_photometry(&mut connection, &[]).await?, 0);
    let curve = light_curve(&mut connection, "S04").await?;
    let points: Vec<_> = curve
        .iter()
        .map(|point| (point.group, point.flux.0))
        .collect();
    assert_eq!(points, [(group(FIRST), 1.0), (group(SECOND), 1.4)]);
    // Right ascensions are kept from 0 to 360 degrees.
    let ra = curve[0].position.ra.to_degrees().0;
    assert!((ra - 358.5).abs() < 1e-9, "{ra}");
    let epochs: i64 =
        sqlx::query_scalar("select epochs from pipeline.sources where source_name = 'S04'")
            .fetch_one(&mut *connection)
            .await?;
    assert_eq!(epochs, 2);

    let blank = record_photometry(&mut connection, &[measurement(FIRST, "S09", f64::NAN)]).await;
    let blank = blank.err().ok_or("a blank was registered")?;
    assert!(
        blank.is_permanent() && blank.to_string().contains("S09"),
        "{blank}"
    );
    let twice = [
        measurement(FIRST, "S07", 1.0),
        measurement(FIRST, "S07", 2.0),
    ];
    let twice = record_photometry(&mut connection, &twice).await;
    assert!(matches!(twice, Err(RegistryError::Twice { .. })));
    assert_eq!(count(&mut connection, "photometry").await?, 3);
    Ok(())
}

#[tokio::test]
async fn the_closest_good_table_comes_first() -> TestResult {
    let database = registry().await?;
    let mut connection = database.client().pool().acquire().await?;
    let table = |name: &str, middle: f64, is_usable| CalTable {
        product: Product {
            observed: Some((Mjd(middle - 0.001), Mjd(middle + 0.001))),
            ..Product::of_group(ProductKind::Caltable, group(FIRST), format!("/cal/{name}"))
        },
        table_type: "bandpass".into(),
        valid: (Mjd(middle - 0.5), Mjd(middle + 0.5)),
        is_usable,
    };
    for (name, middle, is_usable) in [
        ("far", 61_000.0, true),
        ("near", 61_000.3, true),
        ("bad", 61_000.39, false),
        ("gone", 61_000.4, true),
        ("later", 61_001.0, true),
    ] {
        let table = table(name, middle, is_usable);
        let id = record_caltable(&mut connection, &table).await?;
        assert_eq!(record_caltable(&mut connection, &table).await?, id);
    }
    assert!(
        mark_deleted(
            &mut connection,
            ProductKind::Caltable,
            Path::new("/cal/gone")
        )
        .await?
    );
    let valid = caltables_valid_at(&mut connection, Mjd(61_000.4)).await?;
    let paths: Vec<_> = valid
        .iter()
        .map(|table| table.record.product.path.as_path())
        .collect();
    assert_eq!(paths, [Path::new("/cal/near"), Path::new("/cal/far")]);
    assert_eq!(count(&mut connection, "caltables").await?, 5);

    let mut backwards = table("backwards", 61_000.0, true);
    backwards.valid = (backwards.valid.1, backwards.valid.0);
    let refused = record_caltable(&mut connection, &backwards).await;
    assert!(refused.is_err_and(|error| error.is_permanent()));
    Ok(())
}

#[tokio::test]
async fn a_mosaic_knows_its_groups_and_they_know_it() -> TestResult {
    let database = registry().await?;
    let mut connection = database.client().pool().acquire().await?;
    record_product(&mut connection, &image(FIRST)).await?;
    let mut mosaic = MosaicBuild {
        product: Product::of_group(ProductKind::Mosaic, group(FIRST), "/stage/mosaics/a.fits"),
        name: "a".into(),
        tier: "science".into(),
        groups: vec![group(SECOND), group(FIRST)],
    };
    let id = record_mosaic(&mut connection, &mosaic).await?;
    let groups = groups_of_mosaic(&mut connection, id).await?;
    assert_eq!(groups, [group(FIRST), group(SECOND)]);
    let kinds = async |connection: &mut PgConnection, name| -> TestResult<Vec<ProductKind>> {
        let products = products_of_group(connection, group(name)).await?;
        Ok(products.iter().map(|found| found.product.kind).collect())
    };
    let both = [ProductKind::Image, ProductKind::Mosaic];
    assert_eq!(kinds(&mut connection, FIRST).await?, both);
    assert_eq!(kinds(&mut connection, SECOND).await?, [ProductKind::Mosaic]);
    // The next build of it has lost a group.
    mosaic.groups = vec![group(FIRST)];
    assert_eq!(record_mosaic(&mut connection, &mosaic).await?, id);
    assert!(kinds(&mut connection, SECOND).await?.is_empty());
    let images: i64 = sqlx::query_scalar("select n_images from pipeline.mosaics where name = 'a'")
        .fetch_one(&mut *connection)
        .await?;
    assert_eq!(
        (images, count(&mut connection, "mosaic_groups").await?),
        (1, 1)
    );
    Ok(())
}

#[tokio::test]
async fn nothing_points_to_where_a_product_was() -> TestResult {
    let database = registry().await?;
    let mut connection = database.client().pool().acquire().await?;
    let image = image(FIRST);
    let (old, new) = (image.path.clone(), PathBuf::from("/archive/a.fits"));
    let kind = ProductKind::Image;
    let id = record_product(&mut connection, &image).await?;
    record_photometry(&mut connection, &[measurement(FIRST, "S04", 1.0)]).await?;
    for _ in 0..2 {
        assert_eq!(move_product(&mut connection, kind, &old, &new).await?, id);
    }
    let found = image_of_group(&mut connection, group(FIRST))
        .await?
        .ok_or("no image")?;
    assert_eq!((found.id, &found.product.path), (id, &new));
    assert_eq!(found.product.provenance, image.provenance);
    assert_eq!(light_curve(&mut connection, "S04").await?[0].image, new);
    assert_eq!(count(&mut connection, "images").await?, 1);
    let states: Vec<String> =
        sqlx::query_scalar("select state from pipeline.products order by product_id")
            .fetch_all(&mut *connection)
            .await?;
    assert_eq!(states, ["present", "moved"]);

    // Back again, then over what is in the way.
    assert_eq!(move_product(&mut connection, kind, &new, &old).await?, id);
    let other = Product {
        path: new.clone(),
        ..image.clone()
    };
    record_product(&mut connection, &other).await?;
    let refused = move_product(&mut connection, kind, &old, &new).await;
    assert!(matches!(refused, Err(RegistryError::Taken { .. })));
    assert!(mark_deleted(&mut connection, kind, &new).await?);
    assert!(!mark_deleted(&mut connection, kind, &new).await?);
    assert_eq!(move_product(&mut connection, kind, &old, &new).await?, id);
    let nowhere = move_product(&mut connection, kind, Path::new("/none"), &old).await;
    assert!(matches!(nowhere, Err(RegistryError::Missing { .. })));
    // An image that is made anew where one was before is there again.
    let made = record_product(&mut connection, &image).await?;
    assert_ne!(made, id);
    assert_eq!(count(&mut connection, "images").await?, 2);
    Ok(())
}

/// A task that registers, and fails the first time after it has.
#[task(name = "register-image", max_attempts = 3, retry = exponential("1ms", max = "5ms"))]
async fn register_image(ctx: &mut Context, input: PathBuf) -> TaskResult<i64> {
    let provenance = Provenance::of_run(ctx.info())
        .input(&input)?
        .version("wsclean", "3.4")
        .parameters(json!({"tier": "science"}));
    let fails = ctx.attempt() == 1;
    ctx.transaction("register", async |tx| {
        let product = Product {
            provenance,
            ..image(FIRST)
        };
        let id = record_product(tx, &product).await?;
        if fails {
            return Err(TaskError::msg("killed before the commit"));
        }
        Ok(id.0)
    })
    .await
}

#[tokio::test]
async fn a_product_and_its_checkpoint_are_one_commit() -> TestResult {
    let database = registry().await?;
    let client = database.client();
    let folder = tempfile::tempdir()?;
    let set = folder.path().join("a.ms");
    std::fs::create_dir(&set)?;
    std::fs::write(set.join("table.dat"), [0; 100])?;
    let handle = client.spawn(register_image, set.clone()).await?;
    let worker = || Worker::builder(client).task(register_image);
    let mut connection = client.pool().acquire().await?;
    worker().run_batch().await?;
    assert_eq!(count(&mut connection, "products").await?, 0);
    absurd_test::eventually("the task is tried again", async || {
        let _ = worker().run_batch().await;
        matches!(handle.result().snapshot().await, Ok(task) if task.result.is_some())
    })
    .await?;
    let found = image_of_group(&mut connection, group(FIRST))
        .await?
        .ok_or("no image")?;
    let provenance = found.product.provenance;
    assert_eq!(provenance.task_id, Some(handle.task_id()));
    assert_eq!(provenance.inputs[0].path, set);
    assert_eq!(provenance.inputs[0].bytes, 100);
    assert_eq!(provenance.versions["wsclean"], "3.4");
    assert!(provenance.versions.contains_key("pipeline-tasks"));
    Ok(())
}
