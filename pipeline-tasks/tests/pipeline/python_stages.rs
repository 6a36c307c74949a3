//! The examples of stages in Python, on the queues of the pipeline.
//!
//! Their packages are large, so the examples run on stand-ins for them unless a variable names an
//! environment that has the real ones.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Stdio,
};

use absurd_sdk::{Client, QueueName, TaskFilter, WorkerHandle};
use absurd_test::{Database, eventually};
use pipeline_tasks::{
    config::Config,
    io::{Effects, Simulation, write_catalogue},
    model::{Degrees, Stage},
    registry,
    tasks::{Group, SourceFlux, StageConfig, Toolbox, pipeline_worker, process_group},
    tools::ImagingTier,
};
use serde_json::{Value, json};
use tokio::process::{Child, Command};

use crate::{TestResult, config, stages::sky};

/// An observation, a database, and a pipeline that leaves stages to a queue.
struct Site {
    database: Database,
    folder: tempfile::TempDir,
    stages: &'static [Stage],
    queue: &'static str,
    /// The environment that has the real packages.
    real: Option<PathBuf>,
}

impl Site {
    /// `variable` may name an environment that has the real packages.
    async fn new(
        stages: &'static [Stage],
        queue: &'static str,
        variable: &str,
    ) -> TestResult<Self> {
        let real = std::env::var_os(variable).map(PathBuf::from);
        let folder = tempfile::tempdir()?;
        let observed = Simulation {
            sky: sky(),
            // The real programs want an image that is good for something.
            antennas: if real.is_some() { 24 } else { 12 },
            channels: 1,
            integrations: 6,
            gain_amplitude: 0.1,
            gain_phase: Degrees(60.0),
            effects: Effects {
                drifting_beam: true,
                ..Effects::default()
            },
            ..Simulation::default()
        };
        observed.write(&folder.path().join("incoming"))?;
        write_catalogue(&folder.path().join("catalog.csv"), &sky())?;
        Ok(Self {
            database: Database::start().await?,
            folder,
            stages,
            queue,
            real,
        })
    }

    fn client(&self) -> &Client {
        self.database.client()
    }

    fn trouble(&self) -> PathBuf {
        self.folder.path().join("trouble")
    }

    /// Our worker, without the stages that Python has.
    async fn worker(&self) -> TestResult<WorkerHandle> {
        self.client().on_queue(self.queue)?.create_queue().await?;
        let mut stage_queues = BTreeMap::new();
        for stage in self.stages {
            stage_queues.insert(*stage, QueueName::new(self.queue)?);
        }
        let config = Config {
            catalogue: Some(self.folder.path().join("catalog.csv")),
            stage_queues,
            ..config(
                &self.folder.path().join("incoming"),
                &self.folder.path().join("output"),
            )
        };
        let worker = pipeline_worker(self.client(), Toolbox::of(&config));
        Ok(worker.poll_interval("100ms").start()?)
    }

    /// An example as a process, with the real packages or with stand-ins. `None`, and said so,
    /// where Python's client is absent.
    fn python(&self, example: &str) -> TestResult<Option<Child>> {
        let own = Path::new(env!("CARGO_MANIFEST_DIR"));
        let clients = std::env::var_os("ABSURD_INTEROP_VENV").map(PathBuf::from);
        let Some(home) = self.real.clone().or(clients) else {
            println!("skipped: ABSURD_INTEROP_VENV is not set; `cargo xtask test` sets it");
            return Ok(None);
        };
        let mut command = Command::new(home.join("bin/python"));
        if self.real.is_none() {
            command.env("PYTHONPATH", own.join("tests/pipeline/stand_ins"));
        }
        let started = command
            .arg(own.join("../examples/python").join(example))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("ABSURD_DATABASE_URL", self.database.url())
            .env("ABSURD_QUEUE_NAME", self.queue)
            .env("PIPELINE_OUTPUT_DIR", self.folder.path().join("output"))
            .env("STAND_IN", self.trouble())
            .current_dir(self.folder.path())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        Ok(Some(started))
    }

    /// Runs stages from the files on.
    async fn chain(&self, stages: &[&str], outputs: &Value) -> TestResult<Value> {
        let tier = if self.real.is_some() {
            "standard"
        } else {
            "development"
        };
        let order = json!({
            "stages": stages,
            "params": {"config": {"imaging_tier": tier}, "outputs": outputs},
        });
        let spawn = self
            .client()
            .spawn_by_name("run-chain", order)
            .max_attempts(1);
        let ended = spawn.await?.result().timeout("4m").await?;
        Ok(ended["outputs"].clone())
    }

