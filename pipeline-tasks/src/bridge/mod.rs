//! The streaming bridge: watches the folder of incoming subband files and submits each complete
//! observation once. `docs/ingest-policy.md` says what it does in which situation.
//!
//! From the bottom up: `survey` knows files, `grouping` makes observations of them, `ledger` knows
//! what was submitted, `gate` holds back, `assess` decides, `status` tells.

mod error;
mod settings;
mod survey;

mod grouping;
mod ledger;
mod status;

mod assess;
mod gate;

mod run;

use std::{collections::BTreeSet, path::PathBuf, time::Duration};

use absurd_sdk::{Client, TaskId};
use jiff::Timestamp;
use tokio::{task::spawn_blocking, time::sleep};

use self::{
    assess::{Order, assess},
    ledger::{Entry, Ledger},
    survey::{Survey, examine},
};
pub use self::{
    error::BridgeError,
    settings::{Bytes, BytesError, Partial, Settings},
    status::{BridgeStatus, CorruptFile, DuplicateFile, GroupState, GroupStatus, LateFile, Pause},
};
use crate::{
    model::{ObservationGroup, SubbandFile},
    tasks::{Group, process_group},
};

/// How often to ask again for a lock that another bridge holds; it does for a few calls of the
/// database.
const LOCKED_RETRY: Duration = Duration::from_millis(50);

/// Submits the observations that arrive in a folder.
#[derive(Debug)]
pub struct Bridge {
    client: Client,
    settings: Settings,
    survey: Survey,
    ledger: Ledger,
    status: BridgeStatus,
    status_path: PathBuf,
    is_published: bool,
    /// Why the status could not be written, so that the log has each reason once.
    write_problem: Option<String>,
}

impl Bridge {
    /// A bridge to the client's queue. Makes the folder `bridge` below the output folder, and
    /// reads there what was submitted before.
    pub fn new(client: Client, mut settings: Settings) -> Result<Self, BridgeError> {
        // A worker takes relative paths for those of its own input folder.
        let incoming = std::path::absolute(&settings.incoming);
        settings.incoming = incoming.map_err(BridgeError::file(&settings.incoming))?;
        let folder = settings.output.join("bridge");
        std::fs::create_dir_all(&folder).map_err(BridgeError::file(&folder))?;
        Ok(Self {
            ledger: Ledger::open(&folder)?,
            status_path: folder.join("status.json"),
            client,
            settings,
            survey: Survey::default(),
            status: BridgeStatus::default(),
            is_published: false,
            write_problem: None,
        })
    }

    /// How it is set.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// How things stood at the end of the last scan.
    pub fn status(&self) -> &BridgeStatus {
        &self.status
    }

    /// Looks at the folder once and submits what can be submitted. `now` is the time of the clock
    /// that stamps files.
    pub async fn scan(&mut self, now: Timestamp) -> Result<&BridgeStatus, BridgeError> {
        let scanned = self.look_and_submit(now).await;
        let (status, error) = match scanned {
            Ok(status) => (status, None),
            Err(error) => {
                let problem = absurd_sdk::chain(&error);
                let mut status = self.status.clone();
                status.paused = Some(Pause::Trouble { problem });
                (status, Some(error))
            }
        };
        self.publish(status)?;
        error.map_or(Ok(&self.status), Err)
    }

    /// Submits a group at once, whatever the settings say, and returns its task: the same one for
    /// the same observation, however often it is submitted and by whom.
    pub async fn submit_group(&mut self, group: &ObservationGroup) -> Result<TaskId, BridgeError> {
        let order = Order {
            files: group.files().to_vec(),
            spare: BTreeSet::new(),
        };
        loop {
            if let Some(task) = self.submit(order.clone()).await? {
                return Ok(task);
            }
            sleep(LOCKED_RETRY).await;
        }
    }

    async fn look_and_submit(&mut self, now: Timestamp) -> Result<BridgeStatus, BridgeError> {
        self.list(now).await?;
        self.ledger.learn(&self.client).await?;
        self.open_settled(now).await?;
        let (_, orders) = self.assess(now);
        let mut pause = gate::pause(&self.client, &self.settings).await?;
        for order in orders {
            if pause.is_some() || self.submit(order).await?.is_none() {
                break;
            }
            pause = gate::pause(&self.client, &self.settings).await?;
        }
        let (mut status, _) = self.assess(now);
        status.paused = pause.map(|pause| pause.since(self.status.paused.as_ref()));
        Ok(status)
    }

    fn assess(&self, now: Timestamp) -> (BridgeStatus, Vec<Order>) {
        assess(&self.survey, &self.ledger, &self.settings, now)
    }

