//! Each stage as a task, chains of them, and workflows that wait for each other.

use std::{
    fs,
    path::{Path, PathBuf},
};

use absurd_sdk::{TaskHandle, WorkerHandle};
use absurd_test::{Database, eventually};
use pipeline_tasks::{
    config::Config,
    io::{Effects, Simulation, write_catalogue},
    model::{CatalogueSource, Degrees, GroupId, Jansky, SkyPosition},
    registry,
    tasks::{Toolbox, pipeline_worker},
};
use serde_json::{Value, json};

use crate::{TestResult, config};

/// Two observations of one sky, a database and a worker.
pub(crate) struct Site {
    pub(crate) database: Database,
    folder: tempfile::TempDir,
    pub(crate) groups: [GroupId; 2],
}

impl Site {
    pub(crate) async fn new() -> TestResult<Self> {
        let folder = tempfile::tempdir()?;
        let start = |minute, second| jiff::civil::date(2026, 1, 26).at(8, minute, second, 0);
        let groups = [start(5, 18), start(10, 27)].map(GroupId::from);
        for (group, seed) in groups.iter().zip(1..) {
            let simulation = Simulation {
                group: *group,
                sky: sky(),
                antennas: 12,
                channels: 1,
                integrations: 6,
                gain_amplitude: 0.1,
                gain_phase: Degrees(60.0),
                effects: Effects {
                    drifting_beam: true,
                    ..Effects::default()
                },
                seed,
                ..Simulation::default()
            };
            simulation.write(&folder.path().join("incoming"))?;
        }
        write_catalogue(&folder.path().join("catalog.csv"), &sky())?;
        Ok(Self {
            database: Database::start().await?,
            folder,
            groups,
        })
    }

    fn output(&self) -> PathBuf {
        self.folder.path().join("output")
    }

    pub(crate) fn worker(&self, catalogue: &str) -> TestResult<WorkerHandle> {
        let config = Config {
            concurrency: 2,
            max_attempts: 1,
            catalogue: Some(self.folder.path().join(catalogue)),
            ..config(&self.folder.path().join("incoming"), &self.output())
        };
        let worker = pipeline_worker(self.database.client(), Toolbox::of(&config));
        let worker = worker.concurrency(2);
        Ok(worker.poll_interval("100ms").start()?)
    }

    pub(crate) async fn spawn(&self, task: &str, params: Value) -> TestResult<TaskHandle<Value>> {
        let spawn = self.database.client().spawn_by_name(task, params);
        Ok(spawn.max_attempts(1).await?)
    }

    /// Runs a task to its end.
    pub(crate) async fn run(&self, task: &str, params: Value) -> TestResult<Value> {
        let handle = self.spawn(task, params).await?;
        let ended = handle.result().timeout("5m").await;
        ended.map_err(|error| format!("{task}: {error}").into())
    }
}

pub(crate) fn sky() -> Vec<CatalogueSource> {
    let sources = [
        (128.728_8, 55.572_5, 8.8),
        (128.2, 55.1, 2.0),
        (129.6, 55.2, 1.5),
    ];
    let source = |(ra, dec, flux)| CatalogueSource {
        name: format!("J{ra}"),
        position: SkyPosition::from_degrees(ra, dec),
        flux: Jansky(flux),
        spectral_index: -0.5,
    };
    sources.map(source).into()
}

/// A small image, quickly.
pub(crate) fn quick() -> Value {
    json!({"imaging_tier": "development"})
}

pub(crate) fn is_there(value: &Value) -> bool {
    value.as_str().is_some_and(|path| Path::new(path).exists())
}

