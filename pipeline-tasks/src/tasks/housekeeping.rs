//! Housekeeping: what dead workers left half-made goes, what ended long ago is archived.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use absurd_sdk::{
    Client, LogLevel, TaskFilter, TaskState,
    prelude::{Context, JsonSchema, Serialize, State, TaskError, TaskResult, task},
};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{
    stages::{finally, in_background},
    toolbox::Toolbox,
};
use crate::{
    io::{Extent, PartName},
    registry::{Archived, archive_tasks},
};

/// Tasks on one page of a list.
const PAGE: u16 = 500;
/// How the engine names the end of a run whose worker fell silent.
const LEASE_OVER: &str = "$ClaimTimeout";

/// Params: nested as `{"inputs": {..}}`, or flat. Other parts of a stage's params say nothing
/// here.
#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
pub struct HousekeepingParams {
    /// What is to be done.
    pub inputs: HousekeepingInputs,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HousekeepingInputs {
    /// Half-made things go when nothing has changed them for so long. It must be longer than a
    /// program of the field may run.
    pub max_stale_hours: f64,
    /// Whether they go at all.
    pub clean_scratch: bool,
    /// Whether tasks are counted that were taken back from silent workers.
    pub recover_stuck: bool,
    /// Whether tasks that ended long ago go into `pipeline.tasks_archive`, without their
    /// checkpoints, and old events are forgotten.
    pub prune_completed: bool,
    /// How long ago that is.
    pub completed_retention_days: u32,
}

impl Default for HousekeepingInputs {
    fn default() -> Self {
        Self {
            max_stale_hours: 4.0,
            clean_scratch: true,
            recover_stuck: true,
            prune_completed: false,
            completed_retention_days: 30,
        }
    }
}

impl<'de> Deserialize<'de> for HousekeepingParams {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut given = Map::deserialize(deserializer)?;
        given.retain(|name, _| name != "config" && name != "outputs");
        match given.remove("inputs") {
            None | Some(Value::Null) => {}
            Some(Value::Object(inputs)) => given.extend(inputs),
            Some(other) => {
                return Err(D::Error::custom(format!("`inputs` is no object: {other}")));
            }
        }
        let inputs = serde_json::from_value(Value::Object(given)).map_err(D::Error::custom)?;
        Ok(Self { inputs })
    }
}

/// What was done, by the operators' names and by those of dsa110-contimg.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Housekept {
    /// Half-made files and folders that were removed.
    pub cleaned_scratch: u64,
    /// Tasks under way that the engine has taken back from a worker that fell silent. It does so
    /// by itself, as soon as their lease is over; there is nothing left to be done about them.
    pub recovered_groups: u64,
    /// Tasks that went into the archive.
    pub pruned_tasks: u64,
    /// The same as `cleaned_scratch`.
    pub scratch_dirs_cleaned: u64,
    /// The sizes of what was removed.
    pub scratch_bytes_freed: u64,
    /// The same as `recovered_groups`.
    pub stuck_groups_recovered: u64,
    /// The same as `pruned_tasks`.
    pub completed_tasks_pruned: u64,
    /// What could not be removed, and why; all else was.
    pub errors: Vec<String>,
}

/// What has become of half-made things.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Cleaned {
    removed: u64,
    bytes: u64,
    errors: Vec<String>,
}

/// Cleans up behind workers that died, counts what the engine took back from them, and, if asked
/// to, archives tasks that ended long ago.
#[task(name = "housekeeping", retry = exponential("5s", max = "5m"))]
pub async fn housekeeping(
    ctx: &mut Context,
    params: HousekeepingParams,
    tools: State<Toolbox>,
    client: State<Client>,
) -> TaskResult<Housekept> {
    let inputs = params.inputs;
    let client = client.on_queue(ctx.queue().as_str())?;
    let mut done = Housekept::default();
    if inputs.clean_scratch {
        let stale = stale(inputs.max_stale_hours, tools.limit)?;
        let root = tools.output().to_owned();
        let work = || async { in_background(move || Ok(clean(&root, stale)?)).await };
        let cleaned: Cleaned = ctx.step("clean_scratch", work).await?;
        for error in &cleaned.errors {
            ctx.reporter().log(LogLevel::Warn, error.clone());
        }
        done.cleaned_scratch = cleaned.removed;
        done.scratch_dirs_cleaned = cleaned.removed;
        done.scratch_bytes_freed = cleaned.bytes;
        done.errors = cleaned.errors;
    }
    if inputs.recover_stuck {
        let count = ctx.step("recover_stuck", || taken_back(&client)).await?;
        done.recovered_groups = count;
        done.stuck_groups_recovered = count;
    }
    if inputs.prune_completed {
        let count = prune(ctx, inputs.completed_retention_days).await?;
        done.pruned_tasks = count;
        done.completed_tasks_pruned = count;
    }
    Ok(done)
}

