//! The crate `graphile_worker`: a queue.

use std::{sync::Arc, time::Duration};

use graphile_worker::{
    IntoTaskHandlerResult, JobSpec, LocalQueueConfig, TaskHandler, Worker, WorkerContext,
    WorkerOptions,
};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use tokio::time::Instant;

use crate::shared::{self, Executed, Moments, Order, Result};

// Tuning: for W3 a local queue of 2,000 jobs, ends written in batches, 64 jobs at once; a local
// queue and batches delay single jobs, so W6 goes without.
const CONNECTIONS: u32 = 16;
const CONCURRENCY: usize = 64;
const LOCAL_QUEUE: usize = 2_000;
const BATCH_DELAY: Duration = Duration::from_millis(1);

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Nothing {
    number: usize,
}

impl TaskHandler for Nothing {
    const IDENTIFIER: &'static str = "nothing";

    async fn run(self, ctx: WorkerContext) -> impl IntoTaskHandlerResult {
        let executed = ctx.get_ext::<Executed>().ok_or("no counter")?;
        executed.one_more();
        Ok::<(), String>(())
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Begin {
    number: usize,
}

impl TaskHandler for Begin {
    const IDENTIFIER: &'static str = "begin";

    async fn run(self, ctx: WorkerContext) -> impl IntoTaskHandlerResult {
        let moments = ctx.get_ext::<Moments>().ok_or("no moments")?;
        moments.tell(self.number);
        Ok::<(), String>(())
    }
}

/// Measures.
pub(crate) async fn run(order: &Order) -> Result {
    shared::note(format!(
        "{CONCURRENCY} jobs at once, {CONNECTIONS} connections, notified; for W3 a local queue of \
         {LOCAL_QUEUE} and ends written in batches"
    ))
    .await?;
    let pool = shared::warm_pool(order, CONNECTIONS).await?;
    let executed = Executed::of(order);
    let moments = Moments::new();
    let worker = worker(&pool, order, &executed, &moments).await?;
    match order.workload.as_str() {
        "W1" => {
            let utils = Arc::new(worker.create_utils());
            shared::from_clients(order, move |number| {
                let utils = Arc::clone(&utils);
                async move {
                    let job = Nothing { number };
                    utils.add_job(job, JobSpec::default()).await?;
                    Ok(())
                }
            })
            .await
        }
        "W2" => {
            shared::ready().await?;
            let begun = Instant::now();
            let added = add_all(&worker, order).await?;
            shared::rate(added, begun).await
        }
        "W3" => {
            add_all(&worker, order).await?;
            shared::ready().await?;
            let begun = Instant::now();
            tokio::spawn(async move { worker.run().await.map_err(|error| eprintln!("{error}")) });
            shared::drained(order, &executed, begun).await
        }
        "W6" => {
            let utils = worker.create_utils();
            tokio::spawn(async move { worker.run().await.map_err(|error| eprintln!("{error}")) });
            shared::samples(order, async |number| {
                utils.add_job(Begin { number }, JobSpec::default()).await?;
                moments.since(Instant::now(), number).await
            })
            .await
        }
        _ => shared::unknown(order),
    }
}

async fn add_all(worker: &Worker, order: &Order) -> Result<usize> {
    let spec = JobSpec::default();
    let jobs: Vec<_> = (0..order.tasks)
        .map(|number| (Nothing { number }, &spec))
        .collect();
    Ok(worker.create_utils().add_jobs(&jobs).await?.len())
}

async fn worker(
    pool: &PgPool,
    order: &Order,
    executed: &Executed,
    moments: &Moments,
) -> Result<Worker> {
    let mut options = WorkerOptions::default()
        .pg_pool(pool.clone())
        .concurrency(CONCURRENCY)
        .add_extension(executed.clone())
        .add_extension(moments.clone())
        .define_job::<Nothing>()
        .define_job::<Begin>();
    if order.workload == "W3" {
        options = options
            .local_queue(LocalQueueConfig::default().with_size(LOCAL_QUEUE))
            .complete_job_batch_delay(BATCH_DELAY)
            .fail_job_batch_delay(BATCH_DELAY);
    }
    Ok(options.init().await?)
}
