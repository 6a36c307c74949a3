//! W2: many tasks spawned by one call.

use std::sync::Arc;

use tokio::time::Instant;

use super::turns::{Round, in_turns};
use crate::{
    error::Result,
    limits,
    measure::{Spread, per_second},
    meter::{EffortMeter, Sent},
    outcome::{Check, Cost, Outcome, Target},
    scale::Scale,
    server::{self, Arena, Server},
    tasks,
};

/// Measures.
pub(super) async fn run(server: &Server, scale: &Scale) -> Result<Outcome> {
    let count = scale.tasks;
    let limit = async |arena: &Arena| {
        let elapsed = limits::bulk_inserts(arena, count).await?;
        Ok(per_second(count, elapsed))
    };
    let engine = async |round: &Round<'_>| spawned(round, count).await;
    let (limit, engine) = in_turns(server, scale, limit, engine).await?;
    let (rates, limit) = (Spread::of(engine.results)?, Spread::of(limit)?);
    let target = Target::AtLeast(0.4);
    Ok(Outcome {
        checks: vec![Check::against("spawns", "/s", rates, limit, target)?],
        costs: [("spawn", engine.cost)].into(),
        ..Outcome::default()
    })
}

async fn spawned(round: &Round<'_>, count: usize) -> Result<(f64, Cost)> {
    let meter = round.meter().await?;
    let sent = Arc::new(Sent::default());
    let client = round.arena.client(1, sent.clone()).await?;
    let effort = EffortMeter::begin(&sent)?;
    let begun = Instant::now();
    let spawned = client.spawn_many(tasks::nothing, 0..count).await?;
    let elapsed = begun.elapsed();
    let effort = effort.end()?;
    if spawned.len() != count {
        return Err(format!("{} of {count} tasks were spawned", spawned.len()).into());
    }
    server::close(client).await;
    Ok((per_second(count, elapsed), meter.end(count, effort).await?))
}
