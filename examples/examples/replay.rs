//! A recorded history is replayed against the code of today: without a database, without a step.

use absurd_sdk::prelude::*;
use absurd_test::Replay;

/// Converts and images a group.
#[task(name = "process-group")]
async fn process_group(ctx: &mut Context, group: String) -> TaskResult<String> {
    ctx.step("convert", || async { Ok::<_, TaskError>(16) })
        .await?;
    ctx.step("image", || async {
        Ok::<_, TaskError>(format!("{group}.fits"))
    })
    .await
}

mod tomorrow {
    use absurd_sdk::prelude::*;

    /// Somebody has put in a step.
    #[task(name = "process-group")]
    pub(super) async fn process_group(ctx: &mut Context, group: String) -> TaskResult<String> {
        ctx.step("convert", || async { Ok::<_, TaskError>(16) })
            .await?;
        ctx.step("flag", || async { Ok::<_, TaskError>(0.02) })
            .await?;
        ctx.step("image", || async {
            Ok::<_, TaskError>(format!("{group}.fits"))
        })
        .await
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let database = absurd_test::Database::start().await?;
    let client = database.client();
    let handle = client.spawn(process_group, "2025-06-01".into()).await?;
    let worker = Worker::builder(client).task(process_group);
    worker.run_until_idle().await?;

    // `absurd task export` writes the same to a file, which tests read by `Replay::read`.
    let history = client.history(handle.task_id()).await?;
    let replayed = Replay::of(history.clone()).run(process_group).await?;
    print!("{}", replayed.steps());

    let changed = Replay::of(history).run(tomorrow::process_group).await;
    if let Err(error) = changed {
        println!("{error}");
    }
    Ok(())
}
