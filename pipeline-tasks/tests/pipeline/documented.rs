//! The tasks that the operators' documents call by names of their own.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Stdio,
};

use absurd_sdk::WorkerHandle;
use absurd_test::Database;
use pipeline_tasks::{
    config::Config,
    io::{Effects, Simulation, write_catalogue},
    model::{CatalogueSource, GroupId, Jansky, SkyPosition, Stage},
    tasks::{Toolbox, pipeline_worker, steps},
};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::{TestResult, config};

fn start(database: &Database, config: &Config) -> TestResult<WorkerHandle> {
    let worker = pipeline_worker(database.client(), Toolbox::of(config));
    Ok(worker.poll_interval("100ms").start()?)
}

/// Runs a task to its end.
async fn run(database: &Database, task: &str, params: Value) -> TestResult<Value> {
    let spawn = database.client().spawn_by_name(task, params);
    Ok(spawn.await?.result().timeout("5m").await?)
}

/// The calibrator of the shared groups, and one that is never near it.
fn sky() -> Vec<CatalogueSource> {
    let source = |name: &str, ra, dec, flux| CatalogueSource {
        name: name.into(),
        position: SkyPosition::from_degrees(ra, dec),
        flux: Jansky(flux),
        spectral_index: -0.5,
    };
    vec![
        source("0834+555", 128.728_8, 55.572_5, 8.8),
        source("S1", 128.2, 55.1, 2.0),
        source("0137+331", 24.422, 33.16, 16.0),
    ]
}

/// Where imaging has a worker of its own.
const IMAGING: &str = "imaging";

/// Two observations in one folder, and two workers that know their sky.
struct Site {
    database: Database,
    folder: tempfile::TempDir,
    group: GroupId,
    worker: WorkerHandle,
    imager: WorkerHandle,
}

impl Site {
    async fn new() -> TestResult<Self> {
        let folder = tempfile::tempdir()?;
        let incoming = folder.path().join("incoming");
        let observed = Simulation {
            sky: sky()[..2].to_vec(),
            antennas: 12,
            channels: 1,
            integrations: 6,
            effects: Effects {
                drifting_beam: true,
                ..Effects::default()
            },
            ..Simulation::default()
        };
        observed.write(&incoming)?;
        let later = Simulation {
            group: jiff::civil::date(2026, 1, 26).at(9, 0, 0, 0).into(),
            antennas: 3,
            integrations: 1,
            ..Simulation::default()
        };
        later.write(&incoming)?;
        let catalogue = folder.path().join("catalog.csv");
        write_catalogue(&catalogue, &sky())?;
        let database = Database::start().await?;
        pipeline_tasks::registry::install(database.client().pool()).await?;
        let elsewhere = database.client().on_queue(IMAGING)?;
        elsewhere.create_queue().await?;
        let config = Config {
            catalogue: Some(catalogue),
            stage_queues: BTreeMap::from([(Stage::Imaging, elsewhere.queue().clone())]),
            ..config(&incoming, &folder.path().join("output"))
        };
        let imager = pipeline_worker(&elsewhere, Toolbox::of(&config));
        Ok(Self {
            worker: start(&database, &config)?,
            imager: imager.poll_interval("100ms").start()?,
            database,
            folder,
            group: observed.group,
        })
    }

    /// Where the task is told to put its products.
    fn own(&self) -> PathBuf {
        self.folder.path().join("own")
    }

    fn order(&self, calibrator: &str) -> Value {
        let file = format!("incoming/{}_sb03.hdf5", self.group);
        json!({
            "input_path": self.folder.path().join(file),
            "calibrator": calibrator,
            "output_dir": self.own(),
            "config": {"imaging_tier": "development"},
        })
    }
}

#[tokio::test]
async fn dsa110_pipeline_wants_its_calibrator_in_the_field() -> TestResult {
    let site = Site::new().await?;
    for (calibrator, said) in [
        ("0137+331", "is not in the field"),
        ("3C286", "no catalogue has a calibrator `3C286`"),
    ] {
        let order = site.order(calibrator);
        let refused = run(&site.database, "dsa110-pipeline", order).await;
        let refused = refused.err().ok_or("it worked")?.to_string();
        assert!(refused.contains(said), "{refused}");
    }
    assert!(!site.own().exists(), "nothing is made of what is refused");
    site.imager.stop().await?;
    site.worker.stop().await?;
    Ok(())
}

