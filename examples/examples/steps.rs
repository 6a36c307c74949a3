//! Steps run once: a second attempt finds what the first one did.

use absurd_sdk::{BegunStep, prelude::*};

/// Fails once, after its first step.
#[task(name = "survey", max_attempts = 2)]
async fn survey(ctx: &mut Context, fields: Vec<String>) -> TaskResult<Vec<String>> {
    println!("attempt {}", ctx.attempt());
    let mut images = Vec::new();
    for field in &fields {
        // The same name again: the second use is remembered as `image#2`.
        let image = ctx.step("image", || async {
            println!("imaging {field}");
            Ok::<_, TaskError>(format!("{field}.fits"))
        });
        images.push(image.await?);
    }
    // A step that is begun and completed by hand, for work that is no closure.
    match ctx.begin_step::<u32>("count").await? {
        BegunStep::Done(count) => println!("counted before: {count}"),
        BegunStep::Pending(step) => {
            let count = u32::try_from(images.len())?;
            ctx.complete_step(step, count).await?;
            return Err(TaskError::msg("the power went out"));
        }
    }
    Ok(images)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let database = absurd_test::Database::start().await?;
    let client = database.client();
    let handle = client.spawn(survey, vec!["A".into(), "B".into()]).await?;
    let worker = Worker::builder(client).task(survey).start()?;
    println!("{:?}", handle.result().await?);
    worker.stop().await?;
    Ok(())
}
