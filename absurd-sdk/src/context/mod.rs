//! What a task function holds: its identity, and the durable operations.

mod gate;
mod parts;

mod branch;
mod child;
mod detached;
mod event;
mod report;
mod rollback;
mod sleep;
mod step;
mod tape;
mod transaction;
mod values;

use std::sync::{Arc, OnceLock};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use rand::{SeedableRng as _, rngs::StdRng};
use serde_json::{Map, Value};
use tokio::time::Instant;
use uuid::Uuid;

use self::gate::Seat;
pub use self::{
    branch::MapBranches,
    child::{AwaitTask, ChildHandle, OnParentEnd, SpawnChild},
    detached::DetachedContext,
    event::AwaitEvent,
    parts::{Branches, Racers},
    report::{LogLevel, Reporter},
    step::{BegunStep, RetriedStep, Step, StepHandle},
    tape::{Tape, TapeEntry},
};
use crate::{
    checkpoints::Checkpoints,
    client::Client,
    db::{
        ClaimedRow, SqlState,
        writes::{Wait, Write},
    },
    error::{Interrupt, TaskError},
    ids::{InvalidName, QueueName, RunId, StepName, TaskId},
    lease::{Lease, Loss},
    store::{Refusal, RunStore},
};

/// Checkpoints that are opened at once: each may lie in an object store.
const OPENED_AT_ONCE: usize = 16;

/// Who is running: the identity of a task's current execution.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunInfo {
    /// The task.
    pub task_id: TaskId,
    /// The run; it stays the same while the task sleeps and waits.
    pub run_id: RunId,
    /// The number of the attempt, from 1.
    pub attempt: i32,
    /// How many attempts the task has; `None` when there is no limit.
    pub max_attempts: Option<i32>,
    /// The task's name.
    pub task_name: String,
    /// The queue it came from.
    pub queue: QueueName,
    /// Headers that were spawned with it.
    pub headers: Map<String, Value>,
}

tokio::task_local! {
    static CURRENT: Arc<RunInfo>;
}

/// The run that the calling code is part of, for loggers and the like; `None` outside a task.
pub fn current_run() -> Option<RunInfo> {
    CURRENT.try_with(|info| RunInfo::clone(info)).ok()
}

/// Runs `work` as part of a run.
pub(crate) fn as_run<T>(
    info: Arc<RunInfo>,
    work: impl Future<Output = T>,
) -> impl Future<Output = T> {
    CURRENT.scope(info, work)
}

/// The durable operations of one task, and its identity.
///
/// Operations borrow the context mutably: two at once, or one inside another's step, do
/// not compile. An operation that suspends the task returns an error which the function
/// passes on with `?`; when the task resumes, the function runs again from its top and
/// operations that were done return what they returned then.
pub struct Context {
    info: Arc<RunInfo>,
    checkpoints: Checkpoints,
    more_checkpoints: bool,
    store: Arc<dyn RunStore>,
    lease: Lease,
    client: Option<Client>,
    /// The database's clock at the claim, and ours at the same moment.
    claimed: (Timestamp, Instant),
    /// Made when it is first asked for.
    rng: Option<Box<StdRng>>,
    uuids: u64,
    /// Before the names of a branch's operations.
    prefix: String,
    /// A branch's place where all branches meet to wait.
    seat: Option<Seat>,
    reporter: Reporter,
    /// What a replay of a history has come to.
    tape: Option<Tape>,
    /// Shared by all branches.
    ended: Arc<OnceLock<Interrupt>>,
}

impl Context {
    /// A context for a run that was claimed, and the run's params.
    pub(crate) fn of(
        row: ClaimedRow,
        client: Client,
        store: Arc<dyn RunStore>,
        lease: Lease,
        claimed: Instant,
    ) -> (Value, Self) {
        let info = RunInfo {
            task_id: row.task_id,
            run_id: row.run_id,
            attempt: row.attempt,
            max_attempts: row.max_attempts,
            task_name: row.task_name,
            queue: client.queue().clone(),
            headers: row.headers,
        };
        let claimed_at = row.claimed_at.unwrap_or(Timestamp::UNIX_EPOCH);
        let mut context = Self::new(info, store, lease, (claimed_at, claimed));
        context.checkpoints.extend(row.checkpoints);
        context.more_checkpoints = row.more_checkpoints;
        context.client = Some(client);
        (row.params, context)
    }

