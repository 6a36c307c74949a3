//! W6: how long after a spawn has returned its handler starts, on an idle queue.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::Arc,
    time::Duration,
};

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
    meter::{Effort, EffortMeter, Sent},
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
/// The same where the worker's own client spawns.
const OWN_CALLED: &str = "own worker: spawn called to start";
const OWN_RETURNED: &str = "own worker: spawn returned to start";
/// What a start is made of. The first part is nothing where the claim goes out before the spawn's
/// answer is here.
const TO_CLAIM: &str = "spawn returned to claim sent";
const CLAIM: &str = "claim sent to answered";
const TO_START: &str = "claim answered to start";

/// By what they measure.
type Starts = BTreeMap<&'static str, Latencies>;

/// Whose client makes the call that a worker has to hear of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Caller {
    /// Another one, as in another process: the worker is notified.
    Other,
    /// The worker's own: the call takes its claim along. The targets are held without that.
    Own,
}

/// When what happened to a sample.
#[derive(Debug)]
struct Sample {
    called: Instant,
    returned: Instant,
    started: Instant,
}

/// Measures.
pub(super) async fn run(server: &Server, scale: &Scale) -> Result<Outcome> {
    let count = scale.samples;
    let trips = async |arena: &Arena| limits::round_trips(arena, count).await;
    let engine = async |round: &Round<'_>| started(round, count).await;
    let (trips, engine) = in_turns(server, scale, trips, engine).await?;
    let mut all = Starts::new();
    let (mut p50, mut p99) = (Vec::new(), Vec::new());
    for starts in &engine.results {
        let of_round = starts[RETURNED].percentiles()?;
        p50.push(of_round.p50);
        p99.push(of_round.p99);
        for (name, of_round) in starts {
            of(&mut all, name)?.merge(of_round)?;
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
    let mut starts = Starts::new();
    let effort = started_by(Caller::Other, &round.arena, count, &mut starts).await?;
    let cost = meter.end(WARM_UP + count, effort).await?;
    started_by(Caller::Own, &round.arena, count, &mut starts).await?;
    Ok((starts, cost))
}

async fn started_by(
    caller: Caller,
    arena: &Arena,
    count: usize,
    starts: &mut Starts,
) -> Result<Effort> {
    let claims = Arc::new(Claims::default());
    let client = arena.client(CONNECTIONS, claims.clone()).await?;
    let spawner = caller.client(&client, arena, &claims.sent).await?;
    let (moments, mut told) = tasks::moments();
    let worker = Worker::builder(&client)
        .task(tasks::begin)
        .state(moments)
        .concurrency(CONCURRENCY)
        .start()?;
    let effort = EffortMeter::begin(&claims.sent)?;
    let mut beat = interval(BEAT);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for number in 0..WARM_UP + count {
        beat.tick().await;
        let sample = one(&spawner, number, &mut told).await?;
        if number >= WARM_UP {
            for (name, latency) in sample.latencies(caller, &claims)? {
                of(starts, name)?.add_with_beat(latency, BEAT)?;
            }
        }
    }
    worker.stop().await?;
    let effort = effort.end()?;
    server::close(spawner).await;
    server::close(client).await;
    Ok(effort)
}

/// Those of a name.
fn of<'s>(starts: &'s mut Starts, name: &'static str) -> Result<&'s mut Latencies> {
    Ok(match starts.entry(name) {
        Entry::Occupied(entry) => entry.into_mut(),
        Entry::Vacant(entry) => entry.insert(Latencies::new()?),
    })
}

/// One sample; it ends when the task has, so that the next one finds an idle queue.
async fn one(client: &Client, number: usize, told: &mut Told) -> Result<Sample> {
    let called = Instant::now();
    let handle = client.spawn(tasks::begin, number).await?;
    let returned = Instant::now();
    let (who, started) = timeout(PATIENCE, told.recv())
        .await?
        .ok_or("the worker has ended early")?;
    if who != number {
        return Err(format!("task {who} began instead of {number}").into());
    }
    handle.result().await?;
    Ok(Sample {
        called,
        returned,
        started,
    })
}

impl Caller {
    /// Its client, beside a worker of that one.
    pub(super) async fn client(
        self,
        of_worker: &Client,
        arena: &Arena,
        sent: &Arc<Sent>,
    ) -> Result<Client> {
        match self {
            Self::Other => arena.client(CONNECTIONS, sent.clone()).await,
            Self::Own => Ok(of_worker.clone()),
        }
    }
}

impl Sample {
    fn latencies(
        &self,
        caller: Caller,
        claims: &Claims,
    ) -> Result<BTreeMap<&'static str, Duration>> {
        let from_call = self.started.duration_since(self.called);
        // A handler may start before the spawn's answer is here: then nobody waited.
        let from_return = self.started.saturating_duration_since(self.returned);
        if caller == Caller::Own {
            return Ok([(OWN_CALLED, from_call), (OWN_RETURNED, from_return)].into());
        }
        let claim = claims.last_before(self.started);
        let (sent, answered) = claim.ok_or("no claim was seen")?;
        Ok([
            (CALLED, from_call),
            (RETURNED, from_return),
            (TO_CLAIM, sent.saturating_duration_since(self.returned)),
            (CLAIM, answered.duration_since(sent)),
            (TO_START, self.started.duration_since(answered)),
        ]
        .into())
    }
}
