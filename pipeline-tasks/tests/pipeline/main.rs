//! The pipeline on simulated and on foreign data.

mod bridge;
mod catalogues;
mod conversion;
mod crash;
mod crash_tasks;
mod demo;
mod documented;
mod field_data;
mod housekeeping;
mod interference;
mod killing;
mod light_curves;
mod mosaic;
mod mosaic_windows;
mod night;
mod orchestration;
mod python_stages;
mod reader;
mod registry;
mod science;
mod simulation;
mod stage_queues;
mod stages;
mod tiles;
mod workflow;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use pipeline_tasks::config::Config;

/// The settings of a worker under test; tests name what they need otherwise.
fn config(input: &Path, output: &Path) -> Config {
    Config {
        database_url: None,
        queue: "default".into(),
        concurrency: 1,
        poll_interval: Duration::from_millis(50),
        task_timeout: Duration::from_mins(5),
        max_attempts: 3,
        input: input.to_owned(),
        output: output.to_owned(),
        catalogue: None,
        vla_calibrators: None,
        mosaic_schedule: None,
        mosaic_wait: Duration::from_hours(6),
        stage_queues: BTreeMap::new(),
    }
}

type TestResult<T = ()> = Result<T, Box<dyn std::error::Error>>;

/// Data that our code did not write, beside the workspace; `None`, and said so, where it is
/// absent.
fn shared_data(name: &str) -> Option<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../shared/data")
        .join(name);
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: {} is not there", folder.display());
    None
}
