//! `absurd task`

use std::path::PathBuf;

use absurd_sdk::{Period, TaskId, TaskState};
use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde_json::Value;

use super::{
    InQueue,
    values::{attribute, header, json, period, time},
};

#[derive(Debug, Subcommand)]
pub(crate) enum TaskCommand {
    /// Spawn a task by its name.
    Spawn(Box<SpawnTask>),
    /// Tasks, newest first.
    List(ListTasks),
    /// A task with its attempts and checkpoints; the queue is found by itself.
    Show { task: TaskId },
    /// Wait for a task's end and print its result.
    Wait {
        task: TaskId,
        #[command(flatten)]
        queue: InQueue,
        /// Give up after this time, for example "90s".
        #[arg(long, value_parser = period)]
        timeout: Option<Period>,
    },
    /// Cancel a task; one that has ended stays as it is.
    Cancel {
        task: TaskId,
        #[command(flatten)]
        queue: InQueue,
    },
    /// Give a failed task one more attempt, from its last checkpoint.
    Retry {
        task: TaskId,
        #[command(flatten)]
        queue: InQueue,
        /// Attempts up to this limit instead of one more.
        #[arg(long, conflicts_with = "as_new")]
        max_attempts: Option<u32>,
        /// Spawn it anew, from its first step.
        #[arg(long)]
        as_new: bool,
    },
    /// Keep a task from being claimed; one that runs goes on until it sleeps, waits or ends.
    Pause { task: TaskId },
    /// Let a paused task go on.
    Resume { task: TaskId },
    /// Change the priority of a task that has not ended; larger goes first.
    Priority {
        task: TaskId,
        #[arg(allow_negative_numbers = true)]
        priority: i32,
    },
    /// Spawn a task like this one, that goes on from one of its steps.
    Fork(ForkTask),
    /// What a task has logged.
    Log {
        task: TaskId,
        /// Only during this step.
        #[arg(long)]
        step: Option<String>,
    },
    /// A task's history as JSON, for replay tests.
    Export {
        task: TaskId,
        /// Write it into this file.
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct ListTasks {
    #[command(flatten)]
    pub(crate) queue: InQueue,
    /// Only tasks in this state.
    #[arg(long)]
    pub(crate) state: Option<TaskState>,
    /// Only tasks of this name.
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Only tasks with this attribute, as `name=value`; may be given several times.
    #[arg(long, value_name = "NAME=VALUE", value_parser = attribute)]
    pub(crate) attribute: Vec<(String, Value)>,
    /// Only tasks that this one has spawned.
    #[arg(long, value_name = "TASK")]
    pub(crate) parent: Option<TaskId>,
    /// Only tasks spawned before this one: the next page.
    #[arg(long)]
    pub(crate) before: Option<TaskId>,
    /// How many.
    #[arg(long, default_value_t = 50)]
    pub(crate) limit: u16,
}

#[derive(Debug, Args)]
pub(crate) struct SpawnTask {
    pub(crate) name: String,
    /// Its params as JSON.
    #[arg(long, default_value = "null", value_parser = json)]
    pub(crate) params: Value,
    #[command(flatten)]
    pub(crate) queue: InQueue,
    /// How many attempts it has.
    #[arg(long)]
    pub(crate) max_attempts: Option<u32>,
    /// A second spawn with this key returns the first one's task.
    #[arg(long)]
    pub(crate) idempotency_key: Option<String>,
    /// A header, as `name=value`; may be given several times.
    #[arg(long, value_parser = header)]
    pub(crate) header: Vec<(String, String)>,
    /// Larger goes first, then age.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) priority: Option<i32>,
    /// Begin that long from now, for example "15m".
    #[arg(long, conflicts_with = "start_at", value_parser = period)]
    pub(crate) delay: Option<Period>,
    /// Begin at this time, for example 2026-05-01T03:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) start_at: Option<Timestamp>,
    /// Whom it is for: keys take turns, and limits can hold for each.
    #[arg(long)]
    pub(crate) key: Option<String>,
    /// How long one execution may take; then the attempt fails.
    #[arg(long, value_parser = period)]
    pub(crate) timeout: Option<Period>,
    /// An attribute to find it by, as `name=value` with JSON or text; may be given several times.
    #[arg(long, value_name = "NAME=VALUE", value_parser = attribute)]
    pub(crate) attribute: Vec<(String, Value)>,
    /// At most one task for this key within the time given by `--within`.
    #[arg(long, value_name = "KEY", requires = "within")]
    pub(crate) unique: Option<String>,
    /// That time, for example "1m".
    #[arg(long, value_name = "PERIOD", requires = "unique", value_parser = period)]
    pub(crate) within: Option<Period>,
    /// Begin when nobody has spawned for that time, with the last params.
    #[arg(long, requires = "unique")]
    pub(crate) debounce: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ForkTask {
    pub(crate) task: TaskId,
    /// The first step that is done again; without it everything is kept.
    #[arg(long, value_name = "STEP")]
    pub(crate) from_step: Option<String>,
    /// Other params than those of the task, as JSON.
    #[arg(long, value_parser = json)]
    pub(crate) params: Option<Value>,
    /// Begin that long from now, for example "5m".
    #[arg(long, value_parser = period)]
    pub(crate) delay: Option<Period>,
}
