//! What an execution came to, from what the function returned. Pure and total.

use serde_json::Value;

use crate::{
    error::{Failure, Interrupt, Kind, TaskError, TaskResult},
    lease::Loss,
};

/// The end of one execution of a run.
#[derive(Debug)]
pub(super) enum Outcome {
    /// The task has its result.
    Completed(Value),
    /// The attempt has failed; `terminal` says that no other may follow.
    Failed { failure: Failure, terminal: bool },
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
            (Ok(Err(panic)), None) => Self::Failed {
                failure: panic,
                terminal: false,
            },
            (Ok(Ok(Ok(result))), None) => Self::Completed(result),
            (Ok(Ok(Err(error))), None) => Self::failed(&error),
        }
    }

    fn failed(error: &TaskError) -> Self {
        match error.kind() {
            // An interrupt of another context, passed on by mistake, is a failure like any.
            Kind::Interrupt(_)
            | Kind::Failed { .. }
            | Kind::TimedOut { .. }
            | Kind::Child { .. } => Self::Failed {
                failure: error.failure(),
                terminal: error.is_terminal(),
            },
        }
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
