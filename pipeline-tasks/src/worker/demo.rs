//! `pipeline-worker demo`: one observation from raw files to an image, with a worker killed on
//! the way.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use absurd_sdk::{CheckpointRecord, Client, RunRecord, TaskHandle, TaskId};
use absurd_test::{Durability, Postgres, eventually};
use tokio::process::{Child, Command};

use super::{
    WorkerError,
    host::{told_to_stop, unless_told_to_stop},
    simulate,
    simulate::{CATALOGUE, SimulateArgs},
};
use crate::{
    model::{Arcseconds, CatalogueSource, SkyPosition},
    tasks::{Entry, Group, Journal, Product, process_group, steps},
};

/// The worker is killed as soon as this step is remembered.
const KILL_AFTER: &str = "convert";
/// Short, so that nobody waits long for the killed worker's work.
const LEASE: &str = "3s";
/// A source this near to a simulated one is that one.
const FOUND_WITHIN: Arcseconds = Arcseconds(5.0);

/// Runs the demonstration in a folder that stays, for its image.
pub async fn run(folder: &Path, exit: bool) -> Result<(), WorkerError> {
    println!("Everything is under {}\n", folder.display());
    std::fs::create_dir_all(folder).map_err(WorkerError::file(folder))?;
    let arguments = SimulateArgs {
        out: folder.join("incoming"),
        group: crate::io::Simulation::default().group,
        sources: 6,
        gain_phase: 60.0,
        seed: 1,
    };
    let truth = simulate::run(&arguments)?;
    println!(
        "Simulated an observation of {} sources in 16 subband files.",
        truth.len()
    );

    let shown = unless_told_to_stop(show(folder, &arguments.out, &truth));
    let _database = Box::pin(shown).await?;
    if !exit {
        println!("PostgreSQL goes on until Ctrl-C.");
        told_to_stop()?.await;
    }
    Ok(())
}

/// From the start of the database, which it returns, to the comparison with the truth.
async fn show(
    folder: &Path,
    incoming: &Path,
    truth: &[CatalogueSource],
) -> Result<Postgres, WorkerError> {
    let database = Postgres::in_folder(&folder.join("postgres"), Durability::On).await?;
    let url = database.url("postgres");
    let client = Client::builder()
        .url(&url)
        .queue("dsa110-pipeline")
        .connect()
        .await?;
    client.migrate().await?;
    client.create_queue().await?;
    println!("Started a private PostgreSQL and brought in the schema.");

    let handle = client.spawn(process_group, group(incoming)?).await?;
    println!("Spawned task {}.\n", handle.task_id());
    let product = with_a_kill(&client, &handle, &url, folder).await?;

    let work = folder.join("output/work").join(product.group.to_string());
    let journal = Journal::in_folder(work).entries();
    let journal = journal.map_err(WorkerError::file("the journal"))?;
    timeline(&client, handle.task_id(), &journal).await?;
    compare(&product, truth)?;
    println!("\nThe image is {}", product.image.display());
    Ok(database)
}

/// Lets one worker run until a step is remembered, kills it, and lets another one finish.
async fn with_a_kill(
    client: &Client,
    handle: &TaskHandle<Product>,
    url: &str,
    folder: &Path,
) -> Result<Product, WorkerError> {
    let mut first = worker(url, folder)?;
    let first_id = first.id().unwrap_or_default();
    println!("Started worker {first_id}.");
    eventually("the first worker converts", async || {
        let kept = client.list_checkpoints(handle.task_id(), None, 100).await;
        kept.is_ok_and(|kept| kept.iter().any(|kept| kept.checkpoint_name == KILL_AFTER))
    })
    .await?;
    first
        .kill()
        .await
        .map_err(WorkerError::file("the first worker"))?;
    println!("`{KILL_AFTER}` is remembered: killed worker {first_id} with SIGKILL.");

    let mut second = worker(url, folder)?;
    println!("Started worker {}.", second.id().unwrap_or_default());
    let product = handle.result().timeout("10m").await;
    second
        .kill()
        .await
        .map_err(WorkerError::file("the second worker"))?;
    Ok(product?)
}

