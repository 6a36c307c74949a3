//! Sleeping: the task leaves its worker and comes back when the time has come.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::Context;
use crate::{
    db::{
        Waited,
        writes::{Wait, WaitOn, Write, read_wake_text},
    },
    error::{Interrupt, TaskError},
    period::Period,
};

impl Context {
    /// Sleeps for a time, counted by the database's clock from the first time that this
    /// operation is reached. Days and months are fine: a sleeping task holds nothing.
    pub async fn sleep_for(
        &mut self,
        name: impl AsRef<str>,
        duration: impl Into<Period>,
    ) -> Result<(), TaskError> {
        let duration = duration.into().get().map_err(TaskError::terminal)?;
        self.sleep(name.as_ref(), Some(duration), None).await
    }

    /// Sleeps until a time. One that is over already costs a checkpoint, no sleep.
    pub async fn sleep_until(
        &mut self,
        name: impl AsRef<str>,
        until: Timestamp,
    ) -> Result<(), TaskError> {
        self.sleep(name.as_ref(), None, Some(until)).await
    }

    async fn sleep(
        &mut self,
        name: &str,
        duration: Option<Duration>,
        until: Option<Timestamp>,
    ) -> Result<(), TaskError> {
        let name = Self::checked(name)?;
        let name = self.enter(name.as_str()).await?;
        let stored = self.checkpoints.get(&name);
        let wake = stored.and_then(Value::as_str).and_then(read_wake_text);
        if wake.is_some_and(|wake| wake <= self.database_time()) {
            return Ok(());
        }
        if self.seat.is_some() {
            return self.sleep_among_branches(name, duration, until).await;
        }
        let write = Write::Sleep {
            run: self.run_id(),
            task: self.task_id(),
            step: name,
            place: self.place(),
            seconds: duration.map(|duration| duration.as_secs_f64()),
            until,
        };
        let detail = self.write(write).await?;
        if detail.get("parked").and_then(Value::as_bool) == Some(false) {
            return Ok(());
        }
        Err(self.interrupt(Interrupt::Parked))
    }

    /// A branch waits with the others.
    async fn sleep_among_branches(
        &mut self,
        name: String,
        duration: Option<Duration>,
        until: Option<Timestamp>,
    ) -> Result<(), TaskError> {
        let on = WaitOn::Time {
            seconds: duration.map(|duration| duration.as_secs_f64()),
            until,
        };
        let wait = Wait {
            run: self.run_id(),
            task: self.task_id(),
            step: name,
            on,
            timeout: None,
        };
        match self.park_on(wait).await? {
            Waited::Parked => Err(self.interrupt(Interrupt::Parked)),
            Waited::Delivered(_) | Waited::TimedOut => Ok(()),
        }
    }

    /// The database's clock, from the claim's answer and the time since.
    pub(super) fn database_time(&self) -> Timestamp {
        let (claimed_at, claimed) = self.claimed;
        let since = SignedDuration::try_from(claimed.elapsed()).unwrap_or(SignedDuration::ZERO);
        claimed_at.saturating_add(since).unwrap_or(claimed_at)
    }
}