/// How old what is removed must be. Shorter than a program may run, and the scratch of one that
/// computes without writing would go.
fn stale(hours: f64, limit: Duration) -> TaskResult<Duration> {
    let stale = Duration::try_from_secs_f64(hours * 3_600.0).ok();
    stale.filter(|stale| *stale > limit).ok_or_else(|| {
        let problem = format!(
            "max_stale_hours is {hours}; give more than the {:.2} hours that a program may run \
             (ABSURD_TASK_TIMEOUT_SEC)",
            limit.as_secs_f64() / 3_600.0
        );
        TaskError::terminal(TaskError::msg(problem))
    })
}

/// Removes what is half-made and stale under a folder. What can't be removed is told of, and
/// keeps nothing else from going.
fn clean(root: &Path, stale: Duration) -> io::Result<Cleaned> {
    let mut cleaned = Cleaned::default();
    if !root.exists() {
        return Ok(cleaned);
    }
    let now = disk_time(root)?;
    let stale = SignedDuration::try_from(stale).map_err(io::Error::other)?;
    for part in parts_under(root, &mut cleaned.errors) {
        let removed = Extent::of(&part).and_then(|extent| {
            let is_stale = now.duration_since(extent.modified) > stale;
            if is_stale {
                remove(&part)?;
            }
            Ok(is_stale.then_some(extent.bytes))
        });
        match removed {
            Ok(Some(bytes)) => {
                cleaned.removed += 1;
                cleaned.bytes += bytes;
            }
            Ok(None) => {}
            // Its worker has finished with it meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => cleaned.errors.push(trouble(&part, &error)),
        }
    }
    Ok(cleaned)
}

/// The time by the clock that also stamps the files: a file server has its own.
fn disk_time(folder: &Path) -> io::Result<Timestamp> {
    let probe = PartName::of(&folder.join("clock"));
    fs::write(probe.path(), [])?;
    Ok(Extent::of(probe.path())?.modified)
}

/// All half-made things under a folder. Links are not followed, so nothing lies outside of it.
fn parts_under(root: &Path, errors: &mut Vec<String>) -> Vec<PathBuf> {
    let mut parts = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => {
                errors.push(trouble(&folder, &error));
                continue;
            }
        };
        for entry in entries {
            let looked = entry.and_then(|entry| Ok((entry.path(), entry.file_type()?)));
            match looked {
                Ok((_, kind)) if kind.is_symlink() => {}
                Ok((path, _)) if path.file_name().is_some_and(is_part) => parts.push(path),
                // Sets hold many files, and parts lie beside them.
                Ok((path, kind)) if kind.is_dir() && !is_set(&path) => folders.push(path),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => errors.push(trouble(&folder, &error)),
            }
        }
    }
    parts
}

fn is_set(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "ms")
}

/// Whether a name is one that `PartName` makes: `.<name>.<id>.part`, the id a UUID of version 7.
fn is_part(name: &OsStr) -> bool {
    let id = || {
        let inner = name.to_str()?.strip_prefix('.')?.strip_suffix(".part")?;
        let (name, id) = inner.rsplit_once('.')?;
        let is_simple = !name.is_empty() && id.len() == 32;
        is_simple.then(|| Uuid::try_parse(id).ok()).flatten()
    };
    id().is_some_and(|id| id.get_version_num() == 7)
}

fn remove(part: &Path) -> io::Result<()> {
    if fs::symlink_metadata(part)?.is_dir() {
        fs::remove_dir_all(part)
    } else {
        fs::remove_file(part)
    }
}

fn trouble(path: &Path, error: &io::Error) -> String {
    format!("{}: {error}", path.display())
}

/// Counts tasks under way of which a run ended with its worker's lease.
async fn taken_back(client: &Client) -> Result<u64, absurd_sdk::Error> {
    let mut found = BTreeSet::new();
    for state in [TaskState::Pending, TaskState::Running, TaskState::Sleeping] {
        let filter = TaskFilter {
            state: Some(state),
            ..TaskFilter::default()
        };
        let mut before = None;
        loop {
            let page = client.list_tasks(&filter, before, PAGE).await?;
            let Some(last) = page.last() else { break };
            before = Some(last.task_id);
            for task in page.iter().filter(|task| task.attempts > 1) {
                let runs = client.list_runs(task.task_id).await?;
                let reasons = runs.iter().filter_map(|run| run.failure_reason.as_ref());
                let mut names = reasons.filter_map(|reason| reason.get("name"));
                if names.any(|name| name == LEASE_OVER) {
                    found.insert(task.task_id);
                }
            }
        }
    }
    Ok(found.len() as u64)
}

