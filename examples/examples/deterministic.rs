//! Time, chance and ids come from the context: the same whenever the function runs again. What
//! `#[task]` can see of the rest it refuses to compile.

use absurd_sdk::{LogLevel, prelude::*};
use rand::RngCore as _;

/// Draws a sample and fails, until its third attempt.
#[task(name = "sample", max_attempts = 3)]
async fn sample(ctx: &mut Context, from: u32) -> TaskResult<u32> {
    // `SystemTime::now()`, `rand::random()` and `Uuid::new_v4()` don't compile here; inside of a
    // step they do, for what a step returned is kept.
    let began = ctx.now().await?;
    let id = ctx.uuid();
    let number = ctx.rng().next_u32() % from;
    let seen = format!("{began} {id} {number}");
    ctx.reporter().log(LogLevel::Info, seen);
    if ctx.attempt() < 3 {
        return Err(TaskError::msg("not yet"));
    }
    Ok(number)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let database = absurd_test::Database::start().await?;
    let client = database.client();
    let handle = client.spawn(sample, 1000).await?;
    Worker::builder(client)
        .task(sample)
        .run_until_idle()
        .await?;

    let lines = client.log_lines(handle.task_id(), None).await?;
    let first = lines.first().map(|line| line.message.as_str());
    let same = lines
        .iter()
        .all(|line| Some(line.message.as_str()) == first);
    println!(
        "{} attempts, all with the same time, id and number: {same}",
        lines.len()
    );
    Ok(())
}
