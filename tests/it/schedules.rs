//! Schedules: each tick fires once, whatever happens.

use std::time::Duration;

use absurd_sdk::{
    CatchUp, Client, Overlap, Scheduler, TaskFilter,
    prelude::{Context, TaskResult, task},
};
use absurd_test::{Clock, Database, Postgres, eventually};

use crate::support::{TestResult, quick_worker};

#[task(name = "nightly")]
async fn nightly(ctx: &mut Context, name: String) -> TaskResult<String> {
    let tick = ctx
        .headers()
        .get("scheduled-at")
        .and_then(|tick| tick.as_str());
    Ok(format!("{name} at {}", tick.unwrap_or("no tick")))
}

async fn spawned(client: &Client) -> TestResult<usize> {
    let tasks = client
        .list_tasks(&TaskFilter::default(), None, 1000)
        .await?;
    Ok(tasks.len())
}

async fn hourly(catch_up: CatchUp, overlap: Overlap) -> TestResult<(Database, Clock)> {
    let database = Database::start().await?;
    let clock = database.clock("2026-05-01T00:30:00Z".parse()?).await?;
    database
        .client()
        .schedule("hourly", "@hourly", nightly, "h".into())
        .catch_up(catch_up)
        .overlap(overlap)
        .await?;
    Ok((database, clock))
}

#[tokio::test]
async fn a_tick_fires_once_with_any_number_of_schedulers() -> TestResult {
    let (database, clock) = hourly(CatchUp::Latest, Overlap::Allow).await?;
    let client = database.client();
    for hour in 1..=5 {
        clock.advance(Duration::from_hours(1)).await?;
        let schedulers = (0..8).map(|_| async { Scheduler::new(client).fire_due().await });
        let fired = futures::future::try_join_all(schedulers).await?;
        assert_eq!(fired.iter().sum::<usize>(), 1, "{fired:?}");
        assert_eq!(spawned(client).await?, hour);
    }
    let task = client
        .schedules()
        .await?
        .remove(0)
        .last_task_id
        .ok_or("none")?;
    quick_worker(client).task(nightly).run_until_idle().await?;
    let result: String = client.result_of(task).await?;
    assert_eq!(result, "h at 2026-05-01T05:00:00Z");
    Ok(())
}

#[tokio::test]
async fn what_passed_unseen_is_treated_as_the_schedule_says() -> TestResult {
    let cases = [(CatchUp::All, 6), (CatchUp::Latest, 1), (CatchUp::None, 0)];
    for (catch_up, fires) in cases {
        let (database, clock) = hourly(catch_up, Overlap::Allow).await?;
        let scheduler = Scheduler::new(database.client());
        clock.advance(Duration::from_hours(6)).await?;
        assert_eq!(scheduler.fire_due().await?, fires, "{catch_up:?}");
        assert_eq!(scheduler.fire_due().await?, 0);
        // The next one comes in time again.
        clock.advance(Duration::from_mins(30)).await?;
        assert_eq!(scheduler.fire_due().await?, 1, "{catch_up:?}");
        assert_eq!(spawned(database.client()).await?, fires + 1);
    }
    Ok(())
}

#[tokio::test]
async fn a_tick_meets_the_task_before_it_as_the_schedule_says() -> TestResult {
    for (overlap, pending) in [
        (Overlap::Allow, 3),
        (Overlap::Skip, 1),
        (Overlap::Replace, 1),
    ] {
        let (database, clock) = hourly(CatchUp::Latest, overlap).await?;
        let client = database.client();
        for _ in 0..3 {
            clock.advance(Duration::from_hours(1)).await?;
            Scheduler::new(client).fire_due().await?;
        }
        let stats = client.queue_stats().await?.ok_or("no queue")?;
        assert_eq!(stats.pending, pending, "{overlap:?}");
        let replaced = if overlap == Overlap::Replace { 2 } else { 0 };
        assert_eq!(stats.cancelled, replaced, "{overlap:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_schedule_is_paused_changed_filled_back_and_deleted() -> TestResult {
    let (database, clock) = hourly(CatchUp::All, Overlap::Allow).await?;
    let client = database.client();
    let scheduler = Scheduler::new(client);
    client.pause_schedule("hourly").await?;
    clock.advance(Duration::from_hours(3)).await?;
    assert_eq!(scheduler.fire_due().await?, 0);
    client.resume_schedule("hourly").await?;
    assert_eq!(scheduler.fire_due().await?, 0, "those in between are gone");
    let (from, until) = (
        "2026-05-01T01:00:00Z".parse()?,
        "2026-05-01T03:00:00Z".parse()?,
    );
    assert_eq!(client.backfill_schedule("hourly", from, until).await?, 3);
    assert_eq!(client.backfill_schedule("hourly", from, until).await?, 0);
    assert_eq!(spawned(client).await?, 3);
    // The same again, as every deploy says it, loses no tick that is due.
    clock.advance(Duration::from_hours(1)).await?;
    client
        .schedule("hourly", "@hourly", nightly, "h".into())
        .catch_up(CatchUp::All)
        .await?;
    assert_eq!(scheduler.fire_due().await?, 1);
    let refused = client
        .schedule("bad", "often", nightly, String::new())
        .await;
    assert!(refused.is_err());
    assert!(client.delete_schedule("hourly").await?);
    assert!(!client.delete_schedule("hourly").await?);
    Ok(())
}

#[tokio::test]
async fn schedulers_survive_a_restart_of_the_database_without_a_double_fire() -> TestResult {
    let server = Postgres::private().await?;
    let database = Database::on(&server).await?;
    let client = database.client();
    client
        .schedule("each second", "* * * * * *", nightly, "s".into())
        .catch_up(CatchUp::All)
        .overlap(Overlap::Allow)
        .await?;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let schedulers: Vec<_> = (0..3)
        .map(|_| {
            let scheduler = Scheduler::new(client).poll_interval("50ms");
            let mut stopped = stopped.clone();
            let stop = async move {
                // An error means that the test is over.
                let _ = stopped.wait_for(|stop| *stop).await;
            };
            tokio::spawn(scheduler.run_until(stop))
        })
        .collect();
    let fired = async |at_least: usize| {
        eventually("more ticks", async || {
            spawned(client).await.is_ok_and(|count| count >= at_least)
        })
        .await
    };
    fired(2).await?;
    server.stop_immediately().await?;
    server.start().await?;
    fired(5).await?;
    stop.send(true)?;
    for scheduler in schedulers {
        scheduler.await??;
    }
    let doubles: i64 = sqlx::query_scalar(
        "select count(*) - count(distinct headers->>'scheduled-at') from absurd.t_default",
    )
    .fetch_one(client.pool())
    .await?;
    assert_eq!(doubles, 0);
    // No second between the first and the last is missing.
    let missing: i64 = sqlx::query_scalar(
        "select extract(epoch from max(tick) - min(tick))::bigint + 1 - count(*) from (
            select (headers->>'scheduled-at')::timestamptz as tick from absurd.t_default) ticks",
    )
    .fetch_one(client.pool())
    .await?;
    assert_eq!(missing, 0);
    Ok(())
}
