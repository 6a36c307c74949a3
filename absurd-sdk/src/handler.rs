//! From a typed task function to one that the worker can call: the only place where
//! types are erased.

use std::{
    any::{Any, TypeId, type_name},
    collections::HashMap,
    fmt,
    ops::Deref,
    pin::Pin,
    sync::Arc,
    task::{self, Poll},
};

use futures::future::BoxFuture;
use serde_json::Value;

use crate::{
    context::Context,
    error::{TaskError, TaskResult},
    payload::{decode, encode},
    task::{TaskDef, TaskDefaults, TaskFn, TaskSchema},
};

/// What a task does. Written by `#[task]`.
pub trait TaskHandler: TaskDef {
    /// Runs the function.
    fn call<'a>(
        context: &'a mut Context,
        params: Self::Params,
        states: &'a States,
    ) -> BoxFuture<'a, TaskResult<Self::Output>>;

    /// The shared state it needs; checked when the worker is built.
    fn required_states() -> Vec<StateKey> {
        Vec::new()
    }
}

/// A call of a task function: a future of its result.
#[must_use = "a task function does nothing until it is awaited"]
pub struct TaskCall<'a, T: TaskDef> {
    running: BoxFuture<'a, TaskResult<T::Output>>,
}

impl<'a, T: TaskDef> TaskCall<'a, T> {
    /// Wraps the function's future. Written by `#[task]`.
    pub fn new(running: impl Future<Output = TaskResult<T::Output>> + Send + 'a) -> Self {
        Self {
            running: Box::pin(running),
        }
    }

    /// The future itself.
    pub fn boxed(self) -> BoxFuture<'a, TaskResult<T::Output>> {
        self.running
    }
}

impl<T: TaskDef> Future for TaskCall<'_, T> {
    type Output = TaskResult<T::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut task::Context<'_>) -> Poll<Self::Output> {
        self.running.as_mut().poll(context)
    }
}

/// Functions with a context and up to eight parameters.
macro_rules! task_fns {
    ($($argument:ident)*) => {
        impl<F, T, $($argument),*> TaskFn<fn($($argument),*) -> T> for F
        where
            T: TaskHandler,
            F: for<'a> Fn(&'a mut Context, $($argument),*) -> TaskCall<'a, T>,
        {
            type Task = T;
        }
    };
}
task_fns!();
task_fns!(A);
task_fns!(A B);
task_fns!(A B C);
task_fns!(A B C D);
task_fns!(A B C D E);
task_fns!(A B C D E G);
task_fns!(A B C D E G H);
task_fns!(A B C D E G H I);

/// Shared state of a worker, as a task function receives it. It derefs to `T`.
pub struct State<T: ?Sized>(Arc<T>);

impl<T: Send + Sync + 'static> State<T> {
    /// Wraps a value, for calling a task function in a unit test.
    pub fn new(value: T) -> Self {
        Self(Arc::new(value))
    }

    /// The state of this type; the worker has checked that it is there.
    pub fn from_states(states: &States) -> TaskResult<Self> {
        let found = states.0.get(&TypeId::of::<T>());
        let found = found.and_then(|state| Arc::clone(state).downcast::<T>().ok());
        found.map(Self).ok_or_else(|| {
            let problem = format!(
                "no state of type `{}` was given to the worker",
                type_name::<T>()
            );
            TaskError::terminal(TaskError::msg(problem))
        })
    }
}

impl<T: ?Sized> Clone for State<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: ?Sized> Deref for State<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for State<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The shared states of a worker, one of each type.
#[derive(Default, Clone)]
pub struct States(HashMap<TypeId, Arc<dyn Any + Send + Sync>>);

impl States {
    /// Adds a value; one of the same type is replaced.
    pub fn insert<T: Send + Sync + 'static>(&mut self, value: T) {
        self.0.insert(TypeId::of::<T>(), Arc::new(value));
    }

    pub(crate) fn has(&self, key: &StateKey) -> bool {
        self.0.contains_key(&key.id)
    }
}

/// A type of shared state, with its name for messages.
#[derive(Debug, Clone, Copy)]
pub struct StateKey {
    id: TypeId,
    name: &'static str,
}

impl StateKey {
    /// The key of a type.
    pub fn of<T: 'static>() -> Self {
        Self {
            id: TypeId::of::<T>(),
            name: type_name::<T>(),
        }
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }
}

type ErasedCall =
    for<'a> fn(&'a mut Context, Value, &'a States) -> BoxFuture<'a, TaskResult<Value>>;

/// A task function without its types.
#[derive(Clone)]
pub(crate) struct Handler {
    pub(crate) name: &'static str,
    pub(crate) defaults: TaskDefaults,
    pub(crate) schema: fn() -> TaskSchema,
    pub(crate) required_states: Vec<StateKey>,
    call: ErasedCall,
}

impl Handler {
    pub(crate) fn of<T: TaskHandler>() -> Self {
        Self {
            name: T::NAME,
            defaults: T::defaults(),
            schema: T::schema,
            required_states: T::required_states(),
            call: |context, params, states| Box::pin(call_erased::<T>(context, params, states)),
        }
    }

    pub(crate) fn call<'a>(
        &self,
        context: &'a mut Context,
        params: Value,
        states: &'a States,
    ) -> BoxFuture<'a, TaskResult<Value>> {
        (self.call)(context, params, states)
    }
}

async fn call_erased<T: TaskHandler>(
    context: &mut Context,
    params: Value,
    states: &States,
) -> TaskResult<Value> {
    let params = decode(|| format!("the params of task `{}`", T::NAME), &params)?;
    let output = T::call(context, params, states).await?;
    Ok(encode(
        || format!("the result of task `{}`", T::NAME),
        &output,
    )?)
}
