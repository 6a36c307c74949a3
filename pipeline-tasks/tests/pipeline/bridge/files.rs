//! Single files: growing, corrupt, twice there, or none of ours.

use std::{
    fs::{self, File},
    io::Write as _,
    path::Path,
    time::Duration,
};

use jiff::SignedDuration;
use pipeline_tasks::bridge::GroupState;

use super::{JITTER, SETTLED, Site, VICTIM, files_in, states};
use crate::TestResult;

#[tokio::test]
async fn a_growing_file_is_awaited() -> TestResult {
    let site = Site::new().await?;
    site.arrive_without(Some(VICTIM), 0)?;
    let content = fs::read(site.original(5))?;
    let mut growing = File::create(site.victim())?;
    let mut bridge = site.bridge()?;
    let mut now = site.now()?;
    bridge.scan(now).await?;
    for part in content.chunks(content.len().div_ceil(3)) {
        growing.write_all(part)?;
        now += SETTLED;
        let status = bridge.scan(now).await?;
        assert_eq!(states(status), [(GroupState::Collecting, Vec::new())]);
        assert_eq!(status.groups[0].growing, [VICTIM], "others settle");
        assert!(status.corrupt.is_empty());
        // A scan soon after does not see it settle.
        now += SignedDuration::from_secs(4);
        bridge.scan(now).await?;
        assert!(site.tasks().await?.is_empty());
    }
    bridge.scan(now + SETTLED).await?;
    assert_eq!(site.submitted().await?, files_in(&site.incoming())?);
    Ok(())
}

/// Ways to spoil a file, with a part of what the operator is told.
const SPOILT: [(&str, &str); 4] = [
    ("empty", "the file is empty"),
    ("truncated", "copy it again"),
    ("without its flags", "`Data/flags` is missing"),
    ("of another shape", "the header says otherwise"),
];

fn spoil(path: &Path, how: &str) -> TestResult {
    match how {
        "empty" => drop(File::create(path)?),
        "truncated" => File::options().write(true).open(path)?.set_len(2_000)?,
        _ => {
            let file = hdf5_metno::File::open_rw(path)?;
            file.unlink("Data/flags")?;
            if how == "of another shape" {
                let shape = [1, 1, 4, 2];
                let flags = file.new_dataset::<bool>().shape(shape);
                flags.create("Data/flags")?;
            }
            file.close()?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn corrupt_files_are_reported_and_good_copies_awaited() -> TestResult {
    for (how, expected) in SPOILT {
        let site = Site::new().await?;
        site.arrive_without(None, 0)?;
        spoil(&site.victim(), how)?;
        let mut bridge = site.bridge()?;
        let status = site.settle(&mut bridge).await?;
        let [corrupt] = &status.corrupt[..] else {
            return Err(format!("{how}: {:?}", status.corrupt).into());
        };
        assert_eq!(corrupt.path, site.victim(), "{how}");
        assert!(corrupt.problem.contains(expected), "{how}: {corrupt:?}");
        assert_eq!(states(status), [(GroupState::Collecting, vec![VICTIM])]);
        assert!(site.tasks().await?.is_empty(), "{how}");

        site.arrive(5, JITTER[5])?;
        let status = site.settle(&mut bridge).await?;
        assert!(status.corrupt.is_empty(), "{how}");
        assert_eq!(site.submitted().await?, files_in(&site.incoming())?);
    }
    Ok(())
}

#[tokio::test]
async fn a_good_copy_beside_a_corrupt_one_is_taken() -> TestResult {
    let site = Site::new().await?;
    site.arrive_without(None, 0)?;
    spoil(&site.victim(), "truncated")?;
    let copy = site.arrive(5, 33)?;
    let mut bridge = site.bridge()?;
    site.settle(&mut bridge).await?;
    let submitted = site.submitted().await?;
    assert!(submitted.contains(&copy) && !submitted.contains(&site.victim()));
    Ok(())
}

/// A second file for the victim: by how many seconds its stamp and its time of change differ, by
/// how many bytes its size, and whether it is the one to keep.
const SECOND_FILES: [(i64, i64, u64, bool); 5] = [
    (20, -100, 4_096, true),
    (20, 100, 0, true),
    (20, -100, 0, false),
    // Stamped before all others: the group keeps its id, and its last files.
    (-30, -100, 0, false),
    (-30, 100, 4_096, false),
];

#[tokio::test]
async fn the_larger_or_newer_of_two_files_is_kept() -> TestResult {
    for (stamp, changed, bytes, is_kept) in SECOND_FILES {
        let case = format!("{stamp} {changed} {bytes}");
        let site = Site::new().await?;
        site.arrive_without(None, 0)?;
        let first = site.victim();
        let second = site.arrive(5, stamp)?;
        let file = File::options().write(true).open(&second)?;
        file.set_len(file.metadata()?.len() + bytes)?;
        let shift = Duration::from_secs(changed.unsigned_abs());
        let time = fs::metadata(&first)?.modified()?;
        file.set_modified(if changed < 0 {
            time - shift
        } else {
            time + shift
        })?;
        let (kept, left) = if is_kept {
            (&second, &first)
        } else {
            (&first, &second)
        };

        let mut bridge = site.bridge()?;
        site.settle(&mut bridge).await?;
        // After the submission, and after a restart.
        for _ in 0..2 {
            let [duplicate] = &bridge.status().duplicates[..] else {
                return Err(format!("{case}: {:?}", bridge.status()).into());
            };
            assert_eq!((&duplicate.path, &duplicate.kept), (left, kept), "{case}");
            assert!(bridge.status().late.is_empty(), "{case}");
            bridge = site.bridge()?;
            site.settle(&mut bridge).await?;
        }
        let submitted = site.submitted().await?;
        assert!(
            submitted.contains(kept) && !submitted.contains(left),
            "{case}"
        );
        let key = site.tasks().await?[0].idempotency_key.clone();
        assert_eq!(key, Some(format!("process-group:{}", site.group)), "{case}");
    }
    Ok(())
}

#[tokio::test]
async fn other_names_are_ignored() -> TestResult {
    let site = Site::new().await?;
    site.arrive_without(None, 0)?;
    let strangers = [
        "2026-01-26T08:05:18_sb05.hdf5.part",
        "2026-01-26T08:05:18_sb16.hdf5",
        "notes.txt",
    ];
    for name in strangers {
        fs::write(site.incoming().join(name), "something")?;
    }
    fs::create_dir(site.incoming().join("2026-01-26T08:05:18_sb05.hdf5"))?;
    let mut bridge = site.bridge()?;
    let status = site.settle(&mut bridge).await?;
    let names: Vec<_> = status
        .ignored
        .iter()
        .filter_map(|path| path.file_name())
        .collect();
    let [part, beyond, notes] = strangers;
    assert_eq!(
        names,
        ["2026-01-26T08:05:18_sb05.hdf5", part, beyond, notes]
    );
    assert_eq!(site.submitted().await?.len(), 16);
    Ok(())
}
