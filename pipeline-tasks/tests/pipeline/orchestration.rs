//! Workflows above single groups: batches of transits, and events that nobody sends.

use std::time::Duration;

use absurd_sdk::TaskFilter;
use absurd_test::eventually;
use pipeline_tasks::registry;
use serde_json::{Value, json};

use crate::{
    TestResult,
    stages::{Site, is_there, quick},
};

/// The groups about the transit of 0834+555, which is at 08:07, until a time.
fn transit(until: &str, at_least: usize) -> Value {
    json!({
        "ra": 128.728_767,
        "dec": 55.572_520,
        "start_time": "2026-01-26T08:00:00",
        "end_time": format!("2026-01-26T{until}"),
        "min_ms_count": at_least,
        "config": quick(),
    })
}

#[tokio::test]
async fn a_batch_makes_a_mosaic_of_each_transit() -> TestResult {
    let site = Site::new().await?;
    let client = site.database.client();
    registry::install(client.pool()).await?;
    let worker = site.worker("catalog.csv")?;
    let both = transit("08:30:00", 2);
    let batch = json!({"transits": [both.clone(), transit("08:09:00", 1)]});
    let made = site.run("mosaic-batch", batch).await?;
    assert_eq!(made["count"], 2);
    let groups: Vec<Vec<_>> = made["results"]
        .as_array()
        .ok_or("no results")?
        .iter()
        .map(|made| {
            assert!(is_there(&made["mosaic_path"]), "{made}");
            let groups = made["transit"]["groups"].as_array().map(Vec::as_slice);
            groups
                .unwrap_or_default()
                .iter()
                .map(|group| group["id"].clone())
                .collect()
        })
        .collect();
    println!("{groups:?}");
    assert_eq!(groups.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1]);
    assert_ne!(
        made["results"][0]["mosaic_path"],
        made["results"][1]["mosaic_path"]
    );
    // The first group belongs to both transits, and was processed once.
    let processed = TaskFilter {
        task_name: Some("process-group".to_owned()),
        ..TaskFilter::default()
    };
    assert_eq!(client.list_tasks(&processed, None, 10).await?.len(), 2);

    let batch = json!({"transits": [both, transit("08:30:00", 3)]});
    let refused = site.run("mosaic-batch", batch).await;
    let refused = refused.err().ok_or("a transit without its groups")?;
    let said = "the fullest transit has 2 groups, 3 are needed";
    assert!(refused.to_string().contains(said), "{refused}");
    worker.stop().await?;
    Ok(())
}

#[tokio::test]
async fn an_event_that_does_not_come_fails_its_task_for_good() -> TestResult {
    let site = Site::new().await?;
    let client = site.database.client();
    let clock = site.database.clock("2026-01-26T09:00:00Z".parse()?).await?;
    let worker = site.worker("catalog.csv")?;
    let inputs = json!({"config": quick(), "inputs": {"group_id": site.groups[0]}});
    let cases = [
        (
            "calibration-job",
            json!({"job_id": "night 1"}),
            "conversion.completed:night 1",
        ),
        (
            "imaging-job",
            json!({"job_id": "night 2"}),
            "calibration.completed:night 2",
        ),
        (
            "process-target",
            json!({"calibration_key": "night 3", "params": inputs}),
            "caltables.ready:night 3",
        ),
    ];
    let mut waiting = Vec::new();
    for (task, mut params, event) in cases {
        params["timeout_sec"] = json!(3_600);
        // Three attempts: what may be tried again would be.
        let handle = client.spawn_by_name(task, params).max_attempts(3).await?;
        waiting.push((handle, event));
    }
    let events = async || -> Vec<String> {
        let waits = client.list_waits(None, None).await.unwrap_or_default();
        waits.into_iter().map(|wait| wait.event_name).collect()
    };
    eventually("all wait", async || events().await.len() == 3).await?;
    for (_, event) in &waiting {
        assert!(events().await.contains(&(*event).to_owned()), "{event}");
    }
    clock.advance(Duration::from_secs(3_601)).await?;
    for (handle, event) in &waiting {
        let failure = handle.result().timeout("1m").await.err().ok_or("it came")?;
        let said = format!("`{event}` did not come within 3600 s");
        assert!(failure.to_string().contains(&said), "{failure}");
        assert_eq!(
            client.list_runs(handle.task_id()).await?.len(),
            1,
            "{event}"
        );
    }
    worker.stop().await?;
    Ok(())
}
