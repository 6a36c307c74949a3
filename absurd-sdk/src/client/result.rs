//! Waiting for a task's end: woken by a notification, kept honest by a poll.

use std::{
    future::{Future, IntoFuture},
    marker::PhantomData,
    pin::Pin,
    time::Duration,
};

use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::Instant;

use super::Client;
use crate::{
    db::{ResultRow, Topic},
    error::{Error, Failure},
    ids::TaskId,
    payload,
    period::Period,
    state::TaskState,
};

/// Polls beside notifications; without them (upstream's schema) they start quicker.
const POLL_MIN: Duration = Duration::from_millis(50);
const POLL_MAX: Duration = Duration::from_secs(1);
const POLL_WHEN_NOTIFIED: Duration = Duration::from_secs(5);

/// A task as it stands.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct TaskSnapshot {
    /// Its state.
    pub state: TaskState,
    /// Its result, once completed.
    pub result: Option<Value>,
    /// The last attempt's failure, once failed.
    pub failure: Option<Failure>,
}

impl TaskSnapshot {
    fn read(row: ResultRow) -> Result<Self, crate::state::UnknownState> {
        let state = row.state()?;
        let failure = (state == TaskState::Failed).then(|| Failure::read(row.failure_reason));
        Ok(Self {
            state,
            result: row.result,
            failure,
        })
    }
}

/// A task's result about to be waited for: `.await` it.
#[must_use = "nothing happens until this is awaited"]
pub struct ResultOf<'c, Output> {
    client: &'c Client,
    task: TaskId,
    timeout: Option<Period>,
    output: PhantomData<fn() -> Output>,
}

impl<Output: DeserializeOwned> ResultOf<'_, Output> {
    /// Gives up waiting after this time, with [`Error::TimedOut`]. The task goes on.
    pub fn timeout(mut self, timeout: impl Into<Period>) -> Self {
        self.timeout = Some(timeout.into());
        self
    }

    /// Waits for the end and returns it whatever it is.
    pub async fn snapshot(self) -> Result<TaskSnapshot, Error> {
        let limit = self.timeout.map(Period::get).transpose()?;
        let started = Instant::now();
        let watch = self.client.features().await?.watch;
        let mut news = watch.then(|| self.client.listener().subscribe());
        let mut poll = if watch { POLL_WHEN_NOTIFIED } else { POLL_MIN };
        loop {
            let snapshot = self.client.look(self.task, watch).await?;
            let snapshot = snapshot.ok_or_else(|| Error::TaskMissing {
                task: self.task,
                queue: self.client.queue.to_string(),
            })?;
            if snapshot.state.is_terminal() {
                return Ok(snapshot);
            }
            let left = limit.map(|limit| limit.saturating_sub(started.elapsed()));
            if left == Some(Duration::ZERO) {
                let waited = started.elapsed();
                return Err(Error::TimedOut {
                    task: self.task,
                    waited,
                });
            }
            let pause = poll.min(left.unwrap_or(poll));
            let ended = async {
                match &mut news {
                    None => std::future::pending().await,
                    Some(news) => loop {
                        match news.recv().await {
                            Ok((Topic::Done, queue)) if *queue == *self.client.queue.as_str() => {
                                break;
                            }
                            Ok((Topic::Gap, _)) | Err(_) => break,
                            Ok(_) => {}
                        }
                    },
                }
            };
            // A notification or the clock: either way, look again.
            let _ = tokio::time::timeout(pause, ended).await;
            if !watch {
                poll = (poll * 2).min(POLL_MAX);
            }
        }
    }

    async fn value(self) -> Result<Output, Error> {
        let task = self.task;
        let snapshot = self.snapshot().await?;
        match (snapshot.state, snapshot.failure) {
            (TaskState::Completed, _) => {
                let result = snapshot.result.unwrap_or(Value::Null);
                Ok(payload::decode(
                    || format!("the result of task {task}"),
                    &result,
                )?)
            }
            (TaskState::Failed, failure) => {
                let failure = failure.unwrap_or_else(|| Failure::read(None));
                Err(Error::TaskFailed { task, failure })
            }
            _ => Err(Error::TaskCancelled(task)),
        }
    }
}

impl<'c, Output: DeserializeOwned + Send + 'c> IntoFuture for ResultOf<'c, Output> {
    type Output = Result<Output, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'c>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.value())
    }
}

impl Client {
    /// Waits for the end of any task of the client's queue.
    pub fn result_of<Output: DeserializeOwned>(&self, task: TaskId) -> ResultOf<'_, Output> {
        ResultOf {
            client: self,
            task,
            timeout: None,
            output: PhantomData,
        }
    }

    /// A task as it stands now; `None` when there is no such task.
    pub async fn task_snapshot(&self, task: TaskId) -> Result<Option<TaskSnapshot>, Error> {
        self.look(task, false).await
    }

    async fn look(&self, task: TaskId, watch: bool) -> Result<Option<TaskSnapshot>, Error> {
        let row = self.db().task_result(&self.queue, task, watch).await;
        let row = row.map_err(|error| Error::from_db(error, self.queue.as_str()))?;
        let snapshot = row.map(TaskSnapshot::read).transpose();
        let mut snapshot = snapshot.map_err(|unknown| Error::Option {
            option: "state",
            problem: unknown.to_string().into(),
        })?;
        if let Some(result) = snapshot.as_mut().and_then(|found| found.result.as_mut()) {
            let what = || format!("the result of task {task}");
            *result = self.vault().open(what, result.take()).await?;
        }
        Ok(snapshot)
    }
}
