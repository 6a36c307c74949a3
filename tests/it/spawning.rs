//! Spawns that happen at the same time: they share calls and nothing else.

use absurd_sdk::{
    TaskFilter,
    prelude::{Context, TaskResult, task},
};
use absurd_test::{Database, eventually};
use futures::future::{join_all, try_join_all};
use serde_json::{Value, json};

use crate::support::{TestResult, quick_worker, recorded};

#[task(name = "echo")]
async fn echo(ctx: &mut Context, value: Value) -> TaskResult<Value> {
    let _ = ctx;
    Ok(value)
}

#[tokio::test]
async fn spawns_at_the_same_time_share_their_calls() -> TestResult {
    let database = Database::start().await?;
    let (client, recorder) = recorded(&database).await?;
    let spawns = (0..100).map(|number| client.spawn(echo, json!(number)).into_future());
    let handles = try_join_all(spawns).await?;
    let calls = recorder.take();
    assert!(calls.len() < 10, "{calls:?}");
    quick_worker(&client).task(echo).run_until_idle().await?;
    for (number, handle) in handles.iter().enumerate() {
        assert_eq!(handle.result().await?, json!(number), "each has its own id");
    }
    Ok(())
}

#[tokio::test]
async fn a_spawn_that_is_refused_fails_alone() -> TestResult {
    let database = Database::start().await?;
    let client = database.client();
    // PostgreSQL stores no zero character in a text.
    let spawns = (0..20).map(|number| {
        let value = if number == 13 {
            json!("\0")
        } else {
            json!(number)
        };
        client.spawn(echo, value).into_future()
    });
    let spawned = join_all(spawns).await;
    let refused = spawned.iter().enumerate();
    let refused = refused.filter(|(_, spawn)| spawn.is_err());
    let refused: Vec<usize> = refused.map(|(number, _)| number).collect();
    assert_eq!(refused, [13]);
    assert_eq!(
        client
            .list_tasks(&TaskFilter::default(), None, 50)
            .await?
            .len(),
        19
    );
    Ok(())
}

#[tokio::test]
async fn a_spawn_that_is_given_up_holds_nobody_up() -> TestResult {
    let database = Database::start().await?;
    let client = database.client();
    let mut held = client.pool().begin().await?;
    sqlx::query("lock table absurd.t_default")
        .execute(&mut *held)
        .await?;
    let spawn = |number: u32| {
        let client = client.clone();
        tokio::spawn(async move { client.spawn(echo, json!(number)).await })
    };
    let given_up: Vec<_> = (0..2).map(spawn).collect();
    let blocked = "select count(*) from pg_stat_activity
        where datname = current_database() and wait_event_type = 'Lock'";
    eventually("both calls wait for the table", async || {
        let waiting = sqlx::query_scalar(blocked).fetch_one(client.pool()).await;
        waiting.is_ok_and(|count: i64| count == 2)
    })
    .await?;
    let others: Vec<_> = (2..9).map(spawn).collect();
    for task in &given_up {
        task.abort();
    }
    held.rollback().await?;
    for other in others {
        other.await??;
    }
    Ok(())
}

#[tokio::test]
async fn each_goes_to_its_queue() -> TestResult {
    let database = Database::start().await?;
    let client = database.client();
    let other = client.on_queue("other")?;
    other.create_queue().await?;
    let spawns = (0..30).map(|number| {
        let client = if number % 3 == 0 { &other } else { client };
        client.spawn(echo, json!(number)).into_future()
    });
    try_join_all(spawns).await?;
    assert_eq!(
        client
            .list_tasks(&TaskFilter::default(), None, 50)
            .await?
            .len(),
        20
    );
    assert_eq!(
        other
            .list_tasks(&TaskFilter::default(), None, 50)
            .await?
            .len(),
        10
    );
    Ok(())
}

#[tokio::test]
async fn each_keeps_its_name_and_options_in_a_shared_call() -> TestResult {
    let database = Database::start().await?;
    let (client, recorder) = recorded(&database).await?;
    let name = |number: i32| if number % 2 == 0 { "even" } else { "odd" };
    let spawns = (0..30).map(|number| {
        let attempts = u32::try_from(number).unwrap_or_default() + 1;
        let spawn = client.spawn_by_name(name(number), json!(number));
        spawn.max_attempts(attempts).into_future()
    });
    try_join_all(spawns).await?;
    let calls = recorder.take();
    assert!(calls.len() < 10, "{calls:?}");
    let rows = "select task_name, max_attempts from absurd.t_default order by params";
    let rows: Vec<(String, i32)> = sqlx::query_as(rows).fetch_all(client.pool()).await?;
    let expected: Vec<_> = (0..30)
        .map(|number| (name(number).to_owned(), number + 1))
        .collect();
    assert_eq!(rows, expected);
    Ok(())
}

#[tokio::test]
async fn a_single_name_and_single_options_stand_for_all() -> TestResult {
    let database = Database::start().await?;
    let pool = database.client().pool();
    let spawn = "select created from absurd.spawn_tasks('default', $1, $2, $3)";
    let spawn = async |names: &[Option<&str>], options: &[Value]| {
        let params = [json!(1), json!(2), json!(3)];
        let created = sqlx::query_scalar(spawn).bind(names).bind(params);
        created.bind(options).fetch_all(pool).await
    };
    let all = [Some("one")];
    let created: Vec<bool> = spawn(&all, &[json!({"max_attempts": 7})]).await?;
    assert_eq!(created, [true, true, true]);
    let keyed = spawn(&all, &[json!({"idempotency_key": "k"})]).await?;
    assert_eq!(keyed, [true, false, false]);
    let rows = "select params, max_attempts from absurd.t_default order by task_id";
    let rows: Vec<(Value, Option<i32>)> = sqlx::query_as(rows).fetch_all(pool).await?;
    let spawned = |number: i64, attempts| (json!(number), attempts);
    let seven = Some(7);
    let expected = [
        spawned(1, seven),
        spawned(2, seven),
        spawned(3, seven),
        spawned(1, None),
    ];
    assert_eq!(rows, expected);
    let gap = spawn(&[Some("one"), None, Some("three")], &[json!({})]).await;
    let refused = gap.err().map(|error| error.to_string()).unwrap_or_default();
    assert!(refused.contains("task_name must be given"), "{refused}");
    Ok(())
}