#[tokio::test]
async fn dsa110_pipeline_processes_the_group_of_one_file() -> TestResult {
    let site = Site::new().await?;
    let client = site.database.client();
    let handle = client
        .spawn_by_name("dsa110-pipeline", site.order("0834+555"))
        .await?;
    let made = handle.result().timeout("5m").await?;
    assert_eq!(made["job_id"], json!(handle.task_id()));
    let beam = made["calibrator"]["beam"].as_f64();
    assert!(beam.is_some_and(|beam| beam > 0.9), "{made}");
    let ms = made["outputs"]["ms_path"].as_str().ok_or("no set")?;
    assert!(ms.contains(&site.group.to_string()) && Path::new(ms).starts_with(site.own()));
    let image = site.own().join(format!("images/{}.fits", site.group));
    let output = site.folder.path().join("output");
    assert!(image.exists() && !output.exists(), "{}", image.display());

    let timed = made["stage_results"].as_object().ok_or("no timings")?;
    for step in steps() {
        let duration = timed.get(step).and_then(|step| step["duration"].as_f64());
        assert!(
            duration.is_some_and(|seconds| seconds > 0.0),
            "{step}: {timed:?}"
        );
    }
    // The imager works elsewhere, and takes longer than a look into sixteen files.
    let seconds = |step: &str| timed[step]["duration"].as_f64().unwrap_or_default();
    assert!(seconds("image") > seconds("setup"), "{timed:?}");
    let kept = client.list_checkpoints(handle.task_id(), None, 100).await?;
    for step in ["workflow_init", "workflow_complete"] {
        assert!(
            kept.iter().any(|kept| kept.checkpoint_name == step),
            "{step}"
        );
    }
    site.imager.stop().await?;
    site.worker.stop().await?;
    Ok(())
}

#[tokio::test]
async fn test_task_gives_back_what_it_gets() -> TestResult {
    let database = Database::start().await?;
    let folder = tempfile::tempdir()?;
    let worker = start(&database, &config(folder.path(), folder.path()))?;
    for params in [
        json!({}),
        json!(null),
        json!({"a": [1, "two", {"b": null}]}),
    ] {
        let echo = run(&database, "test-task", params.clone()).await?;
        assert_eq!(
            echo,
            json!({"echo": params, "queue": "default", "attempt": 1})
        );
    }
    worker.stop().await?;
    Ok(())
}

#[tokio::test]
async fn test_connection_reports_versions() -> TestResult {
    let database = Database::start().await?;
    let folder = tempfile::tempdir()?;
    let output = folder.path().join("output");
    let worker = start(&database, &config(folder.path(), &output))?;
    let report = run(&database, "test-connection", json!({"any": "thing"})).await?;
    for (program, said) in [
        ("aoflagger", "AOFlagger"),
        ("wsclean", "WSClean version"),
        ("source-extractor", "version"),
        ("SWarp", "SWarp version"),
    ] {
        let version = report["tools"][program].as_str().ok_or(program)?;
        assert!(version.contains(said), "{version}");
    }
    let version = report["postgresql"].as_str().ok_or("no version")?;
    let major = version.split('.').next().ok_or("no major version")?;
    assert!((14..=30).contains(&major.parse::<u32>()?), "{version}");
    assert_eq!(report["output_dir"], json!(output));
    assert_eq!(fs::read_dir(&output)?.count(), 0, "the probe is gone");
    worker.stop().await?;
    Ok(())
}

#[tokio::test]
async fn test_connection_names_all_that_is_missing() -> TestResult {
    let database = Database::start().await?;
    let folder = tempfile::tempdir()?;
    // All that starts programs, and of the field's programs one.
    let programs = folder.path().join("programs");
    fs::create_dir(&programs)?;
    for program in ["setpriv", "aoflagger"] {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let real = std::env::split_paths(&path).map(|folder| folder.join(program));
        let real = real.into_iter().find(|place| place.is_file());
        symlink(real.ok_or(program)?, programs.join(program))?;
    }
    let mut worker = Command::new(env!("CARGO_BIN_EXE_pipeline-worker"))
        .arg("worker")
        .env("PATH", &programs)
        .env("ABSURD_DATABASE_URL", database.url())
        .env("ABSURD_QUEUE_NAME", "default")
        .env("PIPELINE_INPUT_DIR", "/none/incoming")
        .env("PIPELINE_OUTPUT_DIR", "/proc/none")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let failed = run(&database, "test-connection", json!({})).await;
    let failed = failed.err().ok_or("it worked")?.to_string();
    worker.kill().await?;
    for missing in [
        "wsclean",
        "source-extractor",
        "SWarp",
        "/none/incoming",
        "/proc/none",
    ] {
        assert!(failed.contains(missing), "{missing}: {failed}");
    }
    assert!(!failed.contains("aoflagger"), "{failed}");
    Ok(())
}
