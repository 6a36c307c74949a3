//! What a worker writes about the runs it holds: one enum, sent in batches.

use jiff::Timestamp;
use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::ids::{RunId, TaskId};

/// One write. `absurd.write_runs` reads exactly this JSON.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub(crate) enum Write {
    /// A step's result; moves the lease on by `extend` seconds.
    Checkpoint {
        run: RunId,
        task: TaskId,
        step: String,
        state: Value,
        extend: i32,
    },
    /// The run has ended well.
    Complete { run: RunId, result: Value },
    /// The run has ended badly. `retry_in` seconds go before the task's own policy.
    Fail {
        run: RunId,
        reason: Value,
        retry_in: Option<f64>,
        terminal: bool,
    },
    /// The run goes on: its lease ends `seconds` from now.
    Extend { run: RunId, seconds: i32 },
    /// Sleeps until a time that is computed once, by the database, and kept as the checkpoint.
    Sleep {
        run: RunId,
        task: TaskId,
        step: String,
        seconds: Option<f64>,
        #[serde(serialize_with = "rfc3339")]
        until: Option<Timestamp>,
    },
    /// Nobody here knows the task: somebody else may, later.
    Defer { run: RunId, seconds: f64 },
    /// Hands the run back without spending its attempt.
    Release { run: RunId },
    /// Spawns a task and keeps its ids as the checkpoint, in one transaction.
    Spawn {
        run: RunId,
        task: TaskId,
        step: String,
        queue: String,
        name: String,
        params: Value,
        options: Value,
    },
    /// Emits an event and keeps that as the checkpoint, in one transaction.
    Emit {
        run: RunId,
        task: TaskId,
        step: String,
        queue: String,
        event: String,
        payload: Value,
    },
}

impl Write {
    pub(crate) fn run(&self) -> RunId {
        match self {
            Self::Checkpoint { run, .. }
            | Self::Complete { run, .. }
            | Self::Fail { run, .. }
            | Self::Extend { run, .. }
            | Self::Sleep { run, .. }
            | Self::Defer { run, .. }
            | Self::Release { run }
            | Self::Spawn { run, .. }
            | Self::Emit { run, .. } => *run,
        }
    }
}

#[expect(
    clippy::ref_option,
    reason = "serde's serialize_with calls it by reference"
)]
fn rfc3339<S: Serializer>(until: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    until.map(wake_text).serialize(serializer)
}

/// A wake time as every client can read it: UTC, six digits, numeric offset.
pub(crate) fn wake_text(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S.%6f+00:00").to_string()
}

/// Reads a wake time as any of the published clients writes it.
pub(crate) fn read_wake_text(text: &str) -> Option<Timestamp> {
    text.parse().ok()
}

/// Where a run waits.
#[derive(Debug, Clone)]
pub(crate) struct Wait {
    pub(crate) run: RunId,
    pub(crate) task: TaskId,
    pub(crate) step: String,
    pub(crate) on: WaitOn,
    /// Whole seconds from now.
    pub(crate) timeout: Option<i32>,
}

/// What a run waits for.
#[derive(Debug, Clone)]
pub(crate) enum WaitOn {
    Event(String),
    Task { queue: String, task: TaskId },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wake_times_of_all_clients_are_read() {
        let expected: Timestamp = "2031-07-08T09:10:11Z".parse().expect("a timestamp");
        for text in [
            "2031-07-08T09:10:11.000Z",
            "2031-07-08T11:10:11+02:00",
            "2031-07-08T09:10:11.000000+00:00",
            "2031-07-08T09:10:11Z",
        ] {
            assert_eq!(read_wake_text(text), Some(expected), "{text}");
        }
        assert_eq!(wake_text(expected), "2031-07-08T09:10:11.000000+00:00");
    }
}
