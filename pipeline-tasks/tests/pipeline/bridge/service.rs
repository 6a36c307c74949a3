//! The bridge as a service: backpressure, trouble, status, events, the command.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    time::Duration,
};

use absurd_test::eventually;
use pipeline_tasks::{
    bridge::{Bridge, BridgeStatus, Bytes, GroupState, Pause, Settings},
    io::{Simulation, write_catalogue},
    tasks::Product,
};
use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::oneshot;

use super::{SETTLED, Site, files_in, states};
use crate::TestResult;

#[tokio::test]
async fn a_full_queue_pauses() -> TestResult {
    let site = Site::new().await?;
    site.arrive_without(None, 0)?;
    site.arrive_without(None, 309)?;
    let mut bridge = site.bridge_with(Settings {
        queue_max: 1,
        ..site.settings()
    })?;
    let mut fillers = Vec::new();
    for _ in 0..2 {
        let filler = site.client().spawn_by_name("filler", 0.into()).await?;
        fillers.push(filler.task_id());
    }
    let status = site.settle(&mut bridge).await?;
    let (pending, max) = (2, 1);
    assert_eq!(status.paused, Some(Pause::Queue { pending, max }));
    let ready = (GroupState::Ready, Vec::new());
    assert_eq!(states(status), [ready.clone(), ready.clone()]);
    assert!(site.tasks().await?.is_empty());

    // Room for one: the bridge resumes, submits that one and pauses again.
    site.client().cancel(fillers[0]).await?;
    let now = site.now()? + SETTLED * 2;
    let status = bridge.scan(now).await?;
    assert!(matches!(status.paused, Some(Pause::Queue { .. })));
    assert_eq!((status.submitted, states(status)), (1, vec![ready]));
    site.client().cancel(fillers[1]).await?;
    let status = bridge.scan(now).await?;
    assert_eq!(status.submitted, 2);
    assert_eq!(site.tasks().await?.len(), 2);
    Ok(())
}

#[tokio::test]
async fn a_full_disk_pauses() -> TestResult {
    let site = Site::new().await?;
    site.arrive_without(None, 0)?;
    let mut bridge = site.bridge_with(Settings {
        disk_min: Bytes(u64::MAX),
        ..site.settings()
    })?;
    let status = site.settle(&mut bridge).await?;
    let Some(Pause::Disk { free, min }) = status.paused else {
        return Err(format!("{status:?}").into());
    };
    assert!(free > Bytes(0) && min == Bytes(u64::MAX));
    assert_eq!(states(status), [(GroupState::Ready, Vec::new())]);
    assert!(site.tasks().await?.is_empty());
    // The pause goes by the disk alone: with less wanted free, the same files are submitted.
    let mut bridge = site.bridge()?;
    site.settle(&mut bridge).await?;
    assert_eq!(
        (bridge.status().paused.clone(), site.tasks().await?.len()),
        (None, 1)
    );
    Ok(())
}

#[tokio::test]
async fn trouble_is_told_and_got_over() -> TestResult {
    let site = Site::new().await?;
    site.arrive_without(None, 0)?;
    let client = site.client().on_queue("elsewhere")?;
    let mut bridge = Bridge::new(client.clone(), site.settings())?;
    let now = site.now()?;
    let refused = bridge
        .scan(now)
        .await
        .err()
        .ok_or("there is no such queue")?;
    assert!(!refused.is_permanent());
    let written = fs::read(site.output().join("bridge/status.json"))?;
    let text: serde_json::Value = serde_json::from_slice(&written)?;
    assert_eq!(text["paused"]["reason"], "trouble", "{text}");
    let written: BridgeStatus = serde_json::from_slice(&written)?;
    let Some(Pause::Trouble { problem }) = written.paused else {
        return Err(format!("{written:?}").into());
    };
    assert!(problem.contains("absurd queue create"), "{problem}");
    client.create_queue().await?;
    bridge.scan(now).await?;
    let status = bridge.scan(now + SETTLED).await?;
    assert_eq!((&status.paused, status.submitted), (&None, 1));
    Ok(())
}

#[tokio::test]
async fn the_status_is_written_when_it_changes() -> TestResult {
    let site = Site::new().await?;
    let place = site.output().join("bridge/status.json");
    let read = || -> TestResult<BridgeStatus> { Ok(serde_json::from_slice(&fs::read(&place)?)?) };
    let long_ago = std::time::SystemTime::UNIX_EPOCH;
    let mut bridge = site.bridge()?;
    site.arrive(0, 0)?;
    let now = site.now()?;
    for (subband, is_new) in [(None, true), (None, false), (Some(1), true)] {
        if let Some(subband) = subband {
            site.arrive(subband, 3)?;
        }
        let status = bridge.scan(now).await?;
        assert_eq!(&read()?, status);
        let file = File::options().write(true).open(&place)?;
        assert_eq!(
            file.metadata()?.modified()? != long_ago,
            is_new,
            "{subband:?}"
        );
        file.set_modified(long_ago)?;
    }
    let left = files_in(&site.output().join("bridge"))?;
    assert_eq!(
        left,
        BTreeSet::from([place.clone()]),
        "no half-written file stays"
    );
    Ok(())
}

#[tokio::test]
async fn arrivals_wake_the_bridge() -> TestResult {
    let site = Site::new().await?;
    let bridge = site.bridge_with(Settings {
        settle: Duration::ZERO,
        scan_interval: Duration::from_hours(1),
        ..site.settings()
    })?;
    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn(bridge.run_until(async {
        let _ = stopped.await;
    }));
    let status = site.output().join("bridge/status.json");
    eventually("the first scan", async || status.is_file()).await?;
    site.arrive_without(None, 0)?;
    eventually("an event wakes the bridge", async || {
        site.tasks().await.is_ok_and(|tasks| tasks.len() == 1)
    })
    .await?;
    stop.send(()).map_err(|()| "the bridge has ended")?;
    Ok(running.await??)
}

#[tokio::test]
async fn a_worker_images_what_the_bridge_submitted() -> TestResult {
    let simulation = Simulation::default();
    let sky = simulation.sources()?;
    let site = Site::observing(simulation).await?;
    site.arrive_without(None, 0)?;
    site.settle(&mut site.bridge()?).await?;
    let catalogue = site.folder.path().join("catalog.csv");
    write_catalogue(&catalogue, &sky)?;
    let mut worker = site.command("worker");
    let _worker = worker.env("PIPELINE_CATALOGUE", catalogue).spawn()?;
    let task = site.tasks().await?[0].task_id;
    let product = site.client().result_of::<Product>(task).timeout("5m");
    let product = product.await?;
    assert_eq!(product.group, site.group);
    assert!(product.image.is_file() && !product.sources.is_empty());
    Ok(())
}

#[tokio::test]
async fn the_command_submits_and_ends_with_sigterm() -> TestResult {
    let site = Site::new().await?;
    site.arrive_without(None, 0)?;
    let mut bridge = site
        .command("bridge")
        .args(["--settle", "10ms", "--scan-interval", "100ms"])
        .env("PIPELINE_BRIDGE_DISK_MIN", "1MB")
        .spawn()?;
    eventually("the group is submitted", async || {
        site.tasks().await.is_ok_and(|tasks| tasks.len() == 1)
    })
    .await?;
    let process = i32::try_from(bridge.id().ok_or("it has ended")?)?;
    let process = Pid::from_raw(process).ok_or("no process")?;
    kill_process(process, Signal::TERM)?;
    assert!(bridge.wait().await?.success());
    Ok(())
}
