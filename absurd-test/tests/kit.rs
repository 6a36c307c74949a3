//! The test kit itself.

use std::time::Duration;

use absurd_sdk::{
    TaskFilter,
    prelude::{Context, TaskResult, Worker, task},
};
use absurd_test::{Database, Kill, Postgres, eventually};
use sqlx::Connection as _;

type TestResult = Result<(), Box<dyn std::error::Error>>;

/// Sleeps three times a month.
#[task(name = "quarter")]
async fn quarter(ctx: &mut Context) -> TaskResult<String> {
    for _ in 0..3 {
        let month = Duration::from_hours(30 * 24);
        ctx.sleep_for("month", month).await?;
    }
    Ok(ctx.now().await?.to_string())
}

#[tokio::test]
async fn a_quarter_passes_in_milliseconds() -> TestResult {
    let database = Database::start().await?;
    let clock = database.clock("2026-01-01T00:00:00Z".parse()?).await?;
    let client = database.client();
    let handle = client.spawn(quarter, ()).await?;
    let executed = clock
        .run_to_end(|| Worker::builder(client).task(quarter))
        .await?;
    assert_eq!(executed, 4);
    assert!(handle.result().await?.starts_with("2026-04-01T00:00:00"));
    Ok(())
}

#[tokio::test]
async fn two_databases_know_nothing_of_each_other() -> TestResult {
    let (one, other) = (Database::start().await?, Database::start().await?);
    one.client().spawn(quarter, ()).await?;
    let seen = other
        .client()
        .list_tasks(&TaskFilter::default(), None, 10)
        .await?;
    assert!(seen.is_empty());
    Ok(())
}

#[tokio::test]
async fn a_database_goes_with_its_handle() -> TestResult {
    let (one, other) = (Database::start().await?, Database::start().await?);
    let name = one.url().rsplit('/').next().unwrap_or_default().to_owned();
    let exists = async || -> sqlx::Result<bool> {
        sqlx::query_scalar("select exists (select from pg_database where datname = $1)")
            .bind(&name)
            .fetch_one(other.client().pool())
            .await
    };
    assert!(exists().await?);
    drop(one);
    assert!(!exists().await?);
    Ok(())
}

#[tokio::test]
async fn a_private_server_stops_and_starts_on_its_port() -> TestResult {
    let server = Postgres::private().await?;
    let database = Database::on(&server).await?;
    server.stop_immediately().await?;
    let away = sqlx::PgConnection::connect(database.url()).await;
    assert!(away.is_err());
    server.start().await?;
    assert!(database.client().list_queues().await?.len() == 1);
    Ok(())
}

#[tokio::test]
async fn waiting_in_vain_is_an_error_only_after_a_while() -> TestResult {
    let mut looks = 0;
    eventually("the third look", async || {
        looks += 1;
        looks == 3
    })
    .await?;
    assert_eq!(looks, 3);
    Ok(())
}

#[test]
fn a_kill_is_written_as_it_is_read() {
    assert_eq!(Kill::before(3).to_string(), "before:3");
    assert_eq!(Kill::after(12).to_string(), "after:12");
}
