//! W3: tasks that do nothing, executed by one worker process.

use serde_json::json;

use super::{
    fill,
    turns::{CONCURRENCY, Round, in_turns},
};
use crate::{
    error::Result,
    limits,
    measure::{Spread, per_second},
    outcome::{Check, Cost, Outcome, Target},
    scale::Scale,
    server::{Arena, Server},
};

/// Measures.
pub(super) async fn run(server: &Server, scale: &Scale) -> Result<Outcome> {
    let count = scale.tasks;
    let limit = async |arena: &Arena| {
        let elapsed = limits::claims_and_ends(arena, count).await?;
        Ok(per_second(count, elapsed))
    };
    let engine = async |round: &Round<'_>| filled_and_drained(round, count).await;
    let (limit, engine) = in_turns(server, scale, limit, engine).await?;
    let (rates, limit) = (Spread::of(engine.results)?, Spread::of(limit)?);
    let target = Target::AtLeast(0.25);
    Ok(Outcome {
        checks: vec![Check::against("tasks", "/s", rates, limit, target)?],
        costs: [("task", engine.cost)].into(),
        notes: [("concurrency", json!(CONCURRENCY))].into(),
        ..Outcome::default()
    })
}

/// Fills an empty queue and empties it again.
pub(super) async fn filled_and_drained(round: &Round<'_>, count: usize) -> Result<(f64, Cost)> {
    fill::nothing(&round.arena, count).await?;
    let measured = drained(round, count).await?;
    round.check_completed(count).await?;
    Ok(measured)
}

/// Has a worker process take so many tasks from the queue: tasks per second, and what each cost.
pub(super) async fn drained(round: &Round<'_>, count: usize) -> Result<(f64, Cost)> {
    let meter = round.meter().await?;
    let report = round.drain(count).await?;
    let cost = meter.end(report.executed, report.effort).await?;
    Ok((per_second(report.executed, report.elapsed), cost))
}
