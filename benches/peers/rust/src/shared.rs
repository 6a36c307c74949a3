//! What all peers share: the order, the lines to the harness, and the clock.
//!
//! The harness passes one JSON object as the last argument. The program says `ready`, waits for
//! the line `go`, measures, and says what it found; see `order.rs` of the harness.

use std::{
    error::Error,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::future::try_join_all;
use serde::{Deserialize, Serialize};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, PgPool, postgres::PgPoolOptions};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, stdin, stdout},
    sync::{Mutex, Notify, mpsc},
    time::{Instant, sleep, timeout},
};

/// Any error ends the program, and the harness shows it.
pub(crate) type Result<T = ()> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// How often the database is asked whether all ends are recorded, once all handlers have run.
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// Far above any latency; only a broken peer takes so long.
const PATIENCE: Duration = Duration::from_secs(60);
/// A step's payload: a JSON string of a hundred bytes with its quotes.
const PAYLOAD_BYTES: usize = 98;

/// What this program is to do, as the harness documents it.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Order {
    pub(crate) url: String,
    pub(crate) workload: String,
    pub(crate) tasks: usize,
    pub(crate) steps: usize,
    pub(crate) clients: usize,
    pub(crate) pauses_ms: Vec<u64>,
    pub(crate) unfinished: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(tag = "say", rename_all = "snake_case")]
enum Message {
    Note { text: String },
    Ready,
    Rate { executed: usize, elapsed_us: u128 },
    Latencies { micros: Vec<u128> },
}

async fn say(message: &Message) -> Result {
    let mut out = stdout();
    out.write_all((serde_json::to_string(message)? + "\n").as_bytes())
        .await?;
    Ok(out.flush().await?)
}

/// Says how the peer was tuned.
pub(crate) async fn note(text: impl Into<String>) -> Result {
    say(&Message::Note { text: text.into() }).await
}

/// Says that all is prepared, and waits for the word to begin.
pub(crate) async fn ready() -> Result {
    say(&Message::Ready).await?;
    let go = BufReader::new(stdin()).lines().next_line().await?;
    go.map(drop).ok_or_else(|| "nobody measures".into())
}

/// Says how much was done since a moment.
pub(crate) async fn rate(executed: usize, begun: Instant) -> Result {
    let elapsed_us = begun.elapsed().as_micros();
    say(&Message::Rate {
        executed,
        elapsed_us,
    })
    .await
}

/// Says each sample.
pub(crate) async fn latencies(samples: &[Duration]) -> Result {
    let micros = samples.iter().map(Duration::as_micros).collect();
    say(&Message::Latencies { micros }).await
}

/// A step's payload of a hundred bytes.
pub(crate) fn payload() -> String {
    "x".repeat(PAYLOAD_BYTES)
}

/// The error for a workload that the peer has no notion of.
pub(crate) fn unknown(order: &Order) -> Result {
    Err(format!("this peer does not do {}", order.workload).into())
}

/// A pool whose connections stand already.
pub(crate) async fn warm_pool(order: &Order, connections: u32) -> Result<PgPool> {
    let pool = PgPoolOptions::new()
        .max_connections(connections)
        .connect(&order.url)
        .await?;
    drop(try_join_all((0..connections).map(|_| pool.acquire())).await?);
    Ok(pool)
}

/// W1: so many clients spawn one task after the other, each in a task of its own.
pub(crate) async fn from_clients<F, S>(order: &Order, spawn: S) -> Result
where
    S: Fn(usize) -> F + Clone + Send + 'static,
    F: Future<Output = Result> + Send,
{
    ready().await?;
    let begun = Instant::now();
    let clients = (0..order.clients).map(|first| {
        let (spawn, numbers) = (spawn.clone(), (first..order.tasks).step_by(order.clients));
        tokio::spawn(async move {
            let mut count = 0;
            for number in numbers {
                spawn(number).await?;
                count += 1;
            }
            Result::Ok(count)
        })
    });
    let mut executed = 0;
    for count in try_join_all(clients.collect::<Vec<_>>()).await? {
        executed += count?;
    }
    rate(executed, begun).await
}

