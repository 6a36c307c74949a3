//! A worker's writes by the contract's own functions, for databases that hold
//! upstream's schema: the same meaning in more trips, and without the fence by worker.

use serde_json::{Value, json};
use sqlx::Row as _;

use super::{
    Db, DbError, Repeat, SpawnRow, Waited, args, statements as sql,
    writes::{Wait, WaitOn, Write, read_wake_text, wake_text},
};
use crate::ids::{QueueName, RunId, TaskId};

/// How long a parent sleeps between two looks at its child, in seconds.
const CHILD_POLL_SECONDS: f64 = 5.0;

/// The refusal of what upstream's schema has no word for. It is final: the message says so.
pub(crate) fn needs_ours(feature: &'static str) -> DbError {
    DbError::Refused {
        statement: "features",
        code: super::sqlstate::FEATURE_MISSING.into(),
        message: format!("{feature} needs our schema; `absurd migrate` brings it"),
    }
}

impl Db {
    /// One write, by itself. The answer is the `detail` that `write_runs` would give.
    ///
    /// A terminal failure can't be told apart here: the task's own attempts decide.
    pub(crate) async fn write_by_contract(
        &self,
        queue: &QueueName,
        write: &Write,
    ) -> Result<Value, DbError> {
        match write {
            Write::Checkpoint {
                run,
                task,
                step,
                state,
                extend,
                ..
            } => {
                self.set_checkpoint(queue, *task, *run, step, state, Some(*extend))
                    .await?;
            }
            Write::Sleep {
                run,
                task,
                step,
                seconds,
                until,
                ..
            } => {
                return self
                    .sleep(queue, (*task, *run, step), *seconds, *until)
                    .await;
            }
            Write::Spawn {
                run,
                task,
                step,
                queue: to,
                name,
                params,
                options,
                ..
            } => {
                return self
                    .spawn_once(queue, (*task, *run, step), (to, name), params, options)
                    .await;
            }
            Write::Emit {
                run,
                task,
                step,
                queue: to,
                event,
                payload,
                ..
            } => {
                self.emit_event(None, to, event, payload).await?;
                self.set_checkpoint(queue, *task, *run, step, &json!(true), None)
                    .await?;
            }
            Write::Compensate { .. } => return Err(needs_ours("a compensation")),
            Write::Attributes { .. } => return Err(needs_ours("attributes")),
            // There is no place for them, and nothing depends on them.
            Write::Progress { .. } | Write::Log { .. } => {}
            Write::Complete { .. }
            | Write::Fail { .. }
            | Write::Extend { .. }
            | Write::Defer { .. }
            | Write::Release { .. } => self.move_run(queue, write).await?,
        }
        Ok(Value::Null)
    }

    /// The writes that change a run and nothing else.
    async fn move_run(&self, queue: &QueueName, write: &Write) -> Result<(), DbError> {
        match write {
            Write::Complete { run, result } => {
                let bind = args![queue.as_str(), run.0, result];
                self.call(None, &sql::COMPLETE_RUN, Repeat::Unsafe, bind)
                    .await
                    .map(drop)
            }
            Write::Fail {
                run,
                reason,
                retry_in,
                ..
            } => {
                let bind = args![queue.as_str(), run.0, reason, retry_in];
                self.call(None, &sql::FAIL_RUN, Repeat::Unsafe, bind)
                    .await
                    .map(drop)
            }
            Write::Extend { run, seconds } => {
                let bind = args![queue.as_str(), run.0, seconds];
                self.call(None, &sql::EXTEND_CLAIM, Repeat::Safe, bind)
                    .await
                    .map(drop)
            }
            Write::Defer { run, seconds } => self.schedule_run(queue, *run, *seconds).await,
            _ => self.schedule_run(queue, write.run(), 0.0).await,
        }
    }

    async fn set_checkpoint(
        &self,
        queue: &QueueName,
        task: TaskId,
        run: RunId,
        step: &str,
        state: &Value,
        extend: Option<i32>,
    ) -> Result<(), DbError> {
        let bind = args![queue.as_str(), task.0, step, state, run.0, extend];
        self.call(None, &sql::SET_CHECKPOINT, Repeat::Safe, bind)
            .await
            .map(drop)
    }

    async fn schedule_run(
        &self,
        queue: &QueueName,
        run: RunId,
        seconds: f64,
    ) -> Result<(), DbError> {
        let bind = args![queue.as_str(), run.0, seconds];
        self.call(None, &sql::SCHEDULE_RUN, Repeat::Unsafe, bind)
            .await
            .map(drop)
    }

    async fn sleep(
        &self,
        queue: &QueueName,
        (task, run, step): (TaskId, RunId, &str),
        seconds: Option<f64>,
        until: Option<jiff::Timestamp>,
    ) -> Result<Value, DbError> {
        let in_seconds = |now: jiff::Timestamp| {
            let seconds = jiff::SignedDuration::try_from_secs_f64(seconds.unwrap_or(0.0));
            let seconds = seconds.unwrap_or(jiff::SignedDuration::MAX);
            now.saturating_add(seconds).unwrap_or(jiff::Timestamp::MAX)
        };
        let (now, wake) = self
            .kept_time(queue, (task, run, step), |now| {
                until.unwrap_or_else(|| in_seconds(now))
            })
            .await?;
        let rest = wake.duration_since(now).as_secs_f64();
        if rest <= 0.0 {
            return Ok(json!({ "parked": false }));
        }
        self.schedule_run(queue, run, rest).await?;
        Ok(json!({ "parked": true }))
    }