/// Archives what ended long ago, a batch at a time: copy, deletion and checkpoint of a batch are
/// one commit.
async fn prune(ctx: &mut Context, days: u32) -> TaskResult<u64> {
    let queue = ctx.queue().clone();
    let mut tasks = 0;
    loop {
        let batch: Archived = ctx
            .transaction("prune", async |tx| {
                let archived = archive_tasks(tx, queue.as_str(), days).await;
                archived.map_err(|error| finally(error.is_permanent(), error))
            })
            .await?;
        tasks += batch.tasks;
        if batch == Archived::default() {
            return Ok(tasks);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs::File, time::SystemTime};

    use serde_json::json;

    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    /// Something half-made under a folder, last changed so many hours ago.
    fn part(folder: &Path, name: &str, hours: u32) -> io::Result<PathBuf> {
        let path = folder.join(format!(".{name}.{}.part", Uuid::now_v7().simple()));
        fs::create_dir_all(folder)?;
        fs::write(&path, [0; 100])?;
        age(&path, hours)?;
        Ok(path)
    }

    fn age(path: &Path, hours: u32) -> io::Result<()> {
        let file = File::open(path)?;
        let now: SystemTime = file.metadata()?.modified()?;
        file.set_modified(now - HOUR * hours)
    }

    #[test]
    fn only_what_is_ours_and_stale_goes() -> io::Result<()> {
        let (folder, outside) = (tempfile::tempdir()?, tempfile::tempdir()?);
        let root = folder.path();
        let work = root.join("work/2026-01-26T08:05:18");
        let stale = part(&work, "a.fits", 5)?;
        let fresh = part(&work, "a.fits", 3)?;
        let foreign = part(outside.path(), "a.fits", 50)?;
        std::os::unix::fs::symlink(outside.path(), root.join("linked"))?;
        std::os::unix::fs::symlink(&foreign, root.join(foreign.file_name().unwrap()))?;
        // A folder counts by what is newest in it.
        let id = Uuid::now_v7().simple();
        let (busy, dead) = (
            root.join(format!(".busy.ms.{id}.part")),
            root.join(format!(".dead.ms.{id}.part")),
        );
        for (folder, hours) in [(&busy, 1), (&dead, 9)] {
            fs::create_dir(folder)?;
            fs::write(folder.join("table.dat"), [0; 1_000])?;
            age(&folder.join("table.dat"), hours)?;
            age(folder, 9)?;
        }
        // Nobody's scratch but ours has these names.
        let mut kept = vec![fresh, foreign, busy];
        for name in [
            ".a.fits.part",
            ".hidden",
            "a.fits",
            ".a.0123456789abcdef0123456789abcdef.part",
        ] {
            fs::write(root.join(name), [])?;
            age(&root.join(name), 99)?;
            kept.push(root.join(name));
        }
        let cleaned = clean(root, HOUR * 4)?;
        assert_eq!((cleaned.removed, cleaned.bytes), (2, 1_100), "{cleaned:?}");
        assert!(cleaned.errors.is_empty(), "{cleaned:?}");
        assert!(!stale.exists() && !dead.exists());
        for path in kept {
            assert!(path.exists(), "{}", path.display());
        }
        assert_eq!(clean(root, HOUR * 4)?, Cleaned::default());
        assert_eq!(clean(&root.join("none"), HOUR)?, Cleaned::default());
        Ok(())
    }

    #[test]
    fn every_name_that_parts_get_is_known() {
        for place in ["/a/b.fits", "/a/2026-01-26T08:05:18.ms", "/a/.b"] {
            let part = PartName::of(Path::new(place));
            let name = part.path().file_name().unwrap();
            assert!(is_part(name), "{}", name.display());
        }
    }

    #[test]
    fn scratch_that_may_be_in_use_is_not_stale() {
        assert!(stale(4.0, HOUR).is_ok());
        for hours in [1.0, 0.0, -1.0, f64::NAN, f64::INFINITY] {
            let refused = stale(hours, HOUR).err().unwrap();
            assert!(refused.is_terminal(), "{hours}");
        }
    }

    #[test]
    fn params_are_read_nested_and_flat() -> Result<(), serde_json::Error> {
        let read = |value| serde_json::from_value::<HousekeepingParams>(value);
        assert_eq!(read(json!({}))?, HousekeepingParams::default());
        for given in [
            json!({"prune_completed": true}),
            json!({"config": {}, "inputs": {"prune_completed": true}, "outputs": null}),
        ] {
            assert!(read(given)?.inputs.prune_completed);
        }
        assert!(read(json!({"inputs": {"max_stale_hour": 1}})).is_err());
        Ok(())
    }
}
