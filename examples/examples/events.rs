//! A task waits for an event; whoever has it emits it. The first emit of a name counts.

use absurd_sdk::prelude::*;

/// Applies a calibration as soon as there is one.
#[task(name = "calibrate")]
async fn calibrate(ctx: &mut Context, field: String) -> TaskResult<String> {
    let table: String = ctx.await_event("caltable.ready").timeout("2h").await?;
    // An event that nobody emits: the timeout is an answer, not a failure.
    let flags = ctx.await_event::<String>("flags.ready").timeout("1s").await;
    match flags {
        Ok(flags) => Ok(format!("{field} with {table} and {flags}")),
        Err(error) if error.is_timeout() => Ok(format!("{field} with {table}, without flags")),
        Err(error) => Err(error),
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let database = absurd_test::Database::start().await?;
    let client = database.client();
    let handle = client.spawn(calibrate, "3C 48".into()).await?;
    let worker = || {
        Worker::builder(client)
            .task(calibrate)
            .poll_interval("50ms")
    };

    worker().run_until_idle().await?;
    for wait in client.list_waits(None, None).await? {
        println!("waiting for {}", wait.event_name);
    }
    client.emit_event("caltable.ready", "bandpass.tbl").await?;
    client.emit_event("caltable.ready", "too late").await?;

    let working = worker().start()?;
    println!("{}", handle.result().await?);
    working.stop().await?;
    Ok(())
}
