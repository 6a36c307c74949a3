//! Children: spawn a task from a task, and wait for its end without holding a worker.

use std::{
    future::{Future, IntoFuture},
    marker::PhantomData,
    pin::Pin,
};

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::Context;
use crate::{
    client::{Prepared, SpawnOptions, Spawned, spawn_setters},
    config,
    db::writes::{WaitOn, Write},
    error::{Failure, TaskError},
    ids::{QueueName, TaskId},
    names,
    payload::{PayloadError, decode, encode},
    period::Period,
    retry::{Attempts, Cancellation, RetryPolicy},
    state::TaskState,
    task::{OutputOf, ParamsOf, TaskDef as _, TaskFn},
};

/// A child about to be spawned: add options, then `.await`.
#[must_use = "nothing is spawned until this is awaited"]
pub struct SpawnChild<'c, Output> {
    context: &'c mut Context,
    name: String,
    params: Result<Value, PayloadError>,
    options: SpawnOptions,
    on_parent_end: OnParentEnd,
    output: PhantomData<fn() -> Output>,
}

impl<Output> SpawnChild<'_, Output> {
    spawn_setters!();

    /// What becomes of the child when this task fails for good or is cancelled.
    pub fn on_parent_end(mut self, what: OnParentEnd) -> Self {
        self.on_parent_end = what;
        self
    }
}

/// What becomes of a child when its parent fails for good or is cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnParentEnd {
    /// It goes on.
    #[default]
    Abandon,
    /// It is cancelled, and so are its own children that say the same.
    Cancel,
}

/// A child that was spawned. Its result is a matter of [`Context::await_task`].
#[derive(Debug, Clone)]
pub struct ChildHandle<Output> {
    spawned: Spawned,
    queue: QueueName,
    output: PhantomData<fn() -> Output>,
}

impl<Output> ChildHandle<Output> {
    /// The child's id.
    pub fn task_id(&self) -> TaskId {
        self.spawned.task_id
    }

    /// The queue it went to.
    pub fn queue(&self) -> &QueueName {
        &self.queue
    }
}

impl Context {
    /// Spawns a child, once: replays return the same one. Without a queue of its own it
    /// goes to this task's queue.
    pub fn spawn<F: TaskFn<M>, M>(
        &mut self,
        task: F,
        params: ParamsOf<F, M>,
    ) -> SpawnChild<'_, OutputOf<F, M>> {
        let _ = task;
        let what = || format!("the params of task `{}`", F::Task::NAME);
        SpawnChild {
            context: self,
            name: F::Task::NAME.to_owned(),
            params: encode(what, &params),
            options: SpawnOptions::with_defaults(F::Task::defaults()),
            on_parent_end: OnParentEnd::default(),
            output: PhantomData,
        }
    }

    /// Spawns a child by its name: for tasks that live elsewhere.
    pub fn spawn_by_name(
        &mut self,
        name: impl Into<String>,
        params: Value,
    ) -> SpawnChild<'_, Value> {
        SpawnChild {
            context: self,
            name: name.into(),
            params: Ok(params),
            options: SpawnOptions::default(),
            on_parent_end: OnParentEnd::default(),
            output: PhantomData,
        }
    }

    /// Waits for a child's end and returns its result. A child that has failed or was
    /// cancelled is an error, with its own failure in [`TaskError::child_failure`].
    pub fn await_task<Output>(&mut self, child: &ChildHandle<Output>) -> AwaitTask<'_, Output> {
        let queue = child.queue.clone();
        self.await_task_in(queue, child.task_id())
    }

    /// Waits for the end of any task of any queue.
    pub fn await_task_in<Output>(
        &mut self,
        queue: QueueName,
        task: TaskId,
    ) -> AwaitTask<'_, Output> {
        AwaitTask {
            context: self,
            queue,
            task,
            step_name: None,
            timeout: None,
            output: PhantomData,
        }
    }

    /// Resolves a spawn's options, with the client's defaults where there is one.
    pub(super) fn prepare_spawn(
        &self,
        name: &str,
        options: SpawnOptions,
    ) -> Result<Prepared, TaskError> {
        let prepared = match &self.client {
            Some(client) => client.prepare_spawn(name, options),
            None => options.resolve(name, &self.info.queue, config::MAX_ATTEMPTS_DEFAULT),
        };
        prepared.map_err(TaskError::terminal)
    }

    async fn spawn_child(
        &mut self,
        name: &str,
        params: Value,
        mut options: SpawnOptions,
        on_parent_end: OnParentEnd,
    ) -> Result<(Spawned, QueueName), TaskError> {
        let parent = json!({ "queue": self.queue().as_str(), "task": self.task_id() });
        options.family.insert("parent".into(), parent);
        if on_parent_end == OnParentEnd::Cancel {
            options
                .family
                .insert("on_parent_end".into(), json!("cancel"));
        }
        let prepared = self.prepare_spawn(name, options)?;
        if let Some(client) = &self.client {
            let required = client.require(prepared.needs).await;
            required.map_err(TaskError::terminal)?;
        }
        let step = self.enter(&names::spawn(name)).await?;
        let what = || format!("the stored result of step `{step}`");
        if let Some(stored) = self.checkpoints.get(&step) {
            return Ok((decode(what, stored)?, prepared.queue));
        }
        let write = Write::Spawn {
            run: self.run_id(),
            task: self.task_id(),
            step: step.clone(),
            place: self.place(),
            queue: prepared.queue.to_string(),
            name: name.to_owned(),
            params,
            options: prepared.options,
        };
        let detail = self.write(write).await?;
        let spawned = decode(what, &detail)?;
        self.checkpoints.insert(step, detail);
        Ok((spawned, prepared.queue))
    }
}

