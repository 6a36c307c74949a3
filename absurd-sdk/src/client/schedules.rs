//! Schedules: tasks that are spawned by the clock.

use std::{
    future::{Future, IntoFuture},
    pin::Pin,
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Client, SpawnOptions};
use crate::{
    cron::CronPattern,
    db::Command,
    error::Error,
    ids::TaskId,
    payload,
    task::{ParamsOf, TaskDef as _, TaskFn},
};

const FEATURE: &str = "a schedule";
/// Most ticks of one backfill: a mistake in its dates should not fill a queue.
const BACKFILL_MAX: usize = 10_000;

/// What happens at a tick while the task of the tick before has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Overlap {
    /// Both run.
    Allow,
    /// The new tick is left out.
    #[default]
    Skip,
    /// The old task is cancelled.
    Replace,
}

/// What happens to ticks that passed while no scheduler lived or the database was away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CatchUp {
    /// Each of them fires.
    All,
    /// The last one fires.
    #[default]
    Latest,
    /// None fires that is more than a minute late.
    None,
}

/// A schedule as it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ScheduleRecord {
    /// Its name.
    pub schedule_name: String,
    /// Where its tasks go.
    pub queue_name: String,
    /// The name of its tasks.
    pub task_name: String,
    /// Their params.
    pub params: Value,
    /// The pattern.
    pub cron: String,
    /// The zone of the pattern's times.
    pub time_zone: String,
    /// What happens while the last task has not ended.
    pub overlap: Overlap,
    /// What happens to ticks that passed unseen.
    pub catch_up: CatchUp,
    /// The next tick; `None` when there is none.
    pub next_at: Option<Timestamp>,
    /// Since when it is paused.
    pub paused_at: Option<Timestamp>,
    /// The last tick that fired or was skipped.
    pub last_tick: Option<Timestamp>,
    /// The task that was spawned last.
    pub last_task_id: Option<TaskId>,
    /// The database's clock.
    pub now: Timestamp,
}

impl ScheduleRecord {
    pub(crate) fn pattern(&self) -> Result<CronPattern, Error> {
        Ok(CronPattern::new(&self.cron, &self.time_zone)?)
    }
}

/// A schedule about to be set: add options, then `.await`.
#[must_use = "nothing is scheduled until this is awaited"]
pub struct SetSchedule<'c> {
    client: &'c Client,
    name: String,
    task_name: String,
    params: Result<Value, Error>,
    options: SpawnOptions,
    cron: String,
    time_zone: String,
    overlap: Overlap,
    catch_up: CatchUp,
}

impl<'c> SetSchedule<'c> {
    fn of(
        client: &'c Client,
        (name, cron): (String, String),
        task_name: String,
        params: Result<Value, Error>,
        options: SpawnOptions,
    ) -> Self {
        Self {
            client,
            name,
            task_name,
            params,
            options,
            cron,
            time_zone: "UTC".to_owned(),
            overlap: Overlap::default(),
            catch_up: CatchUp::default(),
        }
    }

    /// The time zone of the pattern, by its IANA name; UTC where it is not set.
    pub fn time_zone(mut self, zone: impl Into<String>) -> Self {
        self.time_zone = zone.into();
        self
    }

    /// What happens while the last task has not ended.
    pub fn overlap(mut self, overlap: Overlap) -> Self {
        self.overlap = overlap;
        self
    }

    /// What happens to ticks that passed unseen.
    pub fn catch_up(mut self, catch_up: CatchUp) -> Self {
        self.catch_up = catch_up;
        self
    }

    /// Options of the tasks.
    pub fn with(mut self, change: impl FnOnce(&mut SpawnOptions)) -> Self {
        change(&mut self.options);
        self
    }

    async fn send(self) -> Result<(), Error> {
        let pattern = CronPattern::new(&self.cron, &self.time_zone)?;
        let prepared = self.client.prepare_spawn(&self.task_name, self.options)?;
        let what = || format!("the params of schedule `{}`", self.name);
        let params = self.client.vault().seal(what, self.params?).await?;
        let definition = json!({
            "queue_name": prepared.queue.as_str(),
            "task_name": self.task_name,
            "params": params,
            "options": prepared.options,
            "cron": pattern.pattern(),
            "time_zone": pattern.time_zone(),
            "overlap": self.overlap,
            "catch_up": self.catch_up,
        });
        let next = pattern.next_after(self.client.database_time().await?);
        let command = Command::SetSchedule(&self.name, &definition, next);
        self.client.perform(FEATURE, &command).await
    }
}