    /// Notes what lies in the folder.
    async fn list(&mut self, now: Timestamp) -> Result<(), BridgeError> {
        let folder = self.settings.incoming.clone();
        let mut survey = std::mem::take(&mut self.survey);
        let (survey, listed) = spawn_blocking(move || {
            let listed = survey.list(&folder, now);
            (survey, listed)
        })
        .await?;
        self.survey = survey;
        listed
    }

    /// Opens the settled files of observations that are not submitted yet.
    async fn open_settled(&mut self, now: Timestamp) -> Result<(), BridgeError> {
        let settled = self.survey.settled(self.settings.settle, now);
        let open = settled.filter(|known| self.ledger.of(known.file.stamp()).is_none());
        let files = open.map(|known| (known.file.path().to_owned(), known.version));
        let files: Vec<_> = files.collect();
        if !files.is_empty() {
            let verdicts = spawn_blocking(move || examine(files)).await?;
            self.survey.judge(verdicts);
        }
        Ok(())
    }

    /// Submits a group, unless that was done before, and returns its task. `None` when another
    /// bridge is submitting: then the next scan looks again.
    async fn submit(&mut self, order: Order) -> Result<Option<TaskId>, BridgeError> {
        let Order { files, spare } = order;
        let names = files.iter().filter_map(|file| ledger::name(file.path()));
        let names = names.collect();
        let group = ObservationGroup::from_files(files)?;
        let id = group.id();
        let Some(_lock) = self.ledger.lock()? else {
            return Ok(None);
        };
        // With other copies at hand another bridge may have given the group another id.
        self.ledger.learn(&self.client).await?;
        if let Some(entry) = self.ledger.of(id) {
            return Ok(Some(entry.task));
        }
        let paths = group.files().iter().map(SubbandFile::path);
        let params = Group::from(paths.map(PathBuf::from).collect::<Vec<_>>());
        let spawn = self.client.spawn(process_group, params);
        let spawn = spawn.idempotency_key(ledger::key(id));
        let spawned = spawn.attribute("group", id.to_string()).await?.spawned();
        let task = spawned.task_id;
        let entry = if spawned.created {
            tracing::info!(%id, %task, "submitted");
            Entry {
                group: id,
                task,
                files: names,
                spare,
            }
        } else {
            ledger::foreign(&self.client, id, task).await?
        };
        self.ledger.add(entry)?;
        Ok(Some(task))
    }

    /// Writes and logs what has changed.
    fn publish(&mut self, status: BridgeStatus) -> Result<(), BridgeError> {
        if self.is_published && status == self.status {
            return Ok(());
        }
        status.log_since(&self.status);
        self.status = status;
        self.is_published = false;
        let written = self.status.write(&self.status_path);
        let problem = written.as_ref().err().map(ToString::to_string);
        if problem.is_some() && problem != self.write_problem {
            tracing::warn!(problem, path = %self.status_path.display(), "can't write the status");
        }
        self.write_problem = problem;
        self.is_published = written.is_ok();
        written.map_err(BridgeError::file(&self.status_path))
    }
}

#[cfg(test)]
mod tests {
    use absurd_sdk::TaskFilter;
    use absurd_test::Database;

    use super::*;

    fn group(first: &str) -> Result<ObservationGroup, Box<dyn std::error::Error>> {
        let later = (1..16).map(|subband| format!("2026-01-26T08:05:18_sb{subband:02}.hdf5"));
        let names = std::iter::once(format!("{first}_sb00.hdf5")).chain(later);
        let files = names.map(SubbandFile::parse).collect::<Result<_, _>>()?;
        Ok(ObservationGroup::from_files(files)?)
    }

    /// Each of two bridges has seen another copy of one subband, and neither has seen what the
    /// other one did; they share a folder, or only the database.
    #[tokio::test]
    async fn another_choice_of_files_is_no_second_task() -> Result<(), Box<dyn std::error::Error>> {
        for outputs in [["output", "output"], ["output", "elsewhere"]] {
            let folder = tempfile::tempdir()?;
            let database = Database::start().await?;
            let client = database.client();
            let bridge = |output: &str| {
                let output = folder.path().join(output);
                Bridge::new(client.clone(), Settings::new(folder.path(), output))
            };
            let (mut one, mut two) = (bridge(outputs[0])?, bridge(outputs[1])?);
            let first = one.submit_group(&group("2026-01-26T08:05:18")?).await?;
            let second = two.submit_group(&group("2026-01-26T08:04:58")?).await?;
            assert_eq!(first, second);
            let tasks = client.list_tasks(&TaskFilter::default(), None, 10).await?;
            assert_eq!(tasks.len(), 1, "{tasks:?}");
        }
        Ok(())
    }
}
