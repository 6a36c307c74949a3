//! The PostgreSQL under test, and a fresh database on it for each round.

use std::sync::Arc;

use absurd_sdk::{Client, observe::StatementObserver};
use absurd_test::{Database, Durability, Postgres, eventually};
use sqlx::{
    AssertSqlSafe, Connection as _, PgConnection, PgPool, Row as _,
    postgres::{PgPoolOptions, PgRow},
};

use crate::{
    error::Result,
    outcome::{TopStatement, TopStatements},
    profile::Profiler,
    scale::Scale,
};

/// How many statements of a workload are reported: of those sent, and of those inside of them.
const TOP_STATEMENTS: i64 = 5;
/// The application's name of a session that stands by while others work, and isn't waited for.
pub(crate) const BYSTANDER: &str = "bystander";
const MODULE: &str = "pg_stat_statements";

/// A private server; its commits are on disk when they return, in all scales that measure.
#[derive(Debug)]
pub(crate) struct Server {
    /// Keeps the server running.
    postgres: Postgres,
    admin: PgPool,
    postmaster: u32,
    counts_statements: bool,
    profiler: Option<Profiler>,
}

/// A fresh database; with the schema and the queue `default`, unless it was asked for blank.
#[derive(Debug)]
pub(crate) struct Arena {
    database: Database,
}

impl Server {
    /// Starts it, with statement statistics where the machine has them.
    pub(crate) async fn start(scale: &Scale, profiler: Option<Profiler>) -> Result<Self> {
        let durability = if scale.durable {
            Durability::On
        } else {
            Durability::Off
        };
        let postgres = Postgres::private_with(durability).await?;
        let counts_statements = prepare_statistics(&postgres).await?;
        let url = postgres.url("postgres");
        let admin = PgPoolOptions::new()
            .max_connections(2)
            .connect(&url)
            .await?;
        if counts_statements {
            let create = format!("create extension if not exists {MODULE}");
            sqlx::query(AssertSqlSafe(create)).execute(&admin).await?;
        } else {
            eprintln!("This machine has no {MODULE}: times of statements are left out.");
        }
        let file: String = sqlx::query_scalar("select pg_read_file('postmaster.pid')")
            .fetch_one(&admin)
            .await?;
        let postmaster = file.lines().next().unwrap_or_default().trim().parse()?;
        let server = Self {
            postgres,
            admin,
            postmaster,
            counts_statements,
            profiler,
        };
        if scale.durable {
            server.check_durability().await?;
        }
        Ok(server)
    }

    /// A fresh database.
    pub(crate) async fn arena(&self) -> Result<Arena> {
        let database = Database::on(&self.postgres).await?;
        Ok(Arena { database })
    }

    /// A fresh database without any schema.
    pub(crate) async fn blank_arena(&self) -> Result<Arena> {
        let database = Database::empty_on(&self.postgres).await?;
        Ok(Arena { database })
    }

    /// A pool to the database `postgres`, whose sessions count for no arena.
    pub(crate) fn admin(&self) -> &PgPool {
        &self.admin
    }

    /// The process whose children are all others of the server.
    pub(crate) fn postmaster(&self) -> u32 {
        self.postmaster
    }

    /// One setting, as PostgreSQL shows it.
    pub(crate) async fn setting(&self, name: &str) -> Result<String> {
        let setting = sqlx::query_scalar("select current_setting($1)").bind(name);
        Ok(setting.fetch_one(&self.admin).await?)
    }

    /// Whether there are rounds in which statements are timed. Timing those inside functions
    /// costs time itself, so such a round counts for nothing else.
    pub(crate) fn counts_statements(&self) -> bool {
        self.counts_statements
    }

    /// Who samples what the processors do, if that was asked for.
    pub(crate) fn profiler(&self) -> Option<&Profiler> {
        self.profiler.as_ref()
    }

    /// Times the statements of all sessions that begin from now on in a database.
    pub(crate) async fn time_statements(&self, arena: &Arena) -> Result {
        if self.counts_statements {
            self.alter(&format!(
                "alter database {} set {MODULE}.track = 'all'",
                arena.name()
            ))
            .await?;
        }
        Ok(())
    }

    /// Begins to count anew.
    pub(crate) async fn forget_statements(&self) -> Result {
        if self.counts_statements {
            self.alter("select pg_stat_statements_reset()").await?;
        }
        Ok(())
    }

    /// The statements with the most time since.
    pub(crate) async fn top_statements(&self) -> Result<Option<TopStatements>> {
        if !self.counts_statements {
            return Ok(None);
        }
        Ok(Some(TopStatements {
            sent: self.most_time(true).await?,
            inside: self.most_time(false).await?,
        }))
    }

