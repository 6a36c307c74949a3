//! Several parts of one task at once, each with a context of its own.

use absurd_sdk::prelude::*;

/// Prepares two things side by side, then images all subbands, two at once.
#[task(name = "image-band")]
async fn image_band(ctx: &mut Context, subbands: u32) -> TaskResult<u32> {
    let (table, model) = ctx
        .join((
            |mut branch: Context| async move {
                branch.sleep_for("transit", "3h").await?;
                let solve = || async { Ok::<_, TaskError>("bandpass".to_owned()) };
                branch.step("solve", solve).await
            },
            |mut branch: Context| async move { branch.await_event::<String>("sky model").await },
        ))
        .await?;
    println!("with {table} and {model}");

    let rows = ctx
        .map(0..subbands, |mut branch, subband| async move {
            let image = || async { Ok::<_, TaskError>(100 + subband) };
            branch.step("image", image).await
        })
        .concurrency(2)
        .await?;
    println!("subbands, in their order: {rows:?}");
    Ok(rows.iter().sum())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let database = absurd_test::Database::start().await?;
    let clock = database.clock("2026-11-01T12:00:00Z".parse()?).await?;
    let client = database.client();
    let worker = || Worker::builder(client).task(image_band);
    let handle = client.spawn(image_band, 4).await?;

    // Both branches wait, so the task waits once and holds no worker.
    worker().run_until_idle().await?;
    let waits = client.list_waits(Some(handle.task_id()), None).await?;
    println!("an event is waited for: {}", waits.len());
    let runs = clock.run_to_end(worker).await?;
    println!("three hours later: {runs} run");
    client.emit_event("sky model", "NVSS").await?;
    println!("with the event: {} run", worker().run_until_idle().await?);
    println!("the sum is {}", handle.result().await?);

    for kept in client.list_checkpoints(handle.task_id(), None, 100).await? {
        println!("  {}", kept.checkpoint_name);
    }
    Ok(())
}
