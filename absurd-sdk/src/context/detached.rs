//! A context without a database, for unit tests of task functions.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::future::BoxFuture;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tokio::time::Instant;
use uuid::Uuid;

use super::{Context, RunInfo};
use crate::{
    db::{
        PgConnection, PgTransaction, Waited, needs_ours,
        writes::{Wait, WaitOn, Write},
    },
    ids::{InvalidName, QueueName, RunId, TaskId},
    lease::Lease,
    state::TaskState,
    store::{Checkpoint, Refusal, RunStore},
};

/// What the world answers to a task function under test.
///
/// Steps run, sleeps are over at once, events and the ends of children are what the test
/// says; a wait for anything else times out at once.
#[derive(Debug, Default)]
pub struct DetachedContext {
    events: HashMap<String, Value>,
    children: HashMap<String, Value>,
    headers: Map<String, Value>,
    attempt: Option<i32>,
}

impl DetachedContext {
    /// A context in which nothing has happened.
    pub fn new() -> Self {
        Self::default()
    }

    /// An event that is there when the function awaits it.
    pub fn event(mut self, name: impl Into<String>, payload: Value) -> Self {
        self.events.insert(name.into(), payload);
        self
    }

    /// The result of children of this name.
    pub fn child_result(mut self, task_name: impl Into<String>, result: Value) -> Self {
        self.children.insert(task_name.into(), result);
        self
    }

    /// A header of the task.
    pub fn header(mut self, name: impl Into<String>, value: Value) -> Self {
        self.headers.insert(name.into(), value);
        self
    }

    /// The attempt, if it is not the first.
    pub fn attempt(mut self, attempt: i32) -> Self {
        self.attempt = Some(attempt);
        self
    }

    /// The context to call the function with.
    pub fn build(self) -> Result<Context, InvalidName> {
        let info = RunInfo {
            task_id: TaskId(Uuid::nil()),
            run_id: RunId(Uuid::nil()),
            attempt: self.attempt.unwrap_or(1),
            max_attempts: None,
            task_name: "detached".to_owned(),
            queue: QueueName::new("detached")?,
            headers: self.headers.clone(),
        };
        let store = self.into_store();
        let now = Instant::now();
        let lease = Lease::new(now, Duration::from_hours(24));
        Ok(Context::new(
            info,
            store,
            lease,
            (Timestamp::UNIX_EPOCH, now),
        ))
    }

    /// The context of a run that has these checkpoints.
    pub(crate) fn build_claimed(
        self,
        checkpoints: Vec<(String, Value, Option<i32>)>,
    ) -> Result<Context, InvalidName> {
        let mut context = self.build()?;
        context.checkpoints.extend(checkpoints);
        Ok(context)
    }

    pub(super) fn into_store(self) -> Arc<dyn RunStore> {
        Arc::new(Memory {
            events: self.events,
            children: self.children,
            spawned: Mutex::default(),
        })
    }
}

struct Memory {
    events: HashMap<String, Value>,
    children: HashMap<String, Value>,
    spawned: Mutex<HashMap<TaskId, String>>,
}

impl RunStore for Memory {
    fn write(&self, write: Write) -> BoxFuture<'_, Result<Value, Refusal>> {
        let detail = match write {
            Write::Sleep { .. } => json!({ "parked": false }),
            Write::Spawn { name, step, .. } => {
                let id = TaskId(Uuid::new_v5(&Uuid::nil(), step.as_bytes()));
                self.spawned
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .insert(id, name);
                json!({ "task_id": id, "run_id": id, "attempt": 1, "created": true })
            }
            _ => Value::Null,
        };
        Box::pin(std::future::ready(Ok(detail)))
    }

    fn wait(&self, wait: Wait) -> BoxFuture<'_, Result<Waited, Refusal>> {
        Box::pin(std::future::ready(Ok(self.look(&wait))))
    }

    fn wait_for_any(
        &self,
        waits: Vec<Wait>,
        _park: bool,
    ) -> BoxFuture<'_, Result<Vec<(usize, Waited)>, Refusal>> {
        let looks = waits.iter().map(|wait| self.look(wait)).enumerate();
        Box::pin(std::future::ready(Ok(looks.collect())))
    }

    fn checkpoints(
        &self,
        _task: TaskId,
        _run: RunId,
    ) -> BoxFuture<'_, Result<Vec<Checkpoint>, Refusal>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    fn begin(&self) -> BoxFuture<'_, Result<PgTransaction, Refusal>> {
        Box::pin(std::future::ready(Err(no_database())))
    }

    fn write_on<'a>(
        &'a self,
        _connection: &'a mut PgConnection,
        _write: Write,
    ) -> BoxFuture<'a, Result<(), Refusal>> {
        Box::pin(std::future::ready(Err(no_database())))
    }

    fn open<'a>(&'a self, _what: &'a str, stored: Value) -> BoxFuture<'a, Result<Value, Refusal>> {
        Box::pin(std::future::ready(Ok(stored)))
    }

    fn tell(&self, _write: Write) {}
}

impl Memory {
    fn look(&self, wait: &Wait) -> Waited {
        let answer = match &wait.on {
            WaitOn::Event(event) => self.events.get(event).cloned(),
            WaitOn::Time { .. } => Some(Value::Null),
            WaitOn::Task { task, .. } => {
                let spawned = self.spawned.lock().unwrap_or_else(PoisonError::into_inner);
                let result = spawned.get(task).and_then(|name| self.children.get(name));
                result.map(|result| json!({ "state": TaskState::Completed, "result": result }))
            }
        };
        answer.map_or(Waited::TimedOut, Waited::Delivered)
    }
}

fn no_database() -> Refusal {
    let refusal = needs_ours("a transaction without a database, in a unit test,");
    Refusal::Database(Arc::new(refusal))
}
