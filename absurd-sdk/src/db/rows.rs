//! Rows as the calls return them. Columns are read by name; extra columns are ignored.

use std::{collections::HashMap, time::Duration};

use jiff::Timestamp;
use serde_json::{Map, Value};
use sqlx::{Row as _, postgres::PgRow};

use super::Timestamptz;
use crate::{
    ids::{RunId, TaskId},
    state::{TaskState, UnknownState},
};

/// A run that this worker has claimed, with all that its execution needs.
#[derive(Debug)]
pub(crate) struct ClaimedRow {
    pub(crate) run_id: RunId,
    pub(crate) task_id: TaskId,
    pub(crate) attempt: i32,
    pub(crate) max_attempts: Option<i32>,
    pub(crate) task_name: String,
    pub(crate) params: Value,
    pub(crate) headers: Map<String, Value>,
    pub(crate) claimed_at: Option<Timestamp>,
    pub(crate) checkpoints: HashMap<String, Value>,
    /// Not all checkpoints came along: read them before the first operation.
    pub(crate) more_checkpoints: bool,
    /// The places of those checkpoints that have one.
    pub(crate) places: HashMap<String, i32>,
    /// How long an execution may take.
    pub(crate) timeout: Option<Duration>,
}

impl ClaimedRow {
    /// `with_checkpoints`: the row is of our own claim, which brings them.
    pub(super) fn read(row: &PgRow, with_checkpoints: bool) -> Result<Self, sqlx::Error> {
        let headers = row.try_get::<Option<Value>, _>("headers")?;
        let (mut places, mut timeout) = (HashMap::new(), None);
        let (checkpoints, more_checkpoints) = if with_checkpoints {
            let stored: Option<Value> = row.try_get("checkpoints")?;
            for (name, place) in object(row.try_get("places")?) {
                let place = place.as_i64().and_then(|place| i32::try_from(place).ok());
                places.extend(place.map(|place| (name, place)));
            }
            let policy: Option<Value> = row.try_get("policy")?;
            timeout = policy
                .and_then(|policy| policy.get("timeout")?.as_f64())
                .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
            (
                object(stored).into_iter().collect(),
                row.try_get("more_checkpoints")?,
            )
        } else {
            (HashMap::new(), true)
        };
        Ok(Self {
            run_id: RunId(row.try_get("run_id")?),
            task_id: TaskId(row.try_get("task_id")?),
            attempt: row.try_get("attempt")?,
            max_attempts: row.try_get("max_attempts")?,
            task_name: row.try_get("task_name")?,
            params: row.try_get("params")?,
            headers: object(headers),
            claimed_at: row.try_get::<Timestamptz, _>("claimed_at")?.finite(),
            checkpoints,
            more_checkpoints,
            places,
            timeout,
        })
    }
}

/// SQL NULL and JSON null are both "none".
fn object(value: Option<Value>) -> Map<String, Value> {
    match value {
        Some(Value::Object(map)) => map,
        _ => Map::new(),
    }
}

/// A task's state and, once it has ended, how.
#[derive(Debug)]
pub(crate) struct ResultRow {
    pub(crate) state: String,
    pub(crate) result: Option<Value>,
    pub(crate) failure_reason: Option<Value>,
}

impl ResultRow {
    pub(super) fn read(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            state: row.try_get("state")?,
            result: row.try_get("result")?,
            failure_reason: row.try_get("failure_reason")?,
        })
    }
}

/// What became of one item of a batch.
#[derive(Debug)]
pub(crate) struct WriteRow {
    pub(crate) item: i32,
    pub(crate) code: Option<String>,
    pub(crate) message: Option<String>,
    pub(crate) detail: Option<Value>,
}

impl WriteRow {
    pub(super) fn read(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            item: row.try_get("item")?,
            code: row.try_get("code")?,
            message: row.try_get("message")?,
            detail: row.try_get("detail")?,
        })
    }
}

impl ResultRow {
    pub(crate) fn state(&self) -> Result<TaskState, UnknownState> {
        self.state.parse()
    }

    /// The end of a task as every client stores it; `None` while it has not ended.
    pub(crate) fn snapshot(&self) -> Option<Value> {
        let state = self.state().ok().filter(|state| state.is_terminal())?;
        let mut snapshot = Map::from_iter([("state".to_owned(), Value::from(state.as_str()))]);
        match state {
            TaskState::Completed => {
                snapshot.insert("result".into(), self.result.clone().unwrap_or(Value::Null));
            }
            TaskState::Failed => {
                let failure = self.failure_reason.clone().unwrap_or(Value::Null);
                snapshot.insert("failure".into(), failure);
            }
            _ => {}
        }
        Some(Value::Object(snapshot))
    }
}
