//! Queues and their policies.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::Client;
use crate::{
    db::{CleanupRow, PolicyRow},
    error::Error,
    ids::QueueName,
};

/// How a queue's tables are stored. It can't be changed later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StorageMode {
    /// Five ordinary tables.
    #[default]
    Unpartitioned,
    /// Tables partitioned by week, for queues whose history is dropped a week at a time.
    Partitioned,
}

impl StorageMode {
    /// The word that the database uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unpartitioned => "unpartitioned",
            Self::Partitioned => "partitioned",
        }
    }
}

/// How to create a queue, and the first policy it gets.
#[derive(Debug, Clone, Default)]
pub struct QueueOptions {
    /// How its tables are stored.
    pub storage_mode: StorageMode,
    /// Fields of its policy that differ from the defaults.
    pub policy: QueuePolicy,
}

/// A queue's policy. When setting one, only the fields that are given change.
///
/// Intervals are text as PostgreSQL reads and prints them, for example `30 days`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueuePolicy {
    /// Partitioned queues only: `enabled` or `disabled`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_partition: Option<String>,
    /// How far ahead weekly partitions are made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition_lookahead: Option<String>,
    /// How far back weekly partitions are made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition_lookback: Option<String>,
    /// Finished tasks and old events older than this are cleaned up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cleanup_ttl: Option<String>,
    /// How many tasks and events one clean-up deletes at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cleanup_limit: Option<i32>,
    /// `none` or `empty`: whether empty old partitions are detached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detach_mode: Option<String>,
    /// How old they must be for that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detach_min_age: Option<String>,
}

impl QueuePolicy {
    fn to_json(&self) -> Map<String, Value> {
        let fields = [
            (
                "default_partition",
                self.default_partition.clone().map(Value::from),
            ),
            (
                "partition_lookahead",
                self.partition_lookahead.clone().map(Value::from),
            ),
            (
                "partition_lookback",
                self.partition_lookback.clone().map(Value::from),
            ),
            ("cleanup_ttl", self.cleanup_ttl.clone().map(Value::from)),
            (
                "cleanup_limit",
                self.cleanup_limit.map(|limit| json!(limit)),
            ),
            ("detach_mode", self.detach_mode.clone().map(Value::from)),
            (
                "detach_min_age",
                self.detach_min_age.clone().map(Value::from),
            ),
        ];
        let given = fields
            .into_iter()
            .filter_map(|(name, value)| Some((name.into(), value?)));
        given.collect()
    }
}

impl From<PolicyRow> for QueuePolicy {
    fn from(row: PolicyRow) -> Self {
        Self {
            default_partition: Some(row.default_partition),
            partition_lookahead: Some(row.partition_lookahead),
            partition_lookback: Some(row.partition_lookback),
            cleanup_ttl: Some(row.cleanup_ttl),
            cleanup_limit: Some(row.cleanup_limit),
            detach_mode: Some(row.detach_mode),
            detach_min_age: Some(row.detach_min_age),
        }
    }
}

/// What one batch of clean-up deleted in a queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CleanedUp {
    /// The queue.
    pub queue: String,
    /// Finished tasks, with their runs and checkpoints.
    pub tasks: i32,
    /// Events.
    pub events: i32,
}

impl From<CleanupRow> for CleanedUp {
    fn from(row: CleanupRow) -> Self {
        Self {
            queue: row.queue_name,
            tasks: row.tasks_deleted,
            events: row.events_deleted,
        }
    }
}

impl Client {
    /// Creates the client's queue. A queue that exists stays as it is.
    pub async fn create_queue(&self) -> Result<(), Error> {
        self.create_queue_with(&QueueOptions::default()).await
    }

    /// Creates the client's queue with options. Asking for another storage mode than an
    /// existing queue has is an error.
    pub async fn create_queue_with(&self, options: &QueueOptions) -> Result<(), Error> {
        let mode = options.storage_mode.as_str();
        let created = self.db().create_queue(self.queue().as_str(), mode).await;
        created.map_err(|error| Error::from_db(error, self.queue().as_str()))?;
        self.set_queue_policy(&options.policy).await
    }

    /// Changes the given fields of the queue's policy.
    pub async fn set_queue_policy(&self, policy: &QueuePolicy) -> Result<(), Error> {
        let policy = policy.to_json();
        if policy.is_empty() {
            return Ok(());
        }
        let queue = self.queue().as_str();
        let set = self
            .db()
            .set_queue_policy(queue, &Value::Object(policy))
            .await;
        set.map_err(|error| Error::from_db(error, queue))
    }

    /// The queue's policy; `None` when there is no such queue.
    pub async fn queue_policy(&self) -> Result<Option<(StorageMode, QueuePolicy)>, Error> {
        let queue = self.queue().as_str();
        let row = self.db().queue_policy(queue).await;
        let row = row.map_err(|error| Error::from_db(error, queue))?;
        Ok(row.map(|row| {
            let partitioned = row.storage_mode == StorageMode::Partitioned.as_str();
            let mode = if partitioned {
                StorageMode::Partitioned
            } else {
                StorageMode::Unpartitioned
            };
            (mode, row.into())
        }))
    }

    /// Drops the queue with all its tasks and events.
    pub async fn drop_queue(&self) -> Result<(), Error> {
        let queue = self.queue().as_str();
        self.db()
            .drop_queue(queue)
            .await
            .map_err(|error| Error::from_db(error, queue))
    }

    /// All queues of the database, by name.
    pub async fn list_queues(&self) -> Result<Vec<QueueName>, Error> {
        let names = self.db().list_queues().await;
        let names = names.map_err(|error| Error::from_db(error, self.queue().as_str()))?;
        Ok(names
            .into_iter()
            .map(QueueName::new)
            .collect::<Result<_, _>>()?)
    }

    /// Deletes one batch of old tasks and events, as the queues' policies say; in all
    /// queues, or in the client's.
    pub async fn clean_up(&self, all_queues: bool) -> Result<Vec<CleanedUp>, Error> {
        let queue = (!all_queues).then(|| self.queue().as_str());
        let rows = self.db().cleanup_all(queue).await;
        let rows = rows.map_err(|error| Error::from_db(error, self.queue().as_str()))?;
        Ok(rows.into_iter().map(CleanedUp::from).collect())
    }
}
