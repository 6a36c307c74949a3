//! A step that is tried again by itself, before its failure is one of the whole attempt.

use std::{
    io,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use absurd_sdk::{Error, prelude::*};

/// Asks three services, which fail in three ways.
#[task(name = "look-up", max_attempts = 1)]
async fn look_up(ctx: &mut Context) -> TaskResult<()> {
    let tries = AtomicU32::new(0);
    let ask_catalogue = || async {
        let number = tries.fetch_add(1, Ordering::SeqCst) + 1;
        println!("catalogue, try {number}");
        match number {
            1 => Err(TaskError::msg("no answer")),
            // The error itself says when to come again.
            2 => {
                let busy = TaskError::msg("busy");
                Err(TaskError::retry_after(busy, Duration::from_millis(5)))
            }
            _ => Ok(()),
        }
    };
    let pauses = RetryPolicy::exponential(Duration::from_millis(10));
    ctx.step("catalogue", ask_catalogue)
        .retry(3)
        .pause(pauses)
        .await?;

    let ask_archive = || async {
        println!("archive, one try");
        Err::<(), _>(io::Error::other("no such file"))
    };
    // Which errors are worth another try.
    let is_worth = |error: &TaskError| error.downcast_ref::<io::Error>().is_none();
    let archive = ctx.step("archive", ask_archive).retry(3).when(is_worth);
    if let Err(error) = archive.await {
        println!("without the archive: {error}");
    }

    let ask_observatory = || async {
        println!("observatory, one try");
        let refused = TaskError::msg("the password is wrong");
        Err::<(), _>(TaskError::terminal(refused))
    };
    ctx.step("observatory", ask_observatory).retry(3).await
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let database = absurd_test::Database::start().await?;
    let client = database.client();
    let handle = client.spawn(look_up, ()).await?;
    let worker = Worker::builder(client).task(look_up);
    worker.run_until_idle().await?;
    if let Err(Error::TaskFailed { failure, .. }) = handle.result().await {
        println!("failed in {}: {}", failure.more["step"], failure.message);
    }
    Ok(())
}
