//! Events: wait for one without holding a worker, or emit one.

use std::{
    future::{Future, IntoFuture},
    marker::PhantomData,
    pin::Pin,
};

use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::Context;
use crate::{
    db::{
        Waited,
        writes::{Wait, WaitOn, Write},
    },
    error::{Interrupt, TaskError},
    ids::EventName,
    names,
    payload::{decode, encode},
    period::{Period, ceil_seconds},
};

/// A wait for an event about to begin: `.await` it.
#[must_use = "nothing is waited for until this is awaited"]
pub struct AwaitEvent<'c, T> {
    context: &'c mut Context,
    event: String,
    step_name: Option<String>,
    timeout: Option<Period>,
    payload: PhantomData<fn() -> T>,
}

impl<T> AwaitEvent<'_, T> {
    /// Gives up after this time, in whole seconds rounded up, with an error for which
    /// [`TaskError::is_timeout`] holds. It is remembered: a replay does not wait again.
    pub fn timeout(mut self, timeout: impl Into<Period>) -> Self {
        self.timeout = Some(timeout.into());
        self
    }

    /// A name of its own for the wait's checkpoint; `$awaitEvent:<event>` otherwise.
    pub fn step_name(mut self, name: impl Into<String>) -> Self {
        self.step_name = Some(name.into());
        self
    }
}

impl Context {
    /// Waits for an event of the task's queue and returns its payload. An event that was
    /// emitted before is there at once. While it waits the task holds no worker.
    pub fn await_event<T>(&mut self, event: impl Into<String>) -> AwaitEvent<'_, T> {
        AwaitEvent {
            context: self,
            event: event.into(),
            step_name: None,
            timeout: None,
            payload: PhantomData,
        }
    }

    /// Emits an event in the task's queue, once: replays don't emit again.
    pub async fn emit_event(
        &mut self,
        event: impl AsRef<str>,
        payload: &(impl Serialize + Sync + ?Sized),
    ) -> Result<(), TaskError> {
        let event = EventName::new(event).map_err(TaskError::terminal)?;
        let payload = encode(|| format!("the payload of event `{event}`"), payload)?;
        let (task, queue) = (self.task_id(), self.queue().to_string());
        let base = names::emit_event(event.as_str());
        self.write_once(&base, json!(true), |run, step, place| Write::Emit {
            run,
            task,
            step,
            place,
            queue,
            event: event.to_string(),
            payload,
        })
        .await
    }

    /// Waits under a concrete name: remembered, delivered, timed out, or parked.
    pub(super) async fn wait(
        &mut self,
        base: &str,
        on: WaitOn,
        timeout: Option<Period>,
    ) -> Result<Value, TaskError> {
        let timeout = timeout
            .map(Period::get)
            .transpose()
            .map_err(TaskError::terminal)?;
        let step = self.enter(base).await?;
        if let Some(state) = self.checkpoints.get(&step) {
            return Ok(state.clone());
        }
        let timed_out = names::timeout(&step);
        if self.checkpoints.get(&timed_out).is_some() {
            return Err(TaskError::timed_out(step));
        }
        let wait = Wait {
            run: self.run_id(),
            task: self.task_id(),
            step: step.clone(),
            on,
            timeout: timeout.map(ceil_seconds),
        };
        match self.park_on(wait).await? {
            Waited::Parked => Err(self.interrupt(Interrupt::Parked)),
            Waited::Delivered(payload) => {
                self.checkpoints.insert(step, payload.clone());
                Ok(payload)
            }
            Waited::TimedOut => {
                self.checkpoints.insert(timed_out, json!(true));
                Err(TaskError::timed_out(step))
            }
        }
    }
}

impl<'c, T: DeserializeOwned + Send + 'c> IntoFuture for AwaitEvent<'c, T> {
    type Output = Result<T, TaskError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'c>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let event = EventName::new(&self.event).map_err(TaskError::terminal)?;
            let base = match self.step_name.filter(|name| !name.is_empty()) {
                Some(name) => Context::checked(&name)?.to_string(),
                None => names::await_event(event.as_str()),
            };
            let on = WaitOn::Event(event.to_string());
            let payload = self.context.wait(&base, on, self.timeout).await?;
            Ok(decode(
                || format!("the payload of event `{event}`"),
                &payload,
            )?)
        })
    }
}
