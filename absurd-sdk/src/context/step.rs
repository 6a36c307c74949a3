//! Steps: work that is done once and remembered.

use std::{
    future::{Future, IntoFuture},
    marker::PhantomData,
    pin::Pin,
};

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::Context;
use crate::{
    error::TaskError,
    payload::{decode, encode},
};

/// A step about to run: `.await` it.
#[must_use = "a step does nothing until it is awaited"]
pub struct Step<'c, F> {
    context: &'c mut Context,
    name: String,
    work: F,
}

/// A step that was begun by hand.
#[derive(Debug)]
pub enum BegunStep<T> {
    /// It was done before; this is what it returned.
    Done(T),
    /// It is to be done now, and then given to [`Context::complete_step`].
    Pending(StepHandle<T>),
}

/// A step that is under way.
#[derive(Debug)]
pub struct StepHandle<T> {
    name: String,
    value: PhantomData<fn() -> T>,
}

impl Context {
    /// Runs `work` once and keeps what it returns. On a replay `work` doesn't run; its
    /// stored result is returned.
    ///
    /// `work` runs at least once: a crash between its end and the checkpoint repeats it.
    /// The value goes through JSON on the first run as well, so a type that loses
    /// something on the way shows at once.
    pub fn step<F, Fut, T, E>(&mut self, name: impl Into<String>, work: F) -> Step<'_, F>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        Step {
            context: self,
            name: name.into(),
            work,
        }
    }

    /// Begins a step by hand, for code that can't be a closure.
    pub async fn begin_step<T: DeserializeOwned>(
        &mut self,
        name: impl AsRef<str>,
    ) -> Result<BegunStep<T>, TaskError> {
        let name = Self::checked(name.as_ref())?;
        let name = self.enter(name.as_str()).await?;
        match self.checkpoints.get(&name) {
            Some(state) => Ok(BegunStep::Done(read(&name, state)?)),
            None => Ok(BegunStep::Pending(StepHandle {
                name,
                value: PhantomData,
            })),
        }
    }

    /// Keeps the value of a step begun by hand, and returns it as it was kept.
    pub async fn complete_step<T: Serialize + DeserializeOwned>(
        &mut self,
        step: StepHandle<T>,
        value: T,
    ) -> Result<T, TaskError> {
        let name = step.name;
        let state = encode(|| format!("the result of step `{name}`"), &value)?;
        let value = read(&name, &state)?;
        self.keep(name, state).await?;
        Ok(value)
    }
}

fn read<T: DeserializeOwned>(name: &str, state: &Value) -> Result<T, TaskError> {
    Ok(decode(
        || format!("the stored result of step `{name}`"),
        state,
    )?)
}

impl<'c, F, Fut, T, E> IntoFuture for Step<'c, F>
where
    F: FnOnce() -> Fut + Send + 'c,
    Fut: Future<Output = Result<T, E>> + Send + 'c,
    T: Serialize + DeserializeOwned + Send + 'c,
    E: Into<TaskError> + 'c,
{
    type Output = Result<T, TaskError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'c>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            match self.context.begin_step(&self.name).await? {
                BegunStep::Done(value) => Ok(value),
                BegunStep::Pending(step) => {
                    let value = (self.work)().await.map_err(Into::into)?;
                    self.context.complete_step(step, value).await
                }
            }
        })
    }
}
