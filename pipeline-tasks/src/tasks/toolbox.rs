//! What the tasks of a worker share: folders, threads, limits.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use absurd_sdk::{Client, QueueName};

use crate::{
    config::Config,
    model::{GroupId, Stage},
};

/// A worker's means.
#[derive(Debug, Clone)]
pub struct Toolbox {
    input: PathBuf,
    output: PathBuf,
    /// Threads that a program of the field may use.
    pub threads: usize,
    /// How long it may run.
    pub limit: Duration,
    /// The catalogue of the field.
    pub catalogue: Option<PathBuf>,
    /// NRAO's list of calibrators of the VLA.
    pub vla_calibrators: Option<PathBuf>,
    stage_queues: BTreeMap<Stage, QueueName>,
    client: Option<Client>,
}

impl Toolbox {
    /// The means that a configuration gives: the machine's cores shared by its tasks.
    pub fn of(config: &Config) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            input: config.input.clone(),
            output: config.output.clone(),
            threads: (cores / config.concurrency).max(1),
            limit: config.task_timeout,
            catalogue: config.catalogue.clone(),
            vla_calibrators: config.vla_calibrators.clone(),
            stage_queues: config.stage_queues.clone(),
            client: None,
        }
    }

    /// The same with a way to ask the engine, which workflows of stages elsewhere need.
    #[must_use]
    pub fn with_client(self, client: &Client) -> Self {
        Self {
            client: Some(client.clone()),
            ..self
        }
    }

    /// The same with its products under another folder.
    #[must_use]
    pub fn with_output(self, output: PathBuf) -> Self {
        Self { output, ..self }
    }

    /// The way to ask the engine, if there is one.
    pub fn client(&self) -> Option<&Client> {
        self.client.as_ref()
    }

    /// The queue whose workers run a stage; `None` where the worker of the workflow does.
    pub fn queue_of(&self, stage: Stage) -> Option<&QueueName> {
        self.stage_queues.get(&stage)
    }

    /// Whether workers of other queues take part in the workflows.
    pub fn shares_work(&self) -> bool {
        !self.stage_queues.is_empty()
    }

    /// Where a file of the correlator lies: relative names are those of the input folder.
    pub fn incoming(&self, file: &Path) -> PathBuf {
        self.input.join(file)
    }

    /// Where the correlator's files arrive.
    pub fn input(&self) -> &Path {
        &self.input
    }

    /// Everything that the worker makes lies below this.
    pub fn output(&self) -> &Path {
        &self.output
    }

    /// Where a group's half-products lie.
    pub fn work(&self, group: GroupId) -> PathBuf {
        self.output.join("work").join(group.to_string())
    }

    /// Where products lie.
    pub fn products(&self) -> PathBuf {
        self.output.join("images")
    }

    /// Where catalogues of strips of the sky lie.
    pub fn catalogues(&self) -> PathBuf {
        self.output.join("catalogues")
    }

    /// Where calibration tables lie.
    pub fn caltables(&self) -> PathBuf {
        self.output.join("caltables")
    }

    /// Where mosaics lie.
    pub fn mosaics(&self) -> PathBuf {
        self.output.join("mosaics")
    }

    /// Where Measurement Sets stay.
    pub fn sets(&self) -> PathBuf {
        self.output.join("ms")
    }
}
