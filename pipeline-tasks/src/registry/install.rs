//! The registry's schema.

use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::error::RegistryError;

const SCHEMA: &str = include_str!("../../sql/registry.sql");
/// Key of the advisory lock under which the schema is brought up to date: `pipeline` in ASCII.
const LOCK_KEY: i64 = 0x7069_7065_6c69_6e65;

/// Brings schema `pipeline` up to date. Any number of workers may do so at once and again: one
/// goes first, and nobody touches tables that are up to date, so nobody waits for running work.
pub async fn install(pool: &PgPool) -> Result<(), RegistryError> {
    let digest = Uuid::new_v5(&Uuid::NAMESPACE_OID, SCHEMA.as_bytes()).to_string();
    let mut tx = pool.begin().await.map_err(RegistryError::Install)?;
    apply(&mut tx, &digest)
        .await
        .map_err(RegistryError::Install)?;
    tx.commit().await.map_err(RegistryError::Install)
}

async fn apply(connection: &mut PgConnection, digest: &str) -> Result<(), sqlx::Error> {
    sqlx::query("select pg_advisory_xact_lock($1)")
        .bind(LOCK_KEY)
        .execute(&mut *connection)
        .await?;
    // A statement that names the table can't be prepared while there is none.
    let exists = "select to_regclass('pipeline.installed') is not null";
    let exists: bool = sqlx::query_scalar(exists)
        .fetch_one(&mut *connection)
        .await?;
    if exists {
        let installed: Option<String> =
            sqlx::query_scalar("select digest from pipeline.installed where only_row")
                .fetch_optional(&mut *connection)
                .await?;
        if installed.as_deref() == Some(digest) {
            return Ok(());
        }
    }
    sqlx::raw_sql(SCHEMA).execute(&mut *connection).await?;
    let record = "
        insert into pipeline.installed (digest) values ($1)
        on conflict (only_row) do update set digest = excluded.digest, installed_at = now()";
    sqlx::query(record)
        .bind(digest)
        .execute(&mut *connection)
        .await?;
    Ok(())
}
