//! `absurd schedule`

use absurd_sdk::{CatchUp, Overlap};
use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde_json::Value;

use super::{
    InQueue,
    values::{json, time, word},
};

#[derive(Debug, Subcommand)]
pub(crate) enum ScheduleCommand {
    /// Create a schedule, or change the one of this name.
    Set(SetSchedule),
    /// All schedules.
    List,
    /// Keep a schedule from firing.
    Pause { name: String },
    /// Let a paused schedule go on with its next tick from now.
    Resume { name: String },
    /// Remove a schedule; its tasks stay.
    Delete { name: String },
    /// Fire the ticks between two times that have not fired.
    Backfill {
        name: String,
        /// The first time, for example 2026-05-01T00:00:00Z.
        #[arg(long, value_name = "TIME", value_parser = time)]
        from: Timestamp,
        /// The last time.
        #[arg(long, value_name = "TIME", value_parser = time)]
        until: Timestamp,
    },
    /// When a schedule fires next.
    Next {
        name: String,
        /// How many times.
        #[arg(long, value_name = "N", default_value_t = 5)]
        count: u16,
    },
    /// Fire all schedules until Ctrl-C or SIGTERM; any number of these may run.
    Run,
}

#[derive(Debug, Args)]
pub(crate) struct SetSchedule {
    pub(crate) name: String,
    /// When: minute, hour, day, month and weekday, for example "0 3 * * *".
    #[arg(long, value_name = "PATTERN")]
    pub(crate) cron: String,
    /// The name of its tasks.
    #[arg(long, value_name = "NAME")]
    pub(crate) task: String,
    /// Their params as JSON.
    #[arg(long, default_value = "null", value_parser = json)]
    pub(crate) params: Value,
    #[command(flatten)]
    pub(crate) queue: InQueue,
    /// The zone of the pattern's times, for example `America/Los_Angeles`.
    #[arg(long, value_name = "ZONE", default_value = "UTC")]
    pub(crate) time_zone: String,
    /// While the last task has not ended: allow both, skip the new one, or replace the old one;
    /// skip where it is absent.
    #[arg(long, value_parser = word::<Overlap>)]
    pub(crate) overlap: Option<Overlap>,
    /// Ticks that passed unseen: all fire, the latest, or none; latest where it is absent.
    #[arg(long, value_parser = word::<CatchUp>)]
    pub(crate) catch_up: Option<CatchUp>,
}
