//! The code changes while tasks are asleep. `patched` keeps the old way for those that have
//! gone past it; a change without it is found out, not carried through.

use absurd_sdk::{Error, prelude::*};

async fn step(ctx: &mut Context, name: &str) -> TaskResult<()> {
    ctx.step(name, || async {
        println!("  {name}");
        Ok::<_, TaskError>(())
    })
    .await
}

/// The first version.
#[task(name = "image", version = "1", max_attempts = 1)]
async fn image(ctx: &mut Context) -> TaskResult<()> {
    step(ctx, "calibrate").await?;
    ctx.sleep_for("transit", "3h").await?;
    step(ctx, "image").await
}

/// Flags before it calibrates, without a word to tasks that are under way.
#[task(name = "image", version = "2", max_attempts = 1)]
async fn careless(ctx: &mut Context) -> TaskResult<()> {
    step(ctx, "flag").await?;
    step(ctx, "calibrate").await?;
    ctx.sleep_for("transit", "3h").await?;
    step(ctx, "image").await
}

/// The same, for those that begin from now on.
#[task(name = "image", version = "2", max_attempts = 1)]
async fn careful(ctx: &mut Context) -> TaskResult<()> {
    println!("  spawned by version {:?}", ctx.spawned_version());
    if ctx.patched("flag first").await? {
        step(ctx, "flag").await?;
    }
    step(ctx, "calibrate").await?;
    ctx.sleep_for("transit", "3h").await?;
    step(ctx, "image").await
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let database = absurd_test::Database::start().await?;
    let clock = database.clock("2026-11-01T12:00:00Z".parse()?).await?;
    let client = database.client();

    for careless_deploy in [true, false] {
        println!("version 1");
        let handle = client.spawn(image, ()).await?;
        let old = Worker::builder(client).task(image);
        old.run_until_idle().await?;
        println!("version 2, careless: {careless_deploy}");
        clock
            .run_to_end(|| {
                let new = Worker::builder(client);
                if careless_deploy {
                    new.task(careless)
                } else {
                    new.task(careful)
                }
            })
            .await?;
        if let Err(Error::TaskFailed { failure, .. }) = handle.result().await {
            println!("{failure}");
        }
    }
    Ok(())
}
