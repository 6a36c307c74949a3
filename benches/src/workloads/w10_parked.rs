//! W10: many parked tasks beside an idle worker, then many of them woken by one event.

use std::{sync::Arc, time::Duration};

use serde_json::json;
use tokio::time::{Instant, sleep};

use super::{
    fill,
    turns::{CONCURRENCY, Round, rounds},
};
use crate::{
    error::Result,
    measure::{Spread, number},
    meter::Sent,
    outcome::{Check, Cost, Outcome, Target},
    proc::{self, Memory},
    scale::Scale,
    server::{self, Server},
    tasks::GO,
    worker::WorkerProcess,
};

const MEBIBYTE: f64 = 1024.0 * 1024.0;

/// One round's numbers.
struct Woken {
    /// From the emit's call until all that it woke is completed.
    elapsed: Duration,
    /// Processor time of the idle worker, as a part of one core.
    idle_load: f64,
    idle: Memory,
    busy: Memory,
}

/// Measures.
pub(super) async fn run(server: &Server, scale: &Scale) -> Result<Outcome> {
    let engine = async |round: &Round<'_>| woken(round, scale).await;
    let engine = rounds(server, scale, engine).await?;
    let spread =
        |number: fn(&Woken) -> f64| Spread::of(engine.results.iter().map(number).collect());
    let seconds = spread(|woken| woken.elapsed.as_secs_f64())?;
    let busy = spread(|woken| mebibytes(woken.busy.peak))?;
    let idle = spread(|woken| mebibytes(woken.idle.now))?;
    let load = spread(|woken| woken.idle_load * 100.0)?;
    Ok(Outcome {
        checks: vec![
            Check::absolute("emit to all completed", "s", seconds, Target::Below(5.0)),
            Check::absolute("worker at its highest", "MiB", busy, Target::Below(100.0)),
            Check::absolute("idle worker", "MiB", idle, Target::Below(25.0)),
        ],
        costs: [("woken task", engine.cost)].into(),
        notes: [
            ("parked", json!(scale.parked)),
            ("woken", json!(scale.woken)),
            ("concurrency", json!(CONCURRENCY)),
            ("idle_percent_of_a_core", json!(load)),
        ]
        .into(),
        ..Outcome::default()
    })
}

async fn woken(round: &Round<'_>, scale: &Scale) -> Result<(Woken, Cost)> {
    fill::parked(&round.arena, scale.parked, scale.woken).await?;
    let meter = round.meter().await?;
    let mut worker = WorkerProcess::start(&round.order(scale.woken)).await?;
    let client = round.arena.client(1, Arc::new(Sent::default())).await?;
    worker.go().await?;
    worker.has_claimed().await?;
    let (idle_load, idle) = watched(worker.id()?, scale.idle).await?;
    let begun = Instant::now();
    client.emit_event(GO, &1).await?;
    let report = worker.done().await?;
    let elapsed = begun.elapsed();
    worker.ended().await?;
    server::close(client).await;
    round.check_completed(scale.woken).await?;
    let woken = Woken {
        elapsed,
        idle_load,
        idle,
        busy: report.memory,
    };
    Ok((woken, meter.end(scale.woken, report.effort).await?))
}

/// Watches a process that has nothing to do.
async fn watched(pid: u32, time: Duration) -> Result<(f64, Memory)> {
    let (begun, before) = (Instant::now(), proc::processor_time(pid)?);
    sleep(time).await;
    let used = proc::processor_time(pid)?.saturating_sub(before);
    let load = used.as_secs_f64() / begun.elapsed().as_secs_f64();
    Ok((load, proc::memory(pid)?))
}

fn mebibytes(bytes: u64) -> f64 {
    number(usize::try_from(bytes).unwrap_or(usize::MAX)) / MEBIBYTE
}
