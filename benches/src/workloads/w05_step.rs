//! W5: one task takes its steps, one after the other.

use std::sync::Arc;

use absurd_sdk::Worker;

use super::turns::{Round, in_turns};
use crate::{
    error::Result,
    limits,
    measure::{Latencies, Spread},
    meter::{EffortMeter, Sent},
    outcome::{Check, Cost, Outcome, Target},
    scale::Scale,
    server::{self, Arena, Server},
    tasks,
};

/// The client's pool: a worker alone needs one for its writes and one for its claims.
const CONNECTIONS: u32 = 4;

/// Measures.
pub(super) async fn run(server: &Server, scale: &Scale) -> Result<Outcome> {
    let count = scale.steps;
    let limit = async |arena: &Arena| limits::single_checkpoints(arena, count).await;
    let engine = async |round: &Round<'_>| taken(round, count).await;
    let (limit, engine) = in_turns(server, scale, limit, engine).await?;
    let (steps, of_steps) = medians(&engine.results)?;
    let (inserts, of_inserts) = medians(&limit)?;
    let target = Target::AtMost(1.5);
    Ok(Outcome {
        checks: vec![Check::against(
            "p50 of a step",
            "ms",
            steps,
            inserts,
            target,
        )?],
        costs: [("step", engine.cost)].into(),
        latencies: [
            ("step", of_steps.percentiles()?),
            ("insert", of_inserts.percentiles()?),
        ]
        .into(),
        ..Outcome::default()
    })
}

/// The median of each round, and all rounds together.
fn medians(rounds: &[Latencies]) -> Result<(Spread, Latencies)> {
    let mut all = Latencies::new()?;
    let mut medians = Vec::new();
    for round in rounds {
        medians.push(round.percentiles()?.p50);
        all.merge(round)?;
    }
    Ok((Spread::of(medians)?, all))
}

async fn taken(round: &Round<'_>, count: usize) -> Result<(Latencies, Cost)> {
    let meter = round.meter().await?;
    let sent = Arc::new(Sent::default());
    let client = round.arena.client(CONNECTIONS, sent.clone()).await?;
    let effort = EffortMeter::begin(&sent)?;
    let (moments, mut told) = tasks::moments();
    let worker = Worker::builder(&client)
        .task(tasks::row)
        .state(moments)
        .start()?;
    client.spawn(tasks::row, count).await?.result().await?;
    worker.stop().await?;
    let effort = effort.end()?;
    server::close(client).await;
    let mut latencies = Latencies::new()?;
    let (_, mut last) = told.recv().await.ok_or("the task took no step")?;
    while let Some((_, moment)) = told.recv().await {
        latencies.add(moment.duration_since(last))?;
        last = moment;
    }
    Ok((latencies, meter.end(count, effort).await?))
}
