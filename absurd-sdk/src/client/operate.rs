//! Steering queues and tasks: pause, priority, limits, forks.

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};

use super::{Client, Spawned};
use crate::{
    db::Command,
    error::Error,
    ids::{RunId, TaskId},
    payload,
    period::Period,
};

/// How many runs may be under way at once, and how many may start within a period.
///
/// Sleeping and waiting tasks are not under way. A run that resumes does not start.
#[derive(Debug, Clone, Default)]
#[must_use = "a limit holds once it is given to `Client::set_limit`"]
pub struct Limit {
    concurrency: Option<u32>,
    rate: Option<(u32, Period)>,
}

impl Limit {
    /// At most that many runs at once; 0 is a pause.
    pub fn concurrency(runs: u32) -> Self {
        Self {
            concurrency: Some(runs),
            rate: None,
        }
    }

    /// At most that many starts within any span of that length.
    pub fn rate(starts: u32, period: impl Into<Period>) -> Self {
        Self {
            concurrency: None,
            rate: Some((starts, period.into())),
        }
    }

    /// Both.
    pub fn and_rate(mut self, starts: u32, period: impl Into<Period>) -> Self {
        self.rate = Some((starts, period.into()));
        self
    }
}

/// What a limit is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitOn<'a> {
    /// All runs of the queue.
    Queue,
    /// Runs of tasks of this name.
    Task(&'a str),
    /// Runs of tasks with this key.
    Key(&'a str),
    /// Runs of tasks with any one key that has no limit of its own.
    EachKey,
}

impl<'a> LimitOn<'a> {
    fn scope(self) -> (&'static str, &'a str) {
        match self {
            Self::Queue => ("queue", ""),
            Self::Task(name) => ("task", name),
            Self::Key(key) => ("key", key),
            Self::EachKey => ("key", ""),
        }
    }
}

/// A limit that holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LimitRecord {
    /// The queue.
    pub queue_name: String,
    /// `queue`, `task` or `key`.
    pub scope: String,
    /// The task's name or the key; empty for the queue, and for each key.
    pub subject: String,
    /// Runs at once.
    pub concurrency: Option<u32>,
    /// Starts within the period.
    pub rate: Option<u32>,
    /// The period, in seconds.
    pub period_seconds: Option<f64>,
}

/// A line that a task has logged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LogLine {
    /// The step during which it was logged; empty between steps.
    pub step: String,
    /// Its number within the step. The last 200 of a step are kept.
    pub line: i64,
    /// The run that logged it.
    pub run_id: RunId,
    /// `error`, `warn`, `info` or `debug`.
    pub level: String,
    /// What it says.
    pub message: String,
    /// When it was kept.
    pub logged_at: jiff::Timestamp,
}

impl Client {
    /// Keeps the queue from handing out work. What runs goes on; spawns are accepted.
    pub async fn pause_queue(&self) -> Result<(), Error> {
        self.perform("pausing a queue", &Command::PauseQueue(self.queue()))
            .await
    }

    /// Lets a paused queue go on.
    pub async fn resume_queue(&self) -> Result<(), Error> {
        self.perform("pausing a queue", &Command::ResumeQueue(self.queue()))
            .await
    }

    /// Keeps a task from being claimed. One that runs goes on until it sleeps, waits or ends;
    /// its own retries are held back too.
    pub async fn pause_task(&self, task: TaskId) -> Result<(), Error> {
        self.perform("pausing a task", &Command::PauseTask(self.queue(), task))
            .await
    }

    /// Lets a paused task go on.
    pub async fn resume_task(&self, task: TaskId) -> Result<(), Error> {
        self.perform("pausing a task", &Command::ResumeTask(self.queue(), task))
            .await
    }

    /// Changes the priority of a task that has not ended.
    pub async fn set_priority(&self, task: TaskId, priority: i32) -> Result<(), Error> {
        let command = Command::SetPriority(self.queue(), task, priority);
        self.perform("a priority", &command).await
    }

