//! Windows of groups become mosaics by themselves, each once.

use std::{collections::BTreeSet, path::Path, process::Stdio};

use absurd_sdk::{TaskFilter, TaskSummary};
use absurd_test::{Database, eventually};
use jiff::{SignedDuration, civil::date};
use pipeline_tasks::{
    model::GroupId,
    registry::{self, Product, ProductKind, mark_deleted, record_product},
    tasks::{SubmittedWindows, WindowsOrder, mosaic_windows},
};
use serde_json::{Value, json};

use crate::{
    TestResult,
    stages::{Site, is_there, quick},
};

/// A group of a night by its number.
fn group(number: i64) -> GroupId {
    let evening = date(2026, 1, 26).at(3, 0, 0, 0);
    let start = evening.saturating_add(SignedDuration::from_secs(309 * number));
    GroupId::from(start)
}

fn groups(numbers: impl IntoIterator<Item = i64>) -> Vec<GroupId> {
    numbers.into_iter().map(group).collect()
}

fn image(group: GroupId) -> Product {
    Product::of_group(ProductKind::Image, group, format!("/images/{group}.fits"))
}

struct Night(Database);

impl Night {
    async fn new() -> TestResult<Self> {
        let database = Database::start().await?;
        registry::install(database.client().pool()).await?;
        Ok(Self(database))
    }

    /// Registers images, in the order in which they are given.
    async fn imaged(&self, numbers: impl IntoIterator<Item = i64>) -> TestResult {
        let mut connection = self.0.client().pool().acquire().await?;
        for group in groups(numbers) {
            record_product(&mut connection, &image(group)).await?;
        }
        Ok(())
    }

    /// Makes all images older.
    async fn hours_pass(&self, hours: f64) -> TestResult {
        sqlx::query(
            "update pipeline.products set created_at = created_at - make_interval(secs => $1)",
        )
        .bind(hours * 3_600.0)
        .execute(self.0.client().pool())
        .await?;
        Ok(())
    }

    /// Looks for windows; their mosaics are left to somebody else.
    async fn look(&self, order: WindowsOrder) -> TestResult<SubmittedWindows> {
        let client = self.0.client();
        let handle = client.spawn(mosaic_windows, order).priority(1).await?;
        let worker = absurd_sdk::Worker::builder(client)
            .concurrency(1)
            .state(client.clone())
            .task(mosaic_windows);
        worker.run_batch().await?;
        Ok(handle.result().await?)
    }

    async fn submitted(&self) -> TestResult<Vec<Vec<GroupId>>> {
        let found = self.look(WindowsOrder::default()).await?.submitted;
        Ok(found.into_iter().map(|found| found.window.groups).collect())
    }

    /// The groups of all mosaics that were ever asked for, and the keys of their tasks.
    async fn mosaics(&self) -> TestResult<(Vec<Vec<GroupId>>, BTreeSet<String>)> {
        let client = self.0.client();
        let (mut mosaics, mut keys) = (Vec::new(), BTreeSet::new());
        for TaskSummary { task_id, .. } in tasks(&self.0, "create-mosaic").await? {
            let task = client.get_task(task_id).await?.ok_or("no task")?;
            mosaics.push(serde_json::from_value(task.params["groups"].clone())?);
            keys.extend(task.summary.idempotency_key);
        }
        mosaics.sort();
        Ok((mosaics, keys))
    }
}

async fn tasks(database: &Database, name: &str) -> TestResult<Vec<TaskSummary>> {
    let filter = TaskFilter {
        task_name: Some(name.to_owned()),
        ..TaskFilter::default()
    };
    Ok(database.client().list_tasks(&filter, None, 500).await?)
}

