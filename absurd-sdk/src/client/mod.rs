//! The client: spawn, ask, steer. A cheap handle; clone it freely.

mod chain;
mod connect;
mod dead_letters;
mod history;
mod inspect;
mod operate;
mod options;
mod queues;
mod result;
mod schedules;
mod spawn;
mod spawner;

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use serde::Serialize;

pub use self::{
    chain::Chain,
    connect::ClientBuilder,
    dead_letters::{
        BulkRetried, DeadLetter, DeadLetterAct, DeadLetterFilter, DeadLetterState, FailedAttempt,
        Redrive,
    },
    history::{History, HistoryStep},
    inspect::{
        CheckpointRecord, EventFilter, EventRecord, Progress, QueueStats, RunRecord, TaskDetails,
        TaskFilter, TaskPlace, TaskSummary, WaitRecord,
    },
    operate::{Fork, Limit, LimitOn, LimitRecord, LogLine},
    options::{SpawnOptions, SpawnWindow, Start},
    queues::{CleanedUp, QueueOptions, QueuePolicy, StorageMode},
    result::{ResultOf, TaskSnapshot},
    schedules::{CatchUp, Overlap, ScheduleRecord, SetSchedule},
    spawn::{Spawn, SpawnBatch, Spawned, TaskHandle},
};
use crate::{
    db::{Db, Features, Listener, NewEvent, PgConnection, PgPool},
    eager::Desks,
    error::Error,
    ids::{EventName, QueueName, TaskId},
    migrate::{Migrated, migrate},
    payload,
    vault::Vault,
};

pub(crate) use self::options::{Prepared, spawn_setters};
use self::spawner::Spawner;

/// Sees and changes every spawn's options before they are sent.
type BeforeSpawn = dyn Fn(&str, &mut SpawnOptions) + Send + Sync;

/// Talks to one Absurd database, by default about one queue.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
    queue: QueueName,
}

struct Shared {
    db: Db,
    spawner: Spawner,
    desks: Desks,
    default_max_attempts: u32,
    before_spawn: Option<Box<BeforeSpawn>>,
    listener: OnceLock<Listener>,
    vault: Vault,
}

impl Client {
    /// Connects by a URL. See [`Client::builder`] for options.
    pub async fn connect(url: impl AsRef<str>) -> Result<Self, Error> {
        Self::builder().url(url.as_ref()).connect().await
    }

    /// Connects by the environment: `ABSURD_DATABASE_URL`, else `PGDATABASE`.
    pub async fn from_env() -> Result<Self, Error> {
        Self::builder().connect().await
    }

    /// Options for a client.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }

    /// The same client on another queue.
    pub fn on_queue(&self, queue: impl AsRef<str>) -> Result<Self, Error> {
        Ok(Self {
            shared: Arc::clone(&self.shared),
            queue: QueueName::new(queue)?,
        })
    }

    /// The queue that this client's calls are about.
    pub fn queue(&self) -> &QueueName {
        &self.queue
    }

    /// The connection pool, for the caller's own SQL.
    pub fn pool(&self) -> &PgPool {
        self.shared.db.pool()
    }

    /// Brings the database's schema up to date.
    pub async fn migrate(&self) -> Result<Migrated, Error> {
        Ok(migrate(self.pool()).await?)
    }

    /// Emits an event in the client's queue and wakes all who wait for it. The first
    /// emit of a name wins; later ones change nothing.
    pub async fn emit_event(
        &self,
        name: impl AsRef<str>,
        payload: &(impl Serialize + ?Sized),
    ) -> Result<(), Error> {
        self.emit(None, name.as_ref(), payload).await
    }

    /// The same inside the caller's transaction.
    pub async fn emit_event_on(
        &self,
        connection: &mut PgConnection,
        name: impl AsRef<str>,
        payload: &(impl Serialize + ?Sized),
    ) -> Result<(), Error> {
        self.emit(Some(connection), name.as_ref(), payload).await
    }

