//! What a piece of work cost: log, commits, statements, processor time, dead rows.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use absurd_sdk::observe::StatementObserver;
use serde::{Deserialize, Serialize};
use sqlx::{Connection as _, Row as _};

use crate::{
    error::Result,
    measure::number,
    outcome::{Cost, TableState},
    proc,
    profile::{Profiler, Recording},
    server::{Arena, Server},
};

/// The statements that a client sent, by name.
#[derive(Debug, Default)]
pub(crate) struct Sent(Mutex<BTreeMap<&'static str, u64>>);

impl StatementObserver for Sent {
    fn before(&self, statement: &'static str) {
        let mut sent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *sent.entry(statement).or_default() += 1;
    }

    fn after(&self, _statement: &'static str) {}
}

impl Sent {
    /// What was sent since the last call.
    pub(crate) fn take(&self) -> BTreeMap<String, u64> {
        let mut sent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let sent = std::mem::take(&mut *sent);
        sent.into_iter()
            .map(|(name, count)| (name.into(), count))
            .collect()
    }
}

/// What our side of the work cost.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Effort {
    /// The statements sent, by name.
    pub(crate) statements: BTreeMap<String, u64>,
    /// Processor time of our process.
    pub(crate) processor: Duration,
}

/// Measures our side, in this process.
#[derive(Debug)]
pub(crate) struct EffortMeter {
    sent: Arc<Sent>,
    before: Duration,
}

impl EffortMeter {
    /// From now on.
    pub(crate) fn begin(sent: &Arc<Sent>) -> Result<Self> {
        sent.take();
        Ok(Self {
            sent: Arc::clone(sent),
            before: proc::processor_time(proc::own_id())?,
        })
    }

    /// Until now.
    pub(crate) fn end(self) -> Result<Effort> {
        Ok(Effort {
            processor: proc::processor_time(proc::own_id())?.saturating_sub(self.before),
            statements: self.sent.take(),
        })
    }
}

/// Measures the server's side. Nobody may have a session in the database when it begins, and the
/// work's sessions have to end before it does: PostgreSQL counts a session's work at its end.
#[derive(Debug)]
pub(crate) struct Meter<'a> {
    server: &'a Server,
    arena: &'a Arena,
    recording: Option<Recording>,
    before: Counters,
}

#[derive(Debug)]
struct Counters {
    wal: i64,
    commits: i64,
    processor: Duration,
    tables: BTreeMap<String, TableState>,
}

impl<'a> Meter<'a> {
    /// From now on. A checkpoint first, so that each round pays alike for whole pages in the log.
    pub(crate) async fn begin(server: &'a Server, arena: &'a Arena) -> Result<Self> {
        server.alter("checkpoint").await?;
        let before = Counters::read(server, arena).await?;
        Ok(Self {
            server,
            arena,
            recording: None,
            before,
        })
    }

    /// Has the processors sampled as well.
    pub(crate) fn with_profile(mut self) -> Result<Self> {
        let profiler = self.server.profiler();
        self.recording = profiler.map(Profiler::begin).transpose()?;
        Ok(self)
    }

    /// Until now, shared out among tasks or steps.
    pub(crate) async fn end(mut self, units: usize, effort: Effort) -> Result<Cost> {
        if let Some(recording) = self.recording.take() {
            recording.end()?;
        }
        if units == 0 {
            return Err("nothing was done, so nothing can be shared out".into());
        }
        let after = Counters::read(self.server, self.arena).await?;
        let each = |before: i64, after: i64| -> Result<f64> {
            Ok(number(usize::try_from(after - before)?) / number(units))
        };
        let micros = |time: Duration| time.as_secs_f64() * 1e6 / number(units);
        let statements: u64 = effort.statements.values().sum();
        let tables = after.tables.into_iter().map(|(name, state)| {
            let before = self.before.tables.get(&name).copied();
            let state = before.map_or(state, |before| TableState {
                dead: state.dead,
                updates: state.updates - before.updates,
                hot_updates: state.hot_updates - before.hot_updates,
            });
            (name, state)
        });
        Ok(Cost {
            units,
            wal_bytes: each(self.before.wal, after.wal)?,
            commits: each(self.before.commits, after.commits)?,
            statements: number(usize::try_from(statements)?) / number(units),
            statements_by_name: effort.statements,
            postgres_cpu_us: micros(after.processor.saturating_sub(self.before.processor)),
            our_cpu_us: micros(effort.processor),
            tables: tables.collect(),
        })
    }
}

impl Counters {
    async fn read(server: &Server, arena: &Arena) -> Result<Self> {
        server.wait_until_left(arena).await?;
        let processor = proc::family_time(server.postmaster())?;
        let sql = "select pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint as wal, \
                   xact_commit as commits from pg_stat_database where datname = $1";
        let row = sqlx::query(sql)
            .bind(arena.name())
            .fetch_one(server.admin())
            .await?;
        Ok(Self {
            wal: row.try_get("wal")?,
            commits: row.try_get("commits")?,
            processor,
            tables: tables(arena).await?,
        })
    }
}

/// The tables of the queue.
async fn tables(arena: &Arena) -> Result<BTreeMap<String, TableState>> {
    let sql = "select relname::text as name, n_dead_tup, n_tup_upd, n_tup_hot_upd \
               from pg_stat_user_tables where schemaname = 'absurd' and relname like '__default'";
    let mut connection = arena.connect().await?;
    let rows = sqlx::query(sql).fetch_all(&mut connection).await?;
    connection.close().await?;
    let mut tables = BTreeMap::new();
    for row in rows {
        let state = TableState {
            dead: row.try_get("n_dead_tup")?,
            updates: row.try_get("n_tup_upd")?,
            hot_updates: row.try_get("n_tup_hot_upd")?,
        };
        tables.insert(row.try_get("name")?, state);
    }
    Ok(tables)
}
