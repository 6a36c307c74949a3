//! What is flagged as interference, held against what was put in.

use std::{fs, path::PathBuf, time::Duration};

use measurement_set::MeasurementSet;
use pipeline_tasks::{
    io::{SetInfo, convert},
    model::{ObservationGroup, SubbandFile, cluster},
    tools::flag_interference,
};
use serde_json::Value;

use crate::{TestResult, shared_data};

const LIMIT: Duration = Duration::from_mins(5);

/// A stretch of interference: its channel of the set, its first and last integration.
struct Stretch {
    channel: usize,
    times: [usize; 2],
}

fn stretches(truth: &Value, tile: usize, info: &SetInfo) -> TestResult<Vec<Stretch>> {
    let number = |value: &Value| value.as_u64().ok_or("no number").map(usize::try_from);
    let mut stretches = Vec::new();
    for entry in truth["tiles"][tile]["rfi"].as_array().ok_or("no list")? {
        let of_subband = number(&truth["channels_per_subband"])??;
        let place =
            number(&entry["subband"])?? * of_subband + number(&entry["channel_in_subband"])??;
        stretches.push(Stretch {
            // The correlator counts down, the set up.
            channel: info.frequencies.len() - 1 - place,
            times: [number(&entry["t_first"])??, number(&entry["t_last"])??],
        });
    }
    Ok(stretches)
}

/// Visibilities with interference and without, and how many of each are flagged.
#[derive(Default)]
struct Flagged {
    there: u32,
    found: u32,
    good: u32,
    lost: u32,
}

fn flagged(
    set: &MeasurementSet,
    info: &SetInfo,
    stretches: &[Stretch],
    dead: &str,
) -> TestResult<Flagged> {
    let mut counted = Flagged::default();
    let cells = info.frequencies.len() * info.polarizations;
    for (time, rows) in info.integrations.iter().enumerate() {
        let flags = set.flags(rows.start, rows.rows)?;
        let baselines = set.antennas(rows.start, rows.rows)?;
        for (ends, flags) in baselines.iter().zip(flags.chunks_exact(cells)) {
            let name = |antenna: i32| usize::try_from(antenna).map(|place| &info.antennas[place]);
            if name(ends.0)? == dead || name(ends.1)? == dead {
                continue;
            }
            for (cell, flag) in flags.iter().enumerate() {
                let channel = cell / info.polarizations;
                match stretches.iter().find(|part| part.channel == channel) {
                    Some(part) if (part.times[0]..=part.times[1]).contains(&time) => {
                        counted.there += 1;
                        counted.found += u32::from(*flag);
                    }
                    // What stands beside interference may go with it.
                    Some(_) => {}
                    None => {
                        counted.good += 1;
                        counted.lost += u32::from(*flag);
                    }
                }
            }
        }
    }
    Ok(counted)
}

#[tokio::test]
async fn all_of_it_is_flagged_and_little_else() -> TestResult {
    let Some(data) = shared_data("groups/small") else {
        return Ok(());
    };
    let truth: Value = serde_json::from_slice(&fs::read(data.join("truth.json"))?)?;
    let dead = truth["dead_station"].to_string();
    let files = fs::read_dir(&data)?.flatten().map(|entry| entry.path());
    let files = files.flat_map(|path: PathBuf| SubbandFile::parse(path));
    let groups: Vec<ObservationGroup> = cluster(files).into_iter().collect::<Result<_, _>>()?;
    assert_eq!(groups.len(), 2);
    for (tile, group) in groups.iter().enumerate() {
        let folder = tempfile::tempdir()?;
        let ms = folder.path().join("group.ms");
        convert(group, &ms)?;
        flag_interference(&ms, 2, LIMIT).await?;
        let set = MeasurementSet::open(&ms)?;
        let info = SetInfo::read(&set, &ms)?;
        let stretches = stretches(&truth, tile, &info)?;
        let Flagged {
            there,
            found,
            good,
            lost,
        } = flagged(&set, &info, &stretches, &dead)?;
        let share = |part: u32, whole: u32| f64::from(part) / f64::from(whole);
        println!(
            "{}: {:.4} of the interference, {:.4} of the good data",
            group.id(),
            share(found, there),
            share(lost, good)
        );
        assert!(there > 10_000, "the group has interference");
        assert_eq!(found, there, "interference that was found");
        assert!(share(lost, good) < 0.005, "good data that was flagged");
    }
    Ok(())
}