    /// Exactly once through an idempotency key made of the parent and the step.
    async fn spawn_once(
        &self,
        queue: &QueueName,
        (task, run, step): (TaskId, RunId, &str),
        (to, name): (&str, &str),
        params: &Value,
        options: &Value,
    ) -> Result<Value, DbError> {
        let mut options = options.clone();
        if let Some(options) = options.as_object_mut() {
            let key = options.entry("idempotency_key");
            key.or_insert_with(|| json!(format!("{task}:{step}")));
        }
        let to = QueueName::new(to).map_err(|error| DbError::Answer {
            statement: sql::SPAWN_TASK.name,
            source: sqlx::Error::Encode(Box::new(error)),
        })?;
        let row: SpawnRow = self.spawn_task(None, &to, name, params, &options).await?;
        let detail = json!({
            "task_id": row.task_id, "run_id": row.run_id,
            "attempt": row.attempt, "created": row.created,
        });
        self.set_checkpoint(queue, task, run, step, &detail, None)
            .await?;
        Ok(detail)
    }

    /// Waits by the contract: an event parks the run; a child is looked at again and again,
    /// between sleeps that hold no worker.
    pub(crate) async fn wait_by_contract(
        &self,
        queue: &QueueName,
        wait: &Wait,
    ) -> Result<Waited, DbError> {
        match &wait.on {
            WaitOn::Event(event) => self.wait_for_event_by_contract(queue, wait, event).await,
            WaitOn::Task {
                queue: child_queue,
                task,
            } => {
                self.wait_for_child_by_contract(queue, wait, child_queue, *task)
                    .await
            }
            WaitOn::Time { .. } => Err(needs_ours("a time among other waits")),
        }
    }

    async fn wait_for_event_by_contract(
        &self,
        queue: &QueueName,
        wait: &Wait,
        event: &str,
    ) -> Result<Waited, DbError> {
        let bind = args![
            queue.as_str(),
            wait.task.0,
            wait.run.0,
            &wait.step,
            event,
            wait.timeout
        ];
        let rows = self
            .call(None, &sql::AWAIT_EVENT, Repeat::Unsafe, bind)
            .await?;
        let read = || -> Result<Waited, sqlx::Error> {
            let row = rows.first().ok_or(sqlx::Error::RowNotFound)?;
            if row.try_get("should_suspend")? {
                return Ok(Waited::Parked);
            }
            let payload: Option<Value> = row.try_get("payload")?;
            Ok(payload.map_or(Waited::TimedOut, Waited::Delivered))
        };
        let waited = read().map_err(|source| DbError::Answer {
            statement: sql::AWAIT_EVENT.name,
            source,
        })?;
        if waited == Waited::TimedOut {
            return self.time_out(queue, wait).await;
        }
        Ok(waited)
    }

    async fn wait_for_child_by_contract(
        &self,
        queue: &QueueName,
        wait: &Wait,
        child_queue: &str,
        child: TaskId,
    ) -> Result<Waited, DbError> {
        let unknown = || DbError::Refused {
            statement: sql::GET_TASK_RESULT.name,
            code: "P0001".into(),
            message: format!("task {child} not found in queue {child_queue}"),
        };
        let child_queue = QueueName::new(child_queue).map_err(|_| unknown())?;
        let row = self
            .task_result(&child_queue, child, false)
            .await?
            .ok_or_else(unknown)?;
        if let Some(snapshot) = row.snapshot() {
            let (task, run) = (wait.task, wait.run);
            self.set_checkpoint(queue, task, run, &wait.step, &snapshot, None)
                .await?;
            return Ok(Waited::Delivered(snapshot));
        }
        let pause = match wait.timeout {
            None => CHILD_POLL_SECONDS,
            Some(timeout) => {
                let rest = self.rest_of_wait(queue, wait, timeout).await?;
                if rest <= 0.0 {
                    return self.time_out(queue, wait).await;
                }
                rest.min(CHILD_POLL_SECONDS)
            }
        };
        self.schedule_run(queue, wait.run, pause).await?;
        Ok(Waited::Parked)
    }

    /// Seconds until a wait gives up; its end is kept when it is first asked for.
    async fn rest_of_wait(
        &self,
        queue: &QueueName,
        wait: &Wait,
        timeout: i32,
    ) -> Result<f64, DbError> {
        let step = crate::names::deadline(&wait.step);
        let (now, ends) = self
            .kept_time(queue, (wait.task, wait.run, &step), |now| {
                let timeout = jiff::SignedDuration::from_secs(timeout.into());
                now.saturating_add(timeout).unwrap_or(now)
            })
            .await?;
        Ok(ends.duration_since(now).as_secs_f64())
    }

    async fn time_out(&self, queue: &QueueName, wait: &Wait) -> Result<Waited, DbError> {
        let step = crate::names::timeout(&wait.step);
        self.set_checkpoint(queue, wait.task, wait.run, &step, &json!(true), None)
            .await?;
        Ok(Waited::TimedOut)
    }

    /// The database's clock, and a time that is computed once and kept as a checkpoint.
    async fn kept_time(
        &self,
        queue: &QueueName,
        (task, run, step): (TaskId, RunId, &str),
        first: impl FnOnce(jiff::Timestamp) -> jiff::Timestamp,
    ) -> Result<(jiff::Timestamp, jiff::Timestamp), DbError> {
        let now = self.current_time().await?.finite();
        let now = now.unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        let stored = self.checkpoints(queue, task, run, false).await?;
        let stored = stored.iter().find(|(name, _, _)| name == step);
        if let Some(kept) = stored.and_then(|(_, state, _)| read_wake_text(state.as_str()?)) {
            return Ok((now, kept));
        }
        let time = first(now);
        let text = json!(wake_text(time));
        self.set_checkpoint(queue, task, run, step, &text, None)
            .await?;
        Ok((now, time))
    }
}
