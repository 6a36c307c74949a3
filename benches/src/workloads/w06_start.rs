//! W6: how long after a spawn has returned its handler starts, on an idle queue.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use absurd_sdk::{Client, Worker};
use serde_json::json;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::{
    claims::Claims,
    turns::{Round, in_turns},
};
use crate::{
    error::Result,
    limits,
    measure::{Latencies, Spread},
    meter::EffortMeter,
    outcome::{Check, Cost, Outcome, Target},
    scale::Scale,
    server::{self, Arena, Server},
    tasks::{self, Told},
};

/// When the next sample is due. One that takes longer stands for those that it held up.
pub(super) const BEAT: Duration = Duration::from_millis(20);
/// Samples that only warm up.
pub(super) const WARM_UP: usize = 10;
/// Far above any latency; only a broken engine takes so long.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
pub(super) const CONNECTIONS: u32 = 8;
pub(super) const CONCURRENCY: usize = 4;

const CALLED: &str = "spawn called to start";
const RETURNED: &str = "spawn returned to start";
/// What a start is made of. The first part is nothing where the claim goes out before the spawn's
/// answer is here.
const PARTS: [&str; 3] = [
    "spawn returned to claim sent",
    "claim sent to answered",
    "claim answered to start",
];

/// By what they measure.
type Starts = BTreeMap<&'static str, Latencies>;

/// Measures.
pub(super) async fn run(server: &Server, scale: &Scale) -> Result<Outcome> {
    let count = scale.samples;
    let trips = async |arena: &Arena| limits::round_trips(arena, count).await;
    let engine = async |round: &Round<'_>| started(round, count).await;
    let (trips, engine) = in_turns(server, scale, trips, engine).await?;
    let mut all = no_starts()?;
    let (mut p50, mut p99) = (Vec::new(), Vec::new());
    for starts in &engine.results {
        let of_round = starts[RETURNED].percentiles()?;
        p50.push(of_round.p50);
        p99.push(of_round.p99);
        for (name, all) in &mut all {
            all.merge(&starts[name])?;
        }
    }
    let mut all_trips = Latencies::new()?;
    for of_round in &trips {
        all_trips.merge(of_round)?;
    }
    let (p50, p99) = (Spread::of(p50)?, Spread::of(p99)?);
    let trip = all_trips.percentiles()?;
    let in_trips = p50.median / trip.p50;
    let mut latencies = BTreeMap::from([("select 1", trip)]);
    for (name, all) in &all {
        latencies.insert(name, all.percentiles()?);
    }
    Ok(Outcome {
        checks: vec![
            Check::absolute("p50", "ms", p50, Target::AtMost(1.5)),
            Check::absolute("p99", "ms", p99, Target::AtMost(5.0)),
        ],
        costs: [("task", engine.cost)].into(),
        latencies,
        notes: [("p50_in_round_trips", json!(in_trips))].into(),
        ..Outcome::default()
    })
}

async fn started(round: &Round<'_>, count: usize) -> Result<(Starts, Cost)> {
    let meter = round.meter().await?;
    let claims = Arc::new(Claims::default());
    let client = round.arena.client(CONNECTIONS, claims.clone()).await?;
    let (moments, mut told) = tasks::moments();
    let worker = Worker::builder(&client)
        .task(tasks::begin)
        .state(moments)
        .concurrency(CONCURRENCY)
        .start()?;
    let effort = EffortMeter::begin(&claims.sent)?;
    let mut starts = no_starts()?;
    let mut beat = interval(BEAT);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for number in 0..WARM_UP + count {
        beat.tick().await;
        let sample = one(&client, number, &mut told, &claims).await?;
        for (name, starts) in starts.iter_mut().filter(|_| number >= WARM_UP) {
            starts.add_with_beat(sample[name], BEAT)?;
        }
    }
    worker.stop().await?;
    let effort = effort.end()?;
    server::close(client).await;
    Ok((starts, meter.end(WARM_UP + count, effort).await?))
}

fn no_starts() -> Result<Starts> {
    let names = PARTS.into_iter().chain([CALLED, RETURNED]);
    names.map(|name| Ok((name, Latencies::new()?))).collect()
}

/// One sample; it ends when the task has, so that the next one finds an idle queue.
async fn one(
    client: &Client,
    number: usize,
    told: &mut Told,
    claims: &Claims,
) -> Result<BTreeMap<&'static str, Duration>> {
    let called = Instant::now();
    let handle = client.spawn(tasks::begin, number).await?;
    let returned = Instant::now();
    let (who, moment) = timeout(PATIENCE, told.recv())
        .await?
        .ok_or("the worker has ended early")?;
    if who != number {
        return Err(format!("task {who} began instead of {number}").into());
    }
    handle.result().await?;
    let (sent, answered) = claims.last_before(moment).ok_or("no claim was seen")?;
    let [to_claim, claim, to_start] = PARTS;
    // A handler may start before the spawn's answer is here: then nobody waited.
    Ok([
        (CALLED, moment.duration_since(called)),
        (RETURNED, moment.saturating_duration_since(returned)),
        (to_claim, sent.saturating_duration_since(returned)),
        (claim, answered.duration_since(sent)),
        (to_start, moment.duration_since(answered)),
    ]
    .into())
}