    async fn most_time(&self, is_top_level: bool) -> Result<Vec<TopStatement>> {
        let sql = "select regexp_replace(query, '\\s+', ' ', 'g') as text, calls, \
                   total_exec_time, mean_exec_time, rows from pg_stat_statements \
                   where toplevel = $1 order by total_exec_time desc limit $2";
        let rows = sqlx::query(sql)
            .bind(is_top_level)
            .bind(TOP_STATEMENTS)
            .fetch_all(&self.admin)
            .await?;
        rows.iter().map(top_statement).collect()
    }

    /// Waits until no client has a session in a database: each counts its work at its end.
    pub(crate) async fn wait_until_left(&self, arena: &Arena) -> Result {
        let sql = "select count(*) from pg_stat_activity \
                   where datname = $1 and backend_type = 'client backend' \
                   and application_name <> $2";
        let name = arena.name();
        Ok(eventually("all sessions have ended", async || {
            let sessions = sqlx::query_scalar(sql).bind(name).bind(BYSTANDER);
            let sessions = sessions.fetch_one(&self.admin).await;
            sessions.is_ok_and(|count: i64| count == 0)
        })
        .await?)
    }

    /// Runs a statement that returns nothing of interest.
    pub(crate) async fn alter(&self, sql: &str) -> Result {
        sqlx::query(AssertSqlSafe(sql.to_owned()))
            .execute(&self.admin)
            .await?;
        Ok(())
    }

    /// Refuses to measure commits that are on no disk.
    async fn check_durability(&self) -> Result {
        for name in ["fsync", "synchronous_commit", "full_page_writes"] {
            let value = self.setting(name).await?;
            if value != "on" {
                return Err(format!("{name} is {value}: commits would be too cheap").into());
            }
        }
        Ok(())
    }
}

/// Loads the statistics module and starts the server again; false where there is none.
async fn prepare_statistics(postgres: &Postgres) -> Result<bool> {
    let mut admin = PgConnection::connect(&postgres.url("postgres")).await?;
    let found = "select exists (select from pg_available_extensions where name = $1)";
    let found: bool = sqlx::query_scalar(found)
        .bind(MODULE)
        .fetch_one(&mut admin)
        .await?;
    if found {
        let load = format!("alter system set shared_preload_libraries = {MODULE}");
        let quiet = format!("alter system set {MODULE}.track = none");
        sqlx::query(AssertSqlSafe(load)).execute(&mut admin).await?;
        admin.close().await?;
        postgres.stop().await?;
        postgres.start().await?;
        admin = PgConnection::connect(&postgres.url("postgres")).await?;
        sqlx::query(AssertSqlSafe(quiet))
            .execute(&mut admin)
            .await?;
        sqlx::query("select pg_reload_conf()")
            .execute(&mut admin)
            .await?;
    }
    admin.close().await?;
    Ok(found)
}

fn top_statement(row: &PgRow) -> Result<TopStatement> {
    Ok(TopStatement {
        text: row.try_get("text")?,
        calls: row.try_get("calls")?,
        total_ms: row.try_get("total_exec_time")?,
        mean_ms: row.try_get("mean_exec_time")?,
        rows: row.try_get("rows")?,
    })
}

impl Arena {
    /// Its URL, with the password.
    pub(crate) fn url(&self) -> &str {
        self.database.url()
    }

    /// Its name on the server.
    pub(crate) fn name(&self) -> &str {
        let url = self.database.url();
        url.rsplit('/').next().unwrap_or(url)
    }

    /// A plain connection.
    pub(crate) async fn connect(&self) -> Result<PgConnection> {
        Ok(PgConnection::connect(self.url()).await?)
    }

    /// Runs some SQL on a connection of its own.
    pub(crate) async fn execute(&self, sql: String) -> Result {
        let mut connection = self.connect().await?;
        sqlx::raw_sql(AssertSqlSafe(sql))
            .execute(&mut connection)
            .await?;
        Ok(connection.close().await?)
    }

    /// One number.
    pub(crate) async fn count(&self, sql: &'static str) -> Result<i64> {
        let mut connection = self.connect().await?;
        let count = sqlx::query_scalar(sql).fetch_one(&mut connection).await?;
        connection.close().await?;
        Ok(count)
    }

    /// A client of the queue, whose statements are observed. Its connections stand already.
    pub(crate) async fn client(
        &self,
        connections: u32,
        observer: Arc<dyn StatementObserver>,
    ) -> Result<Client> {
        let client = Client::builder()
            .url(self.url())
            .pool_size_max(connections)
            .observer(observer)
            .connect()
            .await?;
        let pool = client.pool();
        let warm = futures::future::try_join_all((0..connections).map(|_| pool.acquire()));
        drop(warm.await?);
        client.queue_stats().await?;
        Ok(client)
    }
}

/// Ends a client's sessions.
pub(crate) async fn close(client: Client) {
    client.pool().close().await;
}
