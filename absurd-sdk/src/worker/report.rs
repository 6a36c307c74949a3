//! The end of a run on its way into the database: the only place that writes it.

use serde_json::json;

use super::{Shared, outcome::Outcome};
use crate::{
    db::{ClaimedRow, writes::Write},
    ids::RunId,
    lease::Lease,
    store::Refusal,
};

/// A run of a task that nobody here knows comes back after this time, and up to as much
/// again by its id, so that a fleet in the middle of a deploy doesn't ask in step.
const DEFER_SECONDS: u32 = 15;

/// Ids only: the run itself moves on.
pub(super) struct Report {
    run: RunId,
    lease: Lease,
}

impl Report {
    pub(super) fn of(row: &ClaimedRow, lease: &Lease) -> Self {
        Self {
            run: row.run_id,
            lease: lease.clone(),
        }
    }

    /// Writes the end, once; the writer tries again until the lease is over, and after
    /// that the run is claimed anew and goes on from its last checkpoint.
    pub(super) async fn send(self, shared: &Shared, outcome: Outcome) {
        let run = self.run;
        let write = match outcome {
            Outcome::Parked | Outcome::Gone => return,
            Outcome::Completed(result) => Write::Complete { run, result },
            Outcome::Released => Write::Release { run },
            Outcome::Unknown => {
                tracing::warn!("no task of this name here, leaving it to other workers");
                Write::Defer {
                    run,
                    seconds: defer_seconds(run),
                }
            }
            Outcome::Failed {
                failure,
                terminal,
                retry_after,
            } => {
                tracing::error!(%failure, terminal, "the attempt has failed");
                Write::Fail {
                    run,
                    reason: json!(failure),
                    retry_in: retry_after.map(|delay| delay.as_secs_f64()),
                    terminal,
                }
            }
        };
        self.lease.end_is_on_its_way();
        let written = shared.writer.write(write, &self.lease).await;
        let Err(Refusal::Database(error)) = written else {
            return;
        };
        tracing::error!(%error, "the end of the run was refused");
        let reason = json!({ "name": "Report", "message": error.to_string(), "stack": null });
        let fail = Write::Fail {
            run,
            reason,
            retry_in: None,
            terminal: false,
        };
        // Refused as well: the lease runs out, and the run is claimed anew.
        let _ = shared.writer.write(fail, &self.lease).await;
    }
}

fn defer_seconds(run: RunId) -> f64 {
    let spread = run.0.as_bytes()[15] % 16;
    f64::from(DEFER_SECONDS + u32::from(spread))
}
