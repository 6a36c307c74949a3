//! What a task is, apart from what it does: a producer needs no more.

use std::time::Duration;

use schemars::{JsonSchema, Schema};
use serde::{Serialize, de::DeserializeOwned};

use crate::retry::{Attempts, Cancellation, RetryPolicy};

/// The name and types of a task. Written by `#[task]`.
pub trait TaskDef: Send + Sync + 'static {
    /// What the task is given. It travels as JSON.
    type Params: Serialize + DeserializeOwned + JsonSchema + Send + 'static;
    /// What the task returns. It travels as JSON.
    type Output: Serialize + DeserializeOwned + JsonSchema + Send + 'static;

    /// The name under which workers know the task.
    const NAME: &'static str;

    /// Settings that a spawn takes where it has none of its own.
    fn defaults() -> TaskDefaults {
        TaskDefaults::default()
    }

    /// The JSON Schemas of params and output.
    fn schema() -> TaskSchema {
        TaskSchema::of::<Self::Params, Self::Output>()
    }
}

/// A function under `#[task]`, as spawns and workers take it. `Marker` only tells the compiler
/// which function it is.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no task",
    label = "no task",
    note = "put `#[task]` on the function; tasks of other programs go by `spawn_by_name`"
)]
pub trait TaskFn<Marker> {
    /// What the attribute made of it.
    type Task: TaskDef;
}

/// The params of a task function.
pub type ParamsOf<F, Marker> = <<F as TaskFn<Marker>>::Task as TaskDef>::Params;

/// The output of a task function.
pub type OutputOf<F, Marker> = <<F as TaskFn<Marker>>::Task as TaskDef>::Output;

/// A task's own settings, between those of the spawn and those of the client.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct TaskDefaults {
    /// The queue it belongs to; the client's where it is absent.
    pub queue: Option<&'static str>,
    /// Kept as the header `task-version` of each task spawned; says which code wrote its
    /// history.
    pub version: Option<&'static str>,
    /// Larger first, then age.
    pub priority: Option<i32>,
    /// How many attempts it has.
    pub max_attempts: Attempts,
    /// The delays between them; at once where it is absent.
    pub retry: Option<RetryPolicy>,
    /// How long one execution may take, from claim to end or park; then the attempt fails.
    pub timeout: Option<Duration>,
    /// When it is cancelled by itself.
    pub cancellation: Cancellation,
}

/// JSON Schemas of a task's params and output, recorded with the task.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskSchema {
    /// Schema of the params.
    pub params: Schema,
    /// Schema of the output.
    pub output: Schema,
}

impl TaskSchema {
    /// The schemas of two types.
    pub fn of<P: JsonSchema, O: JsonSchema>() -> Self {
        Self {
            params: schemars::schema_for!(P),
            output: schemars::schema_for!(O),
        }
    }
}
