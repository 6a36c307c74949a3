//! The store of a run that a worker executes: its writes go through the worker's writer, its
//! waits by themselves.

use std::future::Future;

use futures::future::BoxFuture;
use serde_json::Value;
use tokio::time::Instant;

use crate::{
    db::{
        Db, DbError, PgConnection, PgTransaction, Waited, needs_ours, pauses,
        writes::{Wait, Write},
    },
    ids::{QueueName, RunId, TaskId},
    lease::Lease,
    store::{Checkpoint, Refusal, RunStore},
    vault::Vault,
    writer::{WriterHandle, is_worth_another_try},
};

/// The store of a run that a worker executes.
pub(crate) struct LiveStore {
    pub(crate) db: Db,
    pub(crate) writer: WriterHandle,
    pub(crate) lease: Lease,
    pub(crate) queue: QueueName,
    pub(crate) worker: String,
    pub(crate) vault: Vault,
}

impl LiveStore {
    /// The write with its payload as it is to be stored.
    async fn sealed(&self, mut write: Write) -> Result<Write, Refusal> {
        match &mut write {
            Write::Checkpoint { step, state, .. } => {
                let what = || format!("the result of step `{step}`");
                *state = self.vault.seal(what, state.take()).await?;
            }
            Write::Spawn { name, params, .. } => {
                let what = || format!("the params of task `{name}`");
                *params = self.vault.seal(what, params.take()).await?;
            }
            Write::Emit { event, payload, .. } => {
                let what = || format!("the payload of event `{event}`");
                *payload = self.vault.seal(what, payload.take()).await?;
            }
            Write::Compensate { step, state, .. } => {
                let what = || format!("the params of the compensation `{step}`");
                if let Some(params) = state.get_mut("params") {
                    *params = self.vault.seal(what, params.take()).await?;
                }
            }
            _ => {}
        }
        Ok(write)
    }

    /// What a wait has brought. The end of a task holds its result further inside; whoever reads
    /// it opens it.
    async fn opened(&self, step: &str, waited: Waited) -> Result<Waited, Refusal> {
        let Waited::Delivered(payload) = waited else {
            return Ok(waited);
        };
        let what = || format!("what `{step}` has waited for");
        Ok(Waited::Delivered(self.vault.open(what, payload).await?))
    }

    /// Tries again while the database is away and the lease is ours.
    async fn patiently<T, F>(&self, call: impl Fn() -> F + Send) -> Result<T, Refusal>
    where
        F: Future<Output = Result<T, DbError>> + Send,
    {
        let mut pauses = pauses();
        loop {
            match call().await {
                Err(error) if is_worth_another_try(&error) => {
                    let pause = pauses.next().unwrap_or_default();
                    if Instant::now() + pause > self.lease.ends() {
                        return Err(Refusal::LeaseLost);
                    }
                    tokio::time::sleep(pause).await;
                }
                answer => return answer.map_err(Refusal::from),
            }
        }
    }

    async fn wait_once(&self, wait: &Wait) -> Result<Waited, DbError> {
        let features = self.db.features().await?;
        if features.is_some_and(|features| features.waits) {
            return self.db.wait(&self.queue, &self.worker, wait).await;
        }
        self.db.wait_by_contract(&self.queue, wait).await
    }

    async fn wait_for_any_once(
        &self,
        waits: &[Wait],
        park: bool,
    ) -> Result<Vec<(usize, Waited)>, DbError> {
        let features = self.db.features().await?;
        if features.is_some_and(|features| features.extras) {
            return self
                .db
                .wait_for_any(&self.queue, &self.worker, waits, park)
                .await;
        }
        match waits {
            // All other branches are done: an ordinary wait.
            [wait] if park => match self.wait_once(wait).await? {
                Waited::Parked => Ok(Vec::new()),
                over => Ok(vec![(0, over)]),
            },
            _ if !park => Ok(Vec::new()),
            _ => Err(needs_ours("waiting in several branches at once")),
        }
    }

    async fn checkpoints_once(&self, task: TaskId, run: RunId) -> Result<Vec<Checkpoint>, DbError> {
        let features = self.db.features().await?;
        let places = features.is_some_and(|features| features.extras);
        self.db.checkpoints(&self.queue, task, run, places).await
    }
}

impl RunStore for LiveStore {
    fn write(&self, write: Write) -> BoxFuture<'_, Result<Value, Refusal>> {
        Box::pin(async move {
            let write = self.sealed(write).await?;
            self.writer.write(write, &self.lease).await
        })
    }

    fn wait(&self, wait: Wait) -> BoxFuture<'_, Result<Waited, Refusal>> {
        Box::pin(async move {
            let waited = self.patiently(|| self.wait_once(&wait)).await?;
            self.opened(&wait.step, waited).await
        })
    }

    fn wait_for_any(
        &self,
        waits: Vec<Wait>,
        park: bool,
    ) -> BoxFuture<'_, Result<Vec<(usize, Waited)>, Refusal>> {
        Box::pin(async move {
            let mut over = self
                .patiently(|| self.wait_for_any_once(&waits, park))
                .await?;
            for (place, waited) in &mut over {
                let step = waits.get(*place).map_or("", |wait| wait.step.as_str());
                let brought = std::mem::replace(waited, Waited::Parked);
                *waited = self.opened(step, brought).await?;
            }
            Ok(over)
        })
    }

    fn checkpoints(
        &self,
        task: TaskId,
        run: RunId,
    ) -> BoxFuture<'_, Result<Vec<Checkpoint>, Refusal>> {
        Box::pin(self.patiently(move || self.checkpoints_once(task, run)))
    }

    fn begin(&self) -> BoxFuture<'_, Result<PgTransaction, Refusal>> {
        Box::pin(async { Ok(self.db.begin().await?) })
    }

    fn write_on<'a>(
        &'a self,
        connection: &'a mut PgConnection,
        write: Write,
    ) -> BoxFuture<'a, Result<(), Refusal>> {
        Box::pin(async move {
            let (queue, worker) = (&self.queue, &self.worker);
            let write = self.sealed(write).await?;
            Ok(self.db.write_on(connection, queue, worker, &write).await?)
        })
    }

    fn open<'a>(&'a self, what: &'a str, stored: Value) -> BoxFuture<'a, Result<Value, Refusal>> {
        Box::pin(async move { Ok(self.vault.open(|| what.to_owned(), stored).await?) })
    }

    fn tell(&self, write: Write) {
        self.writer.tell(write, &self.lease);
    }
}