impl<'c, Output: Send + 'c> IntoFuture for SpawnChild<'c, Output> {
    type Output = Result<ChildHandle<Output>, TaskError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'c>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let (spawned, queue) = self
                .context
                .spawn_child(&self.name, self.params?, self.options, self.on_parent_end)
                .await?;
            Ok(ChildHandle {
                spawned,
                queue,
                output: PhantomData,
            })
        })
    }
}

/// A wait for a task's end about to begin: `.await` it.
#[must_use = "nothing is waited for until this is awaited"]
pub struct AwaitTask<'c, Output> {
    context: &'c mut Context,
    queue: QueueName,
    task: TaskId,
    step_name: Option<String>,
    timeout: Option<Period>,
    output: PhantomData<fn() -> Output>,
}

impl<Output> AwaitTask<'_, Output> {
    /// Gives up after this time with an error for which [`TaskError::is_timeout`] holds.
    pub fn timeout(mut self, timeout: impl Into<Period>) -> Self {
        self.timeout = Some(timeout.into());
        self
    }

    /// A name of its own for the wait's checkpoint; `$awaitTaskResult:<id>` otherwise.
    pub fn step_name(mut self, name: impl Into<String>) -> Self {
        self.step_name = Some(name.into());
        self
    }
}

/// The stored end of a task, in the shape that all clients share.
#[derive(serde::Deserialize)]
struct Snapshot {
    state: TaskState,
    #[serde(default)]
    result: Value,
    #[serde(default)]
    failure: Value,
}

impl<'c, Output: DeserializeOwned + Send + 'c> IntoFuture for AwaitTask<'c, Output> {
    type Output = Result<Output, TaskError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'c>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let task = self.task;
            let base = match self.step_name {
                Some(name) => Context::checked(&name)?.to_string(),
                None => names::await_task(task),
            };
            let on = WaitOn::Task {
                queue: self.queue.to_string(),
                task,
            };
            let stored = self.context.wait(&base, on, self.timeout).await?;
            let snapshot: Snapshot = decode(|| format!("the stored end of task {task}"), &stored)?;
            match snapshot.state {
                TaskState::Completed => {
                    let what = format!("the result of task {task}");
                    let result = self.context.opened(&what, snapshot.result).await?;
                    Ok(decode(|| what.clone(), &result)?)
                }
                TaskState::Failed => {
                    let failure = Failure::read(Some(snapshot.failure));
                    Err(TaskError::child(task, Some(failure)))
                }
                _ => Err(TaskError::child(task, None)),
            }
        })
    }
}