    fn new(
        info: RunInfo,
        store: Arc<dyn RunStore>,
        lease: Lease,
        claimed: (Timestamp, Instant),
    ) -> Self {
        let reporter = Reporter::new(info.run_id, Arc::clone(&store));
        Self {
            rng: None,
            info: Arc::new(info),
            checkpoints: Checkpoints::default(),
            more_checkpoints: false,
            store,
            lease,
            client: None,
            claimed,
            uuids: 0,
            prefix: String::new(),
            seat: None,
            reporter,
            tape: None,
            ended: Arc::default(),
        }
    }

    /// A context for a branch, which remembers nothing yet.
    fn offshoot(&self, prefix: &str) -> Self {
        Self {
            info: Arc::clone(&self.info),
            checkpoints: Checkpoints::default(),
            more_checkpoints: false,
            store: Arc::clone(&self.store),
            lease: self.lease.clone(),
            client: self.client.clone(),
            claimed: self.claimed,
            rng: None,
            uuids: 0,
            prefix: prefix.to_owned(),
            seat: None,
            reporter: self.reporter.clone(),
            tape: self.tape.clone(),
            ended: Arc::clone(&self.ended),
        }
    }

    /// The task's identity in one value.
    pub fn info(&self) -> &RunInfo {
        &self.info
    }

    /// The same for those who outlive the context.
    pub(crate) fn shared_info(&self) -> Arc<RunInfo> {
        Arc::clone(&self.info)
    }

    /// The task.
    pub fn task_id(&self) -> TaskId {
        self.info.task_id
    }

    /// The run, one for each attempt.
    pub fn run_id(&self) -> RunId {
        self.info.run_id
    }

    /// The number of the attempt, from 1.
    pub fn attempt(&self) -> i32 {
        self.info.attempt
    }

    /// The task's name.
    pub fn task_name(&self) -> &str {
        &self.info.task_name
    }

    /// The queue it came from.
    pub fn queue(&self) -> &QueueName {
        &self.info.queue
    }

    /// Headers that were spawned with the task; empty when there are none.
    pub fn headers(&self) -> &Map<String, Value> {
        &self.info.headers
    }

    /// Renews the lease now. Workers do so in the background; a function needs this only
    /// to learn early that it has been cancelled.
    pub async fn heartbeat(&mut self) -> Result<(), TaskError> {
        let seconds = crate::period::ceil_seconds(self.lease.length());
        self.write(Write::Extend {
            run: self.run_id(),
            seconds,
        })
        .await
        .map(drop)
    }

    pub(crate) fn ended(&self) -> Option<Interrupt> {
        self.ended.get().copied()
    }

    /// Doesn't compare what the function does with what is recorded of it.
    pub(crate) fn forget_path(&mut self) {
        self.checkpoints.forget_path();
    }

    /// Opens what came along with the claim, and returns the run's params. Without anything
    /// sealed this does nothing.
    pub(crate) async fn open_claimed(&mut self, params: Value) -> Result<Value, TaskError> {
        self.open_checkpoints().await?;
        let what = format!("the params of task `{}`", self.info.task_name);
        self.opened(&what, params).await
    }

    async fn open_checkpoints(&mut self) -> Result<(), TaskError> {
        let store = &self.store;
        let sealed = self.checkpoints.take_sealed();
        if sealed.is_empty() {
            return Ok(());
        }
        let opening = sealed.into_iter().map(|(name, state)| async move {
            let what = format!("the stored result of step `{name}`");
            let state = store.open(&what, state).await?;
            Ok((name, state))
        });
        let opened = stream::iter(opening).buffer_unordered(OPENED_AT_ONCE);
        let opened: Result<Vec<_>, _> = opened.try_collect().await;
        for (name, state) in opened.map_err(|refusal| self.refused(refusal))? {
            self.checkpoints.insert(name, state);
        }
        Ok(())
    }

    async fn opened(&mut self, what: &str, stored: Value) -> Result<Value, TaskError> {
        let opened = self.store.open(what, stored).await;
        opened.map_err(|refusal| self.refused(refusal))
    }

    /// The concrete name of the next operation, after whatever must come before it.
    async fn enter(&mut self, base: &str) -> Result<String, TaskError> {
        let name = self.enter_group(base).await?;
        self.note_on_tape(&name)?;
        if self.prefix.is_empty()
            && let Err(difference) = self.checkpoints.next_place(&name)
        {
            return Err(TaskError::named("Nondeterminism", difference));
        }
        Ok(name)
    }

    /// The same for what leaves no checkpoint of its own.
    async fn enter_group(&mut self, base: &str) -> Result<String, TaskError> {
        if let Some(interrupt) = self.ended() {
            return Err(TaskError::interrupt(interrupt));
        }
        self.reporter.leave_step();
        self.load_checkpoints().await?;
        Ok(self
            .checkpoints
            .next_name(&format!("{}{base}", self.prefix)))
    }

