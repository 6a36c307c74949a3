//! Whether each observation was done exactly once, and how long its stages took.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    time::Duration,
};

use absurd_sdk::{CheckpointRecord, Client, DeadLetterFilter, RunRecord, TaskSummary};
use jiff::Timestamp;

use super::{WorkerError, delivery::Observations, entries, night, tasks_named};
use crate::tasks::Journal;

/// What came of the night.
#[derive(Debug)]
pub(super) struct Outcome {
    /// How long each successful execution of a step took, by step.
    pub(super) steps: BTreeMap<String, Vec<Duration>>,
    /// From an observation's submission to its product.
    pub(super) turnaround: Vec<Duration>,
    /// Attempts beyond the first.
    pub(super) attempts_lost: usize,
    /// Steps that began and were lost with their worker.
    pub(super) steps_lost: usize,
}

/// Fails unless each observation has one task that completed, one image with its record, and no
/// step that ran after it was remembered; and unless nothing half-made lies about.
pub(super) async fn check(
    client: &Client,
    output: &Path,
    observations: &Observations,
) -> Result<Outcome, WorkerError> {
    let tasks = tasks_named(client, "process-group").await?;
    let keys: BTreeSet<Option<String>> = tasks
        .iter()
        .map(|task| task.idempotency_key.clone())
        .collect();
    let groups = observations.groups.iter();
    let expected: BTreeSet<Option<String>> = groups
        .map(|(group, _)| Some(format!("process-group:{group}")))
        .collect();
    if keys != expected || tasks.len() != expected.len() {
        return Err(night(format!(
            "{} tasks for {} observations",
            tasks.len(),
            expected.len()
        )));
    }
    let letters = DeadLetterFilter::default();
    if !client.dead_letters(&letters, None, 1).await?.is_empty() {
        return Err(night("there are dead letters"));
    }
    let images = output.join("images");
    let names = observations
        .groups
        .iter()
        .flat_map(|(group, _)| ["fits", "json"].map(|kind| images.join(format!("{group}.{kind}"))));
    let names: BTreeSet<PathBuf> = names.collect();
    if entries(&images)? != names {
        return Err(night(format!(
            "{} holds other files than one image and one record of each observation",
            images.display()
        )));
    }
    let mut left = Vec::new();
    half_made(output, &mut left)?;
    if let Some(left) = left.first() {
        return Err(night(format!("{} was left half-made", left.display())));
    }
    let mut outcome = Outcome {
        steps: BTreeMap::new(),
        turnaround: Vec::new(),
        attempts_lost: 0,
        steps_lost: 0,
    };
    for task in &tasks {
        account(client, output, task, &mut outcome).await?;
    }
    Ok(outcome)
}

/// Adds a task to the outcome, and fails if it did something twice.
async fn account(
    client: &Client,
    output: &Path,
    task: &TaskSummary,
    outcome: &mut Outcome,
) -> Result<(), WorkerError> {
    let runs = client.list_runs(task.task_id).await?;
    let mut kept = client.list_checkpoints(task.task_id, None, 100).await?;
    kept.sort_by_key(|kept| kept.updated_at);
    let key = task.idempotency_key.as_deref().unwrap_or_default();
    let group = key.strip_prefix("process-group:").unwrap_or_default();
    let journal = Journal::in_folder(output.join("work").join(group)).entries();
    let journal = journal.map_err(WorkerError::file(format!("the journal of {group}")))?;
    let mut before: Option<(&RunRecord, Timestamp)> = None;
    for kept in &kept {
        let step = &kept.checkpoint_name;
        let run = owner(kept, &runs)?;
        let starts = journal.iter().filter(|entry| entry.step == *step);
        let attempts: Vec<i32> = starts.map(|entry| entry.attempt).collect();
        let of_run = |attempt: &&i32| **attempt == run.attempt;
        if attempts.iter().any(|attempt| *attempt > run.attempt)
            || attempts.iter().filter(of_run).count() != 1
        {
            return Err(night(format!(
                "step `{step}` of {group} ran in attempts {attempts:?}, and was remembered in {}",
                run.attempt
            )));
        }
        outcome.steps_lost += attempts.len() - 1;
        // The first step of a run begins with it, the others where the one before ended.
        let begin = match before {
            Some((last, ended)) if last.run_id == run.run_id => Some(ended),
            _ => run.started_at,
        };
        if let Some(begin) = begin {
            let steps = outcome.steps.entry(step.clone()).or_default();
            steps.push(between(begin, kept.updated_at));
        }
        before = Some((run, kept.updated_at));
    }
    outcome.attempts_lost += runs.len() - 1;
    if let Some(ended) = task.ended_at {
        outcome.turnaround.push(between(task.enqueue_at, ended));
    }
    Ok(())
}

fn owner<'r>(kept: &CheckpointRecord, runs: &'r [RunRecord]) -> Result<&'r RunRecord, WorkerError> {
    let owner = runs
        .iter()
        .find(|run| Some(run.run_id) == kept.owner_run_id);
    owner.ok_or_else(|| night(format!("nobody made `{}`", kept.checkpoint_name)))
}

fn between(begin: Timestamp, end: Timestamp) -> Duration {
    Duration::try_from(end.duration_since(begin)).unwrap_or_default()
}

/// Finds what is half-made in a folder or those in it.
fn half_made(folder: &Path, found: &mut Vec<PathBuf>) -> Result<(), WorkerError> {
    for path in entries(folder)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with('.') && name.ends_with(".part") {
            found.push(path);
        } else if path.is_dir() {
            half_made(&path, found)?;
        }
    }
    Ok(())
}
