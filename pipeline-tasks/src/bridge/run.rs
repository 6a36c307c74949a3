//! The bridge as a service: woken by events for speed and by the clock for truth.

use std::{path::Path, sync::Arc, time::Duration};

use jiff::Timestamp;
use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _,
    event::{AccessKind, AccessMode},
};
use tokio::{sync::Notify, time::sleep};

use super::{Bridge, BridgeError};

/// A file that is being written causes many events; they are taken together.
const EVENTS_TOGETHER: Duration = Duration::from_millis(500);
/// An interval of nothing would keep a processor busy.
const SCANS_APART_MIN: Duration = Duration::from_millis(100);

impl Bridge {
    /// Watches and submits until `stop`. A scan that has begun is brought to its end.
    ///
    /// What can go away, a database outage or a folder that is not mounted, is in the status
    /// and in the log, and the next scan tries again; what can't is the error.
    pub async fn run_until(mut self, stop: impl Future<Output = ()>) -> Result<(), BridgeError> {
        let bell = Arc::new(Notify::new());
        let folder = self.settings().incoming.clone();
        let interval = self.settings().scan_interval.max(SCANS_APART_MIN);
        let mut watcher = None;
        tokio::pin!(stop);
        loop {
            // The folder may not be there yet when the bridge starts.
            if watcher.is_none() && folder.is_dir() {
                watcher = Some(watch(&folder, &bell));
            }
            match self.scan(now()).await {
                Err(error) if error.is_permanent() => return Err(error),
                // The status has it, and the log has had it with the status.
                Err(_) | Ok(_) => {}
            }
            tokio::select! {
                () = &mut stop => return Ok(()),
                () = wait(&bell, interval) => {}
            }
        }
    }
}

async fn wait(bell: &Notify, interval: Duration) {
    let event = async {
        bell.notified().await;
        sleep(EVENTS_TOGETHER).await;
    };
    tokio::select! {
        () = event => {}
        () = sleep(interval) => {}
    }
}

/// Rings when something in the folder changes. Where the system can't tell, the clock does.
fn watch(folder: &Path, bell: &Arc<Notify>) -> Option<RecommendedWatcher> {
    let bell = Arc::clone(bell);
    let ring = move |event: notify::Result<Event>| {
        if event.is_ok_and(|event| !is_reading(event.kind)) {
            bell.notify_one();
        }
    };
    let watching = notify::recommended_watcher(ring).and_then(|mut watcher| {
        watcher.watch(folder, RecursiveMode::NonRecursive)?;
        Ok(watcher)
    });
    if let Err(error) = &watching {
        tracing::warn!(%error, "no events from the folder, it is looked at now and then");
    }
    watching.ok()
}

/// The bridge itself reads, and must not wake itself.
fn is_reading(kind: EventKind) -> bool {
    let written = EventKind::Access(AccessKind::Close(AccessMode::Write));
    kind.is_access() && kind != written
}

/// The clock that also stamps files: the database's is none for them.
fn now() -> Timestamp {
    #[expect(
        clippy::disallowed_methods,
        reason = "file times are those of this machine, not those of the database"
    )]
    Timestamp::now()
}
