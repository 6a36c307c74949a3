//! Spawning: one builder that becomes a future.

use std::{
    future::{Future, IntoFuture},
    marker::PhantomData,
    pin::Pin,
};

use serde::Serialize;
use serde_json::Value;

use super::{
    Client,
    options::{Prepared, SpawnOptions, spawn_setters},
    result::ResultOf,
};
use crate::{
    db::{NewSpawn, NewTask, PgConnection, SpawnRow},
    error::Error,
    ids::{QueueName, RunId, TaskId},
    payload,
    retry::{Attempts, Cancellation, RetryPolicy},
    task::{OutputOf, ParamsOf, TaskDef as _, TaskFn},
};

/// A spawn about to happen: add options, then `.await`.
#[must_use = "nothing is spawned until this is awaited"]
pub struct Spawn<'c, Output> {
    client: &'c Client,
    name: String,
    params: Result<Value, Error>,
    options: SpawnOptions,
    connection: Option<&'c mut PgConnection>,
    output: PhantomData<fn() -> Output>,
}

impl<'c, Output> Spawn<'c, Output> {
    spawn_setters!();

    pub(super) fn of(
        client: &'c Client,
        name: String,
        params: Result<Value, Error>,
        options: SpawnOptions,
    ) -> Self {
        Self {
            client,
            name,
            params,
            options,
            connection: None,
            output: PhantomData,
        }
    }

    /// Spawns inside the caller's transaction: the task exists when that commits.
    pub fn on(mut self, connection: &'c mut PgConnection) -> Self {
        self.connection = Some(connection);
        self
    }

    async fn send(self) -> Result<TaskHandle<Output>, Error> {
        let prepared = self.client.prepare_spawn(&self.name, self.options)?;
        let params = self.params?;
        self.client.require(prepared.needs).await?;
        let Prepared { queue, options, .. } = prepared;
        let what = || format!("the params of task `{}`", self.name);
        let params = self.client.vault().seal(what, params).await?;
        let spawn = NewSpawn {
            queue: queue.clone(),
            name: self.name,
            params,
            options,
        };
        let row = match self.connection {
            Some(connection) => spawn.send(self.client.db(), Some(connection)).await,
            None => self.client.spawner().spawn(spawn).await,
        };
        let row = row.map_err(|error| Error::from_db(error, queue.as_str()))?;
        let client = Client {
            shared: self.client.shared.clone(),
            queue,
        };
        Ok(TaskHandle {
            client,
            spawned: row.into(),
            output: PhantomData,
        })
    }
}

impl<'c, Output: Send + 'c> IntoFuture for Spawn<'c, Output> {
    type Output = Result<TaskHandle<Output>, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'c>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}

/// What a spawn returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct Spawned {
    /// The task.
    pub task_id: TaskId,
    /// Its current run.
    pub run_id: RunId,
    /// The number of that run's attempt, from 1.
    pub attempt: i32,
    /// False when the idempotency key belonged to a task that existed already.
    pub created: bool,
}

impl From<SpawnRow> for Spawned {
    fn from(row: SpawnRow) -> Self {
        Self {
            task_id: row.task_id,
            run_id: row.run_id,
            attempt: row.attempt,
            created: row.created,
        }
    }
}

/// A task that was spawned, and a way to its result.
#[derive(Debug, Clone)]
pub struct TaskHandle<Output> {
    client: Client,
    spawned: Spawned,
    output: PhantomData<fn() -> Output>,
}

impl<Output: serde::de::DeserializeOwned> TaskHandle<Output> {
    /// The task's id.
    pub fn task_id(&self) -> TaskId {
        self.spawned.task_id
    }

    /// All that the spawn returned.
    pub fn spawned(&self) -> Spawned {
        self.spawned
    }

    /// The queue it went to.
    pub fn queue(&self) -> &QueueName {
        self.client.queue()
    }

    /// Waits for the task's end. See [`ResultOf::timeout`].
    pub fn result(&self) -> ResultOf<'_, Output> {
        self.client.result_of(self.spawned.task_id)
    }
}

