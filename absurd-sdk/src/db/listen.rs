//! Notifications: one listening connection per client, shared by all who wait.

use std::{sync::Arc, time::Duration};

use sqlx::{Executor as _, PgPool, postgres::PgListener};
use tokio::sync::broadcast;

use super::sessions::pool_beside;

/// A listening connection that said nothing for this long is asked whether it is alive.
const CHECK_AFTER_SILENCE: Duration = Duration::from_secs(15);
const CHANNEL_WAKE: &str = "absurd_wake";
const CHANNEL_DONE: &str = "absurd_done";
const CHANNEL_CANCEL: &str = "absurd_cancel";

/// What a notification says about a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Topic {
    /// Something may be ready to run.
    Wake,
    /// A watched task has ended.
    Done,
    /// A running task was cancelled.
    Cancel,
    /// The connection was replaced: notifications may have been missed.
    Gap,
}

/// Hands out the notifications of a database. It is lost with its last handle.
#[derive(Debug, Clone)]
pub(crate) struct Listener {
    sender: broadcast::Sender<(Topic, Arc<str>)>,
    /// Ends the listening task when the last clone is dropped.
    _task: Arc<AbortOnDrop>,
}

#[derive(Debug)]
struct AbortOnDrop(tokio::task::AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Listener {
    /// Starts listening in the background, beside the pool: with a pool of one
    /// connection a listener would otherwise leave none for calls.
    pub(crate) fn start(pool: &PgPool) -> Self {
        let (sender, _) = broadcast::channel(1024);
        let task = tokio::spawn(listen(pool_beside(pool, 1), sender.clone()));
        Self {
            sender,
            _task: Arc::new(AbortOnDrop(task.abort_handle())),
        }
    }

    pub(crate) fn subscribe(&self) -> broadcast::Receiver<(Topic, Arc<str>)> {
        self.sender.subscribe()
    }
}

/// Listens for ever. An outage is bridged by the waiters' own polls, so it is only logged.
async fn listen(pool: PgPool, sender: broadcast::Sender<(Topic, Arc<str>)>) {
    let mut pauses = super::pauses();
    loop {
        if let Err(error) = listen_once(&pool, &sender).await {
            tracing::debug!(%error, "not listening for notifications, polling meanwhile");
        }
        tokio::time::sleep(pauses.next().unwrap_or_default()).await;
    }
}

async fn listen_once(
    pool: &PgPool,
    sender: &broadcast::Sender<(Topic, Arc<str>)>,
) -> Result<(), sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener
        .listen_all([CHANNEL_WAKE, CHANNEL_DONE, CHANNEL_CANCEL])
        .await?;
    // Whoever subscribed before the connection stood may have missed something.
    let _ = sender.send((Topic::Gap, Arc::from("")));
    loop {
        let Ok(received) = tokio::time::timeout(CHECK_AFTER_SILENCE, listener.try_recv()).await
        else {
            // A connection cut without a word (a firewall, a failover) only shows when used.
            let check = listener.execute("select 1");
            tokio::time::timeout(CHECK_AFTER_SILENCE, check)
                .await
                .map_err(|_| sqlx::Error::PoolTimedOut)??;
            continue;
        };
        let Some(notification) = received? else {
            return Ok(());
        };
        let topic = match notification.channel() {
            CHANNEL_DONE => Topic::Done,
            CHANNEL_CANCEL => Topic::Cancel,
            _ => Topic::Wake,
        };
        // Without receivers nobody waits; that is no error.
        let _ = sender.send((topic, Arc::from(notification.payload())));
    }
}
