//! W7: how long after an emit has returned the task that waits for it goes on.

use std::{sync::Arc, time::Duration};

use absurd_sdk::{Client, Worker};
use absurd_test::eventually;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::{
    turns::{Round, rounds},
    w06_start::{BEAT, CONCURRENCY, CONNECTIONS, Caller, PATIENCE, WARM_UP},
};
use crate::{
    error::Result,
    measure::{Latencies, Spread},
    meter::{Effort, EffortMeter, Sent},
    outcome::{Check, Cost, Outcome, Target},
    scale::Scale,
    server::{self, Arena, Server},
    tasks::{self, Told},
};

/// Measures.
pub(super) async fn run(server: &Server, scale: &Scale) -> Result<Outcome> {
    let count = scale.samples;
    let engine = async |round: &Round<'_>| resumed(round, count).await;
    let engine = rounds(server, scale, engine).await?;
    let (mut all, mut all_own) = (Latencies::new()?, Latencies::new()?);
    let (mut p50, mut p99) = (Vec::new(), Vec::new());
    for (of_round, own) in &engine.results {
        let percentiles = of_round.percentiles()?;
        p50.push(percentiles.p50);
        p99.push(percentiles.p99);
        all.merge(of_round)?;
        all_own.merge(own)?;
    }
    let (p50, p99) = (Spread::of(p50)?, Spread::of(p99)?);
    Ok(Outcome {
        checks: vec![
            Check::absolute("p50", "ms", p50, Target::AtMost(2.0)),
            Check::absolute("p99", "ms", p99, Target::AtMost(6.0)),
        ],
        costs: [("task", engine.cost)].into(),
        latencies: [
            ("emit returned to resumption", all.percentiles()?),
            (
                "own worker: emit returned to resumption",
                all_own.percentiles()?,
            ),
        ]
        .into(),
        ..Outcome::default()
    })
}

async fn resumed(round: &Round<'_>, count: usize) -> Result<((Latencies, Latencies), Cost)> {
    let meter = round.meter().await?;
    let (latencies, effort) = resumed_by(Caller::Other, &round.arena, 0, count).await?;
    let all = WARM_UP + count;
    let cost = meter.end(all, effort).await?;
    let (own, _) = resumed_by(Caller::Own, &round.arena, all, count).await?;
    Ok(((latencies, own), cost))
}

/// The tasks' numbers begin with `first`: each has an event of its own.
async fn resumed_by(
    caller: Caller,
    arena: &Arena,
    first: usize,
    count: usize,
) -> Result<(Latencies, Effort)> {
    let sent = Arc::new(Sent::default());
    let client = arena.client(CONNECTIONS, sent.clone()).await?;
    let emitter = caller.client(&client, arena, &sent).await?;
    let (moments, mut told) = tasks::moments();
    let worker = Worker::builder(&client)
        .task(tasks::resume)
        .state(moments)
        .concurrency(CONCURRENCY)
        .start()?;
    let effort = EffortMeter::begin(&sent)?;
    let all = WARM_UP + count;
    client.spawn_many(tasks::resume, first..first + all).await?;
    wait_until_parked(&client, all).await?;
    let mut latencies = Latencies::new()?;
    let mut beat = interval(BEAT);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for number in first..first + all {
        beat.tick().await;
        let latency = one(&emitter, number, &mut told).await?;
        if number >= first + WARM_UP {
            latencies.add_with_beat(latency, BEAT)?;
        }
    }
    worker.stop().await?;
    let effort = effort.end()?;
    server::close(emitter).await;
    server::close(client).await;
    Ok((latencies, effort))
}

async fn wait_until_parked(client: &Client, count: usize) -> Result {
    let sql = "select count(*) from absurd.w_default";
    Ok(eventually("all tasks are parked", async || {
        let parked = sqlx::query_scalar(sql).fetch_one(client.pool()).await;
        parked.is_ok_and(|parked: i64| usize::try_from(parked) == Ok(count))
    })
    .await?)
}

async fn one(client: &Client, number: usize, told: &mut Told) -> Result<Duration> {
    client.emit_event(tasks::event_of(number), &number).await?;
    let returned = Instant::now();
    let (who, moment) = timeout(PATIENCE, told.recv())
        .await?
        .ok_or("the worker has ended early")?;
    if who != number {
        return Err(format!("task {who} resumed instead of {number}").into());
    }
    Ok(moment.saturating_duration_since(returned))
}
