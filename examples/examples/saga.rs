//! What is done is undone when the task fails for good: each compensation is a task of its own,
//! and the last one comes first.

use absurd_sdk::{Error, prelude::*};

/// Gives antennas back.
#[task(name = "release-antennas")]
async fn release_antennas(_ctx: &mut Context, antennas: u32) -> TaskResult<()> {
    println!("releasing {antennas} antennas");
    Ok(())
}

/// Takes an announcement back.
#[task(name = "withdraw")]
async fn withdraw(_ctx: &mut Context, source: String) -> TaskResult<()> {
    println!("withdrawing the announcement of {source}");
    Ok(())
}

/// Observes a source; the weather is against it.
#[task(name = "observe", max_attempts = 2)]
async fn observe(ctx: &mut Context, source: String) -> TaskResult<()> {
    // Registered before the step: the task may end between the two.
    ctx.on_rollback(release_antennas, 96).await?;
    ctx.step("reserve", || async {
        println!("reserving 96 antennas");
        Ok::<_, TaskError>(())
    })
    .await?;
    ctx.on_rollback(withdraw, source.clone()).await?;
    ctx.step("announce", || async {
        println!("announcing {source}");
        Ok::<_, TaskError>(())
    })
    .await?;
    println!("attempt {}: it rains", ctx.attempt());
    Err(TaskError::msg("it rained"))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let database = absurd_test::Database::start().await?;
    let client = database.client();
    let handle = client.spawn(observe, "3C 286".into()).await?;
    Worker::builder(client)
        .task(observe)
        .task(release_antennas)
        .task(withdraw)
        .run_until_idle()
        .await?;
    if let Err(Error::TaskFailed { failure, .. }) = handle.result().await {
        println!("failed: {}", failure.message);
    }
    Ok(())
}
