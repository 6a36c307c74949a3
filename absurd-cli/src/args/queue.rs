//! `absurd queue`

use clap::{Args, Subcommand, ValueEnum};

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
    /// Keep a queue from handing out work; what runs goes on.
    Pause { name: String },
    /// Let a paused queue go on.
    Resume { name: String },
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
