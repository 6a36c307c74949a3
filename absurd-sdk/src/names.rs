//! The names of checkpoints that operations make up for themselves. Those of event and
//! result waits are shared with every other client; the others are ours alone.

use crate::ids::TaskId;

pub(crate) fn await_event(event: &str) -> String {
    format!("$awaitEvent:{event}")
}

pub(crate) fn await_task(task: TaskId) -> String {
    format!("$awaitTaskResult:{task}")
}

pub(crate) const TIMEOUT: &str = "$timeout:";

/// Says that the wait of this name has timed out: a replay must not wait again. It can't
/// stand under the wait's own name, where other clients would read it as the payload.
pub(crate) fn timeout(step: &str) -> String {
    format!("{TIMEOUT}{step}")
}

pub(crate) fn emit_event(event: &str) -> String {
    format!("$emitEvent:{event}")
}

pub(crate) fn spawn(task_name: &str) -> String {
    format!("$spawn:{task_name}")
}

/// The header that says which version of the code spawned a task.
pub(crate) const VERSION_HEADER: &str = "task-version";

/// Says that a task does what a change of the code brought.
pub(crate) fn patched(change: &str) -> String {
    format!("$patched:{change}")
}

/// The registration of a task that undoes this one's work. `spawn_compensations` looks for it.
pub(crate) fn rollback(task_name: &str) -> String {
    format!("$rollback:{task_name}")
}

pub(crate) const ATTRIBUTES: &str = "$attributes";
pub(crate) const NOW: &str = "$now";

/// When a wait on upstream's schema gives up.
pub(crate) fn deadline(step: &str) -> String {
    format!("$deadline:{step}")
}
