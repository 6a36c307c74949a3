//! Replays of recorded histories against the code of today, without a database.

use std::{fs, path::Path};

use absurd_sdk::{Context, History, States, TapeEntry, TaskDef as _, TaskFn, TaskHandler};
use serde_json::Value;

/// A history about to be replayed.
///
/// ```no_run
/// # use absurd_sdk::prelude::*;
/// # use absurd_test::Replay;
/// # #[task] async fn process_group(ctx: &mut Context, group: String) -> TaskResult<()> { Ok(()) }
/// # async fn test() -> Result<(), Box<dyn std::error::Error>> {
/// let replayed = Replay::read("tests/histories/group.json")?.run(process_group).await?;
/// assert_eq!(replayed.steps(), "convert\nflag\nimage\n");
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing is replayed until `run`"]
pub struct Replay {
    history: History,
    states: States,
}

/// A replay that went as recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct Replayed {
    operations: Vec<TapeEntry>,
}

/// Why a history can't be replayed, or how the code differs from it.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// The file can't be read.
    #[error("the history `{path}` can't be read; `absurd task export` writes one")]
    File {
        /// Its path.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The file holds no history.
    #[error("`{path}` is no history; `absurd task export` writes one")]
    Format {
        /// Its path.
        path: String,
        /// Why.
        source: serde_json::Error,
    },
    /// It is the history of another task.
    #[error("the history is one of task `{recorded}`, not of `{given}`")]
    OtherTask {
        /// The task that it was recorded of.
        recorded: String,
        /// The task that is to be replayed.
        given: &'static str,
    },
    /// The function does something else than what is recorded. Lines with `-` are recorded and
    /// were not reached, lines with `+` are new.
    #[error("the function does not do again what is recorded:\n{difference}")]
    Changed {
        /// The operations of both, a line each.
        difference: String,
    },
    /// The function came to another end.
    #[error("the function ends otherwise than recorded:\n  - {recorded}\n  + {found}")]
    OtherEnd {
        /// The recorded end.
        recorded: String,
        /// The end now.
        found: String,
    },
}

/// Failing tests print this: it is for people.
impl std::fmt::Debug for ReplayError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", absurd_sdk::chain(self))
    }
}

impl Replay {
    /// Reads a history from a file that `absurd task export` wrote.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, ReplayError> {
        let path = path.as_ref();
        let shown = || path.display().to_string();
        let text = fs::read_to_string(path).map_err(|source| ReplayError::File {
            path: shown(),
            source,
        })?;
        let history = serde_json::from_str(&text).map_err(|source| ReplayError::Format {
            path: shown(),
            source,
        })?;
        Ok(Self::of(history))
    }

    /// Replays a history that is at hand: see [`absurd_sdk::Client::history`].
    pub fn of(history: History) -> Self {
        Self {
            history,
            states: States::default(),
        }
    }

    /// Adds a value that the task receives as `State<T>`.
    pub fn state<T: Send + Sync + 'static>(mut self, value: T) -> Self {
        self.states.insert(value);
        self
    }

    /// Runs the function. Nothing outside happens: each operation returns what is recorded, and
    /// the first one that is not recorded ends the function.
    pub async fn run<F: TaskFn<M>, M>(self, task: F) -> Result<Replayed, ReplayError>
    where
        F::Task: TaskHandler,
    {
        let _ = task;
        let history = &self.history;
        if history.task_name != F::Task::NAME {
            return Err(ReplayError::OtherTask {
                recorded: history.task_name.clone(),
                given: F::Task::NAME,
            });
        }
        let unreadable = |what: &str, error: &dyn std::fmt::Display| ReplayError::Changed {
            difference: format!("  {what}: {error}"),
        };
        let (mut context, tape) =
            Context::of_history(history).map_err(|error| unreadable("the queue", &error))?;
        let params = serde_json::from_value(history.params.clone())
            .map_err(|error| unreadable("the recorded params", &error))?;
        let ended = F::Task::call(&mut context, params, &self.states).await;
        let operations = tape.entries();
        if let Some(difference) = difference(history, &operations) {
            return Err(ReplayError::Changed { difference });
        }
        let was_stopped = operations.iter().any(|operation| !operation.is_recorded);
        let found = ended
            .map(|output| serde_json::to_value(output).unwrap_or(Value::Null))
            .map_err(|error| error.to_string());
        compare_ends(history, was_stopped, found)?;
        Ok(Replayed { operations })
    }
}

impl Replayed {
    /// The operations in the order of the function, a line each: for a snapshot.
    pub fn steps(&self) -> String {
        let recorded = self.operations.iter().filter(|step| step.is_recorded);
        recorded.fold(String::new(), |steps, step| steps + &step.name + "\n")
    }

    /// The first operation that the history doesn't know: where the task goes on.
    pub fn goes_on_with(&self) -> Option<&str> {
        let fresh = self.operations.iter().find(|step| !step.is_recorded);
        fresh.map(|step| step.name.as_str())
    }
}

/// The operations of function and history, where they are not the same.
fn difference(history: &History, operations: &[TapeEntry]) -> Option<String> {
    let reached = |name: &str| {
        // The winner of a race hides its branches; a timeout stands beside its wait.
        operations.iter().any(|operation| {
            let own = operation.name == name;
            let within = name.strip_prefix(&operation.name);
            own || within.is_some_and(|rest| rest.starts_with('/'))
                || name.strip_prefix("$timeout:") == Some(&operation.name)
        })
    };
    let missed: Vec<_> = history
        .checkpoints
        .iter()
        .filter(|step| !reached(&step.name))
        .collect();
    let is_complete = history.result.is_some();
    let fresh = operations.iter().any(|operation| !operation.is_recorded);
    if missed.is_empty() && !(fresh && is_complete) {
        return None;
    }
    let mut lines: Vec<String> = operations
        .iter()
        .map(|operation| {
            let mark = if operation.is_recorded { ' ' } else { '+' };
            format!("  {mark} {}", operation.name)
        })
        .collect();
    lines.extend(missed.iter().map(|step| format!("  - {}", step.name)));
    Some(lines.join("\n"))
}

fn compare_ends(
    history: &History,
    was_stopped: bool,
    found: Result<Value, String>,
) -> Result<(), ReplayError> {
    let Some(recorded) = &history.result else {
        // Failed, or not ended: it may go on as it likes.
        return Ok(());
    };
    match found {
        Ok(found) if found == *recorded && !was_stopped => Ok(()),
        Ok(found) => Err(ReplayError::OtherEnd {
            recorded: recorded.to_string(),
            found: found.to_string(),
        }),
        Err(error) => Err(ReplayError::OtherEnd {
            recorded: recorded.to_string(),
            found: error,
        }),
    }
}
