//! Fires schedules. Any number of schedulers may run: the database lets one of them fire each
//! tick.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rand::Rng as _;
use serde_json::json;

use crate::{
    client::{CatchUp, Client, ScheduleRecord},
    db::Command,
    error::Error,
    period::Period,
};

/// Most ticks that one call fires of a schedule that catches up with all of them.
const TICKS_MAX: usize = 100;
/// A tick that is later than this was missed.
const LATE: SignedDuration = SignedDuration::from_mins(1);

/// Spawns the tasks of all schedules of a database when their ticks come.
#[derive(Debug)]
#[must_use = "schedules fire while `run_until` runs"]
pub struct Scheduler {
    client: Client,
    poll_interval: Period,
}

impl Scheduler {
    /// A scheduler for the client's database; the client's queue doesn't matter.
    pub fn new(client: &Client) -> Self {
        Self {
            client: client.clone(),
            poll_interval: Duration::from_secs(1).into(),
        }
    }

    /// How often it looks whether ticks have come, which bounds how late they fire; 1 s where
    /// it is not set.
    pub fn poll_interval(mut self, interval: impl Into<Period>) -> Self {
        self.poll_interval = interval.into();
        self
    }

    /// Fires until `stop` is ready. An outage of the database is waited out; what passed
    /// meanwhile is treated as each schedule's catch-up says.
    pub async fn run_until(self, stop: impl Future<Output = ()> + Send) -> Result<(), Error> {
        let interval = self.poll_interval.clone().get()?;
        let fire = async {
            loop {
                match self.fire_due().await {
                    Ok(_) => {}
                    Err(error) if error.is_outage() => {
                        tracing::warn!(%error, "can't look for schedules, trying again");
                    }
                    Err(error) => return Err(error),
                }
                let jitter = rand::rng().random_range(0.9..1.1);
                tokio::time::sleep(interval.mul_f64(jitter)).await;
            }
        };
        tokio::select! {
            failed = fire => failed,
            () = stop => Ok(()),
        }
    }

    /// Fires what is due now, and returns how many ticks this scheduler fired.
    pub async fn fire_due(&self) -> Result<usize, Error> {
        let mut fired = 0;
        for schedule in self.client.due_schedules().await? {
            match self.fire(&schedule).await {
                Ok(ticks) => fired += ticks,
                // One that can't fire must not keep the others from it.
                Err(error) if !error.is_outage() => {
                    let schedule = &schedule.schedule_name;
                    tracing::error!(%schedule, %error, "the schedule can't fire");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(fired)
    }

    async fn fire(&self, schedule: &ScheduleRecord) -> Result<usize, Error> {
        let Some(expected) = schedule.next_at else {
            return Ok(0);
        };
        let (ticks, next) = due_ticks(schedule, expected)?;
        let name = &schedule.schedule_name;
        let json = json!(ticks);
        let command = Command::FireSchedule(name, expected, &json, next);
        let was_first: bool = self.client.ask_one("a schedule", &command).await?;
        Ok(if was_first { ticks.len() } else { 0 })
    }
}

/// Which ticks fire now, and the one after them.
fn due_ticks(
    schedule: &ScheduleRecord,
    first: Timestamp,
) -> Result<(Vec<Timestamp>, Option<Timestamp>), Error> {
    let pattern = schedule.pattern()?;
    let now = schedule.now;
    if schedule.catch_up == CatchUp::All {
        let later = pattern.ticks_after(first).take_while(|tick| *tick <= now);
        let ticks: Vec<_> = std::iter::once(first)
            .chain(later)
            .take(TICKS_MAX)
            .collect();
        let last = ticks.last().copied().unwrap_or(first);
        return Ok((ticks, pattern.next_after(last)));
    }
    let last = pattern.last_until(now).unwrap_or(first).max(first);
    let missed = schedule.catch_up == CatchUp::None && now.duration_since(last) > LATE;
    let ticks = if missed { Vec::new() } else { vec![last] };
    Ok((ticks, pattern.next_after(now)))
}
