//! What the engine's statements cost on a queue with a long history and a backlog: the
//! plans of all statements inside the functions, as `auto_explain` writes them.

use std::process::Command;

use absurd_test::Database;

use crate::support::TestResult;

const FINISHED: u32 = 60_000;
const PENDING: u32 = 6_000;
/// Rows that any node of a plan may touch to claim, write or end ten runs: far below the
/// history and the backlog, above what ten runs need.
const ROWS_MAX: f64 = 200.0;

/// Fills the queue, then prints the plan of every statement that each line runs.
async fn filled() -> TestResult<Database> {
    let database = Database::start().await?;
    let fill = format!(
        "insert into absurd.t_default (task_id, task_name, params, state, attempts,
             last_attempt_run, cancellation, enqueue_at, first_started_at)
         select absurd.portable_uuidv7(), 'filler', '{{}}',
             case when n > {FINISHED} then 'pending' when n % 10 = 0 then 'failed'
                  when n % 10 = 1 then 'cancelled' else 'completed' end,
             1, absurd.portable_uuidv7(),
             case when n % 3 = 0 then '{{\"max_duration\": 864000}}'::jsonb end,
             absurd.current_time() - interval '2 days', absurd.current_time()
           from generate_series(1, {FINISHED} + {PENDING}) n;
         update absurd.t_default set cancelled_at = enqueue_at where state = 'cancelled';
         insert into absurd.r_default (run_id, task_id, attempt, state, available_at,
             cancel_at, completed_at, failed_at)
         select last_attempt_run, task_id, 1, state, enqueue_at,
             absurd.policy_deadline(cancellation, enqueue_at, first_started_at),
             case when state = 'completed' then enqueue_at end,
             case when state = 'failed' then enqueue_at end
           from absurd.t_default;
         insert into absurd.c_default (task_id, checkpoint_name, state, owner_run_id)
         select task_id, 'step ' || s, '1', last_attempt_run
           from absurd.t_default, generate_series(1, 2) s;
         insert into absurd.e_default (event_name, payload)
         select 'event ' || n, '1' from generate_series(1, {FINISHED}) n;
         insert into absurd.w_default (task_id, run_id, step_name, event_name)
         select task_id, last_attempt_run, 'wait', 'never ' || task_id
           from absurd.t_default where state = 'pending';
         analyze absurd.t_default; analyze absurd.r_default; analyze absurd.c_default;
         analyze absurd.e_default; analyze absurd.w_default;"
    );
    let pool = database.client().pool();
    sqlx::raw_sql(sqlx::AssertSqlSafe(fill))
        .execute(pool)
        .await?;
    Ok(database)
}

/// The plans, with their real row counts, of all that a script makes the engine do.
fn plans(database: &Database, script: &str) -> TestResult<String> {
    let settings = "load 'auto_explain';
        set auto_explain.log_min_duration = 0;
        set auto_explain.log_nested_statements = on;
        set auto_explain.log_analyze = on;
        set auto_explain.log_timing = off;
        set client_min_messages = log;\n";
    let psql = Command::new("psql")
        .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", database.url()])
        .args(["-c", &format!("{settings}{script}")])
        .output()?;
    let plans = String::from_utf8_lossy(&psql.stderr).into_owned();
    if !psql.status.success() {
        return Err(format!("psql: {plans}").into());
    }
    Ok(plans)
}

/// Lines of plans that read a whole table of the queue, or too many rows.
fn costly(plans: &str) -> Vec<&str> {
    let tables = [
        "t_default",
        "r_default",
        "c_default",
        "e_default",
        "w_default",
    ];
    let rows_after = |line: &str, key: &str| -> f64 {
        let rest = line.split(key).nth(1).unwrap_or_default();
        let digits: String = rest
            .chars()
            .take_while(|c| c.is_ascii_digit() || *c == '.')
            .collect();
        digits.parse().unwrap_or(0.0)
    };
    plans
        .lines()
        .filter(|line| {
            let scans = line.contains("Seq Scan") && tables.iter().any(|t| line.contains(t));
            let actual = line.split("(actual ").nth(1).unwrap_or_default();
            let rows = rows_after(actual, "rows=") * rows_after(actual, "loops=").max(1.0);
            let removed = rows_after(line, "Rows Removed by Filter: ");
            scans || rows > ROWS_MAX || removed > ROWS_MAX
        })
        .collect()
}

