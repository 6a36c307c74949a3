//! When claims were sent and answered, for workloads that ask where a start's time goes.

use std::sync::{Arc, Mutex, PoisonError};

use absurd_sdk::observe::StatementObserver;
use tokio::time::Instant;

use crate::meter::Sent;

/// Notes when claims were sent and answered. A worker never has two under way.
#[derive(Debug, Default)]
pub(super) struct Claims {
    /// All statements.
    pub(super) sent: Arc<Sent>,
    moments: Mutex<Vec<(Instant, Option<Instant>)>>,
}

impl Claims {
    /// When the last claim was sent and answered that was answered by then.
    pub(super) fn last_before(&self, moment: Instant) -> Option<(Instant, Instant)> {
        let claims = self.moments.lock().unwrap_or_else(PoisonError::into_inner);
        claims.iter().rev().find_map(|(sent, answered)| {
            let answered = (*answered)?;
            (answered <= moment).then_some((*sent, answered))
        })
    }
}

impl StatementObserver for Claims {
    fn before(&self, statement: &'static str) {
        self.sent.before(statement);
        if statement == "claim_runs" {
            let mut claims = self.moments.lock().unwrap_or_else(PoisonError::into_inner);
            claims.push((Instant::now(), None));
        }
    }

    fn after(&self, statement: &'static str) {
        if statement == "claim_runs" {
            let mut claims = self.moments.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((_, answered)) = claims.last_mut() {
                *answered = Some(Instant::now());
            }
        }
    }
}
