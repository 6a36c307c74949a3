//! What the contract says of single calls: the facts most often got wrong, and the tables of
//! values. Each case is SQL and its answer as text, in one session whose clock stands still.

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

#[tokio::test]
async fn a_lease_that_is_over_is_one_attempt_once_a_claim_sees_it() -> TestResult {
    let database = Database::start().await?;
    let mut session = session(&database).await?;
    let runs = "select string_agg(attempt || ' ' || state, ', ' order by attempt) \
                from absurd.r_default";
    let claim = "select string_agg(c.attempt::text, ',') \
                 from absurd.claim_task('default', 'w', 10, 5) c";
    check(
        &mut session,
        &[
            (
                "select attempt from absurd.spawn_task('default', 'a', null)",
                "1",
            ),
            (claim, "1"),
        ],
    )
    .await?;
    set_clock(&mut session, "2026-03-02 12:00:09+00").await?;
    check(&mut session, &[(claim, "null")]).await?;
    set_clock(&mut session, "2026-03-02 12:00:10+00").await?;
    check(&mut session, &[
        // Nothing happens by itself; the claim fails the old run and takes its retry at once.
        (runs, "1 running"),
        (claim, "2"),
        (runs, "1 failed, 2 running"),
        ("select failure_reason->>'name' from absurd.r_default where attempt = 1",
            "$ClaimTimeout"),
        ("select failure_reason->>'claimExpiredAt' from absurd.r_default where attempt = 1",
            "2026-03-02T12:00:10+00:00"),
        ("select claimed_by from absurd.r_default where attempt = 1", "w"),
        ("select attempts from absurd.t_default", "2"),
        ("select absurd.complete_run('default', run_id) from absurd.r_default where attempt = 1",
            "AB002"),
        // Without an end the lease is never swept, and can't be extended.
        ("select count(*) from absurd.claim_task('default', 'x', 0)", "0"),
    ])
    .await
}

#[tokio::test]
async fn attempts_count_what_is_scheduled() -> TestResult {
    let database = Database::start().await?;
    let mut session = session(&database).await?;
    let strategy = r#"{"retry_strategy": {"kind": "fixed", "base_seconds": 60},
                       "max_attempts": 2}"#;
    let spawn = format!("select attempt from absurd.spawn_task('default', 'a', '1', '{strategy}')");
    let fail = "select absurd.fail_run('default', run_id, '{\"message\": \"no\"}') \
                from absurd.r_default where state = 'running'";
    check(
        &mut session,
        &[
            (&spawn, "1"),
            (
                "select count(*) from absurd.claim_task('default', 'w')",
                "1",
            ),
            (fail, ""),
            (
                "select state || attempts from absurd.t_default",
                "sleeping2",
            ),
            (
                "select max(available_at) from absurd.r_default",
                "2026-03-02 12:01:00+00",
            ),
            (
                "select count(*) from absurd.claim_task('default', 'w')",
                "0",
            ),
        ],
    )
    .await?;
    set_clock(&mut session, "2026-03-02 12:01:00+00").await?;
    check(
        &mut session,
        &[
            ("select attempt from absurd.claim_task('default', 'w')", "2"),
            (fail, ""),
            ("select state || attempts from absurd.t_default", "failed2"),
            (
                "select failure_reason->>'message' from absurd.get_task_result('default', \
            (select task_id from absurd.t_default))",
                "no",
            ),
            (
                "select attempt from absurd.retry_task('default', \
            (select task_id from absurd.t_default), '{\"max_attempts\": 2}')",
                "P0001",
            ),
            (
                "select attempt from absurd.retry_task('default', \
            (select task_id from absurd.t_default))",
                "3",
            ),
            (
                "select state || max_attempts from absurd.t_default",
                "pending3",
            ),
        ],
    )
    .await
}

#[tokio::test]
async fn events_are_written_once_and_timeouts_are_told_apart() -> TestResult {
    let database = Database::start().await?;
    let mut session = session(&database).await?;
    let wait = "select (should_suspend, payload) from absurd.await_event('default', \
        (select task_id from absurd.t_default), (select run_id from absurd.r_default), 's', 'e', 5)";
    check(
        &mut session,
        &[
            (
                "select attempt from absurd.spawn_task('default', 'a', '1')",
                "1",
            ),
            (
                "select count(*) from absurd.claim_task('default', 'w')",
                "1",
            ),
            (wait, "(t,)"),
            (
                "select state || wake_event from absurd.r_default",
                "sleepinge",
            ),
            (
                "select payload is null and emitted_at = 'epoch' from absurd.e_default",
                "true",
            ),
        ],
    )
    .await?;
    set_clock(&mut session, "2026-03-02 12:00:05+00").await?;
    check(
        &mut session,
        &[
            // Too late to wake anybody, but the event is there.
            ("select absurd.emit_event('default', 'e', '1')", ""),
            ("select state from absurd.r_default", "sleeping"),
            ("select count(*) from absurd.w_default", "0"),
            ("select absurd.emit_event('default', 'e', '2')", ""),
            ("select payload from absurd.e_default", "1"),
            (
                "select wake_event from absurd.claim_task('default', 'w')",
                "e",
            ),
            (wait, "(f,1)"),
            ("select state from absurd.c_default", "1"),
            ("select absurd.emit_event('default', ' ', '2')", "P0001"),
        ],
    )
    .await
}

