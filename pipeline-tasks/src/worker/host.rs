//! `pipeline-worker worker`: hosts the pipeline's tasks until it is told to stop.

use std::future::pending;

use absurd_sdk::{Client, Scheduler};
use tokio::signal::unix::{SignalKind, signal};

use super::WorkerError;
use crate::{
    config::Config,
    registry,
    tasks::{Toolbox, WindowsOrder, mosaic_windows, pipeline_worker},
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

/// Works until SIGTERM or Ctrl-C, then hands running work back. Fires schedules meanwhile, if the
/// configuration has one.
pub async fn run(config: &Config, lease: &str) -> Result<(), WorkerError> {
    let client = connect(config).await?;
    registry::install(client.pool()).await?;
    create_queues(&client, config).await?;
    let worker = pipeline_worker(&client, Toolbox::of(config))
        .concurrency(config.concurrency)
        .poll_interval(config.poll_interval)
        .lease(lease);
    set_schedule(&client, config).await?;
    let told = told_to_stop()?;
    let mut fired = Ok(());
    let stop = async {
        tokio::select! {
            () = told => {}
            failed = fire(&client, config) => fired = failed,
        }
    };
    Box::pin(worker.run_until(stop)).await?;
    Ok(fired?)
}

/// Mosaics by themselves, if the configuration wants them. All workers say the same, so it does
/// not matter which one says it last.
async fn set_schedule(client: &Client, config: &Config) -> Result<(), absurd_sdk::Error> {
    let Some(cron) = &config.mosaic_schedule else {
        return Ok(());
    };
    let order = WindowsOrder {
        wait_sec: config.mosaic_wait.as_secs_f64(),
        ..WindowsOrder::default()
    };
    let name = format!("mosaic-windows:{}", client.queue());
    client.schedule(name, cron, mosaic_windows, order).await
}

/// Fires schedules as long as nobody stops it.
async fn fire(client: &Client, config: &Config) -> Result<(), absurd_sdk::Error> {
    if config.mosaic_schedule.is_none() {
        return pending().await;
    }
    Scheduler::new(client).run_until(pending()).await
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

/// Lets go of the work, and with it of the processes and the database that it holds, with SIGTERM
/// or Ctrl-C.
pub(super) async fn unless_told_to_stop<T>(
    work: impl Future<Output = Result<T, WorkerError>>,
) -> Result<T, WorkerError> {
    let told = told_to_stop()?;
    tokio::select! {
        done = work => done,
        () = told => Err(WorkerError::Stopped),
    }
}
