//! Rows as the calls return them. Columns are read by name; extra columns are ignored.

use std::time::Duration;

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
    /// Name, state and, where it has one, place of each checkpoint.
    pub(crate) checkpoints: Vec<(String, Value, Option<i32>)>,
    /// Not all checkpoints came along: read them before the first operation.
    pub(crate) more_checkpoints: bool,
    /// How long an execution may take.
    pub(crate) timeout: Option<Duration>,
}

impl ClaimedRow {
    /// `with_checkpoints`: the row is of our own claim, which brings them.
    pub(super) fn read(row: &PgRow, with_checkpoints: bool) -> Result<Self, sqlx::Error> {
        let headers = row.try_get::<Option<Value>, _>("headers")?;
        let (mut checkpoints, mut more_checkpoints, mut timeout) = (Vec::new(), true, None);
        if with_checkpoints {
            checkpoints = read_checkpoints(row)?;
            more_checkpoints = row.try_get("more_checkpoints")?;
            let policy: Option<Value> = row.try_get("policy")?;
            timeout = policy
                .and_then(|policy| policy.get("timeout")?.as_f64())
                .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        }
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
            timeout,
        })
    }
}

/// The three lists that a claim brings, null where the run remembers nothing.
fn read_checkpoints(row: &PgRow) -> Result<Vec<(String, Value, Option<i32>)>, sqlx::Error> {
    let Some(names) = row.try_get::<Option<Vec<String>>, _>("checkpoint_names")? else {
        return Ok(Vec::new());
    };
    let states: Vec<Option<Value>> = row.try_get("checkpoint_states")?;
    let places: Vec<Option<i32>> = row.try_get("checkpoint_places")?;
    let states = states.into_iter().map(Option::unwrap_or_default);
    let rest = states.zip(places);
    let rows = names.into_iter().zip(rest);
    Ok(rows
        .map(|(name, (state, place))| (name, state, place))
        .collect())
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
