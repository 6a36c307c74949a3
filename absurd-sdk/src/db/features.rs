//! What the database at hand can do. Asked once per client, as soon as a call needs it.

use sqlx::Row as _;

use super::{Db, DbError, Repeat, args, statements};

/// Which additive functions exist. On upstream's schema none of them does, and the
/// contract's own functions are called instead.
#[expect(
    clippy::struct_excessive_bools,
    reason = "one for each function that may be missing"
)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Features {
    /// `absurd.claim_runs`: checkpoints ride on the claim.
    pub(crate) claim_runs: bool,
    /// `absurd.write_runs`: writes in batches, fenced by the worker's id.
    pub(crate) write_runs: bool,
    /// `absurd.wait_for_event` and `absurd.wait_for_task`.
    pub(crate) waits: bool,
    /// `absurd.watch_task_result`, and notifications.
    pub(crate) watch: bool,
    /// `absurd.spawn_tasks`.
    pub(crate) spawn_tasks: bool,
    /// `absurd.list_tasks` and the other read models.
    pub(crate) read_models: bool,
    /// `absurd.wait_for_any` and all else that the contract has no word for.
    pub(crate) extras: bool,
}

impl Db {
    /// The database's features, if somebody has asked before.
    pub(crate) fn known_features(&self) -> Option<Features> {
        self.features.get().copied()
    }

    /// The database's features; `None` while it holds no Absurd schema at all.
    pub(crate) async fn features(&self) -> Result<Option<Features>, DbError> {
        if let Some(features) = self.known_features() {
            return Ok(Some(features));
        }
        let rows = self
            .call(None, &statements::FEATURES, Repeat::Safe, args![])
            .await?;
        let read = || -> Result<Option<Features>, sqlx::Error> {
            let Some(row) = rows.first() else {
                return Ok(None);
            };
            if !row.try_get::<bool, _>("has_schema")? {
                return Ok(None);
            }
            Ok(Some(Features {
                claim_runs: row.try_get("claim_runs")?,
                write_runs: row.try_get("write_runs")?,
                waits: row.try_get("waits")?,
                watch: row.try_get("watch")?,
                spawn_tasks: row.try_get("spawn_tasks")?,
                read_models: row.try_get("read_models")?,
                extras: row.try_get("extras")?,
            }))
        };
        let features = read().map_err(|error| DbError::new(statements::FEATURES.name, error))?;
        if let Some(features) = features {
            // Another caller may have been first; both read the same.
            let _ = self.features.set(features);
        }
        Ok(features)
    }
}
