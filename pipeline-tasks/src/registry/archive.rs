//! Tasks that ended long ago.

use serde::{Deserialize, Serialize};
use sqlx::PgConnection;

use super::{error::RegistryError, product::column};

/// What one batch took away.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Archived {
    /// Tasks, which are in `pipeline.tasks_archive` now.
    pub tasks: u64,
    /// Events, which are gone.
    pub events: u64,
}

/// Moves one batch of a queue's tasks that ended so many days ago, by the engine's clock, from the
/// engine into the archive, and deletes events of that age. Nobody sees a task in both places or
/// in none. Tasks that somebody holds are left for the next time.
pub async fn archive_tasks(
    connection: &mut PgConnection,
    queue: &str,
    days: u32,
) -> Result<Archived, RegistryError> {
    let row = sqlx::query("select tasks, events from pipeline.archive_tasks($1, $2)")
        .bind(queue)
        .bind(i64::from(days))
        .fetch_one(connection)
        .await
        .map_err(RegistryError::database("the archive of tasks"))?;
    let (tasks, events): (i32, i32) = (column(&row, "tasks")?, column(&row, "events")?);
    Ok(Archived {
        tasks: u64::try_from(tasks).unwrap_or_default(),
        events: u64::try_from(events).unwrap_or_default(),
    })
}
