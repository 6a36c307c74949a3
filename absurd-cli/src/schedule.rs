//! `absurd schedule`

use absurd_sdk::{Client, CronPattern, ScheduleRecord, Scheduler};
use jiff::Timestamp;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::filter::LevelFilter;

use super::{
    CliError,
    args::{ScheduleCommand, SetSchedule},
    output::Output,
};

pub(crate) async fn run(
    client: &Client,
    command: ScheduleCommand,
    output: Output,
) -> Result<(), CliError> {
    match command {
        ScheduleCommand::Set(schedule) => set(client, schedule, output).await,
        ScheduleCommand::List => {
            let fields = [
                "schedule_name",
                "queue_name",
                "task_name",
                "cron",
                "time_zone",
                "next_at",
                "paused_at",
            ];
            output.list(&fields, &client.schedules().await?)
        }
        ScheduleCommand::Pause { name } => {
            find(client, &name).await?;
            client.pause_schedule(&name).await?;
            output.say(&format!("Schedule `{name}` is paused."), &name)
        }
        ScheduleCommand::Resume { name } => {
            find(client, &name).await?;
            client.resume_schedule(&name).await?;
            let schedule = find(client, &name).await?;
            output.say(&outlook(&schedule), &schedule)
        }
        ScheduleCommand::Delete { name } => {
            if !client.delete_schedule(&name).await? {
                return Err(missing(&name));
            }
            let sentence = format!("Schedule `{name}` is gone; its tasks stay.");
            output.say(&sentence, &name)
        }
        ScheduleCommand::Backfill { name, from, until } => {
            backfill(client, &name, (from, until), output).await
        }
        ScheduleCommand::Next { name, count } => next(client, &name, count, output).await,
        ScheduleCommand::Run => fire(client, output).await,
    }
}

async fn set(client: &Client, set: SetSchedule, output: Output) -> Result<(), CliError> {
    let client = client.on_queue(set.queue.queue)?;
    let mut schedule = client
        .schedule_by_name(&set.name, set.cron, set.task, set.params)
        .time_zone(set.time_zone);
    if let Some(overlap) = set.overlap {
        schedule = schedule.overlap(overlap);
    }
    if let Some(catch_up) = set.catch_up {
        schedule = schedule.catch_up(catch_up);
    }
    schedule.await?;
    let schedule = find(&client, &set.name).await?;
    output.say(&outlook(&schedule), &schedule)
}

/// When a schedule fires next, or why it does not.
fn outlook(schedule: &ScheduleRecord) -> String {
    let name = &schedule.schedule_name;
    let task = &schedule.task_name;
    match (schedule.paused_at, schedule.next_at) {
        (Some(_), _) => {
            format!("Schedule `{name}` is paused; `absurd schedule resume {name}` lets it go on.")
        }
        (None, Some(next)) => format!(
            "Schedule `{name}` spawns `{task}` next at {next}, where `absurd schedule run` or \
             another scheduler runs."
        ),
        (None, None) => {
            format!("Schedule `{name}` never fires: its pattern has no time that is to come.")
        }
    }
}

async fn find(client: &Client, name: &str) -> Result<ScheduleRecord, CliError> {
    let mut schedules = client.schedules().await?.into_iter();
    let found = schedules.find(|schedule| schedule.schedule_name == name);
    found.ok_or_else(|| missing(name))
}

fn missing(name: &str) -> CliError {
    let advice = "`absurd schedule list` shows those that there are";
    CliError::Usage(format!("there is no schedule `{name}`; {advice}"))
}

async fn backfill(
    client: &Client,
    name: &str,
    (from, until): (Timestamp, Timestamp),
    output: Output,
) -> Result<(), CliError> {
    if from > until {
        let advice = "--from comes after --until; give the earlier time to --from";
        return Err(CliError::Usage(advice.to_owned()));
    }
    find(client, name).await?;
    let fired = client.backfill_schedule(name, from, until).await?;
    let sentence = match fired {
        0 => format!("Schedule `{name}` has no tick in that time that has not fired."),
        1 => format!("Schedule `{name}` has fired 1 tick."),
        ticks => format!("Schedule `{name}` has fired {ticks} ticks."),
    };
    output.say(&sentence, &fired)
}

async fn next(client: &Client, name: &str, count: u16, output: Output) -> Result<(), CliError> {
    let schedule = find(client, name).await?;
    let pattern = CronPattern::new(&schedule.cron, &schedule.time_zone)?;
    let ticks = pattern.ticks_after(schedule.now).take(count.into());
    let ticks: Vec<_> = ticks.map(|tick| json!({ "tick": tick })).collect();
    if ticks.is_empty() || schedule.paused_at.is_some() {
        // Whoever reads the table should not wait for them.
        eprintln!("{}", outlook(&schedule));
    }
    output.list(&["tick"], &ticks)
}

/// Runs a scheduler until it is told to stop. What goes wrong meanwhile is logged.
async fn fire(client: &Client, output: Output) -> Result<(), CliError> {
    let log = tracing_subscriber::fmt().with_max_level(LevelFilter::WARN);
    // A second one can't be there, and would do as well.
    drop(log.with_writer(std::io::stderr).try_init());
    let mut terminate = signal(SignalKind::terminate()).map_err(CliError::Signal)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(CliError::Signal)?;
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    eprintln!("Schedules fire until Ctrl-C or SIGTERM.");
    Box::pin(Scheduler::new(client).run_until(stop)).await?;
    output.say("The scheduler has stopped.", &json!({ "stopped": true }))
}