    /// Attempts of all tasks of the other queue, the first task first.
    async fn attempts(&self) -> TestResult<Vec<i32>> {
        let client = self.client().on_queue(self.queue)?;
        let tasks = client.list_tasks(&TaskFilter::default(), None, 100).await?;
        Ok(tasks.iter().rev().map(|task| task.attempts).collect())
    }
}

/// What may pass is tried again, what can't is not.
async fn troubles_are_told_apart(site: &Site, imaged: &Value) -> TestResult {
    fs::write(site.trouble(), "once")?;
    site.chain(&["photometry"], imaged).await?;
    fs::write(site.trouble(), "full")?;
    let full = site.chain(&["photometry"], imaged).await;
    let full = full.err().ok_or("it worked")?.to_string();
    assert!(full.contains("No space left on device"), "{full}");
    assert_eq!(site.attempts().await?, [1, 2, 1]);
    Ok(fs::remove_file(site.trouble())?)
}

/// The process that computes, once there is one.
async fn computing(site: &Site) -> TestResult<u32> {
    let place = site.trouble().with_extension("process");
    let read = || fs::read_to_string(&place).ok()?.parse::<u32>().ok();
    eventually("the stage computes", async || read().is_some()).await?;
    let process = read().ok_or("it is gone")?;
    fs::remove_file(&place)?;
    Ok(process)
}

/// Whether a process is over; one that nobody has asked for its end is.
fn is_over(process: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    stat.is_empty() || stat.contains(") Z ")
}

/// What computes is killed with its task, and with its worker.
async fn a_computation_outlives_nobody(
    site: &Site,
    imaged: &Value,
    mut python: Child,
) -> TestResult {
    fs::write(site.trouble(), "hang")?;
    let client = site.client().on_queue(site.queue)?;
    let params = json!({"outputs": imaged});
    let cancelled = client.spawn_by_name("photometry", params.clone()).await?;
    let process = computing(site).await?;
    assert!(!is_over(process));
    client.cancel(cancelled.task_id()).await?;
    eventually("it is killed with its task", async || is_over(process)).await?;

    client.spawn_by_name("photometry", params).await?;
    let process = computing(site).await?;
    python.kill().await?;
    eventually("it is killed with its worker", async || is_over(process)).await?;
    Ok(())
}

#[tokio::test]
async fn pybdsf_measures_in_place_of_our_photometry() -> TestResult {
    let site = Site::new(&[Stage::Photometry], "pybdsf", "ABSURD_PYBDSF_VENV").await?;
    let Some(python) = site.python("pybdsf_photometry.py")? else {
        return Ok(());
    };
    let worker = site.worker().await?;
    let before = [
        "catalog-setup",
        "conversion",
        "flag",
        "calibration-solve",
        "calibration-apply",
        "imaging",
    ];
    let imaged = site.chain(&before, &json!({})).await?;
    let made = site.chain(&["photometry", "crossmatch"], &imaged).await?;
    assert_eq!(
        made["image_path"], imaged["image_path"],
        "nothing is lost on the way"
    );
    assert!(made["crossmatch_path"].is_string(), "{made}");
    let place = made["photometry_path"].as_str().ok_or("no photometry")?;
    let fluxes: Vec<SourceFlux> = serde_json::from_slice(&fs::read(place)?)?;
    let listed = sky();
    let bright = fluxes.iter().find(|source| source.name == listed[0].name);
    let bright = bright.ok_or_else(|| format!("{fluxes:?}"))?;
    let apart = bright
        .position
        .separation(listed[0].position)
        .to_arcseconds();
    assert!(apart.0 < 5.0, "{apart:?}");
    // The image is a quick look, and the source brighter below 1.4 GHz.
    let flux = bright.photometry.flux;
    assert!((flux.0 / listed[0].flux.0 - 1.0).abs() < 0.1, "{flux:?}");
    assert!(
        (bright.time.0 - 61_066.337).abs() < 0.01,
        "{:?}",
        bright.time
    );
    assert_eq!(site.attempts().await?, [1]);

    if site.real.is_none() {
        assert_eq!(fluxes[1].name, "J083600+550000");
        troubles_are_told_apart(&site, &imaged).await?;
    }
    let none = json!({"image_path": "/none.fits", "tile": imaged["tile"]});
    let none = site
        .chain(&["photometry"], &none)
        .await
        .err()
        .ok_or("it worked")?;
    assert!(
        none.to_string().contains("/none.fits is not there"),
        "{none}"
    );
    assert_eq!(site.attempts().await?.last(), Some(&1));
    if site.real.is_none() {
        a_computation_outlives_nobody(&site, &imaged, python).await?;
    }
    worker.stop().await?;
    Ok(())
}

