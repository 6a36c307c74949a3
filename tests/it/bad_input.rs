//! Bad input: one clear error that says what to do; nothing is lost, no worker dies.

use absurd_sdk::{
    Client, Error, QueueOptions, Worker,
    prelude::{Context, Deserialize, JsonSchema, Serialize, State, TaskResult, task},
};
use absurd_test::Database;
use serde_json::json;

use crate::support::{TestResult, quick_worker};

/// The message of an error, with all its causes.
fn message<T>(result: Result<T, Error>) -> String {
    match result {
        Ok(_) => "no error".to_owned(),
        Err(error) => absurd_sdk::chain(&error),
    }
}

#[tokio::test]
async fn a_database_that_cannot_be_had_says_why() -> TestResult {
    let database = Database::start().await?;
    let bad_url = message(Client::connect("not a url").await);
    assert!(bad_url.contains("looks like postgresql://"), "{bad_url}");
    let nobody = message(Client::connect("postgresql://u:secret@127.0.0.1:1/x").await);
    assert!(
        nobody.contains("127.0.0.1:1/x") && nobody.contains("host and port"),
        "{nobody}"
    );
    assert!(!nobody.contains("secret"), "{nobody}");
    let (server, _) = database.url().rsplit_once('/').ok_or("no path")?;
    let missing = message(Client::connect(format!("{server}/no_such_database")).await);
    assert!(missing.contains("create the database first"), "{missing}");
    Ok(())
}

#[tokio::test]
async fn a_wrong_password_is_named_but_not_shown() -> TestResult {
    let database = Database::start().await?;
    let pool = database.client().pool();
    let role = format!("limited_{}", std::process::id());
    let create = format!("create role {role} login password 'right'");
    sqlx::query(sqlx::AssertSqlSafe(create))
        .execute(pool)
        .await?;
    let (_, place) = database.url().rsplit_once('@').ok_or("no user")?;
    let refused = message(Client::connect(format!("postgresql://{role}:wrong@{place}")).await);
    sqlx::query(sqlx::AssertSqlSafe(format!("drop role {role}")))
        .execute(pool)
        .await?;
    assert!(refused.contains("check user and password"), "{refused}");
    assert!(!refused.contains("wrong@"), "{refused}");
    Ok(())
}

