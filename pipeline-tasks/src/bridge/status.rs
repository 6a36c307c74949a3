//! What the bridge tells its operators: one JSON file, and a log line for each change of it.

use std::{
    io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::settings::Bytes;
use crate::{
    io::write_whole,
    model::{GroupId, SubbandIndex},
};

/// How things stand in the incoming folder.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct BridgeStatus {
    /// Why nothing is submitted at the moment; `None` while the bridge works.
    pub paused: Option<Pause>,
    /// How many observations with files in the folder have a task.
    pub submitted: usize,
    /// Observations that have no task yet, earliest first.
    pub groups: Vec<GroupStatus>,
    /// Files that can't be read although nobody writes them any more.
    pub corrupt: Vec<CorruptFile>,
    /// Second files for one subband of one observation.
    pub duplicates: Vec<DuplicateFile>,
    /// Files that came when their observation had been submitted without them.
    pub late: Vec<LateFile>,
    /// What has no subband's name.
    pub ignored: Vec<PathBuf>,
}

/// An observation that has no task yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupStatus {
    /// Its earliest stamp so far.
    pub group: GroupId,
    /// How it stands.
    pub state: GroupState,
    /// Subbands of which there is no file, or a corrupt one.
    pub missing: Vec<SubbandIndex>,
    /// Subbands whose file may still be being written.
    pub growing: Vec<SubbandIndex>,
}

/// How an observation without a task stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GroupState {
    /// Files are awaited.
    Collecting,
    /// Everything is there; it waits while the bridge is paused.
    Ready,
    /// Subbands are missing, and the time for them is over.
    Refused,
}

/// Why nothing is submitted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "lowercase")]
pub enum Pause {
    /// Too many tasks are pending.
    Queue {
        /// How many there were when the pause began.
        pending: i64,
        /// How many there may be.
        max: u32,
    },
    /// Too little room for products.
    Disk {
        /// What was free when the pause began.
        free: Bytes,
        /// What must be free.
        min: Bytes,
    },
    /// A scan did not come to its end.
    Trouble {
        /// What happened, and what to do.
        problem: String,
    },
}

/// A file that can't be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CorruptFile {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it, and what to do.
    pub problem: String,
}

/// A file that is not used because another one is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DuplicateFile {
    /// The file that is left aside.
    pub path: PathBuf,
    /// The one of the same subband that is used.
    pub kept: PathBuf,
}

/// A file that came too late.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LateFile {
    /// The file.
    pub path: PathBuf,
    /// The group that was submitted without it.
    pub group: GroupId,
}

impl Pause {
    /// The reason that holds on: its numbers stay those of its begin, or every scan would be a
    /// change.
    pub(super) fn since(self, before: Option<&Self>) -> Self {
        match (&self, before) {
            (Self::Queue { .. }, Some(pause @ Self::Queue { .. }))
            | (Self::Disk { .. }, Some(pause @ Self::Disk { .. })) => pause.clone(),
            _ => self,
        }
    }
}

impl std::fmt::Display for Pause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Queue { pending, max } => {
                write!(f, "{pending} tasks are pending, more than {max}")
            }
            Self::Disk { free, min } => {
                write!(
                    f,
                    "{free} are free for products, less than {min}; make room"
                )
            }
            Self::Trouble { problem } => f.write_str(problem),
        }
    }
}

impl BridgeStatus {
    /// Writes it as JSON. Whoever reads the file finds the old one or the new one whole.
    pub(super) fn write(&self, path: &Path) -> io::Result<()> {
        write_whole(path, serde_json::to_vec_pretty(self)?)
    }

    /// Logs what is new in it. Whoever must act sees a warning.
    pub(super) fn log_since(&self, before: &Self) {
        match (&self.paused, &before.paused) {
            (Some(pause), old) if old.as_ref() != Some(pause) => {
                tracing::warn!("paused, nothing is submitted: {pause}");
            }
            (None, Some(_)) => tracing::warn!("resumed"),
            _ => {}
        }
        for group in news(&self.groups, &before.groups) {
            let (id, missing, growing) = (group.group, list(&group.missing), list(&group.growing));
            match group.state {
                GroupState::Refused => {
                    tracing::warn!(%id, missing, "refused: subbands have not come in time");
                }
                GroupState::Collecting => tracing::info!(%id, missing, growing, "collecting"),
                GroupState::Ready => tracing::info!(%id, "ready"),
            }
        }
        for CorruptFile { problem, .. } in news(&self.corrupt, &before.corrupt) {
            tracing::warn!("corrupt: {problem}");
        }
        for DuplicateFile { path, kept } in news(&self.duplicates, &before.duplicates) {
            let (path, kept) = (path.display(), kept.display());
            tracing::warn!(%path, %kept, "a second file for one subband, left aside");
        }
        for LateFile { path, group } in news(&self.late, &before.late) {
            let path = path.display();
            tracing::warn!(%path, %group, "late: its group was submitted without it");
        }
    }
}

fn list(subbands: &[SubbandIndex]) -> String {
    let names: Vec<String> = subbands.iter().map(ToString::to_string).collect();
    names.join(" ")
}

/// What is in one list and was not in the other.
fn news<'s, T: PartialEq>(now: &'s [T], before: &'s [T]) -> impl Iterator<Item = &'s T> {
    now.iter().filter(|item| !before.contains(item))
}
