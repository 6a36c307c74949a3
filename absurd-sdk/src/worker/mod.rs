//! The worker: claims runs, executes them, reports their ends.

mod claim;
mod execute;
mod options;
mod outcome;
mod panics;
mod report;
mod wakeup;

use std::{collections::BTreeMap, future::Future, sync::Arc};

use tokio::{
    sync::watch,
    task::{JoinError, JoinHandle, JoinSet},
};

pub use self::options::{Execution, TerminalWhen, WorkerBuilder, WrapExecution};
use self::{claim::ClaimLoop, options::WorkerPlan};
use crate::{
    client::Client,
    db::Db,
    error::Error,
    handler::States,
    registry::Registry,
    slots::Slots,
    task::TaskSchema,
    writer::{self, Writer, WriterHandle},
};

/// Says that the writer's task has panicked, which is our fault.
const WRITER_GONE: &str = "the writer has ended before the worker";

/// Executes the tasks of one queue.
pub struct Worker {
    client: Client,
    registry: Registry,
    states: States,
    plan: WorkerPlan,
}

/// What all runs of a worker share.
struct Shared {
    client: Client,
    registry: Registry,
    states: States,
    plan: WorkerPlan,
    /// What claims go through.
    db: Db,
    writer: WriterHandle,
}

/// Which connections a worker claims and writes through.
#[derive(Debug, Clone, Copy)]
enum Sessions {
    /// Its own: task functions that keep the client's pool busy hold up neither claims nor leases.
    Own,
    /// The client's: for one that ends soon.
    Pooled,
}

impl Sessions {
    fn of(self, client: &Client, connections: u32) -> Db {
        match self {
            Self::Own => client.db().beside(connections),
            Self::Pooled => client.db().clone(),
        }
    }
}

impl Worker {
    /// Options for a worker of the client's queue.
    pub fn builder(client: &Client) -> WorkerBuilder {
        WorkerBuilder::new(client.clone())
    }

    /// The JSON Schemas of all tasks of this worker, by name.
    pub fn schemas(&self) -> BTreeMap<&'static str, TaskSchema> {
        self.registry.schemas()
    }

    /// Works until `stop` is ready, then stops gracefully: no more claims, and running
    /// work is handed back without spending an attempt, after the grace period if one was
    /// set. Returns when all of that is written.
    pub async fn run_until(self, stop: impl Future<Output = ()> + Send) -> Result<(), Error> {
        let (claims, mut writing, stopping) = self.parts(Sessions::Own);
        let stop = async {
            stop.await;
            stopping.send_replace(true);
            std::future::pending::<()>().await;
        };
        tokio::select! {
            // Boxed: these futures are large, and would make every caller's so.
            done = Box::pin(claims.run()) => done,
            () = stop => Ok(()),
            _ = writing.join_next() => Err(Error::Worker(WRITER_GONE.to_owned())),
        }
    }

    /// Works until nothing of the queue is due or running here, then returns how many runs
    /// it executed. Sleeping tasks are left asleep.
    pub async fn run_until_idle(self) -> Result<usize, Error> {
        let (claims, mut writing, _stopping) = self.parts(Sessions::Pooled);
        tokio::select! {
            done = Box::pin(claims.run_until_idle()) => done,
            _ = writing.join_next() => Err(Error::Worker(WRITER_GONE.to_owned())),
        }
    }

    /// Claims one batch, executes it, and returns how many runs that were: for schedulers and
    /// tests that decide themselves when to look for work.
    pub async fn run_batch(self) -> Result<usize, Error> {
        let (claims, mut writing, _stopping) = self.parts(Sessions::Pooled);
        tokio::select! {
            done = Box::pin(claims.run_batch()) => done,
            _ = writing.join_next() => Err(Error::Worker(WRITER_GONE.to_owned())),
        }
    }

    /// Works in the background.
    pub fn start(self) -> WorkerHandle {
        let stopping = watch::Sender::new(false);
        let mut stopped = stopping.subscribe();
        let stop = async move {
            // An error means that the handle is gone, which is a stop as well.
            let _ = stopped.wait_for(|stopping| *stopping).await;
        };
        WorkerHandle {
            stopping,
            task: tokio::spawn(self.run_until(stop)),
        }
    }

    /// The writer is a task of its own, so that it has a processor of its own; it ends with its
    /// handle here.
    fn parts(self, sessions: Sessions) -> (ClaimLoop, JoinSet<()>, watch::Sender<bool>) {
        let queue = self.client.queue().clone();
        let id = self.plan.worker_id.clone();
        let db = sessions.of(&self.client, writer::CONNECTIONS_MAX);
        let slots = Slots::default();
        let (handle, writer) = Writer::new(db, queue, id, slots.clone());
        let mut writing = JoinSet::new();
        writing.spawn(writer.run());
        let stopping = watch::Sender::new(false);
        let shared = Shared {
            db: sessions.of(&self.client, 1),
            client: self.client,
            registry: self.registry,
            states: self.states,
            plan: self.plan,
            writer: handle,
        };
        (
            ClaimLoop::new(Arc::new(shared), slots, stopping.subscribe()),
            writing,
            stopping,
        )
    }
}

/// A worker in the background. Dropping it stops the worker gracefully as well, but then
/// nobody waits for it.
#[derive(Debug)]
pub struct WorkerHandle {
    stopping: watch::Sender<bool>,
    task: JoinHandle<Result<(), Error>>,
}

impl WorkerHandle {
    /// Stops gracefully and waits until all is written.
    pub async fn stop(self) -> Result<(), Error> {
        self.stopping.send_replace(true);
        let ended: Result<Result<(), Error>, JoinError> = self.task.await;
        ended.unwrap_or_else(|error| Err(Error::Worker(error.to_string())))
    }

    /// Ends at once, as a crash would: nothing is reported, leases run out by themselves.
    pub fn abort(self) {
        self.task.abort();
    }
}
