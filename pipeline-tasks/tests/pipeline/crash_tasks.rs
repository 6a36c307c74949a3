//! Tasks beside `process-group` whose worker is killed while a program of the field runs: another
//! worker finishes, the result is that of a run that nobody disturbed, and nothing half-made stays.

use std::{fs, path::PathBuf, time::Duration};

use absurd_sdk::{RetryPolicy, RunState, TaskHandle};
use absurd_test::eventually;
use pipeline_tasks::io::read_plane;
use serde_json::{Value, json};

use crate::{
    TestResult,
    killing::{Place, Site, is_alive, parts_in},
};

/// Spawns a task that is tried again soon.
async fn spawn(site: &Site, task: &str, params: Value) -> TestResult<TaskHandle<Value>> {
    let spawn = site.client().spawn_by_name(task, params);
    let soon = RetryPolicy::fixed(Duration::from_millis(100));
    Ok(spawn.max_attempts(3).retry(soon).await?)
}

async fn run(place: &Place<'_>, task: &str, params: Value) -> TestResult<Value> {
    let handle = spawn(place.site, task, params).await?;
    let mut worker = place.worker("300")?;
    let made = handle.result().timeout("3m").await?;
    worker.kill().await?;
    Ok(made)
}

/// Runs a task with a worker that is killed while a program runs, and then with another one.
async fn killed_in(
    place: &Place<'_>,
    program: &str,
    task: &str,
    params: Value,
) -> TestResult<Value> {
    place.hold(program)?;
    let handle = spawn(place.site, task, params).await?;
    let mut worker = place.worker("300")?;
    let started = place.starts(program, 1).await?;
    assert!(is_alive(started[0]));
    worker.kill().await?;
    eventually("the kernel kills the program", async || {
        !is_alive(started[0])
    })
    .await?;
    let left = parts_in(&place.output())?;
    assert!(
        !left.is_empty(),
        "{program} had no scratch: nothing is shown"
    );
    println!("{task} was killed in {program} and left {left:?}");

    fs::write(place.go(program), "")?;
    let mut worker = place.worker("300")?;
    let made = handle.result().timeout("3m").await?;
    worker.kill().await?;
    place.check_began_again(program).await?;
    let runs = place.site.client().list_runs(handle.task_id()).await?;
    let states: Vec<RunState> = runs.iter().map(|run| run.state).collect();
    assert_eq!(states, [RunState::Failed, RunState::Completed]);
    assert_eq!(parts_in(&place.output())?, Vec::<PathBuf>::new());
    Ok(made)
}

/// An observation that was processed as far as its tile.
async fn imaged(place: &Place<'_>) -> TestResult<Value> {
    run(place, "run-chain", chain(place.site)).await
}

fn chain(site: &Site) -> Value {
    json!({
        "chain": "calibrator",
        "params": {
            "config": {"imaging_tier": "development"},
            "inputs": {"file_paths": site.files},
        },
    })
}

#[tokio::test]
async fn a_mosaic_whose_worker_dies_in_swarp_is_made_by_another_one() -> TestResult {
    let site = Site::new().await?;
    let place = site.place("mosaic")?;
    imaged(&place).await?;
    let order = |name: &str| json!({"groups": [site.group], "name": name});
    let expected = run(&place, "create-mosaic", order("undisturbed")).await?;
    let made = killed_in(&place, "SWarp", "create-mosaic", order("killed")).await?;
    for file in ["image", "weight", "noise"] {
        let read = |made: &Value| -> TestResult<_> {
            let path = made["mosaic"][file].as_str().ok_or("no file")?.to_owned();
            Ok(read_plane(path.as_ref())?)
        };
        let (one, two) = (read(&expected)?, read(&made)?);
        let same = one.values.iter().zip(&two.values);
        // Blank pixels are no numbers, and the same bits.
        let same = same.filter(|(one, two)| one.to_bits() == two.to_bits());
        assert_eq!(same.count(), one.values.len(), "{file}");
        assert_eq!((one.width, one.height), (two.width, two.height));
    }
    assert_eq!(made["quality"], expected["quality"]);
    let name = made["mosaic_path"].as_str().ok_or("no path")?;
    let said: i64 = sqlx::query_scalar(
        "select count(*) from absurd.e_default where event_name = $1 and emitted_at is not null",
    )
    .bind(format!("mosaic.published:{name}"))
    .fetch_one(site.client().pool())
    .await?;
    assert_eq!(said, 1);
    Ok(())
}

#[tokio::test]
async fn a_chain_whose_worker_dies_in_a_stage_leaves_nothing_half_made() -> TestResult {
    let site = Site::new().await?;
    let place = site.place("chain")?;
    let made = killed_in(&place, "wsclean", "run-chain", chain(&site)).await?;
    assert!(made["outputs"]["report_path"].is_string(), "{made}");
    Ok(())
}

#[tokio::test]
async fn a_stage_whose_worker_dies_leaves_nothing_half_made() -> TestResult {
    let site = Site::new().await?;
    let place = site.place("stage")?;
    let chained = imaged(&place).await?;
    let ms = chained["outputs"]["ms_path"].clone();
    let params = json!({"config": {"imaging_tier": "development"}, "outputs": {"ms_path": ms}});
    let made = killed_in(&place, "wsclean", "imaging", params).await?;
    assert_eq!(
        made["outputs"]["image_path"],
        chained["outputs"]["image_path"]
    );
    // Nothing of it was remembered, so the sources are looked for anew.
    let params = json!({"image_path": made["outputs"]["image_path"]});
    killed_in(&place, "source-extractor", "validation", params).await?;
    Ok(())
}
