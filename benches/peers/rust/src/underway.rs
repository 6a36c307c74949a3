//! The crate `underway`: jobs of steps, where each step is a task of its own in the queue.

use std::sync::Arc;

use jiff::ToSpan as _;
use sqlx_08::{PgPool, Postgres, Transaction, postgres::PgPoolOptions};
use tokio::time::Instant;
use underway::{Queue, Task, Worker, task};

use crate::shared::{self, Executed, Moments, Order, Result};

// Tuning: sixteen tasks at once, each of which needs a connection for its transaction and one
// for its heartbeat, notified of new tasks, and the shortest poll that leaves it time to work.
const CONNECTIONS: u32 = 40;
const CONCURRENCY: usize = 16;
const POLL_MS: i64 = 5;

/// Does nothing but count and tell.
struct Nothing {
    executed: Executed,
    moments: Moments,
}

impl Task for Nothing {
    type Input = usize;
    type Output = ();

    async fn execute(&self, _: Transaction<'_, Postgres>, number: usize) -> task::Result<()> {
        self.executed.one_more();
        self.moments.tell(number);
        Ok(())
    }
}

/// Measures.
pub(crate) async fn run(order: &Order) -> Result {
    shared::note(format!(
        "{CONCURRENCY} tasks at once, {CONNECTIONS} connections, notified, poll every {POLL_MS} ms"
    ))
    .await?;
    let pool = PgPoolOptions::new()
        .min_connections(CONNECTIONS)
        .max_connections(CONNECTIONS)
        .connect(&order.url)
        .await?;
    underway::run_migrations(&pool).await?;
    let queue = Queue::builder().name("default").pool(pool.clone());
    let queue: Arc<Queue<Nothing>> = Arc::new(queue.build().await?);
    let (executed, moments) = (Executed::of(order), Moments::new());
    let nothing = || Nothing {
        executed: executed.clone(),
        moments: moments.clone(),
    };
    match order.workload.as_str() {
        "W1" => spawned(order, pool, queue, Arc::new(nothing())).await,
        "W2" => {
            shared::ready().await?;
            let begun = Instant::now();
            let added = add_all(order, &pool, &queue, &nothing()).await?;
            shared::rate(added, begun).await
        }
        "W3" => {
            add_all(order, &pool, &queue, &nothing()).await?;
            shared::ready().await?;
            let begun = Instant::now();
            start(queue, nothing());
            shared::drained(order, &executed, begun).await
        }
        "W6" => {
            start(Arc::clone(&queue), nothing());
            let task = nothing();
            shared::samples(order, async |number| {
                queue.enqueue(&pool, &task, &number).await?;
                moments.since(Instant::now(), number).await
            })
            .await
        }
        _ => shared::unknown(order),
    }
}

async fn spawned(
    order: &Order,
    pool: PgPool,
    queue: Arc<Queue<Nothing>>,
    task: Arc<Nothing>,
) -> Result {
    shared::from_clients(order, move |number| {
        let (pool, queue, task) = (pool.clone(), Arc::clone(&queue), Arc::clone(&task));
        async move {
            queue.enqueue(&pool, &task, &number).await?;
            Ok(())
        }
    })
    .await
}

async fn add_all(
    order: &Order,
    pool: &PgPool,
    queue: &Queue<Nothing>,
    task: &Nothing,
) -> Result<usize> {
    let inputs: Vec<usize> = (0..order.tasks).collect();
    Ok(queue.enqueue_multi(pool, task, &inputs).await?)
}

fn start(queue: Arc<Queue<Nothing>>, task: Nothing) {
    let mut worker = Worker::new(queue, task);
    worker.set_concurrency_limit(CONCURRENCY);
    tokio::spawn(async move {
        let ended = worker.run_every(POLL_MS.milliseconds()).await;
        ended.map_err(|error| eprintln!("{error}"))
    });
}
