//! A spawn with a key happens once, however often it is sent. And what a task tells other
//! services carries an id that is the same on every replay.

use absurd_sdk::prelude::*;

/// Pays once: the service would refuse a second payment with the same id.
#[task(name = "pay", max_attempts = 2)]
async fn pay(ctx: &mut Context, cents: u32) -> TaskResult<String> {
    let payment = ctx.uuid();
    let first = ctx
        .step("payment id", || async move { Ok::<_, TaskError>(payment) })
        .await?;
    println!(
        "attempt {}: the same id as before: {}",
        ctx.attempt(),
        payment == first
    );
    if ctx.attempt() == 1 {
        return Err(TaskError::msg("the connection broke after the payment"));
    }
    Ok(format!("paid {cents} cents once"))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let database = absurd_test::Database::start().await?;
    let client = database.client();
    let first = client.spawn(pay, 500).idempotency_key("invoice 17").await?;
    let again = client.spawn(pay, 500).idempotency_key("invoice 17").await?;
    println!(
        "created: {}, then: {}",
        first.spawned().created,
        again.spawned().created
    );
    println!("the same task: {}", first.task_id() == again.task_id());
    Worker::builder(client).task(pay).run_until_idle().await?;
    println!("{}", again.result().await?);
    Ok(())
}