#[tokio::test]
async fn each_stage_is_a_task() -> TestResult {
    let site = Site::new().await?;
    let worker = site.worker("catalog.csv")?;
    let inputs = json!({"inputs": {"group_id": site.groups[0]}});
    let catalogue = site.run("catalog-setup", inputs.clone()).await?;
    assert!(is_there(&catalogue["outputs"]["catalogue_path"]));
    let converted = site.run("conversion", inputs).await?;
    let ms = converted["outputs"]["ms_path"].clone();
    assert!(is_there(&ms));
    let flat = json!({"ms_path": ms});
    let flagged = site.run("flag", flat.clone()).await?["outputs"]["flagged"].as_f64();
    assert!(flagged.is_some_and(|share| share < 0.5), "{flagged:?}");
    let solved = site.run("calibrate", flat.clone()).await?["outputs"].clone();
    assert!(is_there(&solved["calibration_tables"]["bandpass"]));
    assert_eq!(
        solved["caltables"][0],
        solved["calibration_tables"]["bandpass"]
    );
    // No tables are given: those closest in time are taken.
    let applied = site
        .run("calibration-apply", json!({"outputs": flat}))
        .await?;
    assert_eq!(applied["outputs"]["caltables"], solved["caltables"]);
    let order = json!({"config": quick(), "outputs": {"ms_path": ms}});
    let image = site.run("imaging", order).await?["outputs"].clone();
    assert!(is_there(&image["image_path"]) && is_there(&image["tile"]["weight"]));
    let checked = site.run("validation", flat.clone()).await?["outputs"].clone();
    assert!(is_there(&checked["report_path"]) && checked["validation"].is_string());
    let shown = json!({"outputs": {"image_path": image["image_path"]}});
    let measured = site.run("photometry", shown.clone()).await?["outputs"].clone();
    let fluxes: Value =
        serde_json::from_slice(&fs::read(measured["photometry_path"].as_str().unwrap())?)?;
    let flux = fluxes[0]["photometry"]["flux"]
        .as_f64()
        .ok_or_else(|| format!("no flux in {fluxes}"))?;
    // The image is a quick look, and the source brighter below 1.4 GHz.
    assert!((flux / 8.8 - 1.0).abs() < 0.1, "{flux} Jy");
    assert!(is_there(
        &site.run("crossmatch", shown).await?["outputs"]["crossmatch_path"]
    ));
    let moved = site
        .run("organize-files", json!({"ms_paths": [ms]}))
        .await?;
    let place = moved["outputs"]["ms_path"].clone();
    assert!(is_there(&place) && !is_there(&ms));
    assert!(
        place.as_str().unwrap().contains("ms/science/2026-01-26/"),
        "{place}"
    );
    let again = site
        .run("organize-files", json!({"ms_paths": [ms]}))
        .await?;
    assert_eq!(
        again["outputs"]["ms_path"], place,
        "a second time it is there already"
    );
    worker.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_job_is_spread_over_three_tasks() -> TestResult {
    let site = Site::new().await?;
    let worker = site.worker("catalog.csv")?;
    let job = |params| json!({"job_id": "night 1", "timeout_sec": 300, "params": params});
    let imaging = site.spawn("imaging-job", job(json!({}))).await?;
    let calibration = site.spawn("calibration-job", job(json!({}))).await?;
    let client = site.database.client();
    eventually("both wait", async || {
        client
            .list_waits(None, None)
            .await
            .is_ok_and(|waits| waits.len() == 2)
    })
    .await?;
    let inputs = json!({"config": quick(), "inputs": {"group_id": site.groups[0]}});
    site.run("conversion-job", job(inputs)).await?;
    let solved = calibration.result().timeout("5m").await?;
    let imaged = imaging.result().timeout("5m").await?;
    assert_eq!(
        imaged["outputs"]["caltables"],
        solved["outputs"]["caltables"]
    );
    assert!(is_there(&imaged["outputs"]["crossmatch_path"]), "{imaged}");
    worker.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_target_waits_for_its_calibrator() -> TestResult {
    let site = Site::new().await?;
    let worker = site.worker("catalog.csv")?;
    let order = |group: GroupId| {
        json!({
            "calibration_key": "night",
            "params": {"config": quick(), "inputs": {"group_id": group}},
        })
    };
    let target = site.spawn("process-target", order(site.groups[1])).await?;
    let client = site.database.client();
    eventually("the target waits", async || {
        let waits = client.list_waits(None, None).await;
        waits.is_ok_and(|waits| {
            waits
                .iter()
                .any(|w| w.event_name == "caltables.ready:night")
        })
    })
    .await?;
    let calibrator = site
        .run("process-calibrator", order(site.groups[0]))
        .await?;
    let target = target.result().timeout("5m").await?;
    assert_eq!(
        target["outputs"]["caltables"],
        calibrator["outputs"]["caltables"]
    );
    assert!(is_there(&target["outputs"]["photometry_path"]), "{target}");
    worker.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_chain_runs_stage_by_stage() -> TestResult {
    let site = Site::new().await?;
    let worker = site.worker("catalog.csv")?;
    let params = |group| json!({"config": quick(), "inputs": {"group_id": group}});
    let stages = json!(["conversion", "flag", "calibration-solve"]);
    let own = json!({"stages": stages, "params": params(site.groups[0])});
    let solved = site.run("run-chain", own).await?;
    let named = json!({"chain": "quick-imaging", "params": params(site.groups[1])});
    let handle = site.spawn("run-chain", named).await?;
    let imaged = handle.result().timeout("5m").await?;
    assert_eq!(
        imaged["outputs"]["caltables"],
        solved["outputs"]["caltables"]
    );
    assert!(is_there(&imaged["outputs"]["image_path"]));
    let kept = site
        .database
        .client()
        .list_checkpoints(handle.task_id(), None, 100)
        .await?;
    let mut steps: Vec<_> = kept.into_iter().map(|kept| kept.checkpoint_name).collect();
    steps.sort_unstable();
    assert_eq!(steps, ["calibrate_apply", "convert", "flag", "image"]);
    worker.stop().await?;
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_calibrated_says_why() -> TestResult {
    let site = Site::new().await?;
    let elsewhere: Vec<_> = sky()
        .into_iter()
        .map(|source| CatalogueSource {
            position: SkyPosition::from_degrees(10.0, -20.0),
            ..source
        })
        .collect();
    write_catalogue(&site.folder.path().join("elsewhere.csv"), &elsewhere)?;
    let worker = site.worker("elsewhere.csv")?;
    let inputs = json!({"inputs": {"group_id": site.groups[0]}});
    let converted = site.run("convert-uvh5-to-ms", inputs).await?;
    let ms = json!({"ms_path": converted["outputs"]["ms_path"]});
    for (task, expected) in [
        ("calibration-solve", "use a catalogue that covers the field"),
        ("calibration-apply", "no calibration table within 12 hours"),
        ("photometry", "make it by the task `imaging`"),
    ] {
        let refused = site.run(task, ms.clone()).await.err().ok_or("it worked")?;
        assert!(refused.to_string().contains(expected), "{refused}");
    }
    worker.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_mosaic_is_made_of_processed_groups() -> TestResult {
    let site = Site::new().await?;
    registry::install(site.database.client().pool()).await?;
    let worker = site.worker("catalog.csv")?;
    let none = site
        .run("create-mosaic", json!({"groups": site.groups}))
        .await;
    let none = none.err().ok_or("there is nothing to put together")?;
    assert!(none.to_string().contains("process it first"), "{none}");
    for group in site.groups {
        let chain = json!({
            "chain": "calibrator",
            "params": {"config": quick(), "inputs": {"group_id": group}},
        });
        site.run("run-chain", chain).await?;
    }
    let order = json!({"groups": site.groups, "name": "both"});
    let made = site.run("create-mosaic", order).await?;
    assert_eq!(made["mosaic"]["images"], 2);
    let path = made["mosaic_path"].clone();
    assert!(is_there(&path) && path.as_str().unwrap().ends_with("mosaics/both.fits"));
    let mut connection = site.database.client().pool().acquire().await?;
    let mosaics = registry::products_of_group(&mut connection, site.groups[1]).await?;
    let [mosaic] = &mosaics[..] else {
        return Err(format!("{mosaics:?} is not one mosaic").into());
    };
    let inputs = &mosaic.product.provenance.inputs;
    assert_eq!(inputs.len(), 2, "its tiles");
    assert!(mosaic.product.quality["noise_jy"].as_f64() > Some(0.0));
    worker.stop().await?;
    Ok(())
}
