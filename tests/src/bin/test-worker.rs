//! A worker process for tests that kill it: hosts the tasks of `tests`, on the database of
//! its argument, until the task of its second argument has ended.

use std::{env, process::ExitCode, sync::Arc};

use absurd_sdk::{Client, TaskId, chain};
use absurd_test::Kill;
use serde_json::Value;

#[tokio::main]
async fn main() -> ExitCode {
    let mut arguments = env::args().skip(1);
    let (Some(url), Some(task)) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: test-worker URL TASK-ID");
        return ExitCode::FAILURE;
    };
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::WARN)
        .with_writer(std::io::stderr)
        .init();
    match Box::pin(run(&url, &task)).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

async fn run(url: &str, task: &str) -> Result<(), Box<dyn std::error::Error>> {
    let mut builder = Client::builder().url(url);
    if let Some(kill) = Kill::from_env()? {
        builder = builder.observer(Arc::new(kill));
    }
    let client = builder.connect().await?;
    // Not observed: where this process is killed is a matter of the worker's statements.
    let watcher = Client::connect(url).await?;
    let task: TaskId = task.parse()?;
    let done = async {
        let ended = watcher.result_of::<Value>(task).snapshot().await;
        if let Err(error) = ended {
            tracing::error!(%error, "can't see the end of the task");
        }
    };
    Box::pin(tests::worker(&client).run_until(done)).await?;
    Ok(())
}
