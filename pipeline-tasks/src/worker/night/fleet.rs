//! The processes of a night: a bridge and two workers.

use std::{path::PathBuf, process::Stdio, time::Duration};

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

use super::{WorkerError, memory::children_of, night};

/// The queue of the night.
pub(super) const QUEUE: &str = "dsa110-pipeline";
/// Short, so that nobody waits long for a killed worker's work.
const LEASE: &str = "5s";
/// A worker is killed each minute, so the same observation may be hit several times in a row.
const ATTEMPTS: &str = "10";
/// When workers look for windows of mosaics, as a cron pattern with seconds.
const MOSAIC_SCHEDULE: &str = "*/5 * * * * *";

/// The processes; they end with it.
#[derive(Debug)]
pub(super) struct Fleet {
    site: Site,
    bridge: Child,
    /// The one that was started longest ago comes first.
    workers: Vec<Child>,
}

/// What all processes are told.
#[derive(Debug)]
pub(super) struct Site {
    /// The folder of the night.
    pub(super) folder: PathBuf,
    /// The database.
    pub(super) url: String,
    /// How long windows that lack groups wait for them.
    pub(super) mosaic_wait: Duration,
}

impl Fleet {
    pub(super) fn start(site: Site) -> Result<Self, WorkerError> {
        let bridge = site
            .command()?
            .args(["bridge", "--settle", "2s", "--scan-interval", "500ms"])
            .args(["--disk-min", "1GB"])
            .spawn()
            .map_err(WorkerError::file("the bridge"))?;
        Ok(Self {
            workers: vec![site.worker()?, site.worker()?],
            site,
            bridge,
        })
    }

    /// The processes by their names.
    pub(super) fn processes(&self) -> Vec<(&'static str, u32)> {
        let workers = self.workers.iter().filter_map(Child::id);
        let workers = workers.map(|id| ("pipeline-worker worker", id));
        let bridge = self.bridge.id().map(|id| ("pipeline-worker bridge", id));
        workers.chain(bridge).collect()
    }

    /// None may end by itself: at the telescope somebody would have to look.
    pub(super) fn check(&mut self) -> Result<(), WorkerError> {
        for process in self.workers.iter_mut().chain([&mut self.bridge]) {
            let ended = process.try_wait().map_err(WorkerError::file("a process"))?;
            if let Some(status) = ended {
                return Err(night(format!("a process ended by itself: {status}")));
            }
        }
        Ok(())
    }

    /// Kills the oldest worker and starts another one. Says which, and whether it was running a
    /// program of the field.
    pub(super) async fn kill_one(&mut self) -> Result<(u32, bool), WorkerError> {
        let mut oldest = self.workers.remove(0);
        let id = oldest.id().unwrap_or_default();
        let at_work = !children_of(id).is_empty();
        oldest.kill().await.map_err(WorkerError::file("a worker"))?;
        self.workers.push(self.site.worker()?);
        Ok((id, at_work))
    }

    /// Ends all in good order.
    pub(super) async fn stop(mut self) -> Result<(), WorkerError> {
        for process in self.workers.iter_mut().chain([&mut self.bridge]) {
            let id = process.id().and_then(|id| i32::try_from(id).ok());
            if let Some(id) = id.and_then(Pid::from_raw) {
                // It may have ended in this moment.
                let _ = kill_process(id, Signal::TERM);
            }
            let ended = process.wait().await;
            ended.map_err(WorkerError::file("a process"))?;
        }
        Ok(())
    }
}

impl Site {
    fn worker(&self) -> Result<Child, WorkerError> {
        self.command()?
            .args(["worker", "--lease", LEASE])
            .spawn()
            .map_err(WorkerError::file("a worker"))
    }

    fn command(&self) -> Result<Command, WorkerError> {
        let program = std::env::current_exe().map_err(WorkerError::file("this program"))?;
        let mut command = Command::new(program);
        command
            .env("ABSURD_DATABASE_URL", &self.url)
            .env("ABSURD_QUEUE_NAME", QUEUE)
            .env("ABSURD_WORKER_CONCURRENCY", "1")
            .env("ABSURD_MAX_RETRIES", ATTEMPTS)
            .env("PIPELINE_INPUT_DIR", self.folder.join("incoming"))
            .env("PIPELINE_OUTPUT_DIR", self.folder.join("output"))
            .env("PIPELINE_CATALOGUE", self.folder.join("catalogue.csv"))
            .env("PIPELINE_MOSAIC_SCHEDULE", MOSAIC_SCHEDULE)
            .env(
                "PIPELINE_MOSAIC_WAIT_SEC",
                self.mosaic_wait.as_secs().to_string(),
            )
            .stdin(Stdio::null())
            .kill_on_drop(true);
        Ok(command)
    }
}
