//! Which observations have been submitted, by this bridge or by anybody else.
//!
//! The database is asked first. A file beside it remembers what the database forgets when it
//! cleans up finished tasks: raw data may lie longer than that.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{File, TryLockError},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

use absurd_sdk::{Client, TaskFilter, TaskId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{error::BridgeError, grouping::close_to};
use crate::{model::GroupId, tasks::Group};

/// The name of the task that processes a group.
const TASK: &str = "process-group";
/// Tasks that the database is asked for at once.
const PAGE: u16 = 1_000;
/// A task may be committed after one that was spawned later; none takes longer than this.
const COMMIT_SPREAD: Duration = Duration::from_mins(1);

/// A submitted observation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) group: GroupId,
    pub(super) task: TaskId,
    /// Names of its files; empty where they are not known.
    pub(super) files: BTreeSet<String>,
    /// Names of files that were there as well and were left aside.
    #[serde(default)]
    pub(super) spare: BTreeSet<String>,
}

/// All submitted observations.
#[derive(Debug)]
pub(super) struct Ledger {
    folder: PathBuf,
    entries: BTreeMap<GroupId, Entry>,
    /// How much of the file has been read.
    bytes_read: u64,
    /// Tasks spawned before this are known.
    read_until: Option<Timestamp>,
}

/// The key under which a group has one task at most.
pub(super) fn key(group: GroupId) -> String {
    format!("{TASK}:{group}")
}

impl Ledger {
    /// The ledger in the bridge's folder.
    pub(super) fn open(folder: &Path) -> Result<Self, BridgeError> {
        let mut ledger = Self {
            folder: folder.to_owned(),
            entries: BTreeMap::new(),
            bytes_read: 0,
            read_until: None,
        };
        let rest = ledger.read_lines()?;
        if !rest.is_empty() {
            // A crash left half a line; the database knows that group.
            tracing::warn!(path = %ledger.path().display(), rest, "ended half a line");
            ledger.append(b"\n")?;
        }
        Ok(ledger)
    }

    /// Reads the lines that were added since, by this bridge or by another one with the same
    /// output folder. Returns what follows the last whole line.
    fn read_lines(&mut self) -> Result<String, BridgeError> {
        let path = self.path();
        let mut text = String::new();
        let read = File::open(&path).and_then(|mut file| {
            file.seek(SeekFrom::Start(self.bytes_read))?;
            file.read_to_string(&mut text)
        });
        if let Err(error) = read
            && error.kind() != io::ErrorKind::NotFound
        {
            return Err(BridgeError::file(path)(error));
        }
        let (lines, rest) = text.rsplit_once('\n').unwrap_or(("", &text));
        for line in lines.lines().filter(|line| !line.is_empty()) {
            match serde_json::from_str::<Entry>(line) {
                // The first one to write of a group is the one that submitted it.
                Ok(entry) => {
                    self.entries.entry(entry.group).or_insert(entry);
                }
                Err(error) => tracing::warn!(path = %path.display(), line, %error, "skipped"),
            }
        }
        self.bytes_read += u64::try_from(text.len() - rest.len()).unwrap_or_default();
        Ok(rest.to_owned())
    }

    /// The submitted observation to which a file of this stamp belongs.
    pub(super) fn of(&self, stamp: GroupId) -> Option<&Entry> {
        // Observations begin minutes apart, so that one at most is close.
        let close = self.entries.range(close_to(stamp));
        close.map(|(_, entry)| entry).next()
    }

    /// Remembers a submission.
    pub(super) fn add(&mut self, entry: Entry) -> Result<(), BridgeError> {
        let mut line = serde_json::to_vec(&entry)
            .map_err(io::Error::from)
            .map_err(BridgeError::file(self.path()))?;
        line.push(b'\n');
        self.entries.insert(entry.group, entry);
        self.append(&line)
    }

    /// Asks the other bridges and the database for groups that somebody else has submitted.
    pub(super) async fn learn(&mut self, client: &Client) -> Result<(), BridgeError> {
        self.read_lines()?;
        let filter = TaskFilter {
            task_name: Some(TASK.to_owned()),
            created_after: self.read_until,
            ..TaskFilter::default()
        };
        let mut newest: Option<Timestamp> = None;
        let mut before = None;
        loop {
            let page = client.list_tasks(&filter, before, PAGE).await?;
            newest = newest.max(page.iter().map(|task| task.enqueue_at).max());
            before = page.last().map(|task| task.task_id);
            for task in &page {
                let key = task.idempotency_key.as_deref();
                let group = key.and_then(|key| key.strip_prefix(TASK)?.strip_prefix(':'));
                let group = group.and_then(|id| id.parse::<GroupId>().ok());
                let unknown = group.filter(|group| !self.entries.contains_key(group));
                if let Some(group) = unknown {
                    let entry = foreign(client, group, task.task_id).await?;
                    self.add(entry)?;
                }
            }
            if page.len() < usize::from(PAGE) {
                break;
            }
        }
        let newest = newest.and_then(|newest| newest.checked_sub(COMMIT_SPREAD).ok());
        self.read_until = self.read_until.max(newest);
        Ok(())
    }