impl Client {
    /// Spawns a task: a function under `#[task]`.
    ///
    /// The task's own queue goes before the client's.
    pub fn spawn<F: TaskFn<M>, M>(
        &self,
        task: F,
        params: ParamsOf<F, M>,
    ) -> Spawn<'_, OutputOf<F, M>> {
        // The value only names the type.
        let _ = task;
        let what = || format!("the params of task `{}`", F::Task::NAME);
        let options = SpawnOptions::with_defaults(F::Task::defaults());
        let params = payload::encode(what, &params).map_err(Error::from);
        Spawn::of(self, F::Task::NAME.to_owned(), params, options)
    }

    /// Spawns a task by its name, with params as JSON: for tasks that live elsewhere.
    pub fn spawn_by_name(&self, name: impl Into<String>, params: Value) -> Spawn<'_, Value> {
        Spawn::of(self, name.into(), Ok(params), SpawnOptions::default())
    }

    /// Spawns a task once for each of many params, in one trip.
    pub fn spawn_many<F: TaskFn<M>, M>(
        &self,
        task: F,
        params: impl IntoIterator<Item = ParamsOf<F, M>>,
    ) -> SpawnBatch<'_> {
        let _ = task;
        let what = || format!("the params of task `{}`", F::Task::NAME);
        let params = params
            .into_iter()
            .map(|params| payload::encode(what, &params))
            .collect::<Result<Vec<_>, _>>();
        SpawnBatch {
            client: self,
            name: F::Task::NAME,
            params: params.map_err(Error::from),
            options: SpawnOptions::with_defaults(F::Task::defaults()),
            connection: None,
        }
    }

    /// Runs the hook and resolves what is left open, without any trip.
    pub(crate) fn prepare_spawn(
        &self,
        name: &str,
        mut options: SpawnOptions,
    ) -> Result<Prepared, Error> {
        if let Some(hook) = &self.shared.before_spawn {
            hook(name, &mut options);
        }
        options.resolve(name, &self.queue, self.shared.default_max_attempts)
    }
}

/// Many spawns of one task about to happen: `.await` it.
#[must_use = "nothing is spawned until this is awaited"]
pub struct SpawnBatch<'c> {
    client: &'c Client,
    name: &'static str,
    params: Result<Vec<Value>, Error>,
    options: SpawnOptions,
    connection: Option<&'c mut PgConnection>,
}

impl<'c> SpawnBatch<'c> {
    spawn_setters!();

    /// Spawns inside the caller's transaction.
    pub fn on(mut self, connection: &'c mut PgConnection) -> Self {
        self.connection = Some(connection);
        self
    }

    async fn send(mut self) -> Result<Vec<Spawned>, Error> {
        if self.options.idempotency_key.is_some() || self.options.window.is_some() {
            let problem = "all tasks of the batch would share it; spawn them one by one".into();
            return Err(Error::Option {
                option: "idempotency_key",
                problem,
            });
        }
        let prepared = self.client.prepare_spawn(self.name, self.options)?;
        self.client.require(prepared.needs).await?;
        let Prepared { queue, options, .. } = prepared;
        let what = || format!("the params of task `{}`", self.name);
        let params = self.client.vault().seal_all(what, self.params?).await?;
        let db = self.client.db();
        let failed = |error| Error::from_db(error, queue.as_str());
        if self.client.features().await?.spawn_tasks {
            let task = |params| NewTask {
                name: self.name,
                params,
                options: &options,
            };
            let tasks: Vec<NewTask<'_>> = params.iter().map(task).collect();
            let rows = db
                .spawn_tasks(self.connection, &queue, &tasks)
                .await
                .map_err(failed)?;
            return Ok(rows.into_iter().map(Spawned::from).collect());
        }
        let mut spawned = Vec::with_capacity(params.len());
        for params in params {
            let on = self.connection.as_deref_mut();
            let row = db
                .spawn_task(on, &queue, self.name, &params, &options)
                .await;
            spawned.push(row.map_err(failed)?.into());
        }
        Ok(spawned)
    }
}

impl<'c> IntoFuture for SpawnBatch<'c> {
    type Output = Result<Vec<Spawned>, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'c>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}
