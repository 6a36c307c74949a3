//! W8: from a claim to the first fresh step behind many cached ones.

use std::sync::Arc;

use absurd_sdk::Worker;
use serde_json::json;

use super::{
    claims::Claims,
    turns::{Round, rounds},
};
use crate::{
    error::Result,
    measure::{Latencies, Spread},
    meter::EffortMeter,
    outcome::{Check, Cost, Outcome, Target},
    scale::Scale,
    server::{self, Server},
    tasks::{self, ReplayOrder},
};

const CONNECTIONS: u32 = 4;

/// From when the claim was sent, and from when it was answered.
struct Replays {
    sent: Latencies,
    answered: Latencies,
}

/// Measures.
pub(super) async fn run(server: &Server, scale: &Scale) -> Result<Outcome> {
    let engine = async |round: &Round<'_>| replayed(round, scale).await;
    let engine = rounds(server, scale, engine).await?;
    let (mut sent, mut answered) = (Latencies::new()?, Latencies::new()?);
    let mut p50 = Vec::new();
    for of_round in &engine.results {
        p50.push(of_round.sent.percentiles()?.p50);
        sent.merge(&of_round.sent)?;
        answered.merge(&of_round.answered)?;
    }
    let what = "claim sent to fresh step, p50";
    Ok(Outcome {
        checks: vec![Check::absolute(
            what,
            "ms",
            Spread::of(p50)?,
            Target::AtMost(5.0),
        )],
        costs: [("attempt", engine.cost)].into(),
        latencies: [
            ("claim sent to fresh step", sent.percentiles()?),
            ("claim answered to fresh step", answered.percentiles()?),
        ]
        .into(),
        notes: [("cached_steps", json!(scale.steps))].into(),
        ..Outcome::default()
    })
}

/// One task takes its steps, then fails behind them again and again: each attempt replays them.
async fn replayed(round: &Round<'_>, scale: &Scale) -> Result<(Replays, Cost)> {
    let meter = round.meter().await?;
    let claims = Arc::new(Claims::default());
    let client = round.arena.client(CONNECTIONS, claims.clone()).await?;
    let effort = EffortMeter::begin(&claims.sent)?;
    let (moments, mut told) = tasks::moments();
    let worker = Worker::builder(&client)
        .task(tasks::replay)
        .state(moments)
        .start()?;
    let order = ReplayOrder {
        steps: scale.steps,
        replays: usize::try_from(scale.replays)?,
    };
    let attempts = scale.replays + 1;
    let spawn = client.spawn(tasks::replay, order).max_attempts(attempts);
    // A handle that lives on would keep its client's session.
    spawn.await?.result().await?;
    worker.stop().await?;
    let effort = effort.end()?;
    server::close(client).await;
    let mut replays = Replays {
        sent: Latencies::new()?,
        answered: Latencies::new()?,
    };
    while let Some((number, moment)) = told.recv().await {
        // The first attempt replays nothing.
        if number > 0 {
            let (sent, answered) = claims.last_before(moment).ok_or("no claim was seen")?;
            replays.sent.add(moment.duration_since(sent))?;
            replays.answered.add(moment.duration_since(answered))?;
        }
    }
    Ok((
        replays,
        meter.end(usize::try_from(attempts)?, effort).await?,
    ))
}
