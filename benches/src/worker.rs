//! A worker in a process of its own, so that its memory and processor time are its own.
//!
//! The two talk in lines: the process says that it stands ready, is told to go, and says when it
//! first found nothing more to claim at once, and when it has executed enough.

use std::{
    env,
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use absurd_sdk::{Client, Worker, observe::StatementObserver};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines, stdin, stdout},
    process::{Child, ChildStdin, ChildStdout, Command},
    time::{Instant, timeout},
};

use crate::{
    error::Result,
    meter::{Effort, EffortMeter, Sent},
    proc::{self, Memory},
    tasks::{self, Executed},
};

/// How long a worker may be silent; only a broken one is silent for so long.
const PATIENCE: Duration = Duration::from_mins(10);
/// How long running work may take to end once enough was executed.
const GRACE: Duration = Duration::from_mins(1);

/// What a worker process is to do.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    /// The database.
    pub(crate) url: String,
    /// Runs at once.
    pub(crate) concurrency: usize,
    /// It stops claiming after so many executions.
    pub(crate) executions: usize,
}

/// What a worker process did.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    /// Executions that ended well.
    pub(crate) executed: usize,
    /// From the start of the worker to its end, when all is written.
    pub(crate) elapsed: Duration,
    /// What that cost.
    pub(crate) effort: Effort,
    /// Its memory at the end.
    pub(crate) memory: Memory,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Message {
    Ready,
    Claimed,
    Done(Report),
}

/// The other process, seen from here. It ends with its handle.
#[derive(Debug)]
pub(crate) struct WorkerProcess {
    child: Child,
    orders: ChildStdin,
    messages: Lines<BufReader<ChildStdout>>,
}

impl WorkerProcess {
    /// Starts one and waits until it is connected.
    pub(crate) async fn start(order: &Order) -> Result<Self> {
        let mut child = Command::new(env::current_exe()?)
            .arg("worker")
            .arg(serde_json::to_string(order)?)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let missing = "the worker process has no pipes";
        let orders = child.stdin.take().ok_or(missing)?;
        let messages = BufReader::new(child.stdout.take().ok_or(missing)?).lines();
        let mut process = Self {
            child,
            orders,
            messages,
        };
        match process.next().await? {
            Message::Ready => Ok(process),
            other => Err(format!("the worker process began with {other:?}").into()),
        }
    }

    /// Lets it work.
    pub(crate) async fn go(&mut self) -> Result {
        Ok(self.orders.write_all(b"go\n").await?)
    }

    /// Waits until its first claim was answered.
    pub(crate) async fn has_claimed(&mut self) -> Result {
        match self.next().await? {
            Message::Claimed => Ok(()),
            other => Err(format!("a claim was expected, not {other:?}").into()),
        }
    }

    /// Waits until it has executed enough.
    pub(crate) async fn done(&mut self) -> Result<Report> {
        loop {
            if let Message::Done(report) = self.next().await? {
                return Ok(report);
            }
        }
    }

    /// Waits until it is gone.
    pub(crate) async fn ended(mut self) -> Result {
        drop(self.orders);
        let status = self.child.wait().await?;
        if status.success() {
            return Ok(());
        }
        Err(format!("the worker process ended with {status}").into())
    }

    /// Its number in the system.
    pub(crate) fn id(&self) -> Result<u32> {
        let id = self.child.id();
        Ok(id.ok_or("the worker process has ended early")?)
    }

    async fn next(&mut self) -> Result<Message> {
        let line = timeout(PATIENCE, self.messages.next_line())
            .await
            .map_err(|_| "the worker process is silent")??;
        let line = line.ok_or("the worker process ended early; see above")?;
        Ok(serde_json::from_str(&line)?)
    }
}

/// The worker process itself.
pub(crate) async fn serve(order: &str) -> Result {
    let order: Order = serde_json::from_str(order)?;
    let executed = Executed::until(order.executions);
    let sent = Arc::new(Sent::default());
    let observer = Arc::new(FirstClaim {
        sent: Arc::clone(&sent),
        claimed: AtomicBool::new(false),
    });
    let client = Client::builder()
        .url(&order.url)
        .observer(observer)
        .connect()
        .await?;
    client.queue_stats().await?;
    let worker = Worker::builder(&client)
        .task(tasks::nothing)
        .task(tasks::steps)
        .task(tasks::parked)
        .state(executed.clone())
        .concurrency(order.concurrency)
        .shutdown_grace(GRACE)
        .build()?;
    say(&Message::Ready).await?;
    let mut orders = BufReader::new(stdin()).lines();
    if orders.next_line().await?.is_none() {
        return Ok(());
    }
    let effort = EffortMeter::begin(&sent)?;
    let begun = Instant::now();
    let until = executed.clone();
    worker
        .run_until(async move { until.enough().await })
        .await?;
    let report = Report {
        elapsed: begun.elapsed(),
        executed: executed.count(),
        effort: effort.end()?,
        memory: proc::memory(proc::own_id())?,
    };
    client.pool().close().await;
    say(&Message::Done(report)).await
}

/// Says something to the process that started this one.
pub(crate) async fn say(message: &impl Serialize) -> Result {
    let mut out = stdout();
    out.write_all((serde_json::to_string(message)? + "\n").as_bytes())
        .await?;
    Ok(out.flush().await?)
}

/// Counts statements, and says when the first claim was answered.
#[derive(Debug)]
struct FirstClaim {
    sent: Arc<Sent>,
    claimed: AtomicBool,
}

impl StatementObserver for FirstClaim {
    fn before(&self, statement: &'static str) {
        self.sent.before(statement);
    }

    fn after(&self, statement: &'static str) {
        if statement == "claim_runs"
            && !self.claimed.swap(true, Ordering::SeqCst)
            && let Ok(line) = serde_json::to_string(&Message::Claimed)
        {
            println!("{line}");
        }
    }
}
