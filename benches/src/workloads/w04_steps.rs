//! W4: tasks of ten steps, executed by one worker process.

use serde_json::json;

use super::{
    fill,
    turns::{CONCURRENCY, Round, in_turns},
};
use crate::{
    error::Result,
    limits,
    measure::{Spread, number, per_second},
    outcome::{Check, Cost, Outcome, Target},
    scale::Scale,
    server::{Arena, Server},
};

/// Steps of a task.
pub(crate) const STEPS: usize = 10;

/// Measures.
pub(super) async fn run(server: &Server, scale: &Scale) -> Result<Outcome> {
    let tasks = scale.stepping_tasks;
    let limit = async |arena: &Arena| {
        let elapsed = limits::checkpoints(arena, tasks, STEPS).await?;
        Ok(per_second(tasks * STEPS, elapsed))
    };
    let engine = async |round: &Round<'_>| drained(round, tasks).await;
    let (limit, engine) = in_turns(server, scale, limit, engine).await?;
    let (rates, limit) = (Spread::of(engine.results)?, Spread::of(limit)?);
    let in_tasks = rates.median / number(STEPS);
    let target = Target::AtLeast(0.15);
    Ok(Outcome {
        checks: vec![Check::against("steps", "/s", rates, limit, target)?],
        costs: [("step", engine.cost)].into(),
        notes: [
            ("concurrency", json!(CONCURRENCY)),
            ("tasks_per_second", json!(in_tasks)),
        ]
        .into(),
        ..Outcome::default()
    })
}

async fn drained(round: &Round<'_>, tasks: usize) -> Result<(f64, Cost)> {
    fill::steps(&round.arena, tasks, STEPS).await?;
    let meter = round.meter().await?;
    let report = round.drain(tasks).await?;
    let steps = report.executed * STEPS;
    let cost = meter.end(steps, report.effort).await?;
    round.check_completed(tasks).await?;
    let kept = round
        .arena
        .count("select count(*) from absurd.c_default")
        .await?;
    if usize::try_from(kept)? != steps {
        return Err(format!("{kept} checkpoints were kept instead of {steps}").into());
    }
    Ok((per_second(steps, report.elapsed), cost))
}
