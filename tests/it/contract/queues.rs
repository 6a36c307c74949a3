//! Queues, their partitions, and whole scenarios in one transaction.

use absurd_test::Database;

use super::{check, session, set_clock};
use crate::support::TestResult;

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
                "t_w_609 t_w_610 t_w_611 t_w_612 t_w_613 t_w_614 \
             t_w_d",
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
