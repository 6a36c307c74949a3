//! Rounds: the limit and the engine in turns, each pair in a fresh database.

use crate::{
    error::Result,
    meter::Meter,
    outcome::Cost,
    scale::Scale,
    server::{Arena, Server},
    worker::{Order, Report, WorkerProcess},
};

/// Runs that the worker process executes at once.
pub(super) const CONCURRENCY: usize = 256;

/// One round in a database of its own.
#[derive(Debug)]
pub(super) struct Round<'a> {
    pub(super) server: &'a Server,
    pub(super) arena: Arena,
    purpose: Purpose,
}

/// What a round is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// Its figures.
    Figures,
    /// Times of statements. Taking them costs time: nothing else of the round counts.
    Statements,
    /// Samples of what the processors do, which cost time as well.
    Profile,
}

impl<'a> Round<'a> {
    /// A round that counts.
    pub(super) async fn new(server: &'a Server) -> Result<Self> {
        Ok(Self {
            server,
            arena: server.arena().await?,
            purpose: Purpose::Figures,
        })
    }

    /// A round whose figures don't count.
    async fn aside(server: &'a Server, purpose: Purpose) -> Result<Self> {
        let round = Self::new(server).await?;
        Ok(Self { purpose, ..round })
    }

    /// The same, from now on for the times of its statements.
    pub(super) fn timing_statements(self) -> Self {
        Self {
            purpose: Purpose::Statements,
            ..self
        }
    }

    /// Measures the work that begins now. What was prepared is not of interest.
    pub(super) async fn meter(&self) -> Result<Meter<'_>> {
        if self.purpose == Purpose::Statements {
            self.server.time_statements(&self.arena).await?;
        }
        let meter = Meter::begin(self.server, &self.arena).await?;
        if self.purpose == Purpose::Profile {
            return meter.with_profile();
        }
        Ok(meter)
    }

    /// Has a worker process execute so many tasks.
    pub(super) async fn drain(&self, executions: usize) -> Result<Report> {
        let mut worker = WorkerProcess::start(&self.order(executions)).await?;
        worker.go().await?;
        let report = worker.done().await?;
        worker.ended().await?;
        Ok(report)
    }

    /// What a worker process of this round is to do.
    pub(super) fn order(&self, executions: usize) -> Order {
        Order {
            url: self.arena.url().to_owned(),
            concurrency: CONCURRENCY,
            executions,
        }
    }

    /// Compares what the worker says with what the database holds.
    pub(super) async fn check_completed(&self, executed: usize) -> Result {
        let sql = "select count(*) from absurd.r_default where state = 'completed'";
        let completed = self.arena.count(sql).await?;
        if usize::try_from(completed)? == executed {
            return Ok(());
        }
        Err(format!("{executed} tasks were executed, but {completed} are completed").into())
    }
}

/// One result for each round that counted, and the cost of the last one.
#[derive(Debug)]
pub(super) struct Rounds<T> {
    pub(super) results: Vec<T>,
    pub(super) cost: Cost,
}

/// Runs limit and engine in turns; at last the engine once more for each other purpose.
pub(super) async fn in_turns<L, E>(
    server: &Server,
    scale: &Scale,
    limit: impl AsyncFn(&Arena) -> Result<L>,
    engine: impl AsyncFn(&Round<'_>) -> Result<(E, Cost)>,
) -> Result<(Vec<L>, Rounds<E>)> {
    let mut limits = Vec::new();
    let rounds = rounds(server, scale, async |round| {
        if round.purpose == Purpose::Figures {
            limits.push(limit(&round.arena).await?);
        }
        engine(round).await
    })
    .await?;
    Ok((limits, rounds))
}

/// Runs the engine in several rounds, then once more for each other purpose.
pub(super) async fn rounds<T>(
    server: &Server,
    scale: &Scale,
    mut engine: impl AsyncFnMut(&Round<'_>) -> Result<(T, Cost)>,
) -> Result<Rounds<T>> {
    let mut results = Vec::new();
    let mut last_cost = None;
    for _ in 0..scale.rounds {
        let round = Round::new(server).await?;
        let (result, cost) = engine(&round).await?;
        results.push(result);
        last_cost = Some(cost);
    }
    let statements = server.counts_statements().then_some(Purpose::Statements);
    let profile = server.profiler().map(|_| Purpose::Profile);
    for purpose in statements.into_iter().chain(profile) {
        engine(&Round::aside(server, purpose).await?).await?;
    }
    let cost = last_cost.ok_or("no round was run")?;
    Ok(Rounds { results, cost })
}