/// The calls of a run's life. Each ends where the next can begin.
const CALLS: &[(&str, &str)] = &[
    (
        "spawn_task",
        "select absurd.spawn_task('default', 'a', '1')",
    ),
    (
        "spawn_task by key",
        "select absurd.spawn_task('default', 'a', '1', '{\"idempotency_key\": \"k\"}')",
    ),
    (
        "spawn_tasks",
        "select absurd.spawn_tasks('default', array['a'], array['1'::jsonb], array['{}'::jsonb])",
    ),
    (
        "claim_task",
        "select absurd.claim_task('default', 'w', 60, 10)",
    ),
    (
        "claim_runs",
        "select absurd.claim_runs('default', 'w', 60, 10)",
    ),
    (
        "claim_task from a mark",
        "select set_config('absurd.claim_mark', jsonb_build_object('queue', 'default',
                'until', clock_timestamp() + interval '1 minute', 'priority', priority,
                'available_at', available_at, 'run_id', run_id)::text, false)
           from (select * from absurd.r_default where state = 'pending'
                 order by available_at, run_id offset 100 limit 1) reached;
         select absurd.claim_task('default', 'w', 60, 10)",
    ),
    (
        "claim_task of expired leases",
        "update absurd.r_default set claim_expires_at = absurd.current_time()
          where run_id in (select run_id from absurd.r_default where state = 'running'
              and claim_expires_at is not null order by claim_expires_at limit 5);
         select absurd.claim_task('default', 'w', 60, 10)",
    ),
    (
        "write_runs",
        "select absurd.write_runs('default', 'w', (
            select jsonb_agg(jsonb_build_object('op', 'checkpoint', 'run', run_id, 'task', task_id,
                'step', 'new', 'state', 1, 'extend', 60))
            from (select * from absurd.r_default where state = 'running' and claim_expires_at
                  is not null order by claim_expires_at limit 5) held))",
    ),
    (
        "write_checkpoint",
        "select absurd.fk_default('w', task_id, run_id, 'newest', '1', 1)
          from (select * from absurd.r_default where state = 'running' and claimed_by = 'w'
                and claim_expires_at is not null order by claim_expires_at limit 1) held",
    ),
    (
        "write_plain",
        "select absurd.fw_default('w', array_agg(run_id), array_agg(task_id), array_agg(run_id),
            array_agg('newer'::text), array_agg('1'::jsonb), array_agg(1), '{}', '{}',
            array_agg(run_id), array_agg(60))
          from (select * from absurd.r_default where state = 'running' and claimed_by = 'w'
                and claim_expires_at is not null order by claim_expires_at limit 5) held;
         select absurd.fw_default('w', array_agg(run_id), '{}', '{}', '{}', '{}', '{}',
            array_agg(run_id), array_agg('1'::jsonb), '{}', '{}')
          from (select * from absurd.r_default where state = 'running' and claimed_by = 'w'
                and claim_expires_at is not null order by claim_expires_at limit 2) held",
    ),
    (
        "complete_run",
        "select absurd.complete_run('default', run_id, '1') from (
            select run_id from absurd.r_default where state = 'running' and claim_expires_at
            is not null order by claim_expires_at limit 3) held",
    ),
    (
        "fail_run",
        "select absurd.fail_run('default', run_id, '{}') from (
            select run_id from absurd.r_default where state = 'running' and claim_expires_at
            is not null order by claim_expires_at limit 3) held",
    ),
    (
        "await_event",
        "select absurd.await_event('default', task_id, run_id, 's', 'e') from (
            select * from absurd.r_default where state = 'running' and claim_expires_at
            is not null order by claim_expires_at limit 3) held",
    ),
    (
        "emit_event",
        "select absurd.emit_event('default', 'e', '1')",
    ),
    (
        "cancel_task",
        "select absurd.cancel_task('default', task_id) from (
            select task_id from absurd.r_default where state in ('pending', 'sleeping')
            order by lane, priority desc, available_at, run_id limit 3) due",
    ),
    (
        "cleanup_tasks",
        "select absurd.cleanup_tasks('default', 3600, 20)",
    ),
    (
        "cleanup_events",
        "select absurd.cleanup_events('default', 0, 20)",
    ),
    (
        "claim_task under limits",
        "select absurd.set_limit('default', 'key', '', 1);
         select absurd.spawn_task('default', 'a', '1', '{\"key\": \"k\"}');
         select absurd.claim_task('default', 'w', 60, 10)",
    ),
    (
        "list_tasks",
        "select * from absurd.list_tasks('default', '{}', null, 20)",
    ),
    (
        "list_events",
        "select * from absurd.list_events('default', '{}', null, null, 20)",
    ),
];

