//! When nothing may be submitted: the queue is full, or the disk is.

use std::{io, path::Path};

use absurd_sdk::Client;

use super::{
    error::BridgeError,
    settings::{Bytes, Settings},
    status::Pause,
};

/// Why nothing may be submitted now.
pub(super) async fn pause(
    client: &Client,
    settings: &Settings,
) -> Result<Option<Pause>, BridgeError> {
    let free = free(&settings.output).map_err(BridgeError::file(&settings.output))?;
    if free < settings.disk_min {
        let min = settings.disk_min;
        return Ok(Some(Pause::Disk { free, min }));
    }
    let stats = client.queue_stats().await?;
    let stats = stats.ok_or_else(|| absurd_sdk::Error::QueueMissing {
        queue: client.queue().to_string(),
    })?;
    let (pending, max) = (stats.pending, settings.queue_max);
    Ok((pending > i64::from(max)).then_some(Pause::Queue { pending, max }))
}

/// What a process without privileges may still write there.
fn free(folder: &Path) -> io::Result<Bytes> {
    let disk = rustix::fs::statvfs(folder)?;
    Ok(Bytes(disk.f_bavail.saturating_mul(disk.f_frsize)))
}