#[tokio::test]
async fn each_complete_window_is_submitted_once() -> TestResult {
    let night = Night::new().await?;
    // They are finished in any order.
    night.imaged((0..25).rev()).await?;
    let expected = [groups(0..10), groups(8..18)];
    assert_eq!(night.submitted().await?, expected);
    for _ in 0..2 {
        assert_eq!(night.submitted().await?, Vec::<Vec<GroupId>>::new());
    }
    let (mosaics, keys) = night.mosaics().await?;
    assert_eq!(mosaics, expected);
    let names = expected.map(|groups| {
        let names: Vec<String> = groups.iter().map(GroupId::to_string).collect();
        format!("create-mosaic:{}", names.join(","))
    });
    assert_eq!(keys, BTreeSet::from(names));
    // The night goes on: one window more.
    night.imaged([25]).await?;
    assert_eq!(night.submitted().await?, [groups(16..26)]);
    Ok(())
}

#[tokio::test]
async fn windows_are_remembered_longer_than_their_tasks() -> TestResult {
    let night = Night::new().await?;
    night.imaged(0..12).await?;
    assert_eq!(night.submitted().await?, [groups(0..10)]);
    let client = night.0.client();
    let (_, keys) = night.mosaics().await?;
    assert_eq!(keys.len(), 1);
    for task in tasks(&night.0, "create-mosaic").await? {
        client.cancel(task.task_id).await?;
    }
    let gone: i32 = sqlx::query_scalar("select absurd.cleanup_tasks('default', 0)")
        .fetch_one(client.pool())
        .await?;
    assert!(gone >= 2, "{gone} tasks are forgotten");
    assert_eq!(night.submitted().await?, Vec::<Vec<GroupId>>::new());
    Ok(())
}

#[tokio::test]
async fn two_that_look_at_once_submit_each_window_once() -> TestResult {
    let night = Night::new().await?;
    night.imaged(0..26).await?;
    let client = night.0.client();
    let mut looks = Vec::new();
    for _ in 0..4 {
        let look = client.spawn(mosaic_windows, WindowsOrder::default());
        looks.push(look.priority(1).await?);
    }
    let worker = absurd_sdk::Worker::builder(client)
        .concurrency(4)
        .state(client.clone())
        .task(mosaic_windows);
    assert_eq!(worker.run_batch().await?, 4);
    let mut submitted = 0;
    for look in looks {
        submitted += look.result().await?.submitted.len();
    }
    assert_eq!((submitted, night.mosaics().await?.0.len()), (3, 3));
    Ok(())
}

#[tokio::test]
async fn what_a_gap_leaves_incomplete_waits() -> TestResult {
    let night = Night::new().await?;
    // Group 12 is lost: 8 to 11 follow a complete window, and the night begins anew at 13.
    night.imaged((0..12).chain(13..16)).await?;
    let first = night.look(WindowsOrder::default()).await?;
    assert_eq!((first.submitted.len(), first.waiting), (1, 2));
    night.hours_pass(5.9).await?;
    assert_eq!(night.submitted().await?, Vec::<Vec<GroupId>>::new());
    night.hours_pass(0.2).await?;
    assert_eq!(night.submitted().await?, [groups(8..12), groups(13..16)]);
    assert_eq!(night.submitted().await?, Vec::<Vec<GroupId>>::new());
    let complete: Vec<bool> =
        sqlx::query_scalar("select is_complete from pipeline.mosaic_windows order by groups")
            .fetch_all(night.0.client().pool())
            .await?;
    assert_eq!(complete, [true, false, false]);
    Ok(())
}

#[tokio::test]
async fn a_late_group_makes_the_windows_it_belongs_to() -> TestResult {
    let night = Night::new().await?;
    night.imaged((0..4).chain(5..18)).await?;
    assert_eq!(night.submitted().await?, [groups(5..15)]);
    night.imaged([4]).await?;
    assert_eq!(night.submitted().await?, [groups(0..10), groups(8..18)]);
    let (mosaics, _) = night.mosaics().await?;
    assert_eq!(mosaics, [groups(0..10), groups(5..15), groups(8..18)]);
    Ok(())
}