    /// Keeps other bridges with the same output folder from submitting, until the value is
    /// dropped; `None` while one of them is at it.
    pub(super) fn lock(&self) -> Result<Option<File>, BridgeError> {
        let path = self.folder.join("lock");
        let failed = BridgeError::file(&path);
        let opened = File::options()
            .create(true)
            .write(true)
            .truncate(false)
            .open(&path);
        let file = match opened {
            Ok(file) => file,
            Err(error) => return Err(failed(error)),
        };
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            // Without locks the idempotency key alone keeps a group from having two tasks.
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {
                Ok(Some(file))
            }
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.join("submitted.jsonl")
    }

    fn append(&self, bytes: &[u8]) -> Result<(), BridgeError> {
        let path = self.path();
        // One write: lines of two bridges don't mix.
        let opened = File::options().create(true).append(true).open(&path);
        opened
            .and_then(|mut file| file.write_all(bytes))
            .map_err(BridgeError::file(path))
    }
}

/// A group that another bridge or a person has submitted.
pub(super) async fn foreign(
    client: &Client,
    group: GroupId,
    task: TaskId,
) -> Result<Entry, BridgeError> {
    let details = client.get_task(task).await?;
    let params = details.map(|details| details.params);
    let params = params.and_then(|params| serde_json::from_value::<Group>(params).ok());
    let files = params.map(|params| params.file_paths).unwrap_or_default();
    Ok(Entry {
        group,
        task,
        files: files.iter().filter_map(|path| name(path)).collect(),
        spare: BTreeSet::new(),
    })
}

/// The last part of a path: other machines may know the folder by another path.
pub(super) fn name(path: &Path) -> Option<String> {
    Some(path.file_name()?.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn entry(stamp: &str) -> Entry {
        Entry {
            group: stamp.parse().expect("a stamp"),
            task: uuid::Uuid::nil().into(),
            files: BTreeSet::from(["a".to_owned()]),
            spare: BTreeSet::from(["b".to_owned()]),
        }
    }

    #[test]
    fn bridges_with_one_folder_share_the_ledger() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let (mut one, mut two) = (Ledger::open(folder.path())?, Ledger::open(folder.path())?);
        let (first, second) = (entry("2026-01-26T08:05:18"), entry("2026-01-26T08:10:27"));
        one.add(first.clone())?;
        two.read_lines()?;
        two.add(second.clone())?;
        one.read_lines()?;
        for ledger in [one, two, Ledger::open(folder.path())?] {
            for entry in [&first, &second] {
                assert_eq!(ledger.of(entry.group), Some(entry));
            }
            assert_eq!(ledger.of("2026-01-26T08:04:18".parse()?), Some(&first));
            assert_eq!(ledger.of("2026-01-26T08:04:17".parse()?), None);
        }
        Ok(())
    }

    #[test]
    fn one_bridge_at_a_time_submits() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let (one, two) = (Ledger::open(folder.path())?, Ledger::open(folder.path())?);
        let held = one.lock()?;
        assert!(held.is_some());
        assert!(two.lock()?.is_none());
        drop(held);
        assert!(two.lock()?.is_some());
        Ok(())
    }

    #[test]
    fn half_a_line_costs_only_itself() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let (first, second) = (entry("2026-01-26T08:05:18"), entry("2026-01-26T08:10:27"));
        Ledger::open(folder.path())?.add(first.clone())?;
        let path = folder.path().join("submitted.jsonl");
        let mut text = fs::read_to_string(&path)?;
        text.push_str(r#"{"group":"2026-01-"#);
        fs::write(&path, text)?;
        Ledger::open(folder.path())?.add(second.clone())?;
        let ledger = Ledger::open(folder.path())?;
        assert_eq!(ledger.of(first.group), Some(&first));
        assert_eq!(ledger.of(second.group), Some(&second));
        Ok(())
    }
}
