//! A task spawns others and waits for their results. It holds no worker meanwhile, so one
//! worker with one slot is enough for parent and children.

use absurd_sdk::{TaskFilter, prelude::*};

/// Images one subband.
#[task(name = "image-subband")]
async fn image_subband(_ctx: &mut Context, subband: u32) -> TaskResult<u32> {
    Ok(subband * 10)
}

/// Adds up the images of all subbands.
#[task(name = "image-band")]
async fn image_band(ctx: &mut Context, subbands: u32) -> TaskResult<u32> {
    let mut children = Vec::new();
    for subband in 1..=subbands {
        children.push(ctx.spawn(image_subband, subband).await?);
    }
    let mut sum = 0;
    for child in &children {
        sum += ctx.await_task(child).await?;
    }
    Ok(sum)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let database = absurd_test::Database::start().await?;
    let client = database.client();
    let handle = client.spawn(image_band, 4).await?;
    let worker = Worker::builder(client)
        .task(image_band)
        .task(image_subband)
        .concurrency(1)
        .start()?;
    println!("the sum is {}", handle.result().await?);
    worker.stop().await?;
    println!(
        "{} tasks",
        client
            .list_tasks(&TaskFilter::default(), None, 100)
            .await?
            .len()
    );
    Ok(())
}
