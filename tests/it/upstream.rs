//! What upstream's schema can't do is refused, never done wrongly; and upstream's clients go on
//! working on queues of ours where all of it is in use.

use std::future::IntoFuture;

use absurd_sdk::{
    Client, DeadLetterFilter, Error, Limit, LimitOn, OnParentEnd, Redrive, Scheduler,
    prelude::{Context, TaskError, TaskResult, task},
};
use absurd_test::Database;
use futures::future::BoxFuture;
use uuid::Uuid;

use crate::{
    adoption::{RELEASES, upstream},
    support::{TestResult, attempts, quick_worker},
};

#[task(name = "plain", max_attempts = 2)]
async fn plain(ctx: &mut Context, n: u32) -> TaskResult<u32> {
    let _ = ctx;
    Ok(n)
}

/// Branches whose steps need nothing from the schema.
#[task(name = "branches of steps", max_attempts = 1)]
async fn branches_of_steps(ctx: &mut Context) -> TaskResult<Vec<u32>> {
    ctx.map(1..=3, |mut branch, n| async move {
        branch
            .step("n", || async move { Ok::<_, TaskError>(n) })
            .await
    })
    .await
}

/// One wait, while the other branch is done.
#[task(name = "one waits", max_attempts = 1)]
async fn one_waits(ctx: &mut Context) -> TaskResult<u32> {
    let (waited, ()) = ctx
        .join((
            |mut ctx: Context| async move { ctx.await_event::<u32>("there").await },
            |_: Context| async move { Ok(()) },
        ))
        .await?;
    Ok(waited)
}

/// Two waits at once.
#[task(name = "two wait", max_attempts = 5)]
async fn two_wait(ctx: &mut Context) -> TaskResult<Vec<u32>> {
    ctx.await_all_events(["one", "two"]).await
}

#[task(name = "undoes", max_attempts = 5)]
async fn undoes(ctx: &mut Context) -> TaskResult<()> {
    ctx.on_rollback(plain, 1).await
}

#[task(name = "finds", max_attempts = 5)]
async fn finds(ctx: &mut Context) -> TaskResult<()> {
    ctx.set_attribute("a", 1).await
}

#[task(name = "takes with it", max_attempts = 1)]
async fn takes_with_it(ctx: &mut Context) -> TaskResult<()> {
    let cancel = OnParentEnd::Cancel;
    ctx.spawn(plain, 1).on_parent_end(cancel).await.map(drop)
}

type Call<'c> = BoxFuture<'c, Result<(), Error>>;

fn call<'c, T>(
    call: impl IntoFuture<Output = Result<T, Error>, IntoFuture: Send + 'c>,
) -> Call<'c> {
    let call = call.into_future();
    Box::pin(async move { call.await.map(drop) })
}

/// Everything that a client can ask for and upstream's schema can't do.
fn calls(client: &Client) -> Vec<(&'static str, Call<'_>)> {
    let id = Uuid::nil();
    let task = id.into();
    vec![
        ("priority", call(client.spawn(plain, 1).priority(1))),
        ("delay", call(client.spawn(plain, 1).delay("1s"))),
        ("key", call(client.spawn(plain, 1).key("k"))),
        ("timeout", call(client.spawn(plain, 1).timeout("1s"))),
        ("attribute", call(client.spawn(plain, 1).attribute("a", 1))),
        (
            "unique",
            call(client.spawn(plain, 1).unique_within("k", "1s")),
        ),
        ("debounce", call(client.spawn(plain, 1).debounce("k", "1s"))),
        ("many", call(client.spawn_many(plain, [1]).priority(1))),
        ("chain", call(client.chain("c", plain).then(plain).spawn(1))),
        ("pause queue", Box::pin(client.pause_queue())),
        ("resume queue", Box::pin(client.resume_queue())),
        ("pause task", Box::pin(client.pause_task(task))),
        ("resume task", Box::pin(client.resume_task(task))),
        ("set priority", Box::pin(client.set_priority(task, 1))),
        (
            "set limit",
            Box::pin(client.set_limit(LimitOn::Queue, Limit::concurrency(1))),
        ),
        (
            "limits",
            Box::pin(async { client.limits().await.map(drop) }),
        ),
        (
            "fork",
            Box::pin(async move { client.fork(task).send().await.map(drop) }),
        ),
        (
            "log lines",
            Box::pin(async move { client.log_lines(task, None).await.map(drop) }),
        ),
        ("schedule", call(client.schedule("s", "@daily", plain, 1))),
        (
            "schedules",
            Box::pin(async { client.schedules().await.map(drop) }),
        ),
        (
            "scheduler",
            Box::pin(async { Scheduler::new(client).fire_due().await.map(drop) }),
        ),
        (
            "dead letters",
            Box::pin(async {
                let filter = DeadLetterFilter::default();
                client.dead_letters(&filter, None, 1).await.map(drop)
            }),
        ),
        (
            "retry",
            Box::pin(async move {
                let how = Redrive::in_place();
                client.retry_dead_letter(id, how).await.map(drop)
            }),
        ),
    ]
}

