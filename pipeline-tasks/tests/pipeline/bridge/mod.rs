//! The streaming bridge: each outcome of docs/ingest-policy.md, on real files and a real
//! database. No test waits for a clock: the time of a scan is given.

mod files;
mod groups;
mod service;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use absurd_sdk::{Client, TaskFilter, TaskSummary};
use absurd_test::Database;
use jiff::{SignedDuration, Timestamp, ToSpan as _};
use pipeline_tasks::{
    bridge::{Bridge, BridgeStatus, Bytes, GroupState, Settings},
    io::Simulation,
    model::{GroupId, SubbandIndex},
    tasks::Group,
};
use tempfile::TempDir;
use tokio::process::Command;

use crate::TestResult;

/// More than a file needs to settle.
const SETTLED: SignedDuration = SignedDuration::from_secs(6);
/// More than a group has to become complete.
const OVERDUE: SignedDuration = SignedDuration::from_mins(11);
/// Seconds by which the subbands' stamps differ: up to a minute, in no order.
const JITTER: [i64; 16] = [7, 0, 60, 3, 3, 59, 12, 1, 40, 0, 25, 60, 8, 2, 31, 5];
/// The order in which subbands arrive.
const SHUFFLED: [usize; 16] = [11, 3, 15, 0, 8, 5, 14, 2, 9, 6, 1, 13, 4, 10, 7, 12];
const VICTIM: SubbandIndex = SubbandIndex(5);

/// A folder into which files arrive, one for products, and the files of an observation.
struct Site {
    folder: TempDir,
    database: Database,
    group: GroupId,
}

impl Site {
    async fn new() -> TestResult<Self> {
        let small = Simulation {
            antennas: 3,
            integrations: 1,
            ..Simulation::default()
        };
        Self::observing(small).await
    }

    async fn observing(simulation: Simulation) -> TestResult<Self> {
        let folder = tempfile::tempdir()?;
        simulation.write(&folder.path().join("correlator"))?;
        fs::create_dir(folder.path().join("incoming"))?;
        Ok(Self {
            folder,
            database: Database::start().await?,
            group: simulation.group,
        })
    }

    fn client(&self) -> &Client {
        self.database.client()
    }

    fn incoming(&self) -> PathBuf {
        self.folder.path().join("incoming")
    }

    fn output(&self) -> PathBuf {
        self.folder.path().join("output")
    }

    fn settings(&self) -> Settings {
        Settings {
            disk_min: Bytes(0),
            ..Settings::new(self.incoming(), self.output())
        }
    }

    fn bridge(&self) -> TestResult<Bridge> {
        self.bridge_with(self.settings())
    }

    fn bridge_with(&self, settings: Settings) -> TestResult<Bridge> {
        Ok(Bridge::new(self.client().clone(), settings)?)
    }

    /// The program at this site, ended with its handle.
    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pipeline-worker"));
        command
            .arg(name)
            .env("ABSURD_DATABASE_URL", self.database.url())
            .env("ABSURD_QUEUE_NAME", "default")
            .env("PIPELINE_INPUT_DIR", self.incoming())
            .env("PIPELINE_OUTPUT_DIR", self.output())
            .kill_on_drop(true);
        command
    }

    /// Where a subband lies that is stamped some seconds after the group's begin.
    fn place(&self, subband: usize, seconds: i64) -> PathBuf {
        let stamp = GroupId::from(self.group.start() + seconds.seconds());
        self.incoming().join(format!("{stamp}_sb{subband:02}.hdf5"))
    }

    fn original(&self, subband: usize) -> PathBuf {
        let name = format!("{}_sb{subband:02}.hdf5", self.group);
        self.folder.path().join("correlator").join(name)
    }

    /// A subband file arrives whole.
    fn arrive(&self, subband: usize, seconds: i64) -> TestResult<PathBuf> {
        let place = self.place(subband, seconds);
        fs::copy(self.original(subband), &place)?;
        Ok(place)
    }

    /// Fifteen or sixteen subbands arrive, of an observation that begins so much later.
    fn arrive_without(&self, absent: Option<SubbandIndex>, later: i64) -> TestResult {
        for subband in SHUFFLED {
            if absent.is_none_or(|absent| usize::from(absent.0) != subband) {
                self.arrive(subband, later + JITTER[subband])?;
            }
        }
        Ok(())
    }

    /// The victim's place.
    fn victim(&self) -> PathBuf {
        self.place(5, JITTER[5])
    }

    /// A moment after everything that has happened to the files.
    fn now(&self) -> TestResult<Timestamp> {
        let mut latest = Timestamp::MIN;
        for path in files_in(&self.incoming())? {
            let modified = Timestamp::try_from(fs::metadata(path)?.modified()?)?;
            latest = latest.max(modified);
        }
        Ok(latest + SignedDuration::from_secs(1))
    }

    /// Two scans, between which whatever lies in the folder settles.
    async fn settle<'b>(&self, bridge: &'b mut Bridge) -> TestResult<&'b BridgeStatus> {
        let now = self.now()?;
        bridge.scan(now).await?;
        Ok(bridge.scan(now + SETTLED).await?)
    }

    async fn tasks(&self) -> TestResult<Vec<TaskSummary>> {
        let filter = TaskFilter {
            task_name: Some("process-group".to_owned()),
            ..TaskFilter::default()
        };
        Ok(self.client().list_tasks(&filter, None, 100).await?)
    }

    /// The paths that the one task was given.
    async fn submitted(&self) -> TestResult<BTreeSet<PathBuf>> {
        let tasks = self.tasks().await?;
        assert_eq!(tasks.len(), 1, "{tasks:?}");
        let details = self.client().get_task(tasks[0].task_id).await?;
        let params = details.ok_or("the task is gone")?.params;
        let group: Group = serde_json::from_value(params)?;
        Ok(group.file_paths.into_iter().collect())
    }
}

fn files_in(folder: &Path) -> TestResult<BTreeSet<PathBuf>> {
    let files = fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path()));
    Ok(files.collect::<Result<_, _>>()?)
}

fn states(status: &BridgeStatus) -> Vec<(GroupState, Vec<SubbandIndex>)> {
    let groups = status.groups.iter();
    groups
        .map(|group| (group.state, group.missing.clone()))
        .collect()
}
