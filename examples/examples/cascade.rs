//! Children that end with their parent, and one that goes on without it.

use absurd_sdk::{OnParentEnd, TaskFilter, prelude::*};

/// Images one subband, once its data are there.
#[task(name = "image-subband")]
async fn image_subband(ctx: &mut Context, subband: u32) -> TaskResult<()> {
    ctx.await_event(format!("data of subband {subband}")).await
}

/// Keeps the raw data, whatever becomes of the image.
#[task(name = "archive")]
async fn archive(_ctx: &mut Context) -> TaskResult<()> {
    println!("the raw data are archived");
    Ok(())
}

/// Images a band.
#[task(name = "image-band")]
async fn image_band(ctx: &mut Context, subbands: u32) -> TaskResult<()> {
    for subband in 0..subbands {
        let child = ctx.spawn(image_subband, subband);
        child.on_parent_end(OnParentEnd::Cancel).await?;
    }
    ctx.spawn(archive, ()).delay("1h").await?;
    ctx.await_event("all subbands").await
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let database = absurd_test::Database::start().await?;
    let clock = database.clock("2026-11-01T12:00:00Z".parse()?).await?;
    let client = database.client();
    let worker = || {
        let worker = Worker::builder(client).task(image_band);
        worker.task(image_subband).task(archive)
    };
    let parent = client.spawn(image_band, 2).await?;
    worker().run_until_idle().await?;

    client.cancel(parent.task_id()).await?;
    println!("the parent is cancelled");
    let children = TaskFilter {
        parent_task_id: Some(parent.task_id()),
        ..TaskFilter::default()
    };
    let mut children = client.list_tasks(&children, None, 10).await?;
    children.sort_by(|a, b| a.task_name.cmp(&b.task_name));
    for child in children {
        println!("{}: {}", child.task_name, child.state.as_str());
    }
    clock.run_to_end(worker).await?;
    Ok(())
}
