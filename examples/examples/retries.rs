//! Errors are tried again as the policy says, unless the task says that it is no use.

use absurd_sdk::{Error, prelude::*};

/// Fetches a file that appears with the third attempt.
#[task(name = "fetch", max_attempts = 5, retry = fixed("10ms"))]
async fn fetch(ctx: &mut Context, name: String) -> TaskResult<String> {
    println!("attempt {} at {name}", ctx.attempt());
    if name.is_empty() {
        // No further attempt can mend this.
        return Err(TaskError::terminal(TaskError::msg("the file has no name")));
    }
    if ctx.attempt() < 3 {
        // Any error goes with `?`, and is tried again.
        Err(std::io::Error::other("not there yet"))?;
    }
    Ok(format!("got {name}"))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let database = absurd_test::Database::start().await?;
    let client = database.client();
    let worker = Worker::builder(client)
        .task(fetch)
        .poll_interval("10ms")
        .start()?;
    let fine = client.spawn(fetch, "sky.fits".into()).await?;
    println!("{}", fine.result().await?);
    let hopeless = client.spawn(fetch, String::new()).await?;
    match hopeless.result().await {
        Err(Error::TaskFailed { failure, .. }) => println!("failed: {}", failure.message),
        other => println!("unexpected: {other:?}"),
    }
    worker.stop().await?;
    Ok(())
}
