//! At most one task for a key within a time. With `debounce`, the last spawn counts.

use std::time::Duration;

use absurd_sdk::prelude::*;

/// Refreshes the sky map after a number of images.
#[task(name = "refresh-map")]
async fn refresh_map(ctx: &mut Context, images: u32) -> TaskResult<()> {
    println!("{:.0}: a map of {images} images", ctx.now().await?);
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let database = absurd_test::Database::start().await?;
    let clock = database.clock("2026-11-01T12:00:00Z".parse()?).await?;
    let client = database.client();
    let worker = || Worker::builder(client).task(refresh_map);

    println!("within ten minutes the first spawn counts");
    for images in 1..=3 {
        let spawn = client.spawn(refresh_map, images);
        let handle = spawn.unique_within("map", "10m").await?;
        println!("{images} images: a new task: {}", handle.spawned().created);
        worker().run_until_idle().await?;
        clock.advance(Duration::from_mins(6)).await?;
    }

    println!("the last spawn counts, when five minutes were quiet");
    for images in 4..=6 {
        let spawn = client.spawn(refresh_map, images);
        let handle = spawn.debounce("quiet map", "5m").await?;
        println!("{images} images: a new task: {}", handle.spawned().created);
        worker().run_until_idle().await?;
        clock.advance(Duration::from_mins(1)).await?;
    }
    clock.run_to_end(worker).await?;
    Ok(())
}
