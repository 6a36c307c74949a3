//! Which sources vary, from measurements of many groups.

use absurd_sdk::Worker;
use absurd_test::Database;
use jiff::{SignedDuration, civil::date};
use pipeline_tasks::{
    model::{Degrees, GroupId, Jansky, SkyPosition},
    registry::{self, Measurement, record_photometry},
    science::VariabilityPreset,
    tasks::{LightCurveOrder, LightCurves, SkyField, light_curves},
};

use crate::TestResult;

/// Noise in standard deviations, as it comes: mean -0.02, standard deviation 1.00.
const NOISE: [f64; 12] = [
    0.5, -1.1, 0.2, 1.4, -0.7, 0.9, -1.6, 0.1, -0.4, 1.2, -1.3, 0.6,
];

fn group(number: usize) -> TestResult<GroupId> {
    let evening = date(2026, 1, 26).at(3, 0, 0, 0);
    let seconds = 309 * i64::try_from(number)?;
    Ok(evening
        .saturating_add(SignedDuration::from_secs(seconds))
        .into())
}

/// The measurements of one source, a group each: flux densities with one error in Jy.
fn curve(
    name: &str,
    ra: f64,
    fluxes: impl IntoIterator<Item = f64>,
    error: f64,
) -> TestResult<Vec<Measurement>> {
    let epochs = fluxes.into_iter().enumerate().map(|(number, flux)| {
        let group = group(number)?;
        Ok(Measurement {
            group,
            source_name: name.to_owned(),
            position: SkyPosition::from_degrees(ra, 55.0),
            flux: Jansky(flux),
            flux_error: Jansky(error),
            snr: flux / 0.001,
            mjd: group.to_mjd(),
            image: format!("/images/{group}.fits").into(),
        })
    });
    epochs.collect()
}

/// A flux density that nothing but noise moves.
fn still(flux: f64, error: f64) -> impl Iterator<Item = f64> {
    NOISE.into_iter().map(move |noise| flux + noise * error)
}

async fn sky(database: &Database) -> TestResult {
    registry::install(database.client().pool()).await?;
    let waves = (0..12).map(|epoch| 1.0 + 0.3 * f64::from(epoch).sin());
    let flare = still(0.5, 0.015).enumerate();
    let flare = flare.map(|(epoch, flux)| if epoch == 7 { 2.0 * flux } else { flux });
    let mut curves = vec![
        curve("WAVES", 129.0, waves, 0.03)?,
        curve("FLARE", 130.0, flare, 0.015)?,
        // It rose by 40 per cent from one epoch to the next, and nobody has looked since.
        curve("PAIR", 131.0, [0.5, 0.7], 0.02)?,
        // It is as good as constant: `V` alone would call it variable.
        curve("FAINT", 129.0, still(0.004, 0.001), 0.001)?,
        curve("NEWBORN", 129.0, [1.0], 0.03)?,
        curve("BROKEN", 129.0, [1.0, 1.1, 0.9], 0.0)?,
    ];
    // More than are looked at together.
    for number in 0..230 {
        let name = format!("STILL{number:03}");
        let flux = 0.1 + 0.01 * f64::from(number);
        curves.push(curve(&name, 140.0, still(flux, 0.03 * flux), 0.03 * flux)?);
    }
    let mut connection = database.client().pool().acquire().await?;
    record_photometry(&mut connection, &curves.concat()).await?;
    Ok(())
}

async fn look(database: &Database, order: LightCurveOrder) -> TestResult<LightCurves> {
    let handle = database.client().spawn(light_curves, order).await?;
    let worker = Worker::builder(database.client()).task(light_curves);
    worker.run_until_idle().await?;
    Ok(handle.result().await?)
}

fn names(found: &LightCurves) -> Vec<&str> {
    let candidates = found.candidates.iter();
    candidates.map(|found| found.source_name.as_str()).collect()
}

#[tokio::test]
async fn what_varies_is_found_among_what_does_not() -> TestResult {
    let database = Database::start().await?;
    sky(&database).await?;
    let found = look(&database, LightCurveOrder::default()).await?;
    assert_eq!(names(&found), ["FLARE", "WAVES", "PAIR"]);
    assert_eq!(found.sources, 234, "one epoch tells nothing");
    assert!(found.errors.len() == 1 && found.errors[0].contains("`BROKEN`"));
    assert!(found.errors[0].contains("give an error above zero"));

    let flare = &found.candidates[0];
    assert!(flare.deviation > 25.0 && flare.epochs == 12, "{flare:?}");
    assert_eq!(flare.observed, (group(0)?.to_mjd(), group(11)?.to_mjd()));
    // By hand: 0.2 Jy over 0.02 Jy times the root of two, squared; the mean is the plain one.
    let pair = &found.candidates[2];
    assert!((pair.eta - 50.0).abs() < 1e-9, "{pair:?}");
    assert!((pair.mean_flux.0 - 0.6).abs() < 1e-12);
    assert!((pair.v.ok_or("no V")? - 0.02_f64.sqrt() / 0.6).abs() < 1e-12);
    Ok(())
}

#[tokio::test]
async fn the_registry_has_the_measures_of_all_sources() -> TestResult {
    let database = Database::start().await?;
    sky(&database).await?;
    look(&database, LightCurveOrder::default()).await?;
    let pool = database.client().pool();
    let read = async |name: &'static str| -> TestResult<(i32, f64, Option<f64>, bool)> {
        let statement = "
            select epochs, eta, v, is_candidate from pipeline.variability where source_name = $1";
        Ok(sqlx::query_as(statement).bind(name).fetch_one(pool).await?)
    };
    let (epochs, eta, v, is_candidate) = read("FAINT").await?;
    assert!(epochs == 12 && (0.5..2.0).contains(&eta) && !is_candidate);
    assert!(v.is_some_and(|v| v > 0.2), "{v:?}");
    assert!(read("PAIR").await?.3);
    // Later it turns out that its second epoch was the one that is off.
    let mut connection = pool.acquire().await?;
    let longer = curve("PAIR", 131.0, [0.5, 0.5, 0.51, 0.49, 0.5], 0.02)?;
    record_photometry(&mut connection, &longer).await?;
    let found = look(&database, LightCurveOrder::default()).await?;
    assert_eq!(names(&found), ["FLARE", "WAVES"]);
    let (epochs, eta, _, is_candidate) = read("PAIR").await?;
    assert!(epochs == 5 && eta < 1.0 && !is_candidate);
    let rows: i64 = sqlx::query_scalar("select count(*) from pipeline.variability")
        .fetch_one(pool)
        .await?;
    assert_eq!(rows, 234);
    Ok(())
}

#[tokio::test]
async fn a_field_and_limits_can_be_asked_for() -> TestResult {
    let database = Database::start().await?;
    sky(&database).await?;
    // A degree of right ascension is 0.57 degrees there.
    let field = SkyField {
        ra: Degrees(129.0),
        dec: Degrees(55.0),
        radius: Degrees(0.6),
    };
    let order = LightCurveOrder {
        field: Some(field),
        preset: VariabilityPreset::Conservative,
    };
    let found = look(&database, order).await?;
    assert_eq!((names(&found), found.sources), (vec!["FLARE", "WAVES"], 3));
    Ok(())
}
