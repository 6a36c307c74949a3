//! Stages that workers of other queues run.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use absurd_sdk::{
    Client, Error, QueueName, RetryPolicy, TaskFilter, TaskHandle, TaskState, TaskSummary, Worker,
    WorkerBuilder,
    prelude::{Context, State, TaskError, TaskResult, task},
};
use absurd_test::{Database, eventually};
use pipeline_tasks::{
    config::Config,
    io::Simulation,
    model::{GroupId, Stage},
    tasks::{ChainParams, Outputs, StageParams, StageResult, Toolbox, pipeline_worker, run_chain},
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{TestResult, config};

/// Where the stage goes that the tests send away.
const ELSEWHERE: &str = "elsewhere";

/// An observation, a database and two queues.
struct Site {
    database: Database,
    folder: TempDir,
    group: GroupId,
}

impl Site {
    async fn new() -> TestResult<Self> {
        let folder = tempfile::tempdir()?;
        let small = Simulation {
            antennas: 3,
            integrations: 1,
            ..Simulation::default()
        };
        small.write(&folder.path().join("incoming"))?;
        let database = Database::start().await?;
        let site = Self {
            database,
            folder,
            group: small.group,
        };
        site.elsewhere()?.create_queue().await?;
        Ok(site)
    }

    fn client(&self) -> &Client {
        self.database.client()
    }

    fn elsewhere(&self) -> Result<Client, Error> {
        self.client().on_queue(ELSEWHERE)
    }

    fn output(&self) -> PathBuf {
        self.folder.path().join("output")
    }

    fn config(&self) -> Config {
        config(&self.folder.path().join("incoming"), &self.output())
    }

    /// A worker that runs one task at a time, and leaves a stage to the other queue.
    fn worker_without(&self, stage: Stage) -> TestResult<WorkerBuilder> {
        let config = Config {
            stage_queues: BTreeMap::from([(stage, QueueName::new(ELSEWHERE)?)]),
            ..self.config()
        };
        let worker = pipeline_worker(self.client(), Toolbox::of(&config));
        Ok(worker.concurrency(1).poll_interval("50ms"))
    }

    async fn chain(&self, stages: &[Stage], group: GroupId) -> TestResult<TaskHandle<Value>> {
        let stages: Vec<_> = stages.iter().copied().map(Stage::name).collect();
        let order = json!({
            "stages": stages,
            "params": {"config": {"imaging_tier": "development"}, "inputs": {"group_id": group}},
        });
        let soon = RetryPolicy::fixed(Duration::from_millis(50));
        let spawn = self.client().spawn_by_name("run-chain", order);
        Ok(spawn.max_attempts(3).retry(soon).await?)
    }

    async fn state(&self, chain: &TaskHandle<Value>) -> TestResult<TaskState> {
        let found = self.client().get_task(chain.task_id()).await?;
        Ok(found.ok_or("the chain is gone")?.summary.state)
    }

    async fn children(&self, chain: &TaskHandle<Value>) -> TestResult<Vec<TaskSummary>> {
        let of_chain = TaskFilter {
            parent_task_id: Some(chain.task_id()),
            ..TaskFilter::default()
        };
        Ok(self.elsewhere()?.list_tasks(&of_chain, None, 100).await?)
    }

    /// Waits until a chain holds no worker because its stage is a task of the other queue.
    async fn is_away(&self, chain: &TaskHandle<Value>) -> TestResult {
        eventually("the chain waits for its stage", async || {
            let asleep = self.state(chain).await.ok() == Some(TaskState::Sleeping);
            asleep && self.children(chain).await.is_ok_and(|c| c.len() == 1)
        })
        .await?;
        Ok(())
    }
}

fn is_there(value: &Value) -> bool {
    value.as_str().is_some_and(|path| Path::new(path).exists())
}

#[tokio::test]
async fn a_stage_runs_on_another_queue_while_its_workflow_holds_no_slot() -> TestResult {
    let site = Site::new().await?;
    let worker = site.worker_without(Stage::Conversion)?.start()?;
    let stages = [Stage::CatalogSetup, Stage::Conversion, Stage::OrganizeFiles];
    let chain = site.chain(&stages, site.group).await?;
    site.is_away(&chain).await?;

    // The only slot is free: another task begins and ends in the meantime.
    let inputs = json!({"inputs": {"group_id": site.group}});
    let other = site.client().spawn_by_name("catalog-setup", inputs).await?;
    other.result().timeout("60s").await?;
    assert_eq!(site.state(&chain).await?, TaskState::Sleeping);

    // The other worker has the same configuration, and yet runs the stage itself.
    let converter = Config {
        stage_queues: BTreeMap::from([(Stage::Conversion, QueueName::new(ELSEWHERE)?)]),
        ..site.config()
    };
    let converter = pipeline_worker(&site.elsewhere()?, Toolbox::of(&converter));
    let converter = converter.worker_id("converter").poll_interval("50ms");
    let converter = converter.start()?;
    let made = chain.result().timeout("60s").await?["outputs"].clone();
    assert!(is_there(&made["catalogue_path"]), "{made}");
    assert!(is_there(&made["ms_path"]), "{made}");
    assert!(
        made["ms_path"]
            .as_str()
            .is_some_and(|ms| ms.contains("ms/science"))
    );

    let children = site.children(&chain).await?;
    let [child] = children.as_slice() else {
        return Err(format!("one child, and not {children:?}").into());
    };
    assert_eq!(child.task_name, "convert-uvh5-to-ms");
    let runs = site.elsewhere()?.list_runs(child.task_id).await?;
    let by: Vec<_> = runs.iter().map(|run| run.claimed_by.as_deref()).collect();
    assert_eq!(by, [Some("converter")]);
    converter.stop().await?;
    worker.stop().await?;
    Ok(())
}

#[tokio::test]
async fn what_is_permanent_elsewhere_is_permanent_here() -> TestResult {
    let site = Site::new().await?;
    let worker = site.worker_without(Stage::Conversion)?.start()?;
    let converter = pipeline_worker(&site.elsewhere()?, Toolbox::of(&site.config()));
    let converter = converter.poll_interval("50ms").start()?;
    let absent = GroupId::from(jiff::civil::date(2020, 1, 1).at(0, 0, 0, 0));
    let chain = site.chain(&[Stage::Conversion], absent).await?;
    let failed = chain.result().timeout("60s").snapshot().await?;
    let message = failed.failure.ok_or("it has failed")?.message;
    assert!(
        message.contains("has no observation of the time") && message.contains(ELSEWHERE),
        "{message}"
    );
    let attempts = |task: TaskSummary| (task.attempts, task.max_attempts);
    let found = site.client().get_task(chain.task_id()).await?;
    assert_eq!(found.map(|task| attempts(task.summary)), Some((1, Some(3))));
    let children: Vec<_> = site
        .children(&chain)
        .await?
        .into_iter()
        .map(attempts)
        .collect();
    assert_eq!(children, [(1, Some(3))]);

    // An operator who has mended it asks for another attempt, and the stage gets one.
    site.client().retry(chain.task_id()).await?;
    let again = chain.result().timeout("60s").snapshot().await?;
    assert!(again.failure.is_some());
    assert_eq!(site.children(&chain).await?.len(), 2);
    converter.stop().await?;
    worker.stop().await?;
    Ok(())
}

/// Starts of `unlucky`; a process has one test only.
static STARTS: AtomicUsize = AtomicUsize::new(0);

/// A stage in place of ours: its first task uses up its three attempts.
#[task(name = "imaging")]
async fn unlucky(_ctx: &mut Context, params: StageParams) -> TaskResult<StageResult> {
    if STARTS.fetch_add(1, Ordering::Relaxed) < 3 {
        let busy = TaskError::msg("the disk array is away");
        return Err(TaskError::retry_after(busy, Duration::from_millis(10)));
    }
    let image_path = params
        .outputs
        .catalogue_path
        .map(|path| path.with_extension("fits"));
    let outputs = Outputs {
        image_path,
        ..Outputs::default()
    };
    Ok(StageResult { outputs })
}

#[tokio::test]
async fn what_may_pass_is_tried_again_with_a_new_task() -> TestResult {
    let site = Site::new().await?;
    let worker = site.worker_without(Stage::Imaging)?.start()?;
    let imager = Worker::builder(&site.elsewhere()?).task(unlucky);
    let imager = imager.poll_interval("50ms").start()?;
    let chain = site
        .chain(&[Stage::CatalogSetup, Stage::Imaging], site.group)
        .await?;
    let made = chain.result().timeout("60s").await?["outputs"].clone();
    assert!(
        made["image_path"]
            .as_str()
            .is_some_and(|path| path.contains(".fits")),
        "{made}"
    );
    assert!(is_there(&made["catalogue_path"]), "{made}");
    let attempts = site.client().list_runs(chain.task_id()).await?;
    let first = attempts[0].failure_reason.as_ref().map(ToString::to_string);
    assert!(first.is_some_and(|said| said.contains("the disk array is away")));
    assert_eq!(attempts.len(), 2);
    let children = site.children(&chain).await?;
    let mut states: Vec<_> = children
        .iter()
        .map(|child| (child.state, child.attempts))
        .collect();
    states.reverse();
    assert_eq!(states, [(TaskState::Failed, 3), (TaskState::Completed, 1)]);
    imager.stop().await?;
    worker.stop().await?;
    Ok(())
}

#[tokio::test]
async fn a_stage_ends_with_its_workflow() -> TestResult {
    let site = Site::new().await?;
    let worker = site.worker_without(Stage::Conversion)?.start()?;
    let chain = site.chain(&[Stage::Conversion], site.group).await?;
    site.is_away(&chain).await?;
    site.client().cancel(chain.task_id()).await?;
    let states: Vec<_> = site
        .children(&chain)
        .await?
        .iter()
        .map(|child| child.state)
        .collect();
    assert_eq!(states, [TaskState::Cancelled]);

    let chain = site.chain(&[Stage::Conversion], site.group).await?;
    site.is_away(&chain).await?;
    let child = site.children(&chain).await?[0].task_id;
    site.elsewhere()?.cancel(child).await?;
    let failed = chain.result().timeout("60s").snapshot().await?.failure;
    let message = failed.ok_or("it has failed")?.message;
    assert!(message.contains("has been cancelled"), "{message}");
    worker.stop().await?;
    Ok(())
}

/// A stage whose result says how many tasks its workflow has spawned.
#[task(name = "imaging")]
async fn counted(
    ctx: &mut Context,
    _params: StageParams,
    client: State<Client>,
) -> TaskResult<StageResult> {
    let own = client.get_task(ctx.task_id()).await?;
    let siblings = TaskFilter {
        parent_task_id: own.and_then(|task| task.summary.parent_task_id),
        ..TaskFilter::default()
    };
    let tasks = client.list_tasks(&siblings, None, 100).await?.len();
    let outputs = Outputs {
        image_path: Some(format!("{tasks}.fits").into()),
        ..Outputs::default()
    };
    Ok(StageResult { outputs })
}

#[tokio::test]
async fn wherever_a_worker_is_killed_there_is_one_child() -> TestResult {
    let queue = QueueName::new("default")?;
    let tools = Toolbox::of(&Config {
        stage_queues: BTreeMap::from([(Stage::Imaging, queue)]),
        ..config(Path::new("/none"), Path::new("/none"))
    });
    // The stage goes to the queue of its workflow: one worker, which is killed, has both.
    let worker = |client: &Client| {
        let worker = Worker::builder(client).task(run_chain).task(counted);
        worker
            .state(client.clone())
            .state(tools.clone().with_client(client))
    };
    let order = ChainParams {
        stages: vec![Stage::Imaging],
        ..ChainParams::default()
    };
    let kills = absurd_test::crash_matrix(worker, run_chain, &order).await?;
    assert!(
        kills > 8,
        "{kills} kills are fewer than there are statements"
    );
    Ok(())
}

/// The program itself, with its own configuration.
fn program(site: &Site, queues: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pipeline-worker"));
    command
        .args(["worker", "--lease", "2s"])
        .env("ABSURD_DATABASE_URL", site.database.url())
        .env("ABSURD_QUEUE_NAME", "default")
        .env("ABSURD_WORKER_CONCURRENCY", "1")
        .env("ABSURD_WORKER_POLL_INTERVAL_SEC", "0.1")
        .env("PIPELINE_INPUT_DIR", site.folder.path().join("incoming"))
        .env("PIPELINE_OUTPUT_DIR", site.output())
        .env("PIPELINE_STAGE_QUEUES", queues)
        .stdin(Stdio::null())
        .stderr(Stdio::piped());
    command
}

#[test]
fn a_stage_that_nobody_knows_keeps_a_worker_from_starting() -> TestResult {
    let refused = Command::new(env!("CARGO_BIN_EXE_pipeline-worker"))
        .arg("worker")
        .env("PIPELINE_STAGE_QUEUES", "imagine=elsewhere")
        .output()?;
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success(), "{said}");
    assert!(
        said.contains("PIPELINE_STAGE_QUEUES") && said.contains("`imagine`"),
        "{said}"
    );
    for stage in Stage::ALL {
        assert!(said.contains(stage.name()), "{said}");
    }
    Ok(())
}

#[tokio::test]
async fn a_killed_worker_is_followed_by_one_that_spawns_no_second_child() -> TestResult {
    let site = Site::new().await?;
    // The program makes the queue that it needs.
    let queues = format!("conversion={ELSEWHERE}, imaging=imaging");
    let mut first = program(&site, &queues).spawn()?;
    let chain = site
        .chain(&[Stage::CatalogSetup, Stage::Conversion], site.group)
        .await?;
    site.is_away(&chain).await?;
    first.kill()?;
    first.wait()?;
    let queues_there = site.client().list_queues().await?;
    assert!(
        queues_there.contains(&QueueName::new("imaging")?),
        "{queues_there:?}"
    );

    // The second one would send the stage elsewhere, but it is under way.
    let mut second = program(&site, "conversion=imaging").spawn()?;
    let converter = pipeline_worker(&site.elsewhere()?, Toolbox::of(&site.config()));
    let converter = converter.poll_interval("50ms").start()?;
    let made = chain.result().timeout("60s").await;
    second.kill()?;
    second.wait()?;
    assert!(is_there(&made?["outputs"]["ms_path"]));
    let children = site.children(&chain).await?;
    assert_eq!(children.len(), 1, "{children:?}");
    converter.stop().await?;
    Ok(())
}
