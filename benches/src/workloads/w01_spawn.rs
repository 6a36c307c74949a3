//! W1: spawns one at a time, from many tasks of one client.

use std::{ops::Range, sync::Arc};

use absurd_sdk::Client;
use futures::future::try_join_all;
use tokio::time::Instant;

use super::turns::{Round, in_turns};
use crate::{
    error::Result,
    limits::{self, CONNECTIONS},
    measure::{Latencies, Spread, per_second},
    meter::{EffortMeter, Sent},
    outcome::{Check, Cost, Outcome, Target},
    scale::Scale,
    server::{self, Arena, Server},
    tasks,
};

/// Spawns of each client before the clock starts: what a session does once is of no interest.
const WARM_UP: usize = 10;

/// Measures.
pub(super) async fn run(server: &Server, scale: &Scale) -> Result<Outcome> {
    let count = scale.spawns;
    let limit = async |arena: &Arena| {
        let elapsed = limits::single_inserts(arena, count).await?;
        Ok(per_second(count, elapsed))
    };
    let engine = async |round: &Round<'_>| spawned(round, count).await;
    let (limit, engine) = in_turns(server, scale, limit, engine).await?;
    let mut rates = Vec::new();
    let mut latencies = Latencies::new()?;
    for (rate, of_round) in engine.results {
        rates.push(rate);
        latencies.merge(&of_round)?;
    }
    let target = Target::AtLeast(0.6);
    let (rates, limit) = (Spread::of(rates)?, Spread::of(limit)?);
    Ok(Outcome {
        checks: vec![Check::against("spawns", "/s", rates, limit, target)?],
        costs: [("spawn", engine.cost)].into(),
        latencies: [("spawn", latencies.percentiles()?)].into(),
        ..Outcome::default()
    })
}

async fn spawned(round: &Round<'_>, count: usize) -> Result<((f64, Latencies), Cost)> {
    let meter = round.meter().await?;
    let sent = Arc::new(Sent::default());
    let connections = u32::try_from(CONNECTIONS)?;
    let client = round.arena.client(connections, sent.clone()).await?;
    let effort = EffortMeter::begin(&sent)?;
    let warm_up = WARM_UP * CONNECTIONS;
    at_once(&client, 0..warm_up).await?;
    let begun = Instant::now();
    let latencies = at_once(&client, warm_up..warm_up + count).await?;
    let elapsed = begun.elapsed();
    let effort = effort.end()?;
    server::close(client).await;
    let cost = meter.end(warm_up + count, effort).await?;
    Ok(((per_second(count, elapsed), latencies), cost))
}

/// Shares the spawns out among the clients.
async fn at_once(client: &Client, numbers: Range<usize>) -> Result<Latencies> {
    let spawners = (0..CONNECTIONS).map(|first| {
        let numbers = numbers.clone().skip(first).step_by(CONNECTIONS);
        tokio::spawn(spawn_all(client.clone(), numbers))
    });
    let ended = try_join_all(spawners.collect::<Vec<_>>()).await?;
    let mut latencies = Latencies::new()?;
    for of_one in ended {
        latencies.merge(&of_one?)?;
    }
    Ok(latencies)
}

/// One client's spawns; the next begins when the last has returned.
async fn spawn_all(
    client: Client,
    numbers: impl Iterator<Item = usize> + Send,
) -> Result<Latencies> {
    let mut latencies = Latencies::new()?;
    for number in numbers {
        let begun = Instant::now();
        client.spawn(tasks::nothing, number).await?;
        latencies.add(begun.elapsed())?;
    }
    Ok(latencies)
}