/// W3, W4, from the worker's start until the last end is recorded.
pub(crate) async fn drained(order: &Order, executed: &Executed, begun: Instant) -> Result {
    executed.0.reached.notified().await;
    let sql = order.unfinished.clone().ok_or("no way to count tasks")?;
    let mut connection = PgConnection::connect(&order.url).await?;
    loop {
        let count = sqlx::query_scalar(AssertSqlSafe(sql.clone()));
        let count: i64 = count.fetch_one(&mut connection).await?;
        if count == 0 {
            break;
        }
        sleep(LOOK_EVERY).await;
    }
    rate(executed.count(), begun).await
}

/// Waits until a query counts so many rows.
pub(crate) async fn wait_for_count(order: &Order, sql: &'static str, wanted: usize) -> Result {
    let mut connection = PgConnection::connect(&order.url).await?;
    let give_up = Instant::now() + PATIENCE;
    loop {
        let count: i64 = sqlx::query_scalar(sql).fetch_one(&mut connection).await?;
        if usize::try_from(count)? == wanted {
            return Ok(());
        }
        if Instant::now() > give_up {
            return Err(format!("{count} instead of {wanted}: {sql}").into());
        }
        sleep(LOOK_EVERY * 5).await;
    }
}

/// W6, W7: acts after each pause, and says how long each act took.
pub(crate) async fn samples(
    order: &Order,
    mut act: impl AsyncFnMut(usize) -> Result<Duration>,
) -> Result {
    ready().await?;
    let mut samples = Vec::new();
    for (number, pause) in order.pauses_ms.iter().enumerate() {
        sleep(Duration::from_millis(*pause)).await;
        samples.push(act(number).await?);
    }
    latencies(&samples).await
}

/// Counts executions and says when there were enough.
#[derive(Debug, Clone)]
pub(crate) struct Executed(Arc<Count>);

#[derive(Debug)]
struct Count {
    executed: AtomicUsize,
    enough: usize,
    reached: Notify,
}

impl Executed {
    /// None yet, of the tasks of an order.
    pub(crate) fn of(order: &Order) -> Self {
        Self(Arc::new(Count {
            executed: AtomicUsize::new(0),
            enough: order.tasks,
            reached: Notify::new(),
        }))
    }

    /// How many there were.
    pub(crate) fn count(&self) -> usize {
        self.0.executed.load(Ordering::SeqCst)
    }

    /// Waits until there were enough.
    pub(crate) async fn enough(&self) {
        self.0.reached.notified().await;
    }

    /// Called by a handler.
    pub(crate) fn one_more(&self) {
        if self.0.executed.fetch_add(1, Ordering::SeqCst) + 1 == self.0.enough {
            self.0.reached.notify_one();
        }
    }
}

/// Where handlers tell of a moment, with their number, and one task hears of it.
#[derive(Debug, Clone)]
pub(crate) struct Moments {
    tell: mpsc::UnboundedSender<(usize, Instant)>,
    told: Arc<Mutex<mpsc::UnboundedReceiver<(usize, Instant)>>>,
}

impl Moments {
    /// None yet.
    pub(crate) fn new() -> Self {
        let (tell, told) = mpsc::unbounded_channel();
        Self {
            tell,
            told: Arc::new(Mutex::new(told)),
        }
    }

    /// Called by a handler. The receiver lives as long as this.
    pub(crate) fn tell(&self, number: usize) {
        let _ = self.tell.send((number, Instant::now()));
    }

    /// From a call's return until the handler of that number told; nothing if it told before.
    pub(crate) async fn since(&self, returned: Instant, number: usize) -> Result<Duration> {
        let (who, moment) = self.next().await?;
        if who != number {
            return Err(format!("task {who} told instead of {number}").into());
        }
        Ok(moment.saturating_duration_since(returned))
    }

    /// The times between so many tellings in a row.
    pub(crate) async fn gaps(&self, count: usize) -> Result<Vec<Duration>> {
        let mut moments = Vec::new();
        for _ in 0..count {
            moments.push(self.next().await?.1);
        }
        let pairs = moments.windows(2);
        Ok(pairs.map(|pair| pair[1].duration_since(pair[0])).collect())
    }

    async fn next(&self) -> Result<(usize, Instant)> {
        let mut told = self.told.lock().await;
        let next = timeout(PATIENCE, told.recv()).await?;
        next.ok_or_else(|| "nobody tells any more".into())
    }
}
