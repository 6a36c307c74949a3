//! Replays of a recorded history, without a database.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use tokio::time::Instant;
use uuid::Uuid;

use super::{Context, DetachedContext, RunInfo};
use crate::{
    client::History,
    error::{Interrupt, TaskError},
    ids::{InvalidName, QueueName, RunId},
    lease::Lease,
    names,
};

/// The operations that a replay has come to, in their order. For the test kit.
#[doc(hidden)]
#[derive(Debug, Clone, Default)]
pub struct Tape(Arc<Mutex<Vec<TapeEntry>>>);

/// One operation of a replay.
#[doc(hidden)]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TapeEntry {
    /// Its concrete name.
    pub name: String,
    /// Whether the history knows it.
    pub is_recorded: bool,
}

impl Tape {
    /// What was noted so far.
    pub fn entries(&self) -> Vec<TapeEntry> {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<TapeEntry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Context {
    /// A context that knows a history and nothing else: the first operation that the history
    /// doesn't know ends the function, as a park does, so no step ever runs.
    #[doc(hidden)]
    pub fn of_history(history: &History) -> Result<(Self, Tape), InvalidName> {
        let info = RunInfo {
            task_id: history.task_id,
            run_id: history.run_id.unwrap_or(RunId(Uuid::nil())),
            attempt: history.attempt,
            max_attempts: history.max_attempts,
            task_name: history.task_name.clone(),
            queue: QueueName::new(&history.queue)?,
            headers: history.headers.clone(),
        };
        let now = Instant::now();
        let lease = Lease::new(now, Duration::from_hours(24));
        let store = DetachedContext::default().into_store();
        // Sleeps are over at any time that is late enough.
        let mut context = Self::new(info, store, lease, (Timestamp::MAX, now));
        let steps = history.checkpoints.iter();
        context
            .checkpoints
            .extend(steps.map(|step| (step.name.clone(), step.state.clone(), step.place)));
        let tape = Tape::default();
        context.tape = Some(tape.clone());
        Ok((context, tape))
    }

    /// Notes an operation on the tape, if there is one; the first fresh one ends the replay.
    pub(super) fn note_on_tape(&mut self, name: &str) -> Result<(), TaskError> {
        let Some(tape) = &self.tape else {
            return Ok(());
        };
        let is_recorded = [name, &names::timeout(name)]
            .iter()
            .any(|name| self.checkpoints.get(name).is_some());
        tape.lock().push(TapeEntry {
            name: name.to_owned(),
            is_recorded,
        });
        if is_recorded {
            return Ok(());
        }
        Err(self.interrupt(Interrupt::Parked))
    }
}
