//! Of what, by what and for whom a product was made.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use absurd_sdk::{RunId, RunInfo, TaskId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::io::Extent;

/// An input as it was when the product was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputFile {
    /// The file, or the folder of a Measurement Set.
    pub path: PathBuf,
    /// Its size, with all that is in it.
    pub bytes: u64,
    /// When it was last modified, by the clock of its disk.
    pub modified: Timestamp,
}

/// How a product came to be: enough to make it again, and to notice that it should be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Provenance {
    /// What it was made of.
    pub inputs: Vec<InputFile>,
    /// Programs and their versions.
    pub versions: BTreeMap<String, String>,
    /// Settings that it was made with.
    pub parameters: Value,
    /// The task that made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task_id: Option<TaskId>,
    /// The attempt that did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_id: Option<RunId>,
}

impl Default for Provenance {
    /// Made by this release of nothing that is known.
    fn default() -> Self {
        let own = (env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
        Self {
            inputs: Vec::new(),
            versions: BTreeMap::from([(own.0.to_owned(), own.1.to_owned())]),
            parameters: Value::Null,
            task_id: None,
            run_id: None,
        }
    }
}

impl Provenance {
    /// Of what a run makes.
    pub fn of_run(run: &RunInfo) -> Self {
        Self {
            task_id: Some(run.task_id),
            run_id: Some(run.run_id),
            ..Self::default()
        }
    }

    /// Adds an input as it lies there now. Where the path is a link, its target counts.
    pub fn input(mut self, path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        let extent = Extent::of(&fs::canonicalize(Path::new(&path))?)?;
        self.inputs.push(InputFile {
            path,
            bytes: extent.bytes,
            modified: extent.modified,
        });
        Ok(self)
    }

    /// Adds a program's version.
    pub fn version(mut self, program: impl Into<String>, version: impl Into<String>) -> Self {
        self.versions.insert(program.into(), version.into());
        self
    }

    /// Sets the parameters.
    pub fn parameters(mut self, parameters: Value) -> Self {
        self.parameters = parameters;
        self
    }
}
