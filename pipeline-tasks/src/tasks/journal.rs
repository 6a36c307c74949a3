//! What really ran, and where: one line for each start of a step, beside the group's products.
//! The database remembers results; this remembers work, also work that was lost with a worker.

use std::{
    fs::{self, File},
    io::{self, BufRead as _, BufReader, Write as _},
    path::PathBuf,
};

use serde::{Deserialize, Serialize};

/// A step that began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The step.
    pub step: String,
    /// The attempt it belonged to.
    pub attempt: i32,
    /// The process it ran in.
    pub process: u32,
}

/// A group's journal.
#[derive(Debug, Clone)]
pub struct Journal(PathBuf);

impl Journal {
    /// The journal in a group's folder.
    pub fn in_folder(folder: impl Into<PathBuf>) -> Self {
        Self(folder.into().join("journal.jsonl"))
    }

    /// Notes that a step begins, in this process.
    pub fn note(&self, step: &str, attempt: i32) -> io::Result<()> {
        if let Some(folder) = self.0.parent() {
            fs::create_dir_all(folder)?;
        }
        let entry = Entry {
            step: step.to_owned(),
            attempt,
            process: std::process::id(),
        };
        let mut line = serde_json::to_vec(&entry)?;
        line.push(b'\n');
        // One write: lines of two processes don't mix.
        File::options()
            .create(true)
            .append(true)
            .open(&self.0)?
            .write_all(&line)
    }

    /// All entries, oldest first.
    pub fn entries(&self) -> io::Result<Vec<Entry>> {
        let lines = BufReader::new(File::open(&self.0)?).lines();
        lines
            .map(|line| serde_json::from_str(&line?).map_err(io::Error::from))
            .collect()
    }
}
