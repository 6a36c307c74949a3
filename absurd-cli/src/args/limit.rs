//! `absurd limit`

use absurd_sdk::Period;
use clap::{Args, Subcommand, value_parser};

use super::{InQueue, values::period};

#[derive(Debug, Subcommand)]
pub(crate) enum LimitCommand {
    /// Set a limit; one that stood before is replaced.
    Set(SetLimit),
    /// Remove a limit.
    Remove {
        #[command(flatten)]
        queue: InQueue,
        #[command(flatten)]
        scope: Scope,
    },
    /// The limits of a queue.
    List {
        #[command(flatten)]
        queue: InQueue,
    },
}

#[derive(Debug, Args)]
pub(crate) struct SetLimit {
    #[command(flatten)]
    pub(crate) queue: InQueue,
    #[command(flatten)]
    pub(crate) scope: Scope,
    #[command(flatten)]
    pub(crate) bounds: Bounds,
}

/// How much a limit lets through.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub(crate) struct Bounds {
    /// At most that many runs at once; 0 is a pause.
    #[arg(long, value_name = "N")]
    pub(crate) concurrency: Option<u32>,
    /// At most that many starts within the period.
    #[arg(long, value_name = "N", requires = "period",
        value_parser = value_parser!(u32).range(1..=10_000))]
    pub(crate) rate: Option<u32>,
    /// The period, for example "10s".
    #[arg(long, requires = "rate", value_parser = period)]
    pub(crate) period: Option<Period>,
}

/// What a limit is about.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Scope {
    /// All runs of the queue.
    #[arg(long)]
    pub(crate) queue_wide: bool,
    /// Runs of tasks of this name.
    #[arg(long, value_name = "NAME")]
    pub(crate) task: Option<String>,
    /// Runs of tasks with this key.
    #[arg(long)]
    pub(crate) key: Option<String>,
    /// Runs of tasks with any one key that has no limit of its own.
    #[arg(long)]
    pub(crate) each_key: bool,
}
