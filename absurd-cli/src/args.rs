//! What can be typed.

use absurd_sdk::{TaskId, TaskState};
use clap::{Args, Parser, Subcommand, ValueEnum};
use serde_json::Value;

/// Durable execution on PostgreSQL.
#[derive(Debug, Parser)]
#[command(name = "absurd", version, about, max_term_width = 100)]
pub(crate) struct Cli {
    /// The database; `ABSURD_DATABASE_URL`, then `PGDATABASE`, then a private one, where it is
    /// absent.
    #[arg(long, short = 'd', global = true, value_name = "URL")]
    pub(crate) database_url: Option<String>,
    /// Print JSON instead of tables.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Bring the database's schema up to date; takes over upstream's schema 0.4 and 0.5.
    Migrate(Migrate),
    /// Create, drop, list and tune queues.
    #[command(subcommand)]
    Queue(QueueCommand),
    /// Spawn, show, cancel and retry tasks.
    #[command(subcommand)]
    Task(TaskCommand),
    /// Emit and list events.
    #[command(subcommand)]
    Event(EventCommand),
}

#[derive(Debug, Args)]
pub(crate) struct Migrate {
    /// Print the whole schema as one SQL script and touch no database.
    #[arg(long)]
    pub(crate) dump: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum QueueCommand {
    /// Create a queue; one that exists stays as it is.
    Create {
        name: String,
        /// Partition its tables by week.
        #[arg(long)]
        partitioned: bool,
    },
    /// Drop a queue with all its tasks and events.
    Drop {
        name: String,
        /// Really.
        #[arg(long)]
        yes: bool,
    },
    /// All queues, with their tasks by state.
    List,
    /// Show a queue's policy, or change the fields given.
    Policy(Policy),
    /// Delete one batch of old tasks and events, as the policies say.
    Cleanup {
        /// The queue; all of them where it is absent.
        name: Option<String>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Policy {
    pub(crate) name: String,
    /// Finished tasks and old events older than this are cleaned up, for example "30 days".
    #[arg(long)]
    pub(crate) cleanup_ttl: Option<String>,
    /// How many of them one clean-up deletes at most.
    #[arg(long)]
    pub(crate) cleanup_limit: Option<i32>,
    /// Partitioned queues: how far ahead weekly partitions are made.
    #[arg(long)]
    pub(crate) partition_lookahead: Option<String>,
    /// Partitioned queues: how far back.
    #[arg(long)]
    pub(crate) partition_lookback: Option<String>,
    /// Partitioned queues: whether rows outside of all weeks have a place.
    #[arg(long)]
    pub(crate) default_partition: Option<Switch>,
    /// Partitioned queues: whether empty old partitions are detached.
    #[arg(long)]
    pub(crate) detach_mode: Option<DetachMode>,
    /// How old they must be for that.
    #[arg(long)]
    pub(crate) detach_min_age: Option<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Switch {
    Enabled,
    Disabled,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum DetachMode {
    None,
    Empty,
}

/// The queue of a command about tasks or events.
#[derive(Debug, Args)]
pub(crate) struct InQueue {
    /// The queue.
    #[arg(long, short = 'q', default_value = "default")]
    pub(crate) queue: String,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TaskCommand {
    /// Spawn a task by its name.
    Spawn(SpawnTask),
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
        #[arg(long)]
        timeout: Option<String>,
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
}

#[derive(Debug, Subcommand)]
pub(crate) enum EventCommand {
    /// Emit an event; the first emit of a name wins.
    Emit {
        name: String,
        /// Its payload as JSON.
        #[arg(long, default_value = "null", value_parser = json)]
        payload: Value,
        #[command(flatten)]
        queue: InQueue,
    },
    /// Events, newest first.
    List {
        #[command(flatten)]
        queue: InQueue,
        /// Only events whose name begins so.
        #[arg(long)]
        prefix: Option<String>,
        /// How many.
        #[arg(long, default_value_t = 50)]
        limit: u16,
    },
    /// Who waits for what.
    Waits {
        #[command(flatten)]
        queue: InQueue,
        /// Only who waits for this event.
        #[arg(long)]
        event: Option<String>,
    },
}

fn json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("no JSON ({error}); quote text as '\"..\"'"))
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write it as name=value")?;
    Ok((name.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn params_that_are_no_json_are_refused_with_advice() {
        let refused = Cli::try_parse_from(["absurd", "task", "spawn", "a", "--params", "b"]);
        let message = refused
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default();
        assert!(message.contains("no JSON"), "{message}");
    }
}
