//! From what was typed to what is meant: `WorkerBuilder` becomes a checked plan.

use std::{sync::Arc, time::Duration};

use futures::future::BoxFuture;
use serde_json::Value;
use uuid::Uuid;

use super::Worker;
use crate::{
    client::Client,
    config,
    context::RunInfo,
    error::{Error, TaskError, TaskResult},
    handler::{States, TaskHandler},
    period::Period,
    registry::Registry,
    task::TaskFn,
};

/// A function around every execution: sets up what the task runs in, and may look at or
/// replace its result.
pub type WrapExecution = dyn for<'a> Fn(&'a RunInfo, Execution<'a>) -> Execution<'a> + Send + Sync;

/// An execution under way, and its result as JSON.
pub type Execution<'a> = BoxFuture<'a, TaskResult<Value>>;

/// Options for a [`Worker`].
#[must_use]
pub struct WorkerBuilder {
    client: Client,
    registry: Registry,
    states: States,
    worker_id: Option<String>,
    concurrency: usize,
    batch_size: Option<usize>,
    lease: Period,
    poll_interval: Period,
    grace: Period,
    listen: bool,
    wrap: Option<Arc<WrapExecution>>,
    terminal_when: Option<Arc<TerminalWhen>>,
    compare_replays: bool,
}

/// Tells errors that no further attempt can mend.
pub type TerminalWhen = dyn Fn(&TaskError) -> bool + Send + Sync;

/// What a worker does, checked.
pub(super) struct WorkerPlan {
    pub(super) worker_id: String,
    pub(super) concurrency: usize,
    pub(super) batch_size: usize,
    pub(super) lease: Duration,
    pub(super) poll_interval: Duration,
    pub(super) grace: Duration,
    pub(super) listen: bool,
    pub(super) wrap: Option<Arc<WrapExecution>>,
    pub(super) terminal_when: Option<Arc<TerminalWhen>>,
    pub(super) compare_replays: bool,
}

impl WorkerBuilder {
    pub(super) fn new(client: Client) -> Self {
        Self {
            client,
            registry: Registry::default(),
            states: States::default(),
            worker_id: None,
            concurrency: 1,
            batch_size: None,
            lease: config::LEASE_DEFAULT.into(),
            poll_interval: config::POLL_INTERVAL_DEFAULT.into(),
            grace: Duration::ZERO.into(),
            listen: true,
            wrap: None,
            terminal_when: None,
            compare_replays: true,
        }
    }

    /// Adds a task: a function under `#[task]`.
    pub fn task<F: TaskFn<M>, M>(mut self, task: F) -> Self
    where
        F::Task: TaskHandler,
    {
        // The value only names the type.
        let _ = task;
        self.registry.add::<F::Task>();
        self
    }