#[tokio::test]
async fn what_upstreams_schema_cannot_do_is_refused_with_what_to_do() -> TestResult {
    for release in RELEASES {
        let Some(database) = upstream(release).await? else {
            continue;
        };
        let client = Client::connect(database.url()).await?;
        for (name, call) in calls(&client) {
            let refused = call.await;
            let message = refused.err().map(|error| error.to_string());
            let message = message.unwrap_or_default();
            assert!(message.contains("needs our schema"), "{name}: {message:?}");
        }
        let none: i64 = sqlx::query_scalar("select count(*) from absurd.t_default")
            .fetch_one(client.pool())
            .await?;
        assert_eq!(none, 0, "nothing was spawned without what was asked for");
    }
    Ok(())
}

#[tokio::test]
async fn tasks_that_need_our_schema_fail_at_once_and_say_so() -> TestResult {
    for release in RELEASES {
        let Some(database) = upstream(release).await? else {
            continue;
        };
        let client = Client::connect(database.url()).await?;
        let refused = [
            client.spawn(two_wait, ()).max_attempts(1).await?.task_id(),
            client.spawn(undoes, ()).max_attempts(1).await?.task_id(),
            client.spawn(finds, ()).max_attempts(1).await?.task_id(),
            client.spawn(takes_with_it, ()).await?.task_id(),
        ];
        let steps = client.spawn(branches_of_steps, ()).await?;
        let waits = client.spawn(one_waits, ()).await?;
        client.emit_event("there", &7).await?;
        let worker = quick_worker(&client)
            .task(two_wait)
            .task(undoes)
            .task(finds)
            .task(takes_with_it)
            .task(branches_of_steps)
            .task(one_waits);
        worker.run_until_idle().await?;
        for task in refused {
            let ended = client.result_of::<serde_json::Value>(task).await;
            let message = ended.err().map(|error| error.to_string());
            let message = message.unwrap_or_default();
            assert!(message.contains("needs our schema"), "{message:?}");
        }
        assert_eq!(steps.result().await?, [1, 2, 3]);
        assert_eq!(waits.result().await?, 7);
    }
    Ok(())
}

/// The contract's calls, as upstream's clients send them, on a queue that uses everything.
#[tokio::test]
async fn upstreams_clients_see_an_ordinary_queue_where_all_of_it_is_in_use() -> TestResult {
    let database = Database::start().await?;
    let client = database.client();
    client
        .set_limit(LimitOn::EachKey, Limit::concurrency(1).and_rate(5, "1h"))
        .await?;
    let slow = client.spawn(plain, 1).key("k").priority(-5).await?;
    client
        .spawn(plain, 2)
        .key("k")
        .priority(3)
        .attribute("a", 1)
        .await?;
    client.spawn(plain, 3).delay("1h").await?;
    let first: Vec<(Uuid, String)> = sqlx::query_as(
        "select run_id, params::text from absurd.claim_task('default', 'theirs', 30, 10)",
    )
    .fetch_all(client.pool())
    .await?;
    assert_eq!(first.len(), 1, "one of the key at a time");
    assert_eq!(first[0].1, "2", "the larger priority");
    for _ in 0..2 {
        sqlx::query(
            "select absurd.fail_run('default', run_id, '{\"name\": \"E\"}')
            from absurd.r_default where state = 'running'",
        )
        .execute(client.pool())
        .await?;
        sqlx::query("select absurd.claim_task('default', 'theirs', 30, 10)")
            .execute(client.pool())
            .await?;
    }
    let letters = client
        .dead_letters(&DeadLetterFilter::default(), None, 9)
        .await?;
    assert_eq!(letters.len(), 1, "their failures have letters too");
    assert_eq!(
        attempts(client, slow.task_id()).await?,
        [(1, "running".to_owned())]
    );
    Ok(())
}
