//! Keys take turns: who comes with two tasks doesn't wait for who came with a thousand.

use absurd_sdk::{TaskFilter, TaskState, prelude::*};

/// Makes a cutout of an image.
#[task(name = "cutout")]
async fn cutout(_ctx: &mut Context, _number: u32) -> TaskResult<()> {
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let database = absurd_test::Database::start().await?;
    let client = database.client();
    // The survey was first, and all of it is older than what Ada wants.
    client.spawn_many(cutout, 0..1000).key("survey").await?;
    client.spawn_many(cutout, 0..2).key("ada").await?;

    let completed = TaskFilter {
        state: Some(TaskState::Completed),
        ..TaskFilter::default()
    };
    for _ in 0..3 {
        Worker::builder(client)
            .task(cutout)
            .concurrency(2)
            .run_batch()
            .await?;
        let done = client.list_tasks(&completed, None, 1000).await?;
        let of = |key: &str| {
            done.iter()
                .filter(|task| task.key.as_deref() == Some(key))
                .count()
        };
        println!("done: {} of the survey, {} of Ada", of("survey"), of("ada"));
    }
    Ok(())
}
