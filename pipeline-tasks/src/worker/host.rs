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
    let worker = pipeline_worker(&client, Toolbox::of(config))
        .concurrency(config.concurrency)
        .poll_interval(config.poll_interval)
        .lease(lease);
    Box::pin(worker.run_until(told_to_stop()?)).await?;
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
