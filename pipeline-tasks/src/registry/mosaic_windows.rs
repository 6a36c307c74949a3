//! Which groups can be put together, and for which windows of them that was asked.

use absurd_sdk::TaskId;
use sqlx::PgConnection;

use super::{
    error::RegistryError,
    product::{column, group_of},
};
use crate::{
    model::{GroupId, Seconds},
    science::Window,
};

/// A group that was imaged.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FinishedGroup {
    /// The group.
    pub group: GroupId,
    /// Whether its image is still there.
    pub is_present: bool,
    /// How long ago the image was registered for the first time, by the database's clock.
    pub age: Seconds,
}

/// All groups that ever were imaged, by time. Those whose images are deleted are told as well:
/// windows begin at the first group after a gap, and must not begin elsewhere when old images go.
pub async fn finished_groups(
    connection: &mut PgConnection,
) -> Result<Vec<FinishedGroup>, RegistryError> {
    let statement = "
        select group_id, bool_or(state = 'present') as is_present,
            extract(epoch from now() - min(created_at))::float8 as age_seconds
        from pipeline.products
        where kind = 'image' and state <> 'moved' and group_id is not null
        group by group_id order by group_id";
    let rows = sqlx::query(statement)
        .fetch_all(connection)
        .await
        .map_err(RegistryError::database("a look for finished groups"))?;
    let finished = rows.iter().map(|row| {
        let group: String = column(row, "group_id")?;
        Ok(FinishedGroup {
            group: group_of(&group)?,
            is_present: column(row, "is_present")?,
            age: Seconds(column(row, "age_seconds")?),
        })
    });
    finished.collect()
}

/// A window's name: its groups.
pub(crate) fn window_name(window: &Window) -> String {
    let groups: Vec<String> = window.groups.iter().map(GroupId::to_string).collect();
    groups.join(",")
}

/// Keeps others from submitting windows until the transaction ends.
pub async fn claim_windows(connection: &mut PgConnection) -> Result<(), RegistryError> {
    sqlx::query("lock table pipeline.mosaic_windows in share row exclusive mode")
        .execute(connection)
        .await
        .map_err(RegistryError::database("the lock of the windows"))?;
    Ok(())
}

/// Whether a mosaic of these groups was asked for before.
pub async fn is_window_submitted(
    connection: &mut PgConnection,
    window: &Window,
) -> Result<bool, RegistryError> {
    sqlx::query_scalar("select exists (select from pipeline.mosaic_windows where groups = $1)")
        .bind(window_name(window))
        .fetch_one(connection)
        .await
        .map_err(RegistryError::database("a look for a window"))
}

/// Notes that a task was asked for the mosaic of a window. A window that is noted stays as it is.
pub async fn record_window(
    connection: &mut PgConnection,
    window: &Window,
    task: TaskId,
) -> Result<(), RegistryError> {
    let statement = "
        insert into pipeline.mosaic_windows (groups, is_complete, task_id)
        values ($1, $2, $3::uuid) on conflict do nothing";
    sqlx::query(statement)
        .bind(window_name(window))
        .bind(window.complete)
        .bind(task.to_string())
        .execute(connection)
        .await
        .map_err(RegistryError::database("a window"))?;
    Ok(())
}
