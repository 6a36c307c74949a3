//! Limits: how many runs at once, and how many starts in a time; of the whole queue, of one
//! task, of one key. They hold for all workers together.

use std::time::Duration;

use absurd_sdk::{Limit, LimitOn, prelude::*};

/// Grids visibilities, for which the machine has only so much memory.
#[task(name = "grid")]
async fn grid(_ctx: &mut Context, _field: u32) -> TaskResult<()> {
    Ok(())
}

/// Asks a catalogue that bears few questions.
#[task(name = "look-up")]
async fn look_up(_ctx: &mut Context, _source: u32) -> TaskResult<()> {
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let database = absurd_test::Database::start().await?;
    let clock = database.clock("2026-11-01T12:00:00Z".parse()?).await?;
    let client = database.client();
    let worker = || {
        let worker = Worker::builder(client).task(grid).task(look_up);
        worker.concurrency(100)
    };

    // One claim of a worker with room for 100.
    client
        .set_limit(LimitOn::Task("grid"), Limit::concurrency(2))
        .await?;
    client.spawn_many(grid, 0..5).await?;
    println!("grid: {} of 5 at once", worker().run_batch().await?);
    worker().run_until_idle().await?;

    client
        .set_limit(LimitOn::EachKey, Limit::concurrency(1))
        .await?;
    client
        .set_limit(LimitOn::Key("survey"), Limit::concurrency(3))
        .await?;
    for user in ["ada", "ben", "survey"] {
        client.spawn_many(look_up, 0..5).key(user).await?;
    }
    println!(
        "1 for each of two users and 3 of the survey: {}",
        worker().run_batch().await?
    );
    client
        .set_limit(LimitOn::Queue, Limit::concurrency(4))
        .await?;
    println!("4 of the whole queue: {}", worker().run_batch().await?);
    client.remove_limit(LimitOn::Queue).await?;
    worker().run_until_idle().await?;

    client
        .set_limit(LimitOn::Task("look-up"), Limit::rate(3, "1m"))
        .await?;
    client.spawn_many(look_up, 0..5).await?;
    println!("look-up: {} start", worker().run_until_idle().await?);
    println!("in the same minute: {}", worker().run_until_idle().await?);
    clock.advance(Duration::from_mins(1)).await?;
    println!("a minute later: {}", worker().run_until_idle().await?);
    Ok(())
}
