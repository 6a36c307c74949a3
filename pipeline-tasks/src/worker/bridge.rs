//! `pipeline-worker bridge`: submits the observations that arrive in the incoming folder.

use std::time::Duration;

use jiff::SignedDuration;

use super::{WorkerError, host};
use crate::{
    bridge::{Bridge, Bytes, Partial, Settings},
    config::Config,
};

/// What the command line says of the bridge. Folders, queue and database are those of the worker.
#[derive(Debug, clap::Args)]
pub struct BridgeArgs {
    /// A file that has not changed for so long is taken for complete, and opened.
    #[arg(long, env = "PIPELINE_BRIDGE_SETTLE", default_value = "5s", value_parser = period)]
    pub settle: Duration,
    /// A group that lacks subbands so long after its last file changed is overdue.
    #[arg(long, env = "PIPELINE_BRIDGE_DEADLINE", default_value = "10m", value_parser = period)]
    pub deadline: Duration,
    /// Whether an overdue group is reported as refused, or waits on.
    #[arg(long, value_enum, default_value_t)]
    pub partial: Partial,
    /// Submit nothing while more tasks than these are pending.
    #[arg(long, env = "PIPELINE_BRIDGE_QUEUE_MAX", default_value_t = 1_000)]
    pub queue_max: u32,
    /// Submit nothing while the disk of the output folder has less than this free.
    #[arg(long, env = "PIPELINE_BRIDGE_DISK_MIN", default_value = "100GB")]
    pub disk_min: Bytes,
    /// How often to look at the folder when no event says that something has changed.
    #[arg(long, default_value = "2s", value_parser = period)]
    pub scan_interval: Duration,
}

/// Watches until SIGTERM or Ctrl-C.
pub async fn run(config: &Config, arguments: &BridgeArgs) -> Result<(), WorkerError> {
    let client = host::connect(config).await?;
    let settings = Settings {
        settle: arguments.settle,
        deadline: arguments.deadline,
        partial: arguments.partial,
        queue_max: arguments.queue_max,
        disk_min: arguments.disk_min,
        scan_interval: arguments.scan_interval,
        ..Settings::new(&config.input, &config.output)
    };
    let stop = host::told_to_stop()?;
    let bridge = Bridge::new(client, settings)?;
    Box::pin(bridge.run_until(stop)).await?;
    Ok(())
}

/// A length of time as people write it.
pub(super) fn period(text: &str) -> Result<Duration, String> {
    let signed = text.parse::<SignedDuration>().ok();
    let length = signed.and_then(|signed| Duration::try_from(signed).ok());
    length.ok_or_else(|| "write for example 250ms, 90s, 15m or 1h 30m".to_owned())
}
