//! What several test files share.

use std::{
    future::Future,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use absurd_sdk::{Client, TaskId, Worker, WorkerBuilder};
use absurd_test::{Database, Recorder};

pub(crate) type TestResult<T = ()> = Result<T, Box<dyn std::error::Error>>;

/// The cargo that builds this test. What it tells its tests about their package is taken away:
/// build scripts look at it, and dependencies would be built anew for each package that asks.
pub(crate) fn cargo() -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    for (name, _) in std::env::vars_os() {
        let of_package = ["CARGO_PKG_", "CARGO_MANIFEST_"];
        let name = name.to_string_lossy();
        if of_package.iter().any(|begin| name.starts_with(begin)) {
            cargo.env_remove(&*name);
        }
    }
    cargo
}

/// A client whose statements are recorded.
pub(crate) async fn recorded(database: &Database) -> TestResult<(Client, Arc<Recorder>)> {
    let recorder = Arc::new(Recorder::default());
    let client = Client::builder()
        .url(database.url())
        .observer(recorder.clone())
        .connect()
        .await?;
    Ok((client, recorder))
}

/// Counts what really ran; a state that tasks share with the test.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counter(Arc<AtomicU32>);

impl Counter {
    /// Counts one more and returns how many that makes.
    pub(crate) fn up(&self) -> u32 {
        self.0.fetch_add(1, Ordering::SeqCst) + 1
    }

    pub(crate) fn get(&self) -> u32 {
        self.0.load(Ordering::SeqCst)
    }
}

/// A worker that looks often, so that tests don't wait for the clock.
pub(crate) fn quick_worker(client: &Client) -> WorkerBuilder {
    Worker::builder(client).poll_interval("10ms").concurrency(4)
}

/// Runs a worker until `done` is ready.
pub(crate) async fn work_while<T>(
    worker: WorkerBuilder,
    done: impl Future<Output = T> + Send,
) -> Result<T, absurd_sdk::Error> {
    let worker = worker.start()?;
    let value = done.await;
    worker.stop().await?;
    Ok(value)
}

/// Ends all leases of the queue `default` now, as if their time had passed.
pub(crate) async fn end_leases(client: &Client) -> TestResult {
    let sql = "update absurd.r_default set claim_expires_at = absurd.current_time() \
               where state = 'running'";
    sqlx::query(sql).execute(client.pool()).await?;
    Ok(())
}

/// A task's attempts as `(attempt, state)`.
pub(crate) async fn attempts(client: &Client, task: TaskId) -> TestResult<Vec<(i32, String)>> {
    let runs = client.list_runs(task).await?;
    Ok(runs
        .into_iter()
        .map(|run| (run.attempt, run.state.to_string()))
        .collect())
}
