//! `pipeline-worker night`: a night in miniature. Observations arrive late and in odd order while
//! workers are killed and the database restarts; at the end each one is imaged exactly once, and
//! nobody has helped.

mod delivery;
mod memory;

mod check;
mod fleet;
mod mosaics;

mod report;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use absurd_sdk::{Client, TaskFilter, TaskState, TaskSummary};
use absurd_test::{Durability, Postgres};
use tokio::time::{Instant, sleep};

use self::{
    check::check,
    delivery::{Observations, deliver},
    fleet::{Fleet, Site},
    memory::Peaks,
    report::{Report, reference_conversion},
};
use super::{WorkerError, bridge::period, host::unless_told_to_stop};
use crate::io::Simulation;

/// How often the night looks at its processes and tasks.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// A night that does nothing for so long hangs.
const PATIENCE: Duration = Duration::from_mins(10);

/// What the command line says of the night.
#[derive(Debug, Clone, clap::Args)]
pub struct NightArgs {
    /// The folder for all of it; a new one for temporary files where it is absent.
    #[arg(long)]
    pub folder: Option<PathBuf>,
    /// How many observations.
    #[arg(long, default_value_t = 24)]
    pub groups: usize,
    /// Antennas of each.
    #[arg(long, default_value_t = 8)]
    pub antennas: usize,
    /// Channels of each subband.
    #[arg(long, default_value_t = 1)]
    pub channels: usize,
    /// Integrations of each.
    #[arg(long, default_value_t = 2)]
    pub integrations: usize,
    /// From one observation's arrival to the next one's.
    #[arg(long, default_value = "2s", value_parser = period)]
    pub arrive_every: Duration,
    /// From one kill of a worker to the next.
    #[arg(long, default_value = "60s", value_parser = period)]
    pub kill_every: Duration,
    /// No more kills than these.
    #[arg(long)]
    pub kills_max: Option<usize>,
    /// How long windows of mosaics that lack groups wait for them.
    #[arg(long, default_value = "60s", value_parser = period)]
    pub mosaic_wait: Duration,
    /// The order of arrival follows from it.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Where the report goes as Markdown; as JSON it is `night.json` in the folder.
    #[arg(long)]
    pub out: Option<PathBuf>,
    /// A Python that has pyuvdata and python-casacore, to compare the conversion with: make it
    /// with `python3 -m venv FOLDER` and `FOLDER/bin/pip install pyuvdata python-casacore`.
    #[arg(long)]
    pub pyuvdata: Option<PathBuf>,
}

/// What was done to the night.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
struct Disturbances {
    /// Workers killed with SIGKILL.
    kills: usize,
    /// Of those, workers that held a task.
    kills_at_work: usize,
    /// Restarts of the database, without a checkpoint.
    restarts: usize,
}

/// Runs the night, checks its outcome, and prints what it took.
pub async fn run(arguments: &NightArgs) -> Result<(), WorkerError> {
    let new = || std::env::temp_dir().join(format!("absurd-night-{}", std::process::id()));
    let folder = arguments.folder.clone().unwrap_or_else(new);
    println!("Everything is under {}", folder.display());
    let incoming = folder.join("incoming");
    fs::create_dir_all(&incoming).map_err(WorkerError::file(&incoming))?;
    let observations = Observations::simulate(&folder, &simulation(arguments), arguments.groups)?;
    println!(
        "Simulated {} observations of {}.",
        observations.groups.len(),
        observations.size
    );
    Box::pin(unless_told_to_stop(live_through(
        arguments,
        folder,
        observations,
    )))
    .await
}

/// The night itself, from the start of the database to the report.
async fn live_through(
    arguments: &NightArgs,
    folder: PathBuf,
    observations: Observations,
) -> Result<(), WorkerError> {
    let database = Postgres::in_folder(&folder.join("postgres"), Durability::On).await?;
    let client = Client::builder()
        .url(database.url("postgres"))
        .queue(fleet::QUEUE)
        .connect()
        .await?;
    client.migrate().await?;
    client.create_queue().await?;

    let begin = Instant::now();
    let mut fleet = Fleet::start(Site {
        folder: folder.clone(),
        url: database.url("postgres"),
        mosaic_wait: arguments.mosaic_wait,
    })?;
    let arrival = tokio::spawn(deliver(
        observations.files(arguments.seed),
        folder.join("incoming"),
        arguments.arrive_every,
    ));
    let windows = mosaics::expected(&observations).len();
    let watched = watch(&client, &database, &mut fleet, arguments, windows).await;
    let stopped = fleet.stop().await;
    // A file that could not arrive is why the night did not end.
    if arrival.is_finished() {
        arrival.await.map_err(|error| night(error.to_string()))??;
    }
    let (disturbances, peaks) = watched?;
    stopped?;
    let took = begin.elapsed();

    let output = folder.join("output");
    let outcome = check(&client, &output, &observations).await?;
    let mosaics = mosaics::check(&client, &output, &observations, arguments.antennas).await?;
    let reference = match &arguments.pyuvdata {
        Some(python) => Some(reference_conversion(python, &folder, &observations)?),
        None => None,
    };
    let report = Report {
        arguments: arguments.clone(),
        size: observations.size.clone(),
        took,
        disturbances,
        outcome,
        mosaics,
        memory: peaks.highest(),
        reference,
    };
    let json = folder.join("night.json");
    fs::write(&json, serde_json::to_vec_pretty(&report.facts())?)
        .map_err(WorkerError::file(&json))?;
    let text = report.markdown();
    println!("\n{text}");
    if let Some(out) = &arguments.out {
        fs::write(out, text).map_err(WorkerError::file(out))?;
    }
    Ok(())
}

