//! The life of tasks and runs, call by call.

use absurd_test::Database;

use super::{check, session, set_clock};
use crate::support::TestResult;

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
        (select task_id from absurd.t_default), \
        (select run_id from absurd.r_default), 's', 'e', 5)";
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
