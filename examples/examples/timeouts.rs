//! Three limits of time: for a step, for an execution, and for the start.

use std::time::Duration;

use absurd_sdk::{Error, prelude::*};

/// Asks a service that never answers, and goes on without it.
#[task(name = "calibrate")]
async fn calibrate(ctx: &mut Context) -> TaskResult<String> {
    let ask = || std::future::pending::<TaskResult<String>>();
    match ctx.step("ask", ask).timeout("20ms").await {
        Ok(table) => Ok(table),
        Err(error) if error.is_timeout() => Ok("calibrated with yesterday's table".into()),
        Err(error) => Err(error),
    }
}

/// Hangs in its first attempt, which ends by itself.
#[task(name = "image", timeout = "50ms", max_attempts = 2)]
async fn image(ctx: &mut Context) -> TaskResult<String> {
    if ctx.attempt() == 1 {
        std::future::pending::<()>().await;
    }
    Ok(format!("imaged in attempt {}", ctx.attempt()))
}

/// Is of no use when it begins late.
#[task(name = "alert", max_delay = "10m")]
async fn alert(_ctx: &mut Context) -> TaskResult<()> {
    println!("this is never printed");
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let database = absurd_test::Database::start().await?;
    let clock = database.clock("2026-11-01T12:00:00Z".parse()?).await?;
    let client = database.client();
    let late = client.spawn(alert, ()).await?;
    clock.advance(Duration::from_mins(11)).await?;
    let calibrated = client.spawn(calibrate, ()).await?;
    let imaged = client.spawn(image, ()).await?;

    Worker::builder(client)
        .task(calibrate)
        .task(image)
        .task(alert)
        .run_until_idle()
        .await?;
    println!("{}", calibrated.result().await?);
    for run in client.list_runs(imaged.task_id()).await? {
        if let Some(failure) = run.failure_reason {
            println!("attempt {}: {}", run.attempt, failure["name"]);
        }
    }
    println!("{}", imaged.result().await?);
    if let Err(Error::TaskCancelled(_)) = late.result().await {
        println!("the alert was cancelled");
    }
    Ok(())
}
