//! The crate `apalis-postgres`: a queue.

use std::time::Duration;

use apalis::prelude::{
    BackendExt as _, BoxDynError, Data, TaskSink as _, WorkerBuilder, WorkerBuilderExt as _,
};
use apalis_postgres::{Config, PostgresStorage};
use sqlx::PgPool;
use tokio::time::Instant;

use crate::shared::{self, Executed, Moments, Order, Result};

// Tuning: batches of 1,000 jobs, 1,000 jobs at once, notified of new jobs, and the shortest poll
// that leaves it time to work.
const CONNECTIONS: u32 = 16;
const BATCH: usize = 1_000;
const CONCURRENCY: usize = 1_000;
const POLL: Duration = Duration::from_millis(5);

type Storage = PostgresStorage<usize>;

async fn nothing(
    number: usize,
    executed: Data<Executed>,
    moments: Data<Moments>,
) -> std::result::Result<(), BoxDynError> {
    executed.one_more();
    moments.tell(number);
    Ok(())
}

/// Measures.
pub(crate) async fn run(order: &Order) -> Result {
    shared::note(format!(
        "batches of {BATCH}, {CONCURRENCY} jobs at once, {CONNECTIONS} connections, notified, \
         poll every {} ms",
        POLL.as_millis()
    ))
    .await?;
    let pool = shared::warm_pool(order, CONNECTIONS).await?;
    PostgresStorage::setup(&pool).await?;
    let mut storage = storage(&pool);
    let (executed, moments) = (Executed::of(order), Moments::new());
    match order.workload.as_str() {
        "W1" => {
            shared::from_clients(order, move |number| {
                let mut storage = storage.clone();
                async move { Ok(storage.push(number).await?) }
            })
            .await
        }
        "W2" => {
            shared::ready().await?;
            let begun = Instant::now();
            add_all(&mut storage, order).await?;
            shared::rate(order.tasks, begun).await
        }
        "W3" => {
            add_all(&mut storage, order).await?;
            shared::ready().await?;
            let begun = Instant::now();
            start(storage, &executed, &moments);
            shared::drained(order, &executed, begun).await
        }
        "W6" => {
            start(storage.clone(), &executed, &moments);
            shared::samples(order, async |number| {
                storage.push(number).await?;
                moments.since(Instant::now(), number).await
            })
            .await
        }
        _ => shared::unknown(order),
    }
}

fn storage(pool: &PgPool) -> Storage {
    let config = Config::default().queue("default").batch_size(BATCH);
    PostgresStorage::new(pool).with_config(config)
}

async fn add_all(storage: &mut Storage, order: &Order) -> Result {
    Ok(storage.push_bulk((0..order.tasks).collect()).await?)
}

fn start(storage: Storage, executed: &Executed, moments: &Moments) {
    let worker = WorkerBuilder::new("worker")
        .backend(storage.with_pubsub().poll_with_interval(POLL))
        .data(executed.clone())
        .data(moments.clone())
        .concurrency(CONCURRENCY)
        .build(nothing);
    tokio::spawn(async move { worker.run().await.map_err(|error| eprintln!("{error}")) });
}
