//! A spawn joins the caller's transaction: the row and its task exist both, or neither.

use absurd_sdk::prelude::*;

/// Processes a registered observation.
#[task(name = "process")]
async fn process(_ctx: &mut Context, observation: String) -> TaskResult<String> {
    Ok(format!("processed {observation}"))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let database = absurd_test::Database::start().await?;
    let client = database.client();
    let pool = client.pool();
    sqlx::query("create table public.observations (name text primary key)")
        .execute(pool)
        .await?;
    let register = "insert into public.observations (name) values ($1)";

    let mut tx = pool.begin().await?;
    sqlx::query(register)
        .bind("3C 147")
        .execute(&mut *tx)
        .await?;
    let undone = client.spawn(process, "3C 147".into()).on(&mut tx).await?;
    tx.rollback().await?;
    let found = client.task_snapshot(undone.task_id()).await?;
    println!("after a rollback there is a task: {}", found.is_some());

    let mut tx = pool.begin().await?;
    sqlx::query(register)
        .bind("3C 147")
        .execute(&mut *tx)
        .await?;
    let handle = client.spawn(process, "3C 147".into()).on(&mut tx).await?;
    tx.commit().await?;

    Worker::builder(client)
        .task(process)
        .run_until_idle()
        .await?;
    println!("{}", handle.result().await?);
    Ok(())
}
