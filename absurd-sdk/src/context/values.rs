//! Time, chance and ids that are the same on every replay.

use jiff::Timestamp;
use rand::RngCore;
use serde_json::json;
use uuid::Uuid;

use super::Context;
use crate::{error::TaskError, names, payload::decode};

impl Context {
    /// The time, by the database's clock, when this operation was first reached. It is
    /// kept as a checkpoint.
    pub async fn now(&mut self) -> Result<Timestamp, TaskError> {
        let name = self.enter(names::NOW).await?;
        if let Some(state) = self.checkpoints.get(&name) {
            return Ok(decode(
                || format!("the stored result of step `{name}`"),
                state,
            )?);
        }
        let now = self.database_time();
        self.keep(name, json!(now)).await?;
        Ok(now)
    }

    /// Random numbers that follow from the task's id: the same on every replay, without
    /// a trip. Good for sampling and jitter, not for secrets.
    pub fn rng(&mut self) -> &mut impl RngCore {
        &mut self.rng
    }

    /// The next id of a sequence that follows from the task's id: the same on every
    /// replay, without a trip. Good as an idempotency key for other services.
    pub fn uuid(&mut self) -> Uuid {
        self.uuids += 1;
        Uuid::new_v5(
            &self.info.task_id.0,
            format!("uuid#{}", self.uuids).as_bytes(),
        )
    }
}
