//! Limits are never exceeded, whoever claims.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use absurd_sdk::{
    Client, Limit, LimitOn,
    prelude::{Context, State, TaskError, TaskResult, task},
};
use absurd_test::Database;

use crate::support::{TestResult, end_leases, quick_worker};

/// How many runs were under way at once, at most.
#[derive(Clone, Default)]
struct Crowd(Arc<(AtomicUsize, AtomicUsize)>);

impl Crowd {
    fn most(&self) -> usize {
        self.0.1.load(Ordering::SeqCst)
    }
}

async fn mingle(crowd: &Crowd) -> TaskResult<()> {
    let (now, most) = &*crowd.0;
    most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    now.fetch_sub(1, Ordering::SeqCst);
    Ok(())
}

#[task(name = "guest")]
async fn guest(ctx: &mut Context, crowd: State<Crowd>) -> TaskResult<()> {
    let _ = ctx;
    mingle(&crowd).await
}

#[task(name = "host")]
async fn host(ctx: &mut Context, crowd: State<Crowd>) -> TaskResult<()> {
    let _ = ctx;
    mingle(&crowd).await
}

/// Three workers of ten slots each, until nothing is due.
async fn party(client: &Client, crowd: &Crowd) -> TestResult {
    let workers = (0..3).map(|_| {
        let worker = quick_worker(client).task(guest).task(host);
        worker.state(crowd.clone()).concurrency(10).run_until_idle()
    });
    futures::future::try_join_all(workers).await?;
    Ok(())
}

async fn unfinished(client: &Client) -> TestResult<i64> {
    let stats = client.queue_stats().await?.ok_or("no queue")?;
    Ok(stats.pending + stats.running + stats.sleeping)
}

#[tokio::test]
async fn a_limit_holds_over_all_workers() -> TestResult {
    let cases = [
        (LimitOn::Queue, 3),
        (LimitOn::Task("guest"), 2),
        (LimitOn::EachKey, 1),
        (LimitOn::Key("k"), 4),
    ];
    for (on, most) in cases {
        let database = Database::start().await?;
        let client = database.client();
        for _ in 0..30 {
            client.spawn(guest, ()).key("k").await?;
        }
        client
            .set_limit(on, Limit::concurrency(most.try_into()?))
            .await?;
        let crowd = Crowd::default();
        while unfinished(client).await? > 0 {
            party(client, &crowd).await?;
        }
        assert!(crowd.most() <= most, "{on:?}: {}", crowd.most());
    }
    Ok(())
}

