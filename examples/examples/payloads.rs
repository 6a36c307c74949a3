//! Large values go compressed into an object store, here a folder. Tasks and clients see nothing
//! of it.

use std::sync::Arc;

use absurd_sdk::{PayloadStorage, prelude::*};
use object_store::local::LocalFileSystem;

/// Returns a megabyte, by way of a step.
#[task(name = "render", max_attempts = 2)]
async fn render(ctx: &mut Context, line: String) -> TaskResult<String> {
    let page = ctx.step("page", || async {
        println!("rendering");
        Ok::<_, TaskError>(line.repeat(100_000))
    });
    let page = page.await?;
    if ctx.attempt() == 1 {
        return Err(TaskError::msg("out of paper"));
    }
    Ok(page)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let database = absurd_test::Database::start().await?;
    let folder = tempfile::tempdir()?;
    let store = LocalFileSystem::new_with_prefix(folder.path())?;
    let storage = PayloadStorage::new()
        .compress_above(1_000)
        .object_store(Arc::new(store), "payloads")
        // So low only because a repeated line becomes very small.
        .offload_above(100);
    let client = absurd_sdk::Client::builder()
        .url(database.url())
        .payloads(storage)
        .connect()
        .await?;
    let handle = client.spawn(render, "ten bytes\n".into()).await?;
    let worker = Worker::builder(&client).task(render).start()?;
    println!("{} bytes were returned", handle.result().await?.len());
    worker.stop().await?;

    // Read models show what is stored.
    let stored = client.list_checkpoints(handle.task_id(), None, 1).await?;
    let stored = stored[0].state.clone().unwrap_or_default();
    println!("encoded as {}", stored["$absurd"]["encoding"]);
    // The step and the task have returned the same, so they share an object.
    for object in std::fs::read_dir(folder.path().join("payloads"))? {
        let bytes = object?.metadata()?.len();
        println!("an object of less than a kilobyte: {}", bytes < 1_000);
    }
    Ok(())
}