/// A worker as a process of its own.
fn worker(url: &str, folder: &Path) -> Result<Child, WorkerError> {
    let program = std::env::current_exe().map_err(WorkerError::file("this program"))?;
    Command::new(&program)
        .args(["worker", "--lease", LEASE])
        .env("ABSURD_DATABASE_URL", url)
        .env("ABSURD_QUEUE_NAME", "dsa110-pipeline")
        .env("ABSURD_WORKER_CONCURRENCY", "1")
        .env("PIPELINE_OUTPUT_DIR", folder.join("output"))
        .env(
            "PIPELINE_CATALOGUE",
            folder.join("incoming").join(CATALOGUE),
        )
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(WorkerError::file(program))
}

fn group(folder: &Path) -> Result<Group, WorkerError> {
    let entries = std::fs::read_dir(folder).map_err(WorkerError::file(folder))?;
    let paths = entries.map(|entry| entry.map(|entry| entry.path()));
    let mut file_paths = paths
        .collect::<Result<Vec<PathBuf>, _>>()
        .map_err(WorkerError::file(folder))?;
    file_paths.retain(|path| path.extension().is_some_and(|kind| kind == "hdf5"));
    Ok(file_paths.into())
}

/// Prints what ran where, and fails if a step that was remembered ran again.
async fn timeline(client: &Client, task: TaskId, journal: &[Entry]) -> Result<(), WorkerError> {
    let kept = client.list_checkpoints(task, None, 100).await?;
    let runs = client.list_runs(task).await?;
    println!("\nstep            started in           remembered at                    by attempt");
    for step in steps() {
        let Some(kept) = kept.iter().find(|kept| kept.checkpoint_name == step) else {
            return Err(WorkerError::Demo(format!(
                "step `{step}` is not remembered"
            )));
        };
        let attempt = attempt_of(kept, &runs);
        let starts: Vec<&Entry> = journal.iter().filter(|entry| entry.step == step).collect();
        let places: Vec<String> = starts
            .iter()
            .map(|entry| entry.process.to_string())
            .collect();
        let places = places.join(", ");
        println!(
            "{step:<15} {places:<20} {:<32} {attempt}",
            kept.updated_at.to_string()
        );
        let repeated = starts.iter().any(|entry| entry.attempt > attempt);
        if repeated {
            return Err(WorkerError::Demo(format!(
                "step `{step}` ran after it was remembered"
            )));
        }
    }
    let last = runs.last().map_or(1, |run| run.attempt);
    println!("\nAttempt 1 ended with its worker; attempt {last} resumed after `{KILL_AFTER}`.");
    println!("No completed step ran twice.");
    Ok(())
}

fn attempt_of(kept: &CheckpointRecord, runs: &[RunRecord]) -> i32 {
    let owner = runs
        .iter()
        .find(|run| Some(run.run_id) == kept.owner_run_id);
    owner.map_or(0, |run| run.attempt)
}

/// Prints the sources beside what was simulated; all of those must be there.
fn compare(product: &Product, truth: &[CatalogueSource]) -> Result<(), WorkerError> {
    println!(
        "\nNoise {:.4} Jy per beam, {} sources:",
        product.rms.0,
        product.sources.len()
    );
    println!("  right ascension  declination  simulated Jy  found Jy  apart");
    let mut missing = 0;
    for source in truth {
        let (ra, dec) = (
            source.position.ra.to_degrees(),
            source.position.dec.to_degrees(),
        );
        let apart = |found: &&crate::tasks::Source| {
            let found = SkyPosition::from_degrees(found.ra.0, found.dec.0);
            found.separation(source.position).to_arcseconds().0
        };
        let nearest = product
            .sources
            .iter()
            .min_by(|a, b| apart(a).total_cmp(&apart(b)));
        let found = nearest.filter(|found| apart(found) < FOUND_WITHIN.0);
        print!("  {:>15.5}  {:>11.5}  {:>12.3}", ra.0, dec.0, source.flux.0);
        if let Some(found) = found {
            println!("  {:>8.3}  {:.1}\"", found.flux.0, apart(&found));
        } else {
            missing += 1;
            println!("   missing");
        }
    }
    if missing > 0 {
        return Err(WorkerError::Demo(format!(
            "{missing} sources are not on the image"
        )));
    }
    Ok(())
}
