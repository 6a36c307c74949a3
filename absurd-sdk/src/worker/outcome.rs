//! What an execution came to, from what the function returned. Pure and total.

use std::time::Duration;

use serde_json::Value;

use crate::{
    error::{Failure, Interrupt, TaskError, TaskResult},
    lease::Loss,
};

/// The end of one execution of a run.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The task has its result.
    Completed(Value),
    /// The attempt has failed; `terminal` says that no other may follow.
    Failed {
        failure: Failure,
        terminal: bool,
        /// When the error itself wants another attempt.
        retry_after: Option<Duration>,
    },
    /// Stored already: the run sleeps or waits.
    Parked,
    /// The task was cancelled meanwhile, or the run is somebody else's.
    Gone,
    /// This worker stops: the run goes back as it is.
    Released,
    /// No function here has the task's name.
    Unknown,
}

impl Outcome {
    /// `ended`: what the context had told the function before it returned; a function
    /// that swallows an interrupt doesn't change what is stored.
    pub(super) fn of(
        executed: Result<Result<TaskResult<Value>, Failure>, Loss>,
        ended: Option<Interrupt>,
    ) -> Self {
        match (executed, ended) {
            (_, Some(Interrupt::Parked)) => Self::Parked,
            (Err(Loss::Stopping), None) => Self::Released,
            (Err(_), _) | (_, Some(_)) => Self::Gone,
            (Ok(Err(panic)), None) => Self::of_failure(panic),
            (Ok(Ok(Ok(result))), None) => Self::Completed(result),
            (Ok(Ok(Err(error))), None) => Self::failed(&error),
        }
    }

    /// A failure that another attempt may mend.
    pub(super) fn of_failure(failure: Failure) -> Self {
        Self::Failed {
            failure,
            terminal: false,
            retry_after: None,
        }
    }

    /// The execution took longer than the task allows; its work was dropped.
    pub(super) fn timed_out(timeout: Duration) -> Self {
        Self::of_failure(Failure {
            name: "$Timeout".to_owned(),
            message: format!("the execution took longer than {timeout:?}"),
            stack: None,
            more: serde_json::Map::new(),
        })
    }

    /// An interrupt of another context, passed on by mistake, is a failure like any.
    fn failed(error: &TaskError) -> Self {
        Self::Failed {
            failure: error.failure(),
            terminal: error.is_terminal(),
            retry_after: error.retry_after_of(),
        }
    }

    /// A failure says in which step it happened.
    pub(super) fn in_step(mut self, step: Option<String>) -> Self {
        if let (Self::Failed { failure, .. }, Some(step)) = (&mut self, step) {
            failure.more.insert("step".to_owned(), Value::String(step));
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_swallowed_suspension_is_still_one() {
        let swallowed = Outcome::of(Ok(Ok(Ok(json!(1)))), Some(Interrupt::Parked));
        assert!(matches!(swallowed, Outcome::Parked));
    }

    #[test]
    fn a_stop_during_a_park_leaves_the_run_parked() {
        let stopped = Outcome::of(Err(Loss::Stopping), Some(Interrupt::Parked));
        assert!(matches!(stopped, Outcome::Parked));
    }

    #[test]
    fn only_terminal_errors_are_terminal() {
        let fail = |error| Outcome::of(Ok(Ok(Err(error))), None);
        let plain = fail(TaskError::msg("try again"));
        assert!(matches!(
            plain,
            Outcome::Failed {
                terminal: false,
                ..
            }
        ));
        let terminal = fail(TaskError::terminal(TaskError::msg("give up")));
        assert!(matches!(terminal, Outcome::Failed { terminal: true, .. }));
    }
}