#[tokio::test]
async fn no_statement_costs_more_as_history_and_backlog_grow() -> TestResult {
    let database = filled().await?;
    for (name, call) in CALLS {
        let plans = plans(&database, call)?;
        assert!(plans.contains("Query Text"), "{name}: no plans were logged");
        let costly = costly(&plans);
        // The scripts above look for their runs by the same indexes, so all plans count.
        assert!(
            costly.is_empty(),
            "{name}:\n{}\n\n{plans}",
            costly.join("\n")
        );
    }
    Ok(())
}

#[tokio::test]
async fn claims_and_writes_do_not_look_at_what_others_run() -> TestResult {
    // Its statistics are of a moment in which nothing ran.
    let database = filled().await?;
    let pool = database.client().pool();
    sqlx::raw_sql(
        "update absurd.r_default set state = 'running', claimed_by = 'other'
          where run_id in (select run_id from absurd.r_default where state = 'pending'
              order by run_id desc limit 1000)",
    )
    .execute(pool)
    .await?;
    let claim = "select run_id::text, task_id::text from absurd.claim_task('default', 'w', 60, 1)";
    let (run, task): (String, String) = sqlx::query_as(claim).fetch_one(pool).await?;
    let writes = format!(
        "select absurd.fk_default('w', '{task}', '{run}', 'one', '1', 1);
         select absurd.fw_default('w', '{{{run}}}', '{{{task}}}', '{{{run}}}', '{{more}}',
             '{{1}}', '{{1}}', '{{}}', '{{}}', '{{}}', '{{}}');
         select absurd.fw_default('w', '{{{run}}}', '{{}}', '{{}}', '{{}}', '{{}}', '{{}}',
             '{{{run}}}', '{{1}}', '{{}}', '{{}}')"
    );
    let another = "select absurd.claim_task('default', 'w', 60, 1)";
    for calls in [&writes, another] {
        let plans = plans(&database, calls)?;
        assert_eq!(costly(&plans), [""; 0], "{plans}");
    }
    Ok(())
}

#[tokio::test]
async fn a_claim_after_a_mark_looks_for_due_runs_only_once() -> TestResult {
    let database = filled().await?;
    let looks_after = |ended: &str| -> TestResult<usize> {
        // On a busy machine a look may take so long that the queue gets a mark.
        let claim = format!(
            "update absurd.queues set claim_mark = null;
             select set_config('absurd.claim_mark', jsonb_build_object('queue', 'default',
                 'until', clock_timestamp() - interval '{ended}')::text, false);
             select absurd.claim_task('default', 'w', 60, 1)"
        );
        let plans = plans(&database, &claim)?;
        let is_look = |line: &&str| line.contains("r_default_lan") && !line.contains("never");
        Ok(plans.lines().filter(is_look).count())
    };
    assert_eq!(looks_after("1 second")?, 2, "one more to pick");
    // Without a mark the last due run is looked for as well; and where that takes long, again.
    assert!(looks_after("2 minutes")? > 2);
    Ok(())
}

#[test]
fn a_costly_plan_is_noticed() {
    let scan = "  ->  Seq Scan on t_default t  (cost=0.00..1.00 rows=1) (actual rows=3 loops=1)";
    let many = "  ->  Index Scan using x on r_default  (cost=0..1 rows=1) (actual rows=50 loops=9)";
    let fine =
        "  ->  Index Scan using x on r_default  (cost=0..1 rows=9999) (actual rows=5 loops=9)";
    assert_eq!(costly(&[scan, many, fine].join("\n")), [scan, many]);
    assert_eq!(costly("    Rows Removed by Filter: 6000").len(), 1);
}
