//! What lies in the incoming folder, and how long each file has been left alone.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::Timestamp;

use super::error::BridgeError;
use crate::{io::Uvh5, model::SubbandFile};

/// By what a file is recognized as unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Version {
    pub(super) bytes: u64,
    pub(super) modified: Timestamp,
    /// Also moves when a copy that keeps sizes and times replaces the file, or when its
    /// permissions are mended.
    pub(super) attributes_changed: Timestamp,
}

/// What is to be thought of a version of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Condition {
    /// It may still be being written.
    Growing,
    /// It has settled and opens as UVH5.
    Usable,
    /// It has settled and does not: the reason.
    Corrupt(String),
}

/// A file as it was last seen.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) file: SubbandFile,
    pub(super) version: Version,
    pub(super) condition: Condition,
    /// When it last changed, also before the bridge began to watch.
    pub(super) changed: Timestamp,
    /// When the bridge first saw this version.
    pub(super) seen: Timestamp,
}

/// Everything in the folder.
#[derive(Debug, Default)]
pub(super) struct Survey {
    known: BTreeMap<PathBuf, Known>,
    /// Files that have no subband's name.
    ignored: BTreeSet<PathBuf>,
}

impl Version {
    fn of(data: &fs::Metadata) -> io::Result<Self> {
        let nanoseconds = i32::try_from(data.ctime_nsec()).unwrap_or_default();
        let attributes_changed =
            Timestamp::new(data.ctime(), nanoseconds).map_err(io::Error::other)?;
        Ok(Self {
            bytes: data.len(),
            modified: Timestamp::try_from(data.modified()?).map_err(io::Error::other)?,
            attributes_changed,
        })
    }

    /// The clocks of other machines may run ahead; nothing has changed later than now.
    fn changed(self, now: Timestamp) -> Timestamp {
        self.modified.max(self.attributes_changed).min(now)
    }
}

impl Survey {
    /// Looks at every file's size and times. Files that went are forgotten.
    pub(super) fn list(&mut self, folder: &Path, now: Timestamp) -> Result<(), BridgeError> {
        let entries = fs::read_dir(folder).map_err(BridgeError::file(folder))?;
        let mut before = std::mem::take(&mut self.known);
        let mut ignored = BTreeSet::new();
        for entry in entries {
            let path = entry.map_err(BridgeError::file(folder))?.path();
            let data = metadata(&path).map_err(BridgeError::file(&path))?;
            let Some(data) = data else {
                continue;
            };
            match SubbandFile::parse(&path) {
                Ok(file) if data.is_file() => {
                    let version = Version::of(&data).map_err(BridgeError::file(&path))?;
                    let same = before.remove(&path);
                    let same = same.filter(|known| known.version == version);
                    let known = same.unwrap_or_else(|| Known {
                        file,
                        version,
                        condition: Condition::Growing,
                        changed: version.changed(now),
                        seen: now,
                    });
                    self.known.insert(path, known);
                }
                named => {
                    if !self.ignored.contains(&path) {
                        let reason = named.err().map(|reason| reason.to_string());
                        let reason = reason.unwrap_or_else(|| "it is no file".to_owned());
                        tracing::info!(path = %path.display(), reason, "ignored");
                    }
                    ignored.insert(path);
                }
            }
        }
        self.ignored = ignored;
        Ok(())
    }

    /// Files with a subband's name, by path.
    pub(super) fn files(&self) -> impl Iterator<Item = &Known> {
        self.known.values()
    }

    /// Everything else, by path.
    pub(super) fn ignored(&self) -> impl Iterator<Item = &PathBuf> {
        self.ignored.iter()
    }

    /// Files that have been left alone for long enough and were not opened since.
    pub(super) fn settled(&self, settle: Duration, now: Timestamp) -> impl Iterator<Item = &Known> {
        self.known.values().filter(move |known| {
            known.condition == Condition::Growing && passed(known.seen, now) >= settle
        })
    }

    /// Takes what [`examine`] found.
    pub(super) fn judge(&mut self, verdicts: Vec<(PathBuf, Condition)>) {
        for (path, condition) in verdicts {
            if let Some(known) = self.known.get_mut(&path) {
                known.condition = condition;
            }
        }
    }
}

/// Opens files. One that changes meanwhile counts as growing.
pub(super) fn examine(files: Vec<(PathBuf, Version)>) -> Vec<(PathBuf, Condition)> {
    let verdicts = files.into_iter().map(|(path, version)| {
        let opened = Uvh5::open(&path);
        let now = metadata(&path).ok().flatten();
        let now = now.and_then(|data| Version::of(&data).ok());
        let condition = match opened {
            _ if now != Some(version) => Condition::Growing,
            Ok(_) => Condition::Usable,
            Err(error) => Condition::Corrupt(absurd_sdk::chain(&error)),
        };
        (path, condition)
    });
    verdicts.collect()
}

/// How much time has passed; none where a clock was set back.
pub(super) fn passed(since: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(since)).unwrap_or_default()
}

/// `None` for what vanished since the folder was read.
fn metadata(path: &Path) -> io::Result<Option<fs::Metadata>> {
    match fs::metadata(path) {
        Ok(data) => Ok(Some(data)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
