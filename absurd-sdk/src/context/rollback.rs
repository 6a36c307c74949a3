//! Compensations: tasks that undo what a task has done, when it fails for good.

use serde_json::json;

use super::Context;
use crate::{
    client::SpawnOptions,
    db::writes::Write,
    error::TaskError,
    names,
    payload::encode,
    task::{ParamsOf, TaskDef as _, TaskFn},
};

impl Context {
    /// Registers a task that undoes what follows. When this task fails for good or is
    /// cancelled, all that it has registered are spawned, the last one first, each after the end
    /// of the one before; a worker need not live for that.
    ///
    /// Register before the step that is to be undone, and let the compensation bear that there
    /// is nothing to undo: the task may end in between. In branches of `join` and `map`
    /// compensations are undone in the order of their registration's time.
    pub async fn on_rollback<F: TaskFn<M>, M>(
        &mut self,
        task: F,
        params: ParamsOf<F, M>,
    ) -> Result<(), TaskError> {
        let _ = task;
        let name = F::Task::NAME;
        let params = encode(|| format!("the params of task `{name}`"), &params)?;
        let options = SpawnOptions::with_defaults(F::Task::defaults());
        let prepared = self.prepare_spawn(name, options)?;
        let state = json!({
            "queue": prepared.queue.as_str(), "name": name, "params": params,
            "options": prepared.options,
        });
        let kept = state.clone();
        self.write_once(&names::rollback(name), kept, |run, step, place| {
            Write::Compensate {
                run,
                step,
                place,
                state,
            }
        })
        .await
    }
}
