#![doc = include_str!("lib.md")]

// The order of these lines is the order of the crate: a module imports only from modules
// above it, or from its own folder.
mod batching;
pub mod config;
mod cron;
mod ids;
mod names;
pub mod observe;
mod payload;
mod period;
mod retry;
mod slots;
mod state;
mod task;

mod db;
pub mod migrate;

mod error;

mod vault;

mod eager;

mod client;
mod lease;

mod checkpoints;
mod store;
mod writer;

mod live;

mod context;
mod handler;

mod registry;
mod scheduler;
mod worker;

/// What each claim and step costs without a database, for the benchmarks.
#[doc(hidden)]
pub mod pure;

#[doc = include_str!("task.md")]
pub use absurd_macros::task;

pub use self::{
    checkpoints::Nondeterminism,
    client::{
        BulkRetried, CatchUp, Chain, CheckpointRecord, CleanedUp, Client, ClientBuilder,
        DeadLetter, DeadLetterAct, DeadLetterFilter, DeadLetterState, EventFilter, EventRecord,
        FailedAttempt, Fork, History, HistoryStep, Limit, LimitOn, LimitRecord, LogLine, Overlap,
        Progress, QueueOptions, QueuePolicy, QueueStats, Redrive, ResultOf, RunRecord,
        ScheduleRecord, SetSchedule, Spawn, SpawnBatch, SpawnOptions, SpawnWindow, Spawned, Start,
        StorageMode, TaskDetails, TaskFilter, TaskHandle, TaskPlace, TaskSnapshot, TaskSummary,
        WaitRecord,
    },
    context::{
        AwaitEvent, AwaitTask, BegunStep, Branches, ChildHandle, Context, DetachedContext,
        LogLevel, MapBranches, OnParentEnd, Racers, Reporter, RetriedStep, RunInfo, SpawnChild,
        Step, StepHandle, current_run,
    },
    cron::{BadCron, CronPattern},
    db::{ConnectError, DbError, DriverError},
    error::{Error, Failure, TaskError, TaskResult, chain},
    handler::{State, StateKey, States, TaskCall, TaskHandler},
    ids::{
        EventName, InvalidName, QUEUE_NAME_BYTES_MAX, QueueName, RunId, StepName, TaskId, TaskName,
    },
    payload::PayloadError,
    period::{BadPeriod, Period},
    retry::{Attempts, Cancellation, InvalidRetryPolicy, RetryPolicy},
    scheduler::Scheduler,
    state::{RunState, TaskState, UnknownState},
    task::{OutputOf, ParamsOf, TaskDef, TaskDefaults, TaskFn, TaskSchema},
    vault::{CodecError, PayloadCodec, PayloadStorage},
    worker::{Execution, TerminalWhen, Worker, WorkerBuilder, WorkerHandle, WrapExecution},
};

/// The statements that the SDK sends, name and text, for tests that hold them against a schema.
#[doc(hidden)]
pub use db::STATEMENTS;

/// What the test kit's replay needs.
#[doc(hidden)]
pub use context::{Tape, TapeEntry};

/// What nearly every file with tasks or clients needs.
pub mod prelude {
    pub use schemars::JsonSchema;
    pub use serde::{Deserialize, Serialize};

    pub use crate::{
        Client, Context, Error, RetryPolicy, State, TaskError, TaskResult, Worker, task,
    };
}

/// Through which the code that `#[task]` writes speaks; not for anybody else.
#[doc(hidden)]
pub mod __private {
    pub use futures::future::BoxFuture;

    pub use crate::{
        context::Context,
        error::{TaskError, TaskResult},
        handler::{State, StateKey, States, TaskCall, TaskHandler},
        retry::{Attempts, Cancellation, RetryPolicy},
        task::{TaskDef, TaskDefaults, TaskSchema},
    };
}
