//! The schema: numbered files change tables, once; functions are written again whenever
//! their text has changed. One transaction under an advisory lock, so ten processes may
//! start at once and any number of times.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};
use sqlx::{AssertSqlSafe, Executor as _, PgConnection, PgPool};

include!(concat!(env!("OUT_DIR"), "/migrations.rs"));

/// Key of the advisory lock under which migrations run: `absurd` in ASCII.
const LOCK_KEY: i64 = 0x6162_7375_7264;

const BOOKKEEPING: &str = "\
create schema if not exists absurd;
create table if not exists absurd.migrations (
    name text primary key,
    sha256 text not null,
    applied_at timestamptz not null default clock_timestamp()
);
";

/// The schema could not be brought up to date. Nothing has been changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MigrateError {
    /// The database could not be reached.
    #[error("can't connect to migrate the database")]
    Connect(#[source] sqlx::Error),
    /// A file was refused.
    #[error("migration {file} was refused by the database; nothing has been changed")]
    Refused {
        /// Name of the file.
        file: &'static str,
        /// The database's reason.
        source: sqlx::Error,
    },
    /// A numbered file, applied once and for all, differs from the one in this program.
    #[error(
        "migration {file} was applied with another content; numbered files never change: \
         use the release that wrote it, or a newer one"
    )]
    Changed {
        /// Name of the file.
        file: &'static str,
    },
}

/// What a migration did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Migrated {
    /// Names of the files that were applied; empty when all was up to date.
    pub applied: Vec<&'static str>,
}

/// Brings the schema `absurd` up to date, from nothing, from an earlier release, or from
/// upstream's schema 0.4 or 0.5, whose queues and live tasks it takes over.
pub async fn migrate(pool: &PgPool) -> Result<Migrated, MigrateError> {
    let mut tx = pool.begin().await.map_err(MigrateError::Connect)?;
    let connection: &mut PgConnection = &mut tx;
    run(
        connection,
        "the advisory lock",
        format!("select pg_advisory_xact_lock({LOCK_KEY})"),
    )
    .await?;
    run(connection, "the bookkeeping", BOOKKEEPING.to_owned()).await?;
    let known: Vec<(String, String)> = sqlx::query_as("select name, sha256 from absurd.migrations")
        .fetch_all(&mut *connection)
        .await
        .map_err(|source| MigrateError::Refused {
            file: "the bookkeeping",
            source,
        })?;
    let mut migrated = Migrated::default();
    for file in FILES {
        let sha256 = sha256(file.sql);
        match known.iter().find(|(name, _)| name == file.name) {
            Some((_, applied)) if *applied == sha256 => continue,
            Some(_) if !file.is_repeatable() => {
                return Err(MigrateError::Changed { file: file.name });
            }
            _ => {}
        }
        run(connection, file.name, file.sql.to_owned()).await?;
        run(connection, file.name, record(file.name, &sha256)).await?;
        migrated.applied.push(file.name);
    }
    if !migrated.applied.is_empty() {
        run(connection, "upgrade_queues", UPGRADE_QUEUES.to_owned()).await?;
    }
    tx.commit().await.map_err(|source| MigrateError::Refused {
        file: "the commit",
        source,
    })?;
    Ok(migrated)
}

/// The whole schema as one script for `psql -f` or a migration tool, with the same
/// result as [`migrate`]. It may be applied again, and over upstream's schema.
pub fn dump() -> String {
    let mut script = String::from(
        "-- The schema of Absurd for Rust in one file, written by `absurd migrate --dump`.\n",
    );
    script.push_str(BOOKKEEPING);
    for file in FILES {
        // Writing to a String can't fail.
        let _ = write!(script, "\n-- {}\n{}\n", file.name, file.sql.trim_end());
        let _ = writeln!(script, "{};", record(file.name, &sha256(file.sql)));
    }
    script.push('\n');
    script.push_str(UPGRADE_QUEUES);
    script.push_str(";\n");
    script
}

/// A text that changes whenever the schema does.
pub fn fingerprint() -> String {
    sha256(&dump())
}

const UPGRADE_QUEUES: &str = "select absurd.upgrade_queues()";

/// One file of `migrations/`.
struct File {
    name: &'static str,
    sql: &'static str,
}

impl File {
    fn is_repeatable(&self) -> bool {
        self.name.starts_with("functions/")
    }
}

/// File names and digests come from this program, not from anybody's input.
fn record(name: &str, sha256: &str) -> String {
    format!(
        "insert into absurd.migrations (name, sha256) values ('{name}', '{sha256}') \
         on conflict (name) do update set sha256 = excluded.sha256, applied_at = clock_timestamp()"
    )
}

async fn run(
    connection: &mut PgConnection,
    file: &'static str,
    sql: String,
) -> Result<(), MigrateError> {
    connection
        .execute(AssertSqlSafe(sql))
        .await
        .map(drop)
        .map_err(|source| MigrateError::Refused { file, source })
}

fn sha256(text: &str) -> String {
    Sha256::digest(text)
        .iter()
        .fold(String::new(), |mut hex, byte| {
            // Writing to a String can't fail.
            let _ = write!(hex, "{byte:02x}");
            hex
        })
}