    /// Adds a value that tasks receive as `State<T>`.
    pub fn state<T: Send + Sync + 'static>(mut self, value: T) -> Self {
        self.states.insert(value);
        self
    }

    /// The worker's name, unique among live workers; host and eight random hex digits
    /// where it is not set.
    pub fn worker_id(mut self, id: impl Into<String>) -> Self {
        self.worker_id = Some(id.into());
        self
    }

    /// How many runs it executes at once; 1 where it is not set.
    pub fn concurrency(mut self, runs: usize) -> Self {
        self.concurrency = runs;
        self
    }

    /// Most runs of one claim; the concurrency where it is not set.
    pub fn batch_size(mut self, runs: usize) -> Self {
        self.batch_size = Some(runs);
        self
    }

    /// How long a run stays claimed when the worker falls silent; 30 s where it is not
    /// set. Whole seconds. While the worker lives it renews its leases by itself.
    pub fn lease(mut self, lease: impl Into<Period>) -> Self {
        self.lease = lease.into();
        self
    }

    /// How often it looks for work by itself, beside being notified; 1 s where it is not
    /// set. Bounds how late a sleeping task wakes.
    pub fn poll_interval(mut self, interval: impl Into<Period>) -> Self {
        self.poll_interval = interval.into();
        self
    }

    /// How long running work may go on after the stop before it is handed back; no time
    /// where it is not set.
    pub fn shutdown_grace(mut self, grace: impl Into<Period>) -> Self {
        self.grace = grace.into();
        self
    }

    /// Whether it listens for notifications; else it only polls.
    pub fn listen(mut self, listen: bool) -> Self {
        self.listen = listen;
        self
    }

    /// A function around every execution. What it returns is the task's result.
    pub fn wrap_execution(
        mut self,
        wrap: impl for<'a> Fn(
            &'a RunInfo,
            BoxFuture<'a, TaskResult<Value>>,
        ) -> BoxFuture<'a, TaskResult<Value>>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        self.wrap = Some(Arc::new(wrap));
        self
    }

    /// Errors for which this holds fail their task at once, as [`TaskError::terminal`] ones do:
    /// for kinds of errors that many tasks share. It looks at the error that a task function
    /// returns.
    pub fn terminal_when(
        mut self,
        is_terminal: impl Fn(&TaskError) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.terminal_when = Some(Arc::new(is_terminal));
        self
    }

    /// Whether a replay that meets another operation than the recorded one fails with
    /// [`crate::Nondeterminism`]; it does where nothing is set. Without it such a replay goes on
    /// with whatever is recorded under the new names.
    pub fn compare_replays(mut self, compare: bool) -> Self {
        self.compare_replays = compare;
        self
    }

    /// Checks the options, the tasks and their state.
    pub fn build(self) -> Result<Worker, Error> {
        self.registry.check(&self.states)?;
        let plan = WorkerPlan {
            worker_id: self.worker_id.unwrap_or_else(random_id),
            concurrency: self.concurrency,
            batch_size: self.batch_size.unwrap_or(self.concurrency),
            lease: self.lease.get()?,
            poll_interval: self.poll_interval.get()?,
            grace: self.grace.get()?,
            listen: self.listen,
            wrap: self.wrap,
            terminal_when: self.terminal_when,
            compare_replays: self.compare_replays,
        };
        plan.check()?;
        let (client, registry, states) = (self.client, self.registry, self.states);
        Ok(Worker {
            client,
            registry,
            states,
            plan,
        })
    }

    /// Builds the worker and runs it. See [`Worker::run_until`].
    pub async fn run_until(self, stop: impl Future<Output = ()> + Send) -> Result<(), Error> {
        self.build()?.run_until(stop).await
    }

    /// Builds the worker and runs it. See [`Worker::run_until_idle`].
    pub async fn run_until_idle(self) -> Result<usize, Error> {
        self.build()?.run_until_idle().await
    }

    /// Builds the worker and runs it. See [`Worker::run_batch`].
    pub async fn run_batch(self) -> Result<usize, Error> {
        self.build()?.run_batch().await
    }

    /// Builds the worker and starts it. See [`Worker::start`].
    pub fn start(self) -> Result<super::WorkerHandle, Error> {
        Ok(self.build()?.start())
    }
}

impl WorkerPlan {
    fn check(&self) -> Result<(), Error> {
        let refuse = |option, problem: &'static str| {
            Err(Error::Option {
                option,
                problem: problem.into(),
            })
        };
        if self.concurrency == 0 || self.batch_size == 0 {
            return refuse("concurrency", "a worker needs room for at least one run");
        }
        if self.lease < Duration::from_secs(1) {
            return refuse("lease", "give at least a second");
        }
        if self.poll_interval.is_zero() {
            return refuse("poll_interval", "give more than no time");
        }
        if self.worker_id.trim().is_empty() {
            return refuse("worker_id", "it is empty; give it a name, or leave it out");
        }
        Ok(())
    }
}

/// `<host>-<8 hex digits>`: a restarted worker is another one.
fn random_id() -> String {
    let host = gethostname::gethostname();
    let (_, random) = Uuid::new_v4().as_u64_pair();
    format!("{}-{:08x}", host.to_string_lossy(), random & 0xffff_ffff)
}
