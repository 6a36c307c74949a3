//! Time, chance and ids that are the same on every replay.

use jiff::Timestamp;
use rand::RngCore;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::Context;
use crate::{db::writes::Write, error::TaskError, names, payload::decode};

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

    /// Whether this execution is to do what a change of the code brought: true for tasks that
    /// come here for the first time, false for those that had gone past this place before the
    /// change was deployed. Put the new way and the old one into the arms of an `if`.
    pub async fn patched(&mut self, change: impl AsRef<str>) -> Result<bool, TaskError> {
        let change = Self::checked(change.as_ref())?;
        let name = names::patched(change.as_str());
        self.load_checkpoints().await?;
        let stored = self
            .checkpoints
            .get(&format!("{}{name}", self.prefix))
            .is_some();
        if !stored && self.checkpoints.has_more() {
            return Ok(false);
        }
        let name = self.enter(&name).await?;
        if self.checkpoints.get(&name).is_none() {
            self.keep(name, json!(true)).await?;
        }
        Ok(true)
    }

    /// Which version of the code spawned this task: `#[task(version = "..")]`.
    pub fn spawned_version(&self) -> Option<&str> {
        self.headers().get(names::VERSION_HEADER)?.as_str()
    }

    /// Sets an attribute, by which the task can be found; null takes it away.
    pub async fn set_attribute(
        &mut self,
        name: impl Into<String>,
        value: impl Into<Value>,
    ) -> Result<(), TaskError> {
        let attributes = Value::Object(Map::from_iter([(name.into(), value.into())]));
        self.write_once(names::ATTRIBUTES, json!(true), |run, step, place| {
            Write::Attributes {
                run,
                step,
                place,
                attributes,
            }
        })
        .await
    }

    /// Random numbers that follow from the task's id: the same on every replay, without
    /// a trip. Good for sampling and jitter, not for secrets.
    pub fn rng(&mut self) -> &mut impl RngCore {
        let Self {
            rng, info, prefix, ..
        } = self;
        &mut **rng.get_or_insert_with(|| Box::new(super::rng_of(info, prefix)))
    }

    /// The next id of a sequence that follows from the task's id: the same on every
    /// replay, without a trip. Good as an idempotency key for other services.
    pub fn uuid(&mut self) -> Uuid {
        self.uuids += 1;
        Uuid::new_v5(
            &self.info.task_id.0,
            format!("uuid#{}{}", self.prefix, self.uuids).as_bytes(),
        )
    }
}
