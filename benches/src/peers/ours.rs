//! Our engine as one of the peers' programs, on our schema or on upstream's.

use std::time::Duration;

use absurd_sdk::{Client, Worker, WorkerBuilder, WorkerHandle};
use absurd_test::eventually;
use futures::future::try_join_all;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, stdin},
    time::{Instant, sleep, timeout},
};

use super::order::{Message, Order, Workload, micros};
use crate::{
    error::Result,
    tasks::{self, Executed, Moments, Told},
    worker::say,
};

/// Runs at once where many tasks wait.
const CONCURRENCY: usize = 256;
/// How often it asks where nothing tells it of tasks: upstream's schema has no notifications.
/// Where there are some, the default is right. Upstream's own clients ask as often.
const POLL_EVERY: Duration = Duration::from_millis(5);
/// How often it looks whether all ends are recorded.
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// Far above any latency.
const PATIENCE: Duration = Duration::from_secs(30);

/// The program; it polls where nothing would notify it.
pub(crate) async fn serve(is_polling: bool, order: &str) -> Result {
    let order: Order = serde_json::from_str(order)?;
    let connections = u32::try_from(order.clients)?;
    let client = Client::builder()
        .url(&order.url)
        .pool_size_max(connections)
        .connect()
        .await?;
    let pool = client.pool();
    drop(try_join_all((0..connections).map(|_| pool.acquire())).await?);
    let mut worker = Worker::builder(&client).concurrency(CONCURRENCY);
    let mut hears = "notified".to_owned();
    if is_polling {
        worker = worker.poll_interval(POLL_EVERY);
        hears = format!("polls every {} ms", POLL_EVERY.as_millis());
    }
    let text = format!("{CONCURRENCY} runs at once, {connections} connections, {hears}");
    say(&Message::Note { text }).await?;
    let measured = match order.workload {
        Workload::W1 => spawned(&client, &order).await?,
        Workload::W2 => spawned_at_once(&client, &order).await?,
        Workload::W3 | Workload::W4 => drained(&client, worker, &order).await?,
        Workload::W5 => steps(&client, worker, &order).await?,
        Workload::W6 => starts(&client, worker, &order).await?,
        Workload::W7 => resumptions(&client, worker, &order).await?,
    };
    client.pool().close().await;
    say(&measured).await
}

/// Says that all is prepared, and waits for the word to begin.
async fn ready() -> Result {
    say(&Message::Ready).await?;
    let go = BufReader::new(stdin()).lines().next_line().await?;
    go.map(drop).ok_or_else(|| "nobody measures".into())
}

async fn spawned(client: &Client, order: &Order) -> Result<Message> {
    ready().await?;
    let begun = Instant::now();
    let spawners = (0..order.clients).map(|first| {
        let (client, numbers) = (client.clone(), (first..order.tasks).step_by(order.clients));
        tokio::spawn(async move {
            let mut count = 0;
            for number in numbers {
                client.spawn(tasks::nothing, number).await?;
                count += 1;
            }
            Result::Ok(count)
        })
    });
    let mut executed = 0;
    for count in try_join_all(spawners.collect::<Vec<_>>()).await? {
        executed += count?;
    }
    Ok(Message::rate(executed, begun.elapsed()))
}

async fn spawned_at_once(client: &Client, order: &Order) -> Result<Message> {
    ready().await?;
    let begun = Instant::now();
    let spawned = client.spawn_many(tasks::nothing, 0..order.tasks).await?;
    Ok(Message::rate(spawned.len(), begun.elapsed()))
}

async fn drained(client: &Client, worker: WorkerBuilder, order: &Order) -> Result<Message> {
    let executed = Executed::until(order.tasks);
    ready().await?;
    let begun = Instant::now();
    let worker = worker
        .task(tasks::nothing)
        .task(tasks::steps)
        .state(executed.clone())
        .start()?;
    executed.enough().await;
    let unfinished = order.unfinished.clone().ok_or("no way to count tasks")?;
    while count(client, &unfinished).await? > 0 {
        sleep(LOOK_EVERY).await;
    }
    let elapsed = begun.elapsed();
    worker.stop().await?;
    Ok(Message::rate(executed.count(), elapsed))
}

async fn count(client: &Client, sql: &str) -> Result<i64> {
    let count = sqlx::query_scalar(sqlx::AssertSqlSafe(sql.to_owned()));
    Ok(count.fetch_one(client.pool()).await?)
}

async fn steps(client: &Client, worker: WorkerBuilder, order: &Order) -> Result<Message> {
    let (moments, mut told) = tasks::moments();
    let worker = telling(worker, moments)?;
    ready().await?;
    client
        .spawn(tasks::row, order.steps)
        .await?
        .result()
        .await?;
    worker.stop().await?;
    let mut samples = Vec::new();
    let (_, mut last) = told.recv().await.ok_or("the task took no step")?;
    while let Some((_, moment)) = told.recv().await {
        samples.push(micros(moment.duration_since(last)));
        last = moment;
    }
    Ok(Message::Latencies { micros: samples })
}

async fn starts(client: &Client, worker: WorkerBuilder, order: &Order) -> Result<Message> {
    let (moments, mut told) = tasks::moments();
    let worker = telling(worker, moments)?;
    ready().await?;
    let mut samples = Vec::new();
    for (number, pause) in order.pauses_ms.iter().enumerate() {
        sleep(Duration::from_millis(*pause)).await;
        let handle = client.spawn(tasks::begin, number).await?;
        let returned = Instant::now();
        samples.push(since(returned, number, &mut told).await?);
        handle.result().await?;
    }
    worker.stop().await?;
    Ok(Message::Latencies { micros: samples })
}

async fn resumptions(client: &Client, worker: WorkerBuilder, order: &Order) -> Result<Message> {
    let (moments, mut told) = tasks::moments();
    let worker = telling(worker, moments)?;
    let all = order.pauses_ms.len();
    client.spawn_many(tasks::resume, 0..all).await?;
    let parked = "select count(*) from absurd.w_default";
    eventually("all tasks are parked", async || {
        let parked = count(client, parked).await;
        parked.is_ok_and(|parked| usize::try_from(parked) == Ok(all))
    })
    .await?;
    ready().await?;
    let mut samples = Vec::new();
    for (number, pause) in order.pauses_ms.iter().enumerate() {
        sleep(Duration::from_millis(*pause)).await;
        client.emit_event(tasks::event_of(number), &number).await?;
        let returned = Instant::now();
        samples.push(since(returned, number, &mut told).await?);
    }
    worker.stop().await?;
    Ok(Message::Latencies { micros: samples })
}

/// Starts a worker whose tasks tell of moments.
fn telling(worker: WorkerBuilder, moments: Moments) -> Result<WorkerHandle> {
    let worker = worker
        .task(tasks::row)
        .task(tasks::begin)
        .task(tasks::resume)
        .state(moments);
    Ok(worker.start()?)
}

/// From a call's return until the task of that number tells; nothing where it told before.
async fn since(returned: Instant, number: usize, told: &mut Told) -> Result<u64> {
    let (who, moment) = timeout(PATIENCE, told.recv())
        .await?
        .ok_or("the worker has ended early")?;
    if who != number {
        return Err(format!("task {who} told instead of {number}").into());
    }
    Ok(micros(moment.saturating_duration_since(returned)))
}
