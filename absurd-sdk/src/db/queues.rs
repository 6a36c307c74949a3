//! The calls about queues.

use serde_json::Value;
use sqlx::Row as _;

use super::{Db, DbError, Repeat, args, calls::all, statements as sql};

/// The row of `get_queue_policy`, intervals as text.
pub(crate) struct PolicyRow {
    pub(crate) storage_mode: String,
    pub(crate) default_partition: String,
    pub(crate) partition_lookahead: String,
    pub(crate) partition_lookback: String,
    pub(crate) cleanup_ttl: String,
    pub(crate) cleanup_limit: i32,
    pub(crate) detach_mode: String,
    pub(crate) detach_min_age: String,
}

/// The row of `cleanup_all_queues`.
pub(crate) struct CleanupRow {
    pub(crate) queue_name: String,
    pub(crate) tasks_deleted: i32,
    pub(crate) events_deleted: i32,
}

impl Db {
    pub(crate) async fn create_queue(&self, queue: &str, mode: &str) -> Result<(), DbError> {
        let bind = args![queue, mode];
        self.call(None, &sql::CREATE_QUEUE, Repeat::Safe, bind)
            .await
            .map(drop)
    }

    pub(crate) async fn drop_queue(&self, queue: &str) -> Result<(), DbError> {
        let bind = args![queue];
        self.call(None, &sql::DROP_QUEUE, Repeat::Safe, bind)
            .await
            .map(drop)
    }

    pub(crate) async fn list_queues(&self) -> Result<Vec<String>, DbError> {
        let rows = self
            .call(None, &sql::LIST_QUEUES, Repeat::Safe, args![])
            .await?;
        all(&sql::LIST_QUEUES, &rows, |row| row.try_get("queue_name"))
    }

    pub(crate) async fn set_queue_policy(
        &self,
        queue: &str,
        policy: &Value,
    ) -> Result<(), DbError> {
        let bind = args![queue, policy];
        self.call(None, &sql::SET_QUEUE_POLICY, Repeat::Safe, bind)
            .await
            .map(drop)
    }

    pub(crate) async fn queue_policy(&self, queue: &str) -> Result<Option<PolicyRow>, DbError> {
        let bind = args![queue];
        let rows = self
            .call(None, &sql::GET_QUEUE_POLICY, Repeat::Safe, bind)
            .await?;
        let policies = all(&sql::GET_QUEUE_POLICY, &rows, |row| {
            Ok(PolicyRow {
                storage_mode: row.try_get("storage_mode")?,
                default_partition: row.try_get("default_partition")?,
                partition_lookahead: row.try_get("partition_lookahead")?,
                partition_lookback: row.try_get("partition_lookback")?,
                cleanup_ttl: row.try_get("cleanup_ttl")?,
                cleanup_limit: row.try_get("cleanup_limit")?,
                detach_mode: row.try_get("detach_mode")?,
                detach_min_age: row.try_get("detach_min_age")?,
            })
        })?;
        Ok(policies.into_iter().next())
    }

    pub(crate) async fn cleanup_all(
        &self,
        queue: Option<&str>,
    ) -> Result<Vec<CleanupRow>, DbError> {
        let bind = args![queue.map(str::to_owned)];
        let rows = self
            .call(None, &sql::CLEANUP_ALL, Repeat::Safe, bind)
            .await?;
        all(&sql::CLEANUP_ALL, &rows, |row| {
            Ok(CleanupRow {
                queue_name: row.try_get("queue_name")?,
                tasks_deleted: row.try_get("tasks_deleted")?,
                events_deleted: row.try_get("events_deleted")?,
            })
        })
    }
}
