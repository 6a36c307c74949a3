//! `pipeline-worker worker`: hosts the pipeline's tasks until it is told to stop.

use absurd_sdk::Client;
use tokio::signal::unix::{SignalKind, signal};

use super::WorkerError;
use crate::{
    config::Config,
    registry,
    tasks::{Toolbox, pipeline_worker},
};

/// A client as the configuration wants it.
pub async fn connect(config: &Config) -> Result<Client, WorkerError> {
    let mut builder = Client::builder()
        .queue(&config.queue)
        .default_max_attempts(config.max_attempts);
    if let Some(url) = &config.database_url {
        builder = builder.url(url);
    }
    Ok(builder.connect().await?)
}

/// Works until SIGTERM or Ctrl-C, then hands running work back.
pub async fn run(config: &Config, lease: &str) -> Result<(), WorkerError> {
    let client = connect(config).await?;
    registry::install(client.pool()).await?;
    create_queues(&client, config).await?;
    let worker = pipeline_worker(&client, Toolbox::of(config))
        .concurrency(config.concurrency)
        .poll_interval(config.poll_interval)
        .lease(lease);
    Box::pin(worker.run_until(told_to_stop()?)).await?;
    Ok(())
}

/// Creates the queues of the configuration that are not there: its own, and those that stages go
/// to. One that is there stays as it is.
async fn create_queues(client: &Client, config: &Config) -> Result<(), WorkerError> {
    let known = client.list_queues().await?;
    let others = config.stage_queues.values();
    for queue in [client.queue()].into_iter().chain(others) {
        if !known.contains(queue) {
            client.on_queue(queue.as_str())?.create_queue().await?;
        }
    }
    Ok(())
}

/// Comes with SIGTERM or Ctrl-C.
pub(super) fn told_to_stop() -> Result<impl Future<Output = ()>, WorkerError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(WorkerError::file("SIGTERM"))?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
    })
}
