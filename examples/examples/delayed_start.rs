//! A task that begins later: after a delay, or at a time. It holds no worker until then.

use absurd_sdk::prelude::*;

/// Observes a source.
#[task(name = "observe")]
async fn observe(ctx: &mut Context, source: String) -> TaskResult<()> {
    println!("{:.0}: {source}", ctx.now().await?);
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let database = absurd_test::Database::start().await?;
    // The test's clock: a day passes in no time.
    let clock = database.clock("2026-11-01T18:00:00Z".parse()?).await?;
    let client = database.client();

    let transit = "2026-11-02T04:30:00Z".parse()?;
    client
        .spawn(observe, "Crab pulsar, at its transit".into())
        .start_at(transit)
        .await?;
    client
        .spawn(observe, "3C 48, in an hour and a half".into())
        .delay("1h 30m")
        .await?;
    client.spawn(observe, "3C 147, at once".into()).await?;

    clock
        .run_to_end(|| Worker::builder(client).task(observe))
        .await?;
    Ok(())
}
