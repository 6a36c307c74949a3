//! What the contract says of single calls: the facts most often got wrong, and the tables of
//! values. Each case is SQL and its answer as text, in one session whose clock stands still.

mod life;
mod queues;

use absurd_test::Database;
use sqlx::{PgConnection, Row as _, error::DatabaseError};

use crate::support::TestResult;

/// The answer of a statement as text; of its first row and column, or its SQLSTATE.
async fn answer(session: &mut PgConnection, sql: &str) -> TestResult<String> {
    let asked = format!("select ({sql})::text");
    match sqlx::query(sqlx::AssertSqlSafe(asked))
        .fetch_one(&mut *session)
        .await
    {
        Ok(row) => Ok(row
            .get::<Option<String>, _>(0)
            .unwrap_or_else(|| "null".into())),
        Err(error) => {
            let code = error.as_database_error().and_then(DatabaseError::code);
            Ok(code.ok_or(error.to_string())?.into_owned())
        }
    }
}

/// A session whose clock stands at noon of 2026-03-02, a Monday.
async fn session(database: &Database) -> TestResult<PgConnection> {
    let mut session = database.client().pool().acquire().await?.detach();
    set_clock(&mut session, "2026-03-02 12:00:00+00").await?;
    sqlx::query("set timezone = 'UTC'")
        .execute(&mut session)
        .await?;
    Ok(session)
}

async fn set_clock(session: &mut PgConnection, time: &str) -> TestResult {
    let set = format!("set absurd.fake_now = '{time}'");
    sqlx::query(sqlx::AssertSqlSafe(set))
        .execute(session)
        .await?;
    Ok(())
}

async fn check(session: &mut PgConnection, cases: &[(&str, &str)]) -> TestResult {
    for (sql, expected) in cases {
        assert_eq!(answer(session, sql).await?, *expected, "{sql}");
    }
    Ok(())
}

#[tokio::test]
async fn clock_ids_and_weeks() -> TestResult {
    let database = Database::start().await?;
    let mut session = session(&database).await?;
    let cases = [
        ("absurd.current_time()", "2026-03-02 12:00:00+00"),
        (
            "absurd.uuidv7_timestamp(absurd.portable_uuidv7())",
            "2026-03-02 12:00:00+00",
        ),
        (
            "absurd.uuidv7_floor('2026-03-02 12:00:00.0019+00')",
            "019cae6b-6601-7000-8000-000000000000",
        ),
        (
            "absurd.uuidv7_timestamp('019cae6b-6601-4000-8000-000000000000')",
            "null",
        ),
        ("absurd.uuidv7_floor('1969-12-31 00:00:00+00')", "P0001"),
        (
            "absurd.week_bucket_utc('2026-03-08 23:59:59+00')",
            "2026-03-02 00:00:00+00",
        ),
        ("absurd.partition_week_tag('2023-01-02 00:00+00')", "301"),
        ("absurd.partition_week_tag('2027-01-01 00:00+00')", "653"),
        ("absurd.partition_week_tag('2029-12-31 00:00+00')", "001"),
        ("absurd.get_schema_version()", "0.5.1"),
        ("absurd.validate_queue_name(' ')", " "),
        ("absurd.validate_queue_name('')", "P0001"),
        ("absurd.validate_queue_name(repeat('q', 58))", "P0001"),
    ];
    check(&mut session, &cases).await?;
    set_clock(&mut session, "").await?;
    check(
        &mut session,
        &[("absurd.current_time() > '2026-06-01'", "true")],
    )
    .await
}

#[tokio::test]
async fn retry_delays() -> TestResult {
    let database = Database::start().await?;
    let mut session = session(&database).await?;
    let delay = |strategy: &str, attempt: &str| {
        format!("absurd.retry_delay_seconds({strategy}, {attempt})")
    };
    for (strategy, attempt, expected) in [
        ("null", "3", "0"),
        ("'{}'", "3", "0"),
        (r#"'{"kind": "none", "base_seconds": "x"}'"#, "1", "0"),
        (r#"'{"kind": "fixed"}'"#, "9", "60"),
        (
            r#"'{"kind": "fixed", "base_seconds": "2.5", "max_seconds": "x"}'"#,
            "9",
            "2.5",
        ),
        (r#"'{"kind": "exponential"}'"#, "1", "30"),
        (
            r#"'{"kind": "exponential", "base_seconds": 5, "factor": 3, "max_seconds": 60}'"#,
            "3",
            "45",
        ),
        (
            r#"'{"kind": "exponential", "base_seconds": 5, "factor": 3, "max_seconds": 60}'"#,
            "4",
            "60",
        ),
        (r#"'{"kind": "exponential"}'"#, "100000", "86400"),
        (r#"'{"kind": "exponential", "factor": 0.5}'"#, "100000", "0"),
        (r#"'{"kind": "exponential", "factor": 0}'"#, "1", "30"),
        (r#"'{"kind": "exponential"}'"#, "null", "30"),
        ("'null'", "1", "AB003"),
        ("'[]'", "1", "AB003"),
        (r#"'{"kind": "Fixed"}'"#, "1", "AB003"),
        (r#"'{"kind": ""}'"#, "1", "AB003"),
        (r#"'{"kind": "fixed", "base_seconds": "x"}'"#, "1", "AB003"),
        (
            r#"'{"kind": "fixed", "base_seconds": "NaN"}'"#,
            "1",
            "AB003",
        ),
        (
            r#"'{"kind": "fixed", "base_seconds": 86401}'"#,
            "1",
            "AB003",
        ),
        (r#"'{"kind": "exponential", "factor": -1}'"#, "1", "AB003"),
        (
            r#"'{"kind": "exponential", "factor": "Infinity"}'"#,
            "1",
            "AB003",
        ),
        (
            r#"'{"kind": "exponential", "max_seconds": "x"}'"#,
            "1",
            "AB003",
        ),
    ] {
        let sql = delay(strategy, attempt);
        assert_eq!(answer(&mut session, &sql).await?, expected, "{sql}");
    }
    Ok(())
}
