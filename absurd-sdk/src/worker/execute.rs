//! One claimed run, from top to bottom. Nothing is called twice, nothing calls back.

use std::{future::Future, sync::Arc};

use serde_json::Value;
use tokio::time::Instant;
use tracing::Instrument as _;

use super::{Execution, Shared, outcome::Outcome, panics, report::Report};
use crate::{
    context::{Context, as_run},
    db::ClaimedRow,
    error::{Failure, TaskError, TaskResult},
    handler::Handler,
    ids::RunId,
    lease::{Lease, Loss},
    live::LiveStore,
    payload::PayloadError,
    slots::Slot,
    vault::Vault,
};

/// Takes a run to its end here: a result, a failure, a park, or back to the queue.
pub(super) fn execute(
    shared: Arc<Shared>,
    row: ClaimedRow,
    lease: Lease,
    asked: Instant,
    mut slot: Slot,
) -> impl Future<Output = RunId> {
    let span = tracing::info_span!(
        parent: None, "run",
        task = %row.task_name, task_id = %row.task_id, run_id = %row.run_id, attempt = row.attempt,
    );
    let work = async move {
        slot.begin();
        let run_id = row.run_id;
        let report = Report::of(&row, &lease);
        let outcome = match shared.registry.get(&row.task_name) {
            None => Outcome::Unknown,
            Some(handler) => match wrong_queue(handler, &shared) {
                Some(failure) => Outcome::of_failure(failure),
                None => run(&shared, handler, row, lease, asked).await,
            },
        };
        drop(slot);
        report.send(&shared, outcome).await;
        run_id
    };
    work.instrument(span)
}

async fn run(
    shared: &Arc<Shared>,
    handler: &Handler,
    row: ClaimedRow,
    lease: Lease,
    asked: Instant,
) -> Outcome {
    tracing::info!("Processing task");
    let store = LiveStore {
        db: shared.client.db().clone(),
        writer: shared.writer.clone(),
        lease: lease.clone(),
        queue: shared.client.queue().clone(),
        worker: shared.plan.worker_id.clone(),
        vault: shared.client.vault().clone(),
    };
    let client = shared.client.clone();
    let timeout = row.timeout;
    let (params, mut context) = Context::of(row, client, Arc::new(store), lease.clone(), asked);
    if !shared.plan.compare_replays {
        context.forget_path();
    }
    let info = context.shared_info();
    let executed = {
        let call: Execution<'_> = Box::pin(async {
            let params = context.open_claimed(params).await?;
            handler.call(&mut context, params, &shared.states).await
        });
        let call = match &shared.plan.wrap {
            Some(wrap) => wrap(&info, call),
            None => call,
        };
        // Boxed, like the ones inside of it: each future around it would hold it twice.
        let call: Execution<'_> = Box::pin(sealed(shared.client.vault(), &info.task_name, call));
        let call = lease.guard(panics::caught(as_run(Arc::clone(&info), call)));
        match timeout {
            None => Some(call.await),
            // What can't be dropped because it never waits is left to the end of its lease.
            Some(timeout) => {
                lease.renewable_for(timeout);
                tokio::time::timeout(timeout, call).await.ok()
            }
        }
    };
    let outcome = match (executed, timeout, context.ended()) {
        (None, Some(timeout), None) => Outcome::timed_out(timeout),
        (None, _, ended) => Outcome::of(Err(Loss::Expired), ended),
        (Some(executed), _, ended) => Outcome::of(executed.map(|e| judged(shared, e)), ended),
    };
    outcome.in_step(context.step_at_end())
}

/// Seals the result. A failure is stored plainly, so it must not quote what a codec hides.
async fn sealed(vault: &Vault, task: &str, call: Execution<'_>) -> TaskResult<Value> {
    match call.await {
        Ok(result) => {
            let what = || format!("the result of task `{task}`");
            Ok(vault.seal(what, result).await?)
        }
        Err(error) if vault.is_secret() => {
            let quoting = error.downcast_ref::<PayloadError>();
            let quiet = quoting.and_then(PayloadError::without_value);
            Err(quiet.map_or(error, TaskError::from))
        }
        Err(error) => Err(error),
    }
}

/// Marks errors as terminal that the worker knows as such.
fn judged<T>(
    shared: &Shared,
    executed: Result<TaskResult<T>, Failure>,
) -> Result<TaskResult<T>, Failure> {
    executed.map(|result| {
        result.map_err(|error| match &shared.plan.terminal_when {
            Some(is_terminal) if is_terminal(&error) => TaskError::terminal(error),
            _ => error,
        })
    })
}

/// A task that belongs to another queue is not run here, wherever it was spawned.
fn wrong_queue(handler: &Handler, shared: &Shared) -> Option<Failure> {
    let own = handler.defaults.queue?;
    let here = shared.client.queue().as_str();
    (own != here).then(|| {
        let message = format!("queue mismatch: the task belongs to `{own}`, this is `{here}`");
        TaskError::msg(message).failure()
    })
}