    async fn emit(
        &self,
        on: Option<&mut PgConnection>,
        name: &str,
        payload: &(impl Serialize + ?Sized),
    ) -> Result<(), Error> {
        let name = EventName::new(name)?;
        let what = || format!("the payload of event `{name}`");
        let payload = payload::encode(what, payload)?;
        let payload = self.vault().seal(what, payload).await?;
        let name = name.as_str().to_owned();
        let event = Arc::new(NewEvent { name, payload });
        if on.is_none()
            && let Some(desk) = self.desks().open(&self.queue, None)
            && desk.emit(Arc::clone(&event)).await
        {
            return Ok(());
        }
        let queue = self.queue.as_str();
        let emitted = self
            .db()
            .emit_event(on, queue, &event.name, &event.payload)
            .await;
        emitted.map_err(|error| Error::from_db(error, queue))
    }

    /// Cancels a task. A running one learns of it with its next operation or renewal;
    /// one that has ended stays as it is.
    pub async fn cancel(&self, task: TaskId) -> Result<(), Error> {
        self.cancel_with(None, task).await
    }

    /// The same inside the caller's transaction.
    pub async fn cancel_on(
        &self,
        connection: &mut PgConnection,
        task: TaskId,
    ) -> Result<(), Error> {
        self.cancel_with(Some(connection), task).await
    }

    async fn cancel_with(&self, on: Option<&mut PgConnection>, task: TaskId) -> Result<(), Error> {
        let cancelled = self.db().cancel_task(on, &self.queue, task).await;
        cancelled.map_err(|error| self.task_error(error, task))
    }

    /// Gives a failed task one more attempt. It goes on after its last checkpoint.
    pub async fn retry(&self, task: TaskId) -> Result<Spawned, Error> {
        self.retry_with(task, &serde_json::json!({})).await
    }

    /// Gives a failed task attempts up to a new limit.
    pub async fn retry_up_to(&self, task: TaskId, max_attempts: u32) -> Result<Spawned, Error> {
        self.retry_with(task, &serde_json::json!({ "max_attempts": max_attempts }))
            .await
    }

    /// Spawns a failed task anew, from its first step. The failed one stays as it is.
    pub async fn retry_as_new(&self, task: TaskId) -> Result<Spawned, Error> {
        self.retry_with(task, &serde_json::json!({ "spawn_new": true }))
            .await
    }

    async fn retry_with(
        &self,
        task: TaskId,
        options: &serde_json::Value,
    ) -> Result<Spawned, Error> {
        let retried = self.db().retry_task(&self.queue, task, options).await;
        retried
            .map(Spawned::from)
            .map_err(|error| self.task_error(error, task))
    }

    pub(crate) fn task_error(&self, error: crate::db::DbError, task: TaskId) -> Error {
        if let crate::db::DbError::Refused { message, .. } = &error
            && message.contains("not found")
        {
            return Error::TaskMissing {
                task,
                queue: self.queue.to_string(),
            };
        }
        Error::from_db(error, self.queue.as_str())
    }

    pub(crate) fn db(&self) -> &Db {
        &self.shared.db
    }

    /// Where running workers of the client and its clones take calls along.
    pub(crate) fn desks(&self) -> &Desks {
        &self.shared.desks
    }

    fn spawner(&self) -> &Spawner {
        &self.shared.spawner
    }

    pub(crate) fn vault(&self) -> &Vault {
        &self.shared.vault
    }

    /// Refuses what upstream's schema can't do; asks nothing where nothing is needed.
    pub(crate) async fn require(&self, feature: Option<&'static str>) -> Result<(), Error> {
        match feature {
            Some(feature) if !self.features().await?.extras => {
                Err(Error::FeatureMissing { feature })
            }
            _ => Ok(()),
        }
    }

    pub(crate) async fn features(&self) -> Result<Features, Error> {
        let features = self.db().features().await.map_err(Error::Database)?;
        features.ok_or(Error::SchemaMissing)
    }

    /// The one listening connection, made when somebody first waits.
    pub(crate) fn listener(&self) -> &Listener {
        self.shared
            .listener
            .get_or_init(|| Listener::start(self.pool()))
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("queue", &self.queue)
            .finish_non_exhaustive()
    }
}
