//! Steps: work that is done once and remembered.

use std::{
    future::{Future, IntoFuture},
    marker::PhantomData,
    pin::Pin,
    time::Duration,
};

use rand::Rng as _;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::Context;
use crate::{
    error::TaskError,
    payload::{decode, encode},
    period::Period,
    retry::RetryPolicy,
};

/// A step about to run: `.await` it.
#[must_use = "a step does nothing until it is awaited"]
pub struct Step<'c, F> {
    context: &'c mut Context,
    name: String,
    timeout: Option<Period>,
    work: F,
}

/// A step that is tried again by itself: `.await` it.
#[must_use = "a step does nothing until it is awaited"]
pub struct RetriedStep<'c, F> {
    step: Step<'c, F>,
    retries: u32,
    policy: RetryPolicy,
    worth: fn(&TaskError) -> bool,
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
    ///
    /// `work` is `|| async { .. }` with a `Result`. It may be called once only, unless
    /// [`Step::retry`] follows: what it captures must bear a second call then. It can't change
    /// variables outside, which a replay would not change either; what it uses up is moved in by
    /// `async move`.
    // No bound here: told that it is called once, the compiler would take a closure for one
    // that can't be called again.
    pub fn step<F>(&mut self, name: impl Into<String>, work: F) -> Step<'_, F> {
        Step {
            context: self,
            name: name.into(),
            timeout: None,
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
        if let Some(state) = self.checkpoints.get(&name) {
            return Ok(BegunStep::Done(read(&name, state)?));
        }
        self.reporter.enter_step(&name);
        Ok(BegunStep::Pending(StepHandle {
            name,
            value: PhantomData,
        }))
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
        self.reporter.leave_step();
        Ok(value)
    }
}

impl<'c, F> Step<'c, F> {
    /// Gives up after this time, with an error for which [`TaskError::is_timeout`] holds; the
    /// work is dropped. With `retry`, each try has that long.
    pub fn timeout(mut self, timeout: impl Into<Period>) -> Self {
        self.timeout = Some(timeout.into());
        self
    }

    /// Tries again up to that many times, here and now, before the failure is one of the whole
    /// attempt. Pauses double from a quarter of a second on; see [`RetriedStep::pause`].
    pub fn retry<Fut>(self, retries: u32) -> RetriedStep<'c, F>
    where
        F: FnMut() -> Fut,
    {
        RetriedStep {
            step: self,
            retries,
            policy: RetryPolicy::exponential(Duration::from_millis(250)),
            worth: |_| true,
        }
    }
}

impl<F> RetriedStep<'_, F> {
    /// The pauses between tries, shortened at random by up to a half so that many tasks don't
    /// come in step. A pause that the error itself asks for goes before.
    pub fn pause(mut self, policy: RetryPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// Only tries again after errors for which this holds; terminal ones never are.
    pub fn when(mut self, worth: fn(&TaskError) -> bool) -> Self {
        self.worth = worth;
        self
    }

    /// How long to pause after a failed try; `None` when it was the last.
    fn pause_after(&self, failed: u32, error: &TaskError) -> Option<Duration> {
        if failed > self.retries || error.is_terminal() || !(self.worth)(error) {
            return None;
        }
        let jitter = || rand::rng().random_range(0.5..=1.0);
        let by_policy = || self.policy.delay(failed).mul_f64(jitter());
        Some(error.retry_after_of().unwrap_or_else(by_policy))
    }
}

fn read<T: DeserializeOwned>(name: &str, state: &Value) -> Result<T, TaskError> {
    Ok(decode(
        || format!("the stored result of step `{name}`"),
        state,
    )?)
}

/// One try of a step's work.
async fn try_once<T, E: Into<TaskError>>(
    name: &str,
    timeout: Option<Duration>,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, TaskError> {
    let Some(timeout) = timeout else {
        return work.await.map_err(Into::into);
    };
    match tokio::time::timeout(timeout, work).await {
        Ok(done) => done.map_err(Into::into),
        Err(_) => Err(TaskError::timed_out(name.to_owned())),
    }
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
            let timeout = self.timeout.map(Period::get).transpose();
            let timeout = timeout.map_err(TaskError::terminal)?;
            match self.context.begin_step(&self.name).await? {
                BegunStep::Done(value) => Ok(value),
                BegunStep::Pending(step) => {
                    let value = try_once(&step.name, timeout, (self.work)()).await?;
                    self.context.complete_step(step, value).await
                }
            }
        })
    }
}

impl<'c, F, Fut, T, E> IntoFuture for RetriedStep<'c, F>
where
    F: FnMut() -> Fut + Send + 'c,
    Fut: Future<Output = Result<T, E>> + Send + 'c,
    T: Serialize + DeserializeOwned + Send + 'c,
    E: Into<TaskError> + 'c,
{
    type Output = Result<T, TaskError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'c>>;

    fn into_future(mut self) -> Self::IntoFuture {
        Box::pin(async move {
            let timeout = self.step.timeout.take().map(Period::get).transpose();
            let timeout = timeout.map_err(TaskError::terminal)?;
            let step = match self.step.context.begin_step(&self.step.name).await? {
                BegunStep::Done(value) => return Ok(value),
                BegunStep::Pending(step) => step,
            };
            let mut failed = 0;
            loop {
                let error = match try_once(&step.name, timeout, (self.step.work)()).await {
                    Ok(value) => return self.step.context.complete_step(step, value).await,
                    Err(error) => error,
                };
                failed += 1;
                let Some(pause) = self.pause_after(failed, &error) else {
                    return Err(error);
                };
                tracing::warn!(step = %step.name, failed, ?pause, %error, "trying again");
                tokio::time::sleep(pause).await;
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::DetachedContext;

    #[tokio::test(start_paused = true)]
    async fn a_step_is_tried_again_as_its_errors_allow() {
        let mut context = DetachedContext::new().build().expect("a context");
        let tries = AtomicU32::new(0);
        let flaky = || async {
            match tries.fetch_add(1, Ordering::SeqCst) {
                0 => Err(TaskError::msg("busy")),
                1 => Err(TaskError::retry_after(
                    TaskError::msg("wait"),
                    Duration::from_mins(1),
                )),
                n => Ok(n),
            }
        };
        let began = tokio::time::Instant::now();
        let value = context.step("flaky", flaky).retry(2).await;
        assert_eq!(value.expect("the third try"), 2);
        assert!(began.elapsed() >= Duration::from_mins(1));

        let never = || async { Err::<u32, _>(TaskError::msg("no")) };
        let refused = context.step("never", never).retry(9).when(|_| false).await;
        assert_eq!(refused.expect_err("not worth it").to_string(), "no");

        let slow = || std::future::pending::<Result<u32, TaskError>>();
        let late = context.step("slow", slow).timeout("5s").retry(1).await;
        assert!(late.expect_err("too late").is_timeout());
    }
}
