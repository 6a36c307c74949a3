//! One claimed run, from top to bottom. Nothing is called twice, nothing calls back.

use std::sync::Arc;

use tokio::time::Instant;
use tracing::Instrument as _;

use super::{Shared, outcome::Outcome, panics, report::Report};
use crate::{
    context::{Context, as_run},
    db::ClaimedRow,
    error::{Failure, TaskError},
    handler::Handler,
    lease::Lease,
    writer::LiveStore,
};

/// Takes a run to its end here: a result, a failure, a park, or back to the queue.
pub(super) async fn execute(shared: Arc<Shared>, row: ClaimedRow, lease: Lease, asked: Instant) {
    let span = tracing::info_span!(
        "run",
        task = %row.task_name, task_id = %row.task_id, run_id = %row.run_id, attempt = row.attempt,
    );
    let work = async {
        let report = Report::of(&row, &lease);
        let outcome = match shared.registry.get(&row.task_name) {
            None => Outcome::Unknown,
            Some(handler) => match wrong_queue(handler, &shared) {
                Some(failure) => Outcome::Failed {
                    failure,
                    terminal: false,
                },
                None => run(&shared, handler, row, lease, asked).await,
            },
        };
        report.send(&shared, outcome).await;
    };
    work.instrument(span).await;
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
    };
    let client = shared.client.clone();
    let (params, mut context) = Context::of(row, client, Arc::new(store), lease.clone(), asked);
    let info = context.info().clone();
    let executed = {
        let call = handler.call(&mut context, params, &shared.states);
        let call = match &shared.plan.wrap {
            Some(wrap) => wrap(&info, call),
            None => call,
        };
        lease
            .guard(panics::caught(as_run(info.clone(), call)))
            .await
    };
    Outcome::of(executed, context.ended())
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
