//! The parts of the program `pipeline-worker`.

pub mod bridge;
pub mod demo;
pub mod host;
pub mod night;
pub mod simulate;

use std::{io, path::PathBuf};

use thiserror::Error;

use crate::{
    bridge::BridgeError, config::ConfigError, io::SimulationError, registry::RegistryError,
};

/// Why the program ends with an error.
#[derive(Debug, Error)]
pub enum WorkerError {
    /// A setting can't be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The engine refuses.
    #[error(transparent)]
    Absurd(#[from] absurd_sdk::Error),
    /// The registry of products can't be used.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The streaming bridge can't go on.
    #[error(transparent)]
    Bridge(#[from] BridgeError),
    /// The simulation failed.
    #[error(transparent)]
    Simulation(#[from] SimulationError),
    /// The private database failed.
    #[error(transparent)]
    Database(#[from] absurd_test::TestError),
    /// A file or folder can't be used.
    #[error("can't use {}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The demonstration did not show what it promises.
    #[error("the demonstration failed: {0}")]
    Demo(String),
    /// The night did not end as it must.
    #[error("the night failed: {0}")]
    Night(String),
    /// Somebody asked for it.
    #[error("stopped by a signal; what it had started has ended")]
    Stopped,
    /// A report can't be written as JSON.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

impl WorkerError {
    /// For `map_err` on what is done to a path.
    pub(crate) fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, source }
    }
}
