//! A queue or a task is paused and resumed. What runs goes on; nothing is lost.

use absurd_sdk::prelude::*;

/// Images a field.
#[task(name = "image")]
async fn image(_ctx: &mut Context, field: String) -> TaskResult<()> {
    println!("imaging {field}");
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let database = absurd_test::Database::start().await?;
    let client = database.client();
    let work = || Worker::builder(client).task(image).run_until_idle();

    client.pause_queue().await?;
    let first = client.spawn(image, "3C 48".into()).await?;
    client.spawn(image, "3C 147".into()).await?;
    println!("the queue is paused: {} runs", work().await?);

    client.pause_task(first.task_id()).await?;
    client.resume_queue().await?;
    println!("a task is paused: {} run", work().await?);

    client.resume_task(first.task_id()).await?;
    println!("nothing is paused: {} run", work().await?);
    Ok(())
}
