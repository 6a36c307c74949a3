//! What matters more goes first: a larger priority, then age.

use absurd_sdk::prelude::*;

/// Images a field, when nothing else is to be done.
#[task(name = "image-field")]
async fn image_field(_ctx: &mut Context, field: String) -> TaskResult<()> {
    println!("imaging {field}");
    Ok(())
}

/// Follows up a fast radio burst, before everything else.
#[task(name = "follow-up", priority = 10)]
async fn follow_up(_ctx: &mut Context, burst: String) -> TaskResult<()> {
    println!("following up {burst}");
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let database = absurd_test::Database::start().await?;
    let client = database.client();

    client.spawn(image_field, "survey field 1".into()).await?;
    let second = client.spawn(image_field, "survey field 2".into()).await?;
    let calibrator = client.spawn(image_field, "3C 286".into());
    calibrator.priority(5).await?;
    client.spawn(follow_up, "FRB 20220912A".into()).await?;
    // It may be changed until the task has ended.
    client.set_priority(second.task_id(), 1).await?;

    Worker::builder(client)
        .task(image_field)
        .task(follow_up)
        .run_until_idle()
        .await?;
    Ok(())
}