#[tokio::test]
async fn a_window_without_one_of_its_images_is_none() -> TestResult {
    let night = Night::new().await?;
    night.imaged(0..18).await?;
    let mut connection = night.0.client().pool().acquire().await?;
    let lost = image(group(3));
    assert!(mark_deleted(&mut connection, ProductKind::Image, &lost.path).await?);
    assert_eq!(night.submitted().await?, [groups(8..18)]);
    // It is imaged again.
    record_product(&mut connection, &lost).await?;
    assert_eq!(night.submitted().await?, [groups(0..10)]);
    Ok(())
}

#[tokio::test]
async fn from_raw_files_to_a_mosaic_that_nobody_asked_for() -> TestResult {
    let site = Site::new().await?;
    let client = site.database.client();
    registry::install(client.pool()).await?;
    let worker = site.worker("catalog.csv")?;
    for group in site.groups {
        let files = (0..16).map(|subband| format!("{group}_sb{subband:02}.hdf5"));
        let files: Vec<String> = files.collect();
        let order = json!({"file_paths": files, "config": quick()});
        site.run("process-group", order).await?;
    }
    // Both are all that is to come of this night.
    let order = json!({"wait_sec": 0});
    let looked = site.run("mosaic-windows", order.clone()).await?;
    assert_eq!(
        looked["submitted"][0]["window"]["groups"],
        json!(site.groups)
    );
    let [task] = &tasks(&site.database, "create-mosaic").await?[..] else {
        return Err("there is not one mosaic".into());
    };
    let made: Value = client.result_of(task.task_id).timeout("5m").await?;
    assert_eq!(made["mosaic"]["images"], 2);
    let path = made["mosaic_path"].as_str().ok_or("no path")?;
    assert!(is_there(&made["mosaic_path"]));
    let said: i64 = sqlx::query_scalar(
        "select count(*) from absurd.e_default where event_name = $1 and payload is not null",
    )
    .bind(format!("mosaic.published:{path}"))
    .fetch_one(client.pool())
    .await?;
    assert_eq!(said, 1, "it is told");
    let again = site.run("mosaic-windows", order).await?;
    assert_eq!(again["submitted"], json!([]));
    worker.stop().await?;
    Ok(())
}

/// The worker's program, with a schedule for every second.
fn scheduled(database: &Database, output: &Path, cron: &str) -> tokio::process::Command {
    let mut program = tokio::process::Command::new(env!("CARGO_BIN_EXE_pipeline-worker"));
    program
        .arg("worker")
        .env("ABSURD_DATABASE_URL", database.url())
        .env("ABSURD_QUEUE_NAME", "default")
        .env("ABSURD_WORKER_CONCURRENCY", "1")
        .env("PIPELINE_OUTPUT_DIR", output)
        .env("PIPELINE_MOSAIC_SCHEDULE", cron)
        .env("PIPELINE_MOSAIC_WAIT_SEC", "7200")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    program
}

#[tokio::test]
async fn the_worker_looks_by_the_clock() -> TestResult {
    let night = Night::new().await?;
    let folder = tempfile::tempdir()?;
    let mut worker = scheduled(&night.0, folder.path(), "* * * * * *").spawn()?;
    let client = night.0.client();
    eventually("it has looked", async || {
        tasks(&night.0, "mosaic-windows").await.is_ok_and(|looks| {
            let done = looks.iter().filter(|look| look.state.is_terminal());
            done.count() >= 2
        })
    })
    .await?;
    night.imaged(0..10).await?;
    eventually("the window is submitted", async || {
        tasks(&night.0, "create-mosaic")
            .await
            .is_ok_and(|mosaics| mosaics.len() == 1)
    })
    .await?;
    let [schedule] = &client.schedules().await?[..] else {
        return Err("there is not one schedule".into());
    };
    assert_eq!(schedule.schedule_name, "mosaic-windows:default");
    assert_eq!(schedule.params["wait_sec"], 7_200.0);
    worker.kill().await?;

    let program = scheduled(&night.0, folder.path(), "now and then");
    let mut program = program;
    let refused = program.stderr(Stdio::piped()).output().await?;
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(
        !refused.status.success() && said.contains("now and then"),
        "{said}"
    );
    Ok(())
}