    /// Sets a limit in the client's queue; one that stood before is replaced.
    pub async fn set_limit(&self, on: LimitOn<'_>, limit: Limit) -> Result<(), Error> {
        let out_of_range = |option| Error::Option {
            option,
            problem: "it is out of range".into(),
        };
        let concurrency = limit.concurrency.map(i32::try_from).transpose();
        let concurrency = concurrency.map_err(|_| out_of_range("concurrency"))?;
        let rate = match limit.rate {
            Some((starts, period)) => {
                let starts = i32::try_from(starts).map_err(|_| out_of_range("rate"))?;
                Some((starts, period.get()?.as_secs_f64()))
            }
            None => None,
        };
        let command = Command::SetLimit(self.queue(), on.scope(), concurrency, rate);
        self.perform("a limit", &command).await
    }

    /// Removes a limit.
    pub async fn remove_limit(&self, on: LimitOn<'_>) -> Result<(), Error> {
        self.set_limit(on, Limit::default()).await
    }

    /// The limits of the queue.
    pub async fn limits(&self) -> Result<Vec<LimitRecord>, Error> {
        self.ask("limits", &Command::ListLimits(self.queue())).await
    }

    /// What a task has logged, of one step or of all, in the order of logging; 1,000 lines at
    /// most.
    pub async fn log_lines(&self, task: TaskId, step: Option<&str>) -> Result<Vec<LogLine>, Error> {
        let command = Command::LogLines(self.queue(), task, step);
        self.ask("log lines", &command).await
    }

    /// A new task like this one that goes on from a step: it keeps what was remembered before
    /// that, and does the step and all after it again. Without a step it keeps everything. The
    /// old task stays as it is.
    pub fn fork(&self, task: TaskId) -> Fork<'_> {
        Fork {
            client: self,
            task,
            step: None,
            delay: None,
            options: Map::new(),
        }
    }

    /// Does something that has no answer.
    pub(super) async fn perform(
        &self,
        feature: &'static str,
        command: &Command<'_>,
    ) -> Result<(), Error> {
        self.ask::<Value>(feature, command).await.map(drop)
    }

    /// Does something and reads the rows of its answer.
    pub(crate) async fn ask<T: DeserializeOwned>(
        &self,
        feature: &'static str,
        command: &Command<'_>,
    ) -> Result<Vec<T>, Error> {
        self.require(Some(feature)).await?;
        let rows = self.db().command(command).await;
        let rows = rows.map_err(|error| Error::from_db(error, self.queue().as_str()))?;
        let decoded = rows
            .iter()
            .map(|row| payload::decode(|| "the database's answer".into(), row));
        Ok(decoded.collect::<Result<_, _>>()?)
    }

    /// The same for an answer of one row.
    pub(crate) async fn ask_one<T: DeserializeOwned>(
        &self,
        feature: &'static str,
        command: &Command<'_>,
    ) -> Result<T, Error> {
        let rows = self.ask(feature, command).await?;
        rows.into_iter()
            .next()
            .ok_or_else(|| Error::Database(crate::db::DbError::row_missing(feature)))
    }
}

/// A fork about to be made, by [`Fork::send`].
#[must_use = "nothing is forked until this is sent"]
pub struct Fork<'c> {
    client: &'c Client,
    task: TaskId,
    step: Option<String>,
    delay: Option<Period>,
    options: Map<String, Value>,
}

impl Fork<'_> {
    /// The first step, by its concrete name, that is done again.
    pub fn from_step(mut self, step: impl Into<String>) -> Self {
        self.step = Some(step.into());
        self
    }

    /// Other params than those of the old task.
    pub fn params(mut self, params: Value) -> Self {
        self.options.insert("params".into(), params);
        self
    }

    /// Begins that long from now.
    pub fn delay(mut self, delay: impl Into<Period>) -> Self {
        self.delay = Some(delay.into());
        self
    }

    /// Makes the fork.
    pub async fn send(mut self) -> Result<Spawned, Error> {
        if let Some(params) = self.options.get_mut("params") {
            let what = || format!("the params of a fork of task {}", self.task);
            *params = self.client.vault().seal(what, params.take()).await?;
        }
        if let Some(delay) = self.delay {
            let seconds = delay.get()?.as_secs_f64();
            self.options.insert("delay_seconds".into(), json!(seconds));
        }
        let options = Value::Object(self.options);
        let step = self.step.as_deref();
        let command = Command::Fork(self.client.queue(), self.task, step, &options);
        self.client.ask_one("a fork", &command).await
    }
}
