//! A task sleeps a month without holding a worker. A test moves the clock instead of waiting.

use std::time::Duration;

use absurd_sdk::prelude::*;

/// Reminds of an observation, then looks back on it a month later.
#[task(name = "remind")]
async fn remind(ctx: &mut Context, observation: String) -> TaskResult<()> {
    ctx.step("announce", || async {
        println!("{observation} is observed today");
        Ok::<_, TaskError>(())
    })
    .await?;
    ctx.sleep_for("a month", Duration::from_hours(30 * 24))
        .await?;
    ctx.step("look back", || async {
        println!("{observation} was observed a month ago");
        Ok::<_, TaskError>(())
    })
    .await
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let database = absurd_test::Database::start().await?;
    let clock = database.clock("2026-11-01T12:00:00Z".parse()?).await?;
    let client = database.client();
    let handle = client.spawn(remind, "3C 286".into()).await?;
    let executed = clock
        .run_to_end(|| Worker::builder(client).task(remind))
        .await?;
    handle.result().await?;
    println!("executed {executed} times, in one attempt");
    Ok(())
}
