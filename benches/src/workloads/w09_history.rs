//! W9: W3 in a queue with a long history and a backlog, then under a snapshot that keeps
//! PostgreSQL from removing any dead row.

use serde_json::json;
use sqlx::{Connection as _, PgConnection};
use tokio::time::Instant;

use super::{
    fill,
    turns::Round,
    w03_drain::{drained, filled_and_drained},
};
use crate::{
    error::Result,
    measure::Spread,
    outcome::{Check, Cost, Outcome, Target},
    scale::Scale,
    server::{Arena, BYSTANDER, Server},
};

/// Measures.
pub(super) async fn run(server: &Server, scale: &Scale) -> Result<Outcome> {
    let long = Round::new(server).await?;
    fill::history(&long.arena, scale.finished, scale.backlog).await?;
    let (mut plain, mut history, mut costs) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..scale.rounds {
        let short = Round::new(server).await?;
        plain.push(filled_and_drained(&short, scale.tasks).await?.0);
        top_up(&long.arena, scale).await?;
        let (rate, cost) = drained(&long, scale.tasks).await?;
        history.push(rate);
        costs.push(cost);
    }
    let (snapshot, snapshot_cost) = under_a_snapshot(&long, scale).await?;
    if server.counts_statements() {
        top_up(&long.arena, scale).await?;
        let long = long.timing_statements();
        drained(&long, scale.tasks).await?;
    }
    let (plain, history) = (Spread::of(plain)?, Spread::of(history)?);
    // Those at the end of the snapshot's time have the most dead rows to step over.
    let last = snapshot[snapshot.len().saturating_sub(scale.rounds)..].to_vec();
    let last = Spread::of(last)?;
    let check = |what, measured, ratio| {
        Check::against(what, "/s", measured, plain.clone(), Target::AtLeast(ratio))
    };
    Ok(Outcome {
        checks: vec![
            check("tasks beside the history", history, 0.9)?,
            check("tasks under the snapshot", last, 0.5)?,
        ],
        costs: [
            (
                "task beside the history",
                costs.pop().ok_or("no round was run")?,
            ),
            ("task under the snapshot", snapshot_cost),
        ]
        .into(),
        notes: [
            ("finished", json!(scale.finished)),
            ("backlog", json!(scale.backlog)),
            ("snapshot_seconds", json!(scale.snapshot.as_secs_f64())),
            ("drains_under_snapshot", json!(snapshot)),
        ]
        .into(),
        ..Outcome::default()
    })
}

/// Drains again and again while a snapshot is held, for as long as the scale says.
async fn under_a_snapshot(round: &Round<'_>, scale: &Scale) -> Result<(Vec<f64>, Cost)> {
    let holder = Snapshot::take(round).await?;
    let begun = Instant::now();
    let mut rates = Vec::new();
    loop {
        top_up(&round.arena, scale).await?;
        let (rate, cost) = drained(round, scale.tasks).await?;
        rates.push(rate);
        if begun.elapsed() >= scale.snapshot && rates.len() >= scale.rounds {
            holder.release().await?;
            return Ok((rates, cost));
        }
    }
}

/// Fills the backlog up again, and waits for nothing: PostgreSQL cleans when it sees fit.
async fn top_up(arena: &Arena, scale: &Scale) -> Result {
    let waiting = "select count(*) from absurd.r_default where state = 'pending'";
    let waiting = usize::try_from(arena.count(waiting).await?)?;
    fill::pending(arena, scale.backlog.saturating_sub(waiting)).await
}

/// A transaction whose snapshot sees the queue as it was.
struct Snapshot(PgConnection);

impl Snapshot {
    /// Only a session of the same database keeps its rows from being removed.
    async fn take(round: &Round<'_>) -> Result<Self> {
        let mut connection = round.arena.connect().await?;
        let name = "select set_config('application_name', $1, false)";
        sqlx::query(name)
            .bind(BYSTANDER)
            .execute(&mut connection)
            .await?;
        for sql in [
            "begin isolation level repeatable read",
            "select count(*) from absurd.e_default",
        ] {
            sqlx::query(sql).execute(&mut connection).await?;
        }
        Ok(Self(connection))
    }

    async fn release(mut self) -> Result {
        sqlx::query("commit").execute(&mut self.0).await?;
        Ok(self.0.close().await?)
    }
}