#[tokio::test]
async fn a_cancelled_task_refuses_its_worker() -> TestResult {
    let database = Database::start().await?;
    let mut session = session(&database).await?;
    let of = |call: &str| format!("select absurd.{call} from absurd.r_default");
    check(
        &mut session,
        &[
            (
                "select attempt from absurd.spawn_task('default', 'a', '1')",
                "1",
            ),
            (
                "select count(*) from absurd.claim_task('default', 'w')",
                "1",
            ),
            (&of("cancel_task('default', task_id)"), ""),
            (&of("cancel_task('default', task_id)"), ""),
            (
                "select state || coalesce(claimed_by, ' nobody') from absurd.r_default",
                "cancelled nobody",
            ),
            (&of("complete_run('default', run_id)"), "AB001"),
            (&of("fail_run('default', run_id, '{}')"), "AB001"),
            (&of("extend_claim('default', run_id, 5)"), "AB001"),
            (&of("extend_claim('default', run_id, 0)"), "P0001"),
            (
                &of("set_task_checkpoint_state('default', task_id, 's', '1', run_id)"),
                "AB001",
            ),
            (&of("schedule_run('default', run_id, now())"), "P0001"),
            (
                "select absurd.cancel_task('default', absurd.portable_uuidv7())",
                "P0001",
            ),
            (
                "select absurd.cancel_task('nowhere', absurd.portable_uuidv7())",
                "42P01",
            ),
            (
                "select absurd.cancel_task(null, absurd.portable_uuidv7())",
                "22004",
            ),
        ],
    )
    .await
}

#[tokio::test]
async fn partitioned_queues_keep_their_weeks_and_keys() -> TestResult {
    let database = Database::start().await?;
    let mut session = session(&database).await?;
    let spawn = |name: &str| {
        format!(
            "select (attempt, created) from absurd.spawn_task('w', '{name}', '1', \
            '{{\"idempotency_key\": \"k\"}}')"
        )
    };
    check(
        &mut session,
        &[
            ("select absurd.create_queue('w', ' Partitioned ')", ""),
            ("select absurd.create_queue('w')", "P0001"),
            (
                "select string_agg(relname, ' ' order by relname) from pg_class \
            where relname ~ '^t_w_[0-9d]+$'",
                "t_w_609 t_w_610 t_w_611 t_w_612 t_w_613 t_w_614 t_w_d",
            ),
            (&spawn("a"), "(1,t)"),
            (&spawn("b"), "(1,f)"),
            ("select count(*) from absurd.t_w_610", "1"),
            (
                "select absurd.set_queue_policy('w', '{\"default_partition\": \"disabled\"}')",
                "",
            ),
            ("select to_regclass('absurd.t_w_d')", "null"),
            (
                "select absurd.set_queue_policy('w', '{\"cleanup_ttl\": \"-1 day\"}')",
                "P0001",
            ),
            (
                "select absurd.set_queue_policy('w', '{\"cleanup_ttl\": null}')",
                "23502",
            ),
            (
                "select absurd.set_queue_policy('w', '{\"color\": 1}')",
                "P0001",
            ),
            (
                "select absurd.set_queue_policy('default', '{\"default_partition\": \"enabled\"}')",
                "P0001",
            ),
            ("select count(*) from absurd.claim_task('w', 'w')", "1"),
            (
                "select absurd.complete_run('w', run_id, '1') from absurd.r_w",
                "",
            ),
            ("absurd.cleanup_tasks('w', 0)", "0"),
        ],
    )
    .await?;
    set_clock(&mut session, "2026-03-02 12:00:01+00").await?;
    check(
        &mut session,
        &[
            ("absurd.cleanup_tasks('w', 0)", "1"),
            ("select count(*) from absurd.i_w", "0"),
            (&spawn("c"), "(1,t)"),
            ("select absurd.drop_queue('w')", ""),
            (
                "select count(*) from pg_class where relname like '%\\_w\\_%' \
            and relnamespace = 'absurd'::regnamespace and relkind in ('r', 'p')",
                "0",
            ),
        ],
    )
    .await
}

#[tokio::test]
async fn whole_scenarios_fit_into_one_transaction() -> TestResult {
    let database = Database::start().await?;
    let mut session = session(&database).await?;
    sqlx::query("begin").execute(&mut session).await?;
    check(
        &mut session,
        &[
            ("select absurd.create_queue('tx')", ""),
            ("select attempt from absurd.spawn_task('tx', 'a', '1')", "1"),
            ("select count(*) from absurd.claim_task('tx', 'w')", "1"),
            (
                "select absurd.fail_run('tx', run_id, '{}') from absurd.r_tx",
                "",
            ),
            ("select attempt from absurd.claim_task('tx', 'w')", "2"),
            (
                "select count(*) from pg_class where relkind = 'r' and relname like '%_tx'",
                "5",
            ),
        ],
    )
    .await?;
    sqlx::query("truncate absurd.t_tx, absurd.r_tx, absurd.c_tx, absurd.e_tx, absurd.w_tx")
        .execute(&mut session)
        .await?;
    check(
        &mut session,
        &[
            ("select attempt from absurd.spawn_task('tx', 'a', '1')", "1"),
            ("select count(*) from absurd.claim_task('tx', 'w')", "1"),
        ],
    )
    .await?;
    sqlx::query("rollback").execute(&mut session).await?;
    check(&mut session, &[("select count(*) from absurd.queues", "1")]).await
}
