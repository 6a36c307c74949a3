//! What a worker writes about the runs it holds: one enum, sent in batches.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};
use sqlx::{error::BoxDynError, postgres::PgArguments, types::Json};
use uuid::Uuid;

use super::args;
use crate::ids::{RunId, TaskId};

/// One write. `absurd.write_runs` reads exactly this JSON.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub(crate) enum Write {
    /// A step's result; moves the lease on by `extend` seconds. `place`, here and below: how many
    /// operations the function had begun when it reached this one.
    Checkpoint {
        run: RunId,
        task: TaskId,
        step: String,
        place: Option<i32>,
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
        place: Option<i32>,
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
        place: Option<i32>,
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
        place: Option<i32>,
        queue: String,
        event: String,
        payload: Value,
    },
    /// Registers the task that undoes this one's work.
    Compensate {
        run: RunId,
        step: String,
        place: Option<i32>,
        state: Value,
    },
    /// Sets attributes of the task, and keeps that as the checkpoint.
    Attributes {
        run: RunId,
        step: String,
        place: Option<i32>,
        attributes: Value,
    },
    /// How far the run has come. Nobody waits for the answer.
    Progress {
        run: RunId,
        fraction: f64,
        message: Option<String>,
    },
    /// Log lines of a step. Nobody waits for the answer.
    Log {
        run: RunId,
        step: String,
        lines: Vec<Line>,
    },
}

/// One line of a log.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Line {
    pub(crate) level: &'static str,
    pub(crate) message: String,
}

impl Write {
    /// Whether it can go with many others: see [`PlainWrites`].
    pub(crate) fn is_plain(&self) -> bool {
        matches!(
            self,
            Self::Checkpoint { .. } | Self::Complete { .. } | Self::Extend { .. }
        )
    }

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
            | Self::Emit { run, .. }
            | Self::Compensate { run, .. }
            | Self::Attributes { run, .. }
            | Self::Progress { run, .. }
            | Self::Log { run, .. } => *run,
        }
    }
}

/// A checkpoint that goes alone and moves no lease on: what a task that is alone writes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SingleCheckpoint<'a> {
    pub(crate) task: TaskId,
    pub(crate) run: RunId,
    pub(crate) step: &'a str,
    pub(crate) state: &'a Value,
    pub(crate) place: Option<i32>,
}

impl<'a> SingleCheckpoint<'a> {
    pub(crate) fn of(write: &'a Write) -> Option<Self> {
        let Write::Checkpoint {
            run,
            task,
            step,
            place,
            state,
            extend: ..=0,
        } = write
        else {
            return None;
        };
        Some(Self {
            task: *task,
            run: *run,
            step,
            state,
            place: *place,
        })
    }
}

/// Writes that a queue's own function takes as lists, in one statement for each kind.
#[derive(Debug, Default)]
pub(crate) struct PlainWrites<'a> {
    held: BTreeSet<RunId>,
    tasks: Vec<Uuid>,
    runs: Vec<Uuid>,
    steps: Vec<&'a str>,
    states: Vec<Json<&'a Value>>,
    places: Vec<Option<i32>>,
    ended: Vec<Uuid>,
    results: Vec<Json<&'a Value>>,
    renewed: Vec<Uuid>,
    seconds: Vec<i32>,
}

impl<'a> PlainWrites<'a> {
    /// Adds a write. One that [is not plain](Write::is_plain) has no list here.
    pub(crate) fn add(&mut self, write: &'a Write) {
        self.held.insert(write.run());
        match write {
            Write::Checkpoint {
                run,
                task,
                step,
                place,
                state,
                extend,
            } => {
                self.tasks.push(task.0);
                self.runs.push(run.0);
                self.steps.push(step);
                self.states.push(Json(state));
                self.places.push(*place);
                if *extend > 0 {
                    self.renew(*run, *extend);
                }
            }
            Write::Complete { run, result } => {
                self.ended.push(run.0);
                self.results.push(Json(result));
            }
            Write::Extend { run, seconds } => self.renew(*run, *seconds),
            _ => {}
        }
    }

    fn renew(&mut self, run: RunId, seconds: i32) {
        self.renewed.push(run.0);
        self.seconds.push(seconds);
    }

    pub(crate) fn bind(&self, worker: &str) -> Result<PgArguments, BoxDynError> {
        let held: Vec<Uuid> = self.held.iter().map(|run| run.0).collect();
        args![
            worker,
            &held,
            &self.tasks,
            &self.runs,
            &self.steps,
            &self.states,
            &self.places,
            &self.ended,
            &self.results,
            &self.renewed,
            &self.seconds,
        ]()
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
    Task {
        queue: String,
        task: TaskId,
    },
    /// A time, that many seconds from now or at that moment; only among other waits.
    Time {
        seconds: Option<f64>,
        until: Option<Timestamp>,
    },
}

impl Wait {
    /// One of several waits, as `absurd.wait_for_any` reads it.
    pub(crate) fn to_json(&self, place: usize) -> Value {
        let mut json = json!({ "place": place, "step": self.step });
        let fields = match &self.on {
            WaitOn::Event(event) => json!({ "event": event, "timeout": self.timeout }),
            WaitOn::Task { queue, task } => {
                json!({ "queue": queue, "task": task, "timeout": self.timeout })
            }
            WaitOn::Time { seconds, until } => {
                json!({ "seconds": seconds, "until": until.map(wake_text) })
            }
        };
        if let (Value::Object(json), Value::Object(fields)) = (&mut json, fields) {
            json.extend(fields);
        }
        json
    }
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
