//! The whole chain on groups that our code did not write, compared with their truth.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use absurd_sdk::Worker;
use absurd_test::Database;
use pipeline_tasks::{
    config::Config,
    model::SkyPosition,
    tasks::{Group, Product, Toolbox, process_group},
};
use serde_json::Value;

use crate::{TestResult, shared_data};

fn group_of(folder: &Path, stamp: &str) -> TestResult<Group> {
    let files = fs::read_dir(folder)?.flatten().map(|entry| entry.path());
    let of_group = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with(stamp) && name.ends_with(".hdf5")
    };
    Ok(files.filter(of_group).collect::<Vec<_>>().into())
}

async fn processed(database: &Database, data: &Path, output: &Path) -> TestResult<Vec<Product>> {
    let config = Config {
        database_url: None,
        queue: "default".into(),
        concurrency: 1,
        poll_interval: Duration::from_millis(50),
        task_timeout: Duration::from_mins(5),
        max_attempts: 1,
        input: data.to_owned(),
        output: output.to_owned(),
        catalogue: Some(data.join("catalog.csv")),
        vla_calibrators: None,
    };
    let client = database.client();
    let mut handles = Vec::new();
    for stamp in ["2026-01-26T08:05", "2026-01-26T08:10"] {
        let group = group_of(data, stamp)?;
        handles.push(client.spawn(process_group, group).max_attempts(1).await?);
    }
    let worker = Worker::builder(client)
        .task(process_group)
        .state(Toolbox::of(&config));
    worker.run_until_idle().await?;
    let mut products = Vec::new();
    for handle in handles {
        let snapshot = handle.result().snapshot().await?;
        println!("FAIL {:?}", snapshot.failure);
        products.push(handle.result().await?);
    }
    Ok(products)
}

#[tokio::test]
async fn the_small_groups_agree_with_their_truth() -> TestResult {
    let Some(data) = shared_data("groups/small") else {
        return Ok(());
    };
    let database = Database::start().await?;
    let output = tempfile::tempdir()?;
    let products = processed(&database, &data, output.path()).await?;
    let truth: Value = serde_json::from_slice(&fs::read(data.join("truth.json"))?)?;
    for (index, product) in products.iter().enumerate() {
        let quality = product.calibration.as_ref().ok_or("not calibrated")?;
        println!(
            "{}: noise {:.4} Jy, {quality:?}",
            product.group, product.rms.0
        );
        let dead = truth["dead_station"].to_string();
        assert_eq!(quality.dead_antennas, [dead]);
        let apparent = truth["tiles"][index]["apparent_jy_mean"].clone();
        let mut ratios = Vec::new();
        for source in truth["sources"].as_array().ok_or("no sources")? {
            let name = source["name"].as_str().ok_or("no name")?;
            let expected = apparent[name].as_f64().ok_or("no flux")?;
            let place = SkyPosition::from_degrees(
                source["ra"].as_f64().ok_or("no ra")?,
                source["dec"].as_f64().ok_or("no dec")?,
            );
            let apart = |found: &&pipeline_tasks::tasks::Source| {
                SkyPosition::from_degrees(found.ra.0, found.dec.0)
                    .separation(place)
                    .to_arcseconds()
                    .0
            };
            let nearest = product
                .sources
                .iter()
                .min_by(|a, b| apart(a).total_cmp(&apart(b)));
            let found = nearest.filter(|found| apart(found) < 10.0);
            let Some(found) = found else {
                println!("{name:>9} {expected:8.4} Jy  not found");
                continue;
            };
            let ratio = found.flux.0 / expected;
            println!(
                "{name:>9} {expected:8.4} Jy  {ratio:.3}  {:.2}\"",
                apart(&found)
            );
            ratios.push(ratio);
        }
        ratios.sort_by(f64::total_cmp);
        let median = ratios[ratios.len() / 2];
        assert!((median - 1.0).abs() < 0.03, "median flux ratio {median}");
    }
    Ok(())
}