    /// Reads the checkpoints that did not come along with the claim.
    async fn load_checkpoints(&mut self) -> Result<(), TaskError> {
        if self.more_checkpoints {
            let read = self
                .store
                .checkpoints(self.info.task_id, self.info.run_id)
                .await;
            let more = read.map_err(|refusal| self.refused(refusal))?;
            self.checkpoints.extend(more);
            self.open_checkpoints().await?;
            self.more_checkpoints = false;
        }
        Ok(())
    }

    /// The place of the operation under way; branches have none, for their order may vary.
    fn place(&self) -> Option<i32> {
        self.prefix.is_empty().then(|| self.checkpoints.place())
    }

    /// A step name that can't be used fails the task for good: the code has to change.
    fn checked(name: &str) -> Result<StepName, TaskError> {
        StepName::new(name).map_err(|error: InvalidName| TaskError::terminal(error))
    }

    async fn write(&mut self, write: Write) -> Result<Value, TaskError> {
        let asked = Instant::now();
        let renews = match write {
            Write::Checkpoint { extend, .. } => extend > 0,
            Write::Extend { .. } => true,
            _ => false,
        };
        match self.store.write(write).await {
            Ok(detail) => {
                if renews {
                    self.lease.renewed(asked, self.lease.length());
                }
                Ok(detail)
            }
            Err(refusal) => Err(self.refused(refusal)),
        }
    }

    /// Sends a write that keeps `state` as its own checkpoint, unless that is there already.
    async fn write_once(
        &mut self,
        base: &str,
        state: Value,
        write: impl FnOnce(RunId, String, Option<i32>) -> Write,
    ) -> Result<(), TaskError> {
        let step = self.enter(base).await?;
        if self.checkpoints.get(&step).is_some() {
            return Ok(());
        }
        let write = write(self.run_id(), step.clone(), self.place());
        self.write(write).await?;
        self.checkpoints.insert(step, state);
        Ok(())
    }

    /// Keeps a value under a concrete name; it is remembered for the rest of this execution.
    async fn keep(&mut self, name: String, state: Value) -> Result<(), TaskError> {
        let write = Write::Checkpoint {
            run: self.run_id(),
            task: self.task_id(),
            step: name.clone(),
            place: self.place(),
            state: state.clone(),
            // A fresh lease is left alone: one row less to write.
            extend: if self.lease.is_stale() {
                crate::period::ceil_seconds(self.lease.length())
            } else {
                0
            },
        };
        self.write(write).await?;
        self.checkpoints.insert(name, state);
        Ok(())
    }

    /// Waits by itself, or with all other branches.
    async fn park_on(&mut self, wait: Wait) -> Result<crate::db::Waited, TaskError> {
        let waited = match &self.seat {
            Some(seat) => seat.wait(wait).await,
            None => self.store.wait(wait).await,
        };
        waited.map_err(|refusal| self.refused(refusal))
    }

    /// Ends this execution, now and for every later operation.
    fn interrupt(&mut self, interrupt: Interrupt) -> TaskError {
        TaskError::interrupt(*self.ended.get_or_init(|| interrupt))
    }

    fn refused(&mut self, refusal: Refusal) -> TaskError {
        match refusal {
            Refusal::Cancelled => {
                self.lease.lose(Loss::Cancelled);
                self.interrupt(Interrupt::Cancelled)
            }
            Refusal::LeaseLost => {
                self.lease.lose(Loss::Expired);
                self.interrupt(Interrupt::LeaseLost)
            }
            Refusal::Database(error) if error.state() == Some(SqlState::FeatureMissing) => {
                TaskError::terminal(error)
            }
            Refusal::Database(error) => TaskError::from(error),
            Refusal::Payload(error) => match Arc::try_unwrap(error) {
                Ok(error) => TaskError::from(error),
                // Branches that waited together share it.
                Err(shared) if shared.is_permanent() => TaskError::terminal(shared),
                Err(shared) => TaskError::from(shared),
            },
        }
    }
}

/// Random numbers that follow from the task's id, other ones for each branch.
fn rng_of(info: &RunInfo, prefix: &str) -> StdRng {
    let name = format!("rand{prefix}");
    let seed = Uuid::new_v5(&info.task_id.0, name.as_bytes()).as_u64_pair();
    StdRng::seed_from_u64(seed.0 ^ seed.1)
}
