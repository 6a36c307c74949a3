//! One observation, one task: whoever submits it, and whatever comes later.

use std::{collections::BTreeSet, fs};

use absurd_sdk::TaskFilter;
use absurd_test::Database;
use jiff::Timestamp;
use pipeline_tasks::{
    bridge::{Bridge, GroupState, Partial, Settings},
    model::SubbandIndex,
};

use super::{JITTER, OVERDUE, SETTLED, SHUFFLED, Site, VICTIM, files_in, states};
use crate::{TestResult, shared_data};

#[tokio::test]
async fn shuffled_files_with_jitter_make_one_task() -> TestResult {
    let site = Site::new().await?;
    let mut bridge = site.bridge()?;
    for subband in SHUFFLED {
        site.arrive(subband, JITTER[subband])?;
        bridge.scan(site.now()?).await?;
    }
    // The next observation begins before this one is submitted.
    for (subband, seconds) in JITTER.into_iter().enumerate().take(8) {
        site.arrive(subband, 309 + seconds)?;
    }
    let before = files_in(&site.incoming())?;
    let status = site.settle(&mut bridge).await?;
    assert_eq!(status.submitted, 1);
    let missing: Vec<_> = (8..16).map(SubbandIndex).collect();
    assert_eq!(states(status), [(GroupState::Collecting, missing)]);

    let first: BTreeSet<_> = (0..16).map(|n| site.place(n, JITTER[n])).collect();
    assert_eq!(site.submitted().await?, first);
    let key = site.tasks().await?[0].idempotency_key.clone();
    assert_eq!(key, Some(format!("process-group:{}", site.group)));
    assert_eq!(files_in(&site.incoming())?, before, "nothing is renamed");
    for (subband, seconds) in JITTER.into_iter().enumerate() {
        let bytes = fs::read(site.place(subband, seconds))?;
        assert!(bytes == fs::read(site.original(subband))?, "{subband}");
    }
    Ok(())
}

/// Two observations of an independent writer; some of its subbands are stamped a second late.
#[tokio::test]
async fn files_of_another_writer_are_grouped() -> TestResult {
    let Some(folder) = shared_data("groups/small") else {
        return Ok(());
    };
    let site = Site::new().await?;
    let mut bridge = site.bridge_with(Settings {
        incoming: folder.clone(),
        ..site.settings()
    })?;
    let now = Timestamp::from_second(4_000_000_000)?;
    bridge.scan(now).await?;
    let status = bridge.scan(now + SETTLED).await?;
    assert_eq!((status.submitted, status.groups.len()), (2, 0));
    assert!(status.corrupt.is_empty() && status.duplicates.is_empty());
    let ignored: Vec<_> = status.ignored.iter().collect();
    let others = files_in(&folder)?.into_iter();
    let others: Vec<_> = others
        .filter(|path| path.extension().is_none_or(|kind| kind != "hdf5"))
        .collect();
    assert_eq!(ignored, others.iter().collect::<Vec<_>>());
    assert_eq!(site.tasks().await?.len(), 2);
    Ok(())
}

#[tokio::test]
async fn two_bridges_at_once_make_one_task() -> TestResult {
    // With one output folder the lock is between them; with two the key alone.
    for other_output in ["output", "elsewhere"] {
        let site = Site::new().await?;
        site.arrive_without(None, 0)?;
        let mut one = site.bridge()?;
        let mut two = site.bridge_with(Settings {
            output: site.folder.path().join(other_output),
            ..site.settings()
        })?;
        let now = site.now()?;
        for time in [now, now + SETTLED, now + SETTLED * 2] {
            let (first, second) = tokio::join!(one.scan(time), two.scan(time));
            let (first, second) = (first?, second?);
            assert!(first.submitted <= 1 && second.submitted <= 1);
        }
        assert_eq!(site.submitted().await?, files_in(&site.incoming())?);
        assert_eq!((one.status().submitted, two.status().submitted), (1, 1));
        assert!(one.status().late.is_empty() && two.status().late.is_empty());
    }
    Ok(())
}

#[tokio::test]
async fn a_restart_submits_nothing_again() -> TestResult {
    let site = Site::new().await?;
    site.arrive_without(None, 0)?;
    site.settle(&mut site.bridge()?).await?;

    // The database knows, also when the output folder is lost: a crash between the spawn and
    // the note of it looks the same.
    for lost in [false, true] {
        if lost {
            fs::remove_dir_all(site.output())?;
        }
        let mut again = site.bridge()?;
        let status = site.settle(&mut again).await?;
        assert_eq!((status.submitted, status.groups.len()), (1, 0));
        assert!(status.late.is_empty(), "{:?}", status.late);
        assert_eq!(site.tasks().await?.len(), 1);
    }

    // The folder knows, also when the database has cleaned the task up.
    let empty = Database::start().await?;
    let mut again = Bridge::new(empty.client().clone(), site.settings())?;
    let status = site.settle(&mut again).await?;
    assert_eq!((status.submitted, status.groups.len()), (1, 0));
    let tasks = empty.client();
    let tasks = tasks.list_tasks(&TaskFilter::default(), None, 10).await?;
    assert!(tasks.is_empty(), "{tasks:?}");
    Ok(())
}

#[tokio::test]
async fn late_files_are_left_alone() -> TestResult {
    let site = Site::new().await?;
    site.arrive_without(None, 0)?;
    let whole = files_in(&site.incoming())?;
    let mut bridge = site.bridge()?;
    site.settle(&mut bridge).await?;
    // Earlier than the group's id, which must not change for that; and later.
    let late = [site.arrive(3, -20)?, site.arrive(3, 45)?];
    site.settle(&mut bridge).await?;
    for lost in [false, true] {
        let reported: Vec<_> = bridge.status().late.iter().map(|late| &late.path).collect();
        assert_eq!(reported, late.iter().collect::<Vec<_>>());
        assert!(
            bridge
                .status()
                .late
                .iter()
                .all(|late| late.group == site.group)
        );
        assert!(bridge.status().groups.is_empty());
        assert_eq!(site.submitted().await?, whole);
        if lost {
            fs::remove_dir_all(site.output())?;
        }
        bridge = site.bridge()?;
        site.settle(&mut bridge).await?;
    }
    assert_eq!(bridge.status().late.len(), 2);
    Ok(())
}

#[tokio::test]
async fn what_stays_incomplete_is_refused() -> TestResult {
    for (partial, state) in [
        (Partial::Refuse, GroupState::Refused),
        (Partial::Wait, GroupState::Collecting),
    ] {
        let site = Site::new().await?;
        site.arrive_without(Some(VICTIM), 0)?;
        let mut bridge = site.bridge_with(Settings {
            partial,
            ..site.settings()
        })?;
        let status = site.settle(&mut bridge).await?;
        assert_eq!(states(status), [(GroupState::Collecting, vec![VICTIM])]);
        let now = site.now()?;
        let status = bridge.scan(now + OVERDUE).await?;
        assert_eq!(states(status), [(state, vec![VICTIM])]);
        // A restart changes nothing about that: the files' own times count.
        let mut again = site.bridge_with(bridge.settings().clone())?;
        again.scan(now + OVERDUE).await?;
        let status = again.scan(now + OVERDUE + SETTLED).await?;
        assert_eq!(states(status), [(state, vec![VICTIM])]);
        assert!(site.tasks().await?.is_empty());

        // Whole at last.
        site.arrive(5, JITTER[5])?;
        site.settle(&mut again).await?;
        assert_eq!(site.submitted().await?, files_in(&site.incoming())?);
    }
    Ok(())
}