#[tokio::test]
async fn what_a_limit_holds_back_does_not_stand_before_the_rest() -> TestResult {
    let database = Database::start().await?;
    let client = database.client();
    // They are there before the limit is.
    client.spawn_many(guest, vec![(); 300]).await?;
    client
        .set_limit(LimitOn::Task("guest"), Limit::concurrency(0))
        .await?;
    client.spawn_many(guest, vec![(); 5]).await?;
    client.spawn_many(host, vec![(); 4]).await?;
    party(client, &Crowd::default()).await?;
    assert_eq!(unfinished(client).await?, 305);
    let stats = client.queue_stats().await?.ok_or("no queue")?;
    assert_eq!(stats.completed, 4);
    client.remove_limit(LimitOn::Task("guest")).await?;
    assert!(client.limits().await?.is_empty());
    party(client, &Crowd::default()).await?;
    assert_eq!(unfinished(client).await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_rate_counts_starts_in_every_span_of_its_period() -> TestResult {
    let database = Database::start().await?;
    let clock = database.clock("2026-05-01T00:00:00Z".parse()?).await?;
    let client = database.client();
    client
        .set_limit(LimitOn::EachKey, Limit::rate(3, "10s"))
        .await?;
    for _ in 0..10 {
        client.spawn(guest, ()).key("a").await?;
        client.spawn(guest, ()).key("b").await?;
    }
    let mut completed = Vec::new();
    for _ in 0..5 {
        party(client, &Crowd::default()).await?;
        let stats = client.queue_stats().await?.ok_or("no queue")?;
        completed.push(stats.completed);
        clock.advance(Duration::from_secs(4)).await?;
    }
    // After 0, 4, 8, 12 and 16 seconds.
    assert_eq!(completed, [6, 6, 6, 12, 12]);
    Ok(())
}

#[tokio::test]
async fn a_rate_does_not_hold_back_what_has_begun() -> TestResult {
    #[task(name = "nap")]
    async fn nap(ctx: &mut Context) -> TaskResult<()> {
        ctx.sleep_for("nap", "1m").await
    }
    let database = Database::start().await?;
    let clock = database.clock("2026-05-01T00:00:00Z".parse()?).await?;
    let client = database.client();
    client
        .set_limit(LimitOn::Queue, Limit::rate(1, "1h"))
        .await?;
    client.spawn_many(nap, vec![(); 3]).await?;
    let worker = || quick_worker(client).task(nap).concurrency(1);
    assert_eq!(worker().run_until_idle().await?, 1);
    clock.advance(Duration::from_mins(1)).await?;
    assert_eq!(
        worker().run_until_idle().await?,
        1,
        "one slot, and it resumes"
    );
    let stats = client.queue_stats().await?.ok_or("no queue")?;
    assert_eq!((stats.completed, stats.pending), (1, 2));
    Ok(())
}

#[tokio::test]
async fn a_dead_worker_gives_its_place_back_when_its_lease_is_over() -> TestResult {
    let database = Database::start().await?;
    let client = database.client();
    client
        .set_limit(LimitOn::Queue, Limit::concurrency(1))
        .await?;
    client.spawn_many(guest, vec![(); 2]).await?;
    let claim = "select count(*) from absurd.claim_task('default', 'dead', 60, 5)";
    let claimed: i64 = sqlx::query_scalar(claim).fetch_one(client.pool()).await?;
    assert_eq!(claimed, 1);
    party(client, &Crowd::default()).await?;
    assert_eq!(unfinished(client).await?, 2, "its place is taken");
    end_leases(client).await?;
    party(client, &Crowd::default()).await?;
    assert_eq!(unfinished(client).await?, 0);
    Ok(())
}

#[tokio::test]
async fn limits_that_make_no_sense_are_refused() -> TestResult {
    let database = Database::start().await?;
    let client = database.client();
    let none_at_a_time = client.set_limit(LimitOn::Queue, Limit::rate(0, "1s")).await;
    assert!(none_at_a_time.is_err());
    let no_name = client
        .set_limit(LimitOn::Task(""), Limit::concurrency(1))
        .await;
    let message = no_name.err().map(|error| error.to_string());
    assert!(message.unwrap_or_default().contains("a subject"));
    Ok(())
}

#[tokio::test]
async fn a_retry_waits_for_its_place_too() -> TestResult {
    #[task(name = "flaky", max_attempts = 3)]
    async fn flaky(ctx: &mut Context, crowd: State<Crowd>) -> TaskResult<()> {
        mingle(&crowd).await?;
        if ctx.attempt() < 3 {
            return Err(TaskError::msg("again"));
        }
        Ok(())
    }
    let database = Database::start().await?;
    let client = database.client();
    client
        .set_limit(LimitOn::EachKey, Limit::concurrency(1))
        .await?;
    for _ in 0..5 {
        client.spawn(flaky, ()).key("k").await?;
    }
    let crowd = Crowd::default();
    let worker = || {
        let worker = quick_worker(client).task(flaky).state(crowd.clone());
        worker.concurrency(10).run_until_idle()
    };
    while unfinished(client).await? > 0 {
        tokio::try_join!(worker(), worker())?;
    }
    assert_eq!(crowd.most(), 1);
    Ok(())
}
