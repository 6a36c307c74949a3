//! The six states of tasks and runs: the one place in Rust that knows their words.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The state of a task, or of one of its runs.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum TaskState {
    /// Waits for a worker.
    Pending,
    /// A worker holds it under a lease.
    Running,
    /// Parked until a time or an event, or until its next attempt is due.
    Sleeping,
    /// Ended with a result.
    Completed,
    /// Ended without: no attempt is left.
    Failed,
    /// Ended by request or by policy.
    Cancelled,
}

/// Runs know the same states as tasks.
pub type RunState = TaskState;

impl TaskState {
    /// All states, in the order of a task's life.
    pub const ALL: [Self; 6] = [
        Self::Pending,
        Self::Running,
        Self::Sleeping,
        Self::Completed,
        Self::Failed,
        Self::Cancelled,
    ];

    /// The word that the database and the wire use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Sleeping => "sleeping",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether nothing will ever happen to it again by itself.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }
}

impl fmt::Display for TaskState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that names no state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no task state; known are pending, running, sleeping, completed, failed, cancelled"
)]
pub struct UnknownState(pub String);

impl FromStr for TaskState {
    type Err = UnknownState;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == word)
            .ok_or_else(|| UnknownState(word.to_owned()))
    }
}