#[tokio::test]
async fn casa_calibrates_in_place_of_our_stages() -> TestResult {
    let stages = &[Stage::CalibrationSolve, Stage::CalibrationApply];
    let site = Site::new(stages, "casa", "ABSURD_CASA_VENV").await?;
    let Some(_python) = site.python("casa_calibration.py")? else {
        return Ok(());
    };
    let worker = site.worker().await?;
    let before = ["catalog-setup", "conversion", "flag"];
    let converted = site.chain(&before, &json!({})).await?;
    let none = site.chain(&["calibration-apply"], &converted).await;
    let none = none.err().ok_or("there is nothing to apply")?;
    assert!(none.to_string().contains("`outputs.caltables`"), "{none}");

    let calibrate = ["calibration-solve", "calibration-apply"];
    let made = site.chain(&calibrate, &converted).await?;
    assert_eq!(
        made["ms_path"], converted["ms_path"],
        "nothing is lost on the way"
    );
    let tables = &made["calibration_tables"];
    assert_eq!(
        made["caltables"],
        json!([tables["phases"], tables["bandpass"]])
    );
    for table in [&tables["phases"], &tables["bandpass"]] {
        let table = Path::new(table.as_str().ok_or("no table")?);
        assert!(table.join("table.dat").is_file(), "{}", table.display());
        let stays = table.parent().and_then(Path::parent);
        assert_eq!(
            stays,
            Some(site.folder.path().join("output/caltables").as_path())
        );
        let left = fs::read_dir(stays.ok_or("no folder")?)?.count();
        assert_eq!(left, 1, "scratch files are gone");
    }
    assert!(
        made["flagged"].as_f64().is_some_and(|share| share < 0.5),
        "{made}"
    );
    assert_eq!(site.attempts().await?, [1, 1, 1]);

    if site.real.is_some() {
        fluxes_are_right(&site, &made).await?;
    }
    a_group_is_registered_with_its_tables(&site, &made).await?;
    worker.stop().await?;
    Ok(())
}

/// What our stages measure on data that CASA has calibrated.
async fn fluxes_are_right(site: &Site, calibrated: &Value) -> TestResult {
    let imaged = site.chain(&["imaging", "photometry"], calibrated).await?;
    let place = imaged["photometry_path"].as_str().ok_or("no photometry")?;
    let fluxes: Vec<SourceFlux> = serde_json::from_slice(&fs::read(place)?)?;
    for source in sky() {
        let found = fluxes.iter().find(|found| found.name == source.name);
        let flux = found.ok_or("it is gone")?.photometry.flux;
        println!("{} {:?} {flux:?}", source.name, source.flux);
        let is_right = (flux.0 / source.flux.0 - 1.0).abs() < 0.1;
        assert!(is_right, "{flux:?} of {source:?}");
    }
    Ok(())
}

/// The whole workflow; the registry has tables that our own stages can't read.
async fn a_group_is_registered_with_its_tables(site: &Site, calibrated: &Value) -> TestResult {
    let client = site.client();
    registry::install(client.pool()).await?;
    let files = fs::read_dir(site.folder.path().join("incoming"))?;
    let group = Group {
        file_paths: files.flatten().map(|entry| entry.path()).collect(),
        config: StageConfig {
            imaging_tier: Some(ImagingTier::Development),
            ..StageConfig::default()
        },
    };
    let handle = client.spawn(process_group, group).await?;
    let product = handle.result().timeout("4m").await?;
    let mut connection = client.pool().acquire().await?;
    let valid = registry::caltables_valid_at(&mut connection, product.group.to_mjd()).await?;
    let mut kinds: Vec<_> = valid
        .iter()
        .map(|table| table.table_type.as_str())
        .collect();
    kinds.sort_unstable();
    assert_eq!(kinds, ["bandpass", "phases"]);
    let tables = serde_json::to_value(product.outputs.calibration_tables)?;
    assert_eq!(tables, calibrated["calibration_tables"]);
    Ok(())
}
