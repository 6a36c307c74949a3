//! A step whose effect in the database and whose checkpoint are one commit: it happens exactly
//! once, not at least once.

use absurd_sdk::prelude::*;

const INSERT: &str = "insert into public.images (name) values ($1) returning id";

/// Registers an image. Each of the first two attempts dies, before and after the commit.
#[task(name = "register", max_attempts = 3)]
async fn register(ctx: &mut Context, name: String) -> TaskResult<i64> {
    let attempt = ctx.attempt();
    let id: i64 = ctx
        .transaction("insert", async |tx| {
            println!("attempt {attempt} inserts");
            let insert = sqlx::query_scalar(INSERT).bind(name);
            let id = insert.fetch_one(&mut *tx).await?;
            if attempt == 1 {
                return Err(TaskError::msg("the power went out before the commit"));
            }
            Ok(id)
        })
        .await?;
    if attempt == 2 {
        return Err(TaskError::msg("the power went out after the commit"));
    }
    Ok(id)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let database = absurd_test::Database::start().await?;
    let client = database.client();
    let create = "create table public.images (id bigserial, name text)";
    sqlx::query(create).execute(client.pool()).await?;

    let handle = client.spawn(register, "3C 286".into()).await?;
    let worker = Worker::builder(client).task(register);
    println!("{} attempts", worker.run_until_idle().await?);
    handle.result().await?;

    let count = "select count(*) from public.images";
    let images: i64 = sqlx::query_scalar(count).fetch_one(client.pool()).await?;
    println!("{images} image");
    Ok(())
}