fn simulation(arguments: &NightArgs) -> Simulation {
    Simulation {
        antennas: arguments.antennas,
        channels: arguments.channels,
        integrations: arguments.integrations,
        ..Simulation::default()
    }
}

/// Kills and restarts until all observations are done and all windows are mosaics.
async fn watch(
    client: &Client,
    database: &Postgres,
    fleet: &mut Fleet,
    arguments: &NightArgs,
    windows: usize,
) -> Result<(Disturbances, Peaks), WorkerError> {
    let mut disturbances = Disturbances::default();
    let mut peaks = Peaks::default();
    let (mut last_kill, mut last_news) = (Instant::now(), Instant::now());
    let (mut done, mut mosaics) = (0, 0);
    loop {
        peaks.look(&fleet.processes());
        fleet.check()?;
        let completed = completed(client, "process-group").await?;
        let put_together = self::completed(client, mosaics::TASK).await?;
        if (completed, put_together) != (done, mosaics) {
            (done, mosaics, last_news) = (completed, put_together, Instant::now());
            println!(
                "{done} of {} observations and {mosaics} of {windows} mosaics are done.",
                arguments.groups
            );
        }
        let is_over = done == arguments.groups && mosaics == windows;
        if is_over && disturbances.restarts > 0 {
            return Ok((disturbances, peaks));
        }
        if last_news.elapsed() > PATIENCE {
            return Err(night(format!("nothing was done for {PATIENCE:?}")));
        }
        if disturbances.restarts == 0 && done * 2 >= arguments.groups {
            database.stop_immediately().await?;
            database.start().await?;
            disturbances.restarts += 1;
            println!("The database crashed and is back.");
        } else if is_kill_due(arguments, disturbances, last_kill) && !is_over {
            let (killed, held) = fleet.kill_one().await?;
            disturbances.kills += 1;
            disturbances.kills_at_work += usize::from(held);
            last_kill = Instant::now();
            println!("Killed worker {killed}.");
        }
        sleep(LOOK_EVERY).await;
    }
}

fn is_kill_due(arguments: &NightArgs, done: Disturbances, last: Instant) -> bool {
    let most = arguments.kills_max.unwrap_or(usize::MAX);
    done.kills < most && last.elapsed() >= arguments.kill_every
}

/// How many tasks of a name are completed. None may have failed for good.
async fn completed(client: &Client, name: &str) -> Result<usize, WorkerError> {
    let mut completed = 0;
    for task in tasks_named(client, name).await? {
        if task.state == TaskState::Failed {
            let id = task.task_id;
            let runs = client.list_runs(id).await?;
            let last = runs.into_iter().next_back();
            let why = last.and_then(|run| run.failure_reason).unwrap_or_default();
            return Err(night(format!("task {id} ({name}) failed for good: {why}")));
        }
        completed += usize::from(task.state == TaskState::Completed);
    }
    Ok(completed)
}

/// All tasks of a name.
async fn tasks_named(client: &Client, name: &str) -> Result<Vec<TaskSummary>, WorkerError> {
    const PAGE: u16 = 200;
    let filter = TaskFilter {
        task_name: Some(name.to_owned()),
        ..TaskFilter::default()
    };
    let mut tasks: Vec<TaskSummary> = Vec::new();
    loop {
        let before = tasks.last().map(|task| task.task_id);
        let page = client.list_tasks(&filter, before, PAGE).await?;
        let is_last = page.len() < usize::from(PAGE);
        tasks.extend(page);
        if is_last {
            return Ok(tasks);
        }
    }
}

/// What lies in a folder.
fn entries(folder: &Path) -> Result<BTreeSet<PathBuf>, WorkerError> {
    let entries = fs::read_dir(folder).map_err(WorkerError::file(folder))?;
    let paths = entries.map(|entry| entry.map(|entry| entry.path()));
    let paths: Result<_, _> = paths.collect();
    paths.map_err(WorkerError::file(folder))
}

fn night(problem: impl Into<String>) -> WorkerError {
    WorkerError::Night(problem.into())
}