#[tokio::test]
async fn a_missing_schema_and_a_missing_queue_say_how_to_make_them() -> TestResult {
    let empty = Database::empty().await?;
    let client = Client::connect(empty.url()).await?;
    let no_schema = message(client.spawn(number, 1).await);
    assert!(no_schema.contains("absurd migrate"), "{no_schema}");
    let no_schema = message(quick_worker(&client).task(number).run_until_idle().await);
    assert!(no_schema.contains("absurd migrate"), "{no_schema}");
    let database = Database::start().await?;
    let client = database.client().on_queue("nowhere")?;
    for no_queue in [
        message(client.spawn(number, 1).await),
        message(client.emit_event("e", &()).await),
        message(client.spawn_many(number, [1]).await),
        message(quick_worker(&client).task(number).run_until_idle().await),
        message(quick_worker(&client).task(number).run_batch().await),
        message(
            client
                .create_queue_with(&QueueOptions::default())
                .await
                .and(Ok(()))
                .and(client.drop_queue().await)
                .and(client.spawn(number, 1).await),
        ),
    ] {
        assert!(
            no_queue.contains("absurd queue create nowhere"),
            "{no_queue}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn names_that_cannot_be_used_are_refused_before_any_trip() -> TestResult {
    let database = Database::start().await?;
    let client = database.client();
    let long = message(client.on_queue("q".repeat(58)));
    assert!(long.contains("57") && long.contains("shorter"), "{long}");
    assert!(client.on_queue("q".repeat(57)).is_ok());
    let blank = message(client.spawn_by_name(" ", json!(1)).await);
    assert!(blank.contains("name"), "{blank}");
    let blank = message(client.emit_event("", &()).await);
    assert!(blank.contains("name"), "{blank}");
    let none = message(client.spawn(number, 1).max_attempts(0).await);
    assert!(
        none.contains("max_attempts") && none.contains("at least one"),
        "{none}"
    );
    Ok(())
}

/// Takes a number.
#[task(name = "number", max_attempts = 2)]
async fn number(_ctx: &mut Context, number: i64) -> TaskResult<i64> {
    Ok(number)
}

/// Another task of the same name.
#[task(name = "number")]
async fn same_name(_ctx: &mut Context, number: i64) -> TaskResult<i64> {
    Ok(number)
}

/// Needs a state.
#[task(name = "needy")]
async fn needy(_ctx: &mut Context, _unused: (), text: State<String>) -> TaskResult<String> {
    Ok(text.to_string())
}

#[tokio::test]
async fn a_worker_that_cannot_work_does_not_start() -> TestResult {
    let database = Database::start().await?;
    let client = database.client();
    let refused = |built: Result<Worker, Error>| message(built);
    let twice = refused(Worker::builder(client).task(number).task(same_name).build());
    assert!(twice.contains("two tasks are named `number`"), "{twice}");
    let stateless = refused(Worker::builder(client).task(needy).build());
    assert!(
        stateless.contains("String") && stateless.contains(".state("),
        "{stateless}"
    );
    let idle = refused(Worker::builder(client).concurrency(0).build());
    assert!(idle.contains("at least one run"), "{idle}");
    let short = refused(Worker::builder(client).lease("10ms").build());
    assert!(short.contains("at least a second"), "{short}");
    let soon = refused(Worker::builder(client).poll_interval("soon").build());
    assert!(soon.contains("no length of time"), "{soon}");
    Ok(())
}

#[tokio::test]
async fn params_of_another_type_fail_the_task_and_not_the_worker() -> TestResult {
    let database = Database::start().await?;
    let client = database.client();
    let wrong = client.spawn_by_name("number", json!("seven")).await?;
    let right = client.spawn(number, 7).await?;
    quick_worker(client).task(number).run_until_idle().await?;
    assert_eq!(right.result().await?, 7);
    let failure = wrong
        .result()
        .snapshot()
        .await?
        .failure
        .ok_or("no failure")?;
    assert!(
        failure.message.contains("the params of task `number`"),
        "{failure}"
    );
    assert!(
        failure.message.contains("invalid type: string"),
        "{failure}"
    );
    assert_eq!(
        client.list_runs(wrong.task_id()).await?.len(),
        1,
        "JSON doesn't mend itself"
    );
    Ok(())
}

/// Loses its second field in JSON.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Lossy {
    kept: u8,
    #[serde(skip_serializing)]
    lost: u8,
}

/// Returns a value that JSON can't carry.
#[task(name = "lossy", max_attempts = 1)]
async fn lossy(ctx: &mut Context, _unused: ()) -> TaskResult<u8> {
    let value = ctx
        .step("make", || async {
            Ok::<_, std::io::Error>(Lossy { kept: 1, lost: 2 })
        })
        .await?;
    Ok(value.kept + value.lost)
}

#[tokio::test]
async fn a_value_that_json_loses_fails_on_the_first_run() -> TestResult {
    let database = Database::start().await?;
    let client = database.client();
    let handle = client.spawn(lossy, ()).await?;
    quick_worker(client).task(lossy).run_until_idle().await?;
    let failure = handle
        .result()
        .snapshot()
        .await?
        .failure
        .ok_or("no failure")?;
    assert!(failure.message.contains("step `make`"), "{failure}");
    assert!(
        failure.message.contains("missing field `lost`"),
        "{failure}"
    );
    Ok(())
}

/// Returns text with a zero character, or fails with it.
#[task(name = "zero", max_attempts = 1)]
async fn zero(ctx: &mut Context, fail: bool) -> TaskResult<String> {
    if fail {
        return Err(absurd_sdk::TaskError::msg("quoted: a\0b"));
    }
    let text = ctx.step("text", || async {
        Ok::<_, std::io::Error>("a\0b".to_owned())
    });
    text.await
}

#[tokio::test]
async fn a_character_that_postgres_cannot_keep_fails_only_its_task() -> TestResult {
    let database = Database::start().await?;
    let client = database.client();
    let returns = client.spawn(zero, false).await?;
    let quotes = client.spawn(zero, true).await?;
    let fine = client.spawn(number, 7).await?;
    quick_worker(client)
        .task(zero)
        .task(number)
        .run_until_idle()
        .await?;
    assert_eq!(fine.result().await?, 7);
    let failure = returns
        .result()
        .snapshot()
        .await?
        .failure
        .ok_or("no failure")?;
    assert!(
        failure
            .message
            .contains("step `text` holds a zero character"),
        "{failure}"
    );
    let failure = quotes
        .result()
        .snapshot()
        .await?
        .failure
        .ok_or("no failure")?;
    assert_eq!(failure.message, "quoted: a\u{fffd}b");
    Ok(())
}

#[tokio::test]
async fn a_task_that_is_not_there_says_where_it_was_looked_for() -> TestResult {
    let database = Database::start().await?;
    let client = database.client();
    let nobody = uuid::Uuid::now_v7().into();
    for missing in [
        message(client.cancel(nobody).await),
        message(client.retry(nobody).await),
        message(client.result_of::<()>(nobody).await),
    ] {
        assert!(
            missing.contains("no task") && missing.contains("`default`"),
            "{missing}"
        );
    }
    Ok(())
}