impl<'c> IntoFuture for SetSchedule<'c> {
    type Output = Result<(), Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'c>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}

impl Client {
    /// Creates a schedule that spawns a task by a cron pattern, or changes the one of this name.
    /// A [`crate::Scheduler`] has to run somewhere; any number may.
    ///
    /// The task finds its tick in the header `scheduled-at`.
    pub fn schedule<F: TaskFn<M>, M>(
        &self,
        name: impl Into<String>,
        cron: impl Into<String>,
        task: F,
        params: ParamsOf<F, M>,
    ) -> SetSchedule<'_> {
        let _ = task;
        let what = || format!("the params of task `{}`", F::Task::NAME);
        let params = payload::encode(what, &params).map_err(Error::from);
        let options = SpawnOptions::with_defaults(F::Task::defaults());
        let task_name = F::Task::NAME.to_owned();
        SetSchedule::of(self, (name.into(), cron.into()), task_name, params, options)
    }

    /// The same for a task by its name, with params as JSON: for tasks that live elsewhere.
    pub fn schedule_by_name(
        &self,
        name: impl Into<String>,
        cron: impl Into<String>,
        task_name: impl Into<String>,
        params: Value,
    ) -> SetSchedule<'_> {
        let when = (name.into(), cron.into());
        let options = SpawnOptions::default();
        SetSchedule::of(self, when, task_name.into(), Ok(params), options)
    }

    /// All schedules of the database, by name.
    pub async fn schedules(&self) -> Result<Vec<ScheduleRecord>, Error> {
        self.ask(FEATURE, &Command::Schedules { due: false }).await
    }

    pub(crate) async fn due_schedules(&self) -> Result<Vec<ScheduleRecord>, Error> {
        self.ask(FEATURE, &Command::Schedules { due: true }).await
    }

    /// Removes a schedule and says whether there was one. Its tasks stay.
    pub async fn delete_schedule(&self, name: &str) -> Result<bool, Error> {
        self.ask_one(FEATURE, &Command::DeleteSchedule(name)).await
    }

    /// Keeps a schedule from firing.
    pub async fn pause_schedule(&self, name: &str) -> Result<(), Error> {
        self.perform(FEATURE, &Command::PauseSchedule(name, None))
            .await
    }

    /// Lets a paused schedule go on with its next tick from now; those in between are gone.
    pub async fn resume_schedule(&self, name: &str) -> Result<(), Error> {
        let schedule = self.schedule_named(name).await?;
        let next = schedule.pattern()?.next_after(schedule.now);
        self.perform(FEATURE, &Command::PauseSchedule(name, next))
            .await
    }

    /// Fires the ticks from one time until another that have not fired, whatever the overlap
    /// policy, and returns how many that were.
    pub async fn backfill_schedule(
        &self,
        name: &str,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<u32, Error> {
        let pattern = self.schedule_named(name).await?.pattern()?;
        let just_before = from.saturating_sub(jiff::SignedDuration::from_nanos(1));
        let ticks = pattern.ticks_after(just_before.unwrap_or(from));
        let ticks: Vec<_> = ticks
            .take_while(|tick| *tick <= until)
            .take(BACKFILL_MAX + 1)
            .collect();
        if ticks.len() > BACKFILL_MAX {
            let problem = format!("it has more than {BACKFILL_MAX} ticks; take a shorter one");
            return Err(Error::Option {
                option: "until",
                problem: problem.into(),
            });
        }
        let command = Command::BackfillSchedule(name, &json!(ticks));
        self.ask_one(FEATURE, &command).await
    }

    async fn schedule_named(&self, name: &str) -> Result<ScheduleRecord, Error> {
        let schedules = self.schedules().await?;
        let mut schedules = schedules.into_iter();
        let found = schedules.find(|schedule| schedule.schedule_name == name);
        found.ok_or_else(|| Error::Option {
            option: "schedule",
            problem: format!("there is none named `{name}`").into(),
        })
    }

    async fn database_time(&self) -> Result<Timestamp, Error> {
        let now = self.db().current_time().await;
        let now = now.map_err(|error| Error::from_db(error, self.queue().as_str()))?;
        Ok(now.finite().unwrap_or(Timestamp::UNIX_EPOCH))
    }
}
