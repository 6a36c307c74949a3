//! The observations of a night, and how they arrive.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::SignedDuration;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use tokio::time::sleep;

use super::{WorkerError, entries, night};
use crate::{
    io::Simulation,
    model::{CatalogueSource, GroupId, Jansky, SUBBANDS_PER_GROUP, SkyPosition},
};

/// From one observation's begin to the next one's, as at the telescope.
const CADENCE: SignedDuration = SignedDuration::from_secs(309);
/// Sources stand so far apart in right ascension: each beam has some.
const APART_DEGREES: f64 = 0.5;
/// The sky turns by this much from one observation to the next.
const DEGREES_PER_GROUP: f64 = 309.0 / 240.0;
/// A file arrives up to so many observations late,
const LATE_GROUPS: f64 = 1.5;
/// and some of them so many.
const VERY_LATE_GROUPS: f64 = 4.0;
/// This share of them.
const VERY_LATE_SHARE: f64 = 0.05;

/// Observations of one sky at consecutive times.
#[derive(Debug)]
pub(super) struct Observations {
    /// Their names and the folders of their files, earliest first.
    pub(super) groups: Vec<(GroupId, PathBuf)>,
    /// What each holds, in words.
    pub(super) size: String,
    /// What they all look at.
    pub(super) sky: Vec<CatalogueSource>,
}

impl Observations {
    /// Writes them into `correlator`, and the sky's catalogue beside it.
    pub(super) fn simulate(
        folder: &Path,
        like: &Simulation,
        count: usize,
    ) -> Result<Self, WorkerError> {
        let sky = sky(&folder.join("probe"), like, count)?;
        let mut catalogue = "name,ra_deg,dec_deg,s1400_jy,spectral_index\n".to_owned();
        for source in &sky {
            let (ra, dec) = (source.position.ra, source.position.dec);
            let place = format!("{},{}", ra.to_degrees().0, dec.to_degrees().0);
            let row = format!("{},{place},{},0\n", source.name, source.flux.0);
            catalogue.push_str(&row);
        }
        let list = folder.join("catalogue.csv");
        fs::write(&list, catalogue).map_err(WorkerError::file(&list))?;
        let mut groups = Vec::new();
        let mut start = like.group.start();
        for number in 0..count {
            let group = GroupId::from(start);
            let place = folder.join("correlator").join(group.to_string());
            let seed = like.seed + number as u64;
            let simulation = Simulation {
                group,
                seed,
                sky: sky.clone(),
                ..like.clone()
            };
            simulation.write(&place)?;
            groups.push((group, place));
            start = start
                .checked_add(CADENCE)
                .map_err(|error| night(error.to_string()))?;
        }
        let mut bytes = 0;
        if let Some((_, place)) = groups.first() {
            for file in entries(place)? {
                bytes += fs::metadata(&file).map_err(WorkerError::file(&file))?.len();
            }
        }
        let size = format!(
            "{} antennas, {SUBBANDS_PER_GROUP} x {} channels, {} integrations ({:.1} MB)",
            like.antennas,
            like.channels,
            like.integrations,
            megabytes(bytes)
        );
        Ok(Self { groups, size, sky })
    }

    /// All files in the order of their arrival, each with its moment in observations from the
    /// begin: the subbands of an observation come in any order, late, and between those of its
    /// neighbours.
    pub(super) fn files(&self, seed: u64) -> Result<Vec<(f64, PathBuf)>, WorkerError> {
        let mut random = StdRng::seed_from_u64(seed);
        let mut files = Vec::new();
        let mut due = 0.0;
        for (_, place) in &self.groups {
            for file in entries(place)? {
                let very_late = random.random::<f64>() < VERY_LATE_SHARE;
                let most = if very_late {
                    VERY_LATE_GROUPS
                } else {
                    LATE_GROUPS
                };
                files.push((due + most * random.random::<f64>(), file));
            }
            due += 1.0;
        }
        files.sort_by(|(one, _), (other, _)| one.total_cmp(other));
        Ok(files)
    }
}

/// Sources along the strip that passes overhead during the night. A small observation tells where
/// it begins.
fn sky(
    folder: &Path,
    like: &Simulation,
    count: usize,
) -> Result<Vec<CatalogueSource>, WorkerError> {
    let probe = Simulation {
        antennas: 2,
        channels: 1,
        integrations: 1,
        ..like.clone()
    };
    let seen = probe.write(folder)?;
    let first = seen.first().ok_or_else(|| night("the sky is empty"))?;
    let begin = first.position.ra.to_degrees().0 - 1.0;
    #[expect(
        clippy::cast_precision_loss,
        reason = "a night has some hundred groups"
    )]
    let width = count as f64 * DEGREES_PER_GROUP + 2.0;
    let mut random = StdRng::seed_from_u64(like.seed);
    let mut sources = Vec::new();
    let mut along = 0.0;
    while along < width {
        let dec = like.declination.0 + 1.2 * (random.random::<f64>() - 0.5);
        let ra = begin + along + 0.2 * random.random::<f64>();
        sources.push(CatalogueSource {
            name: format!("N{}", sources.len()),
            position: SkyPosition::from_degrees(ra, dec),
            flux: Jansky(1.5 + 3.5 * random.random::<f64>()),
            spectral_index: 0.0,
        });
        along += APART_DEGREES;
    }
    Ok(sources)
}

/// Copies files into the incoming folder, each at its moment.
pub(super) async fn deliver(
    files: Result<Vec<(f64, PathBuf)>, WorkerError>,
    incoming: PathBuf,
    every: Duration,
) -> Result<(), WorkerError> {
    let mut now = 0.0;
    for (due, file) in files? {
        sleep(every.mul_f64((due - now).max(0.0))).await;
        now = due;
        let place = incoming.join(file.file_name().unwrap_or_default());
        tokio::fs::copy(&file, &place)
            .await
            .map_err(WorkerError::file(place))?;
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "a size to read")]
pub(super) fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_arrive_all_and_in_odd_order() -> Result<(), WorkerError> {
        let folder = tempfile::tempdir().map_err(WorkerError::file("a folder"))?;
        let tiny = Simulation {
            antennas: 2,
            channels: 1,
            integrations: 1,
            ..Simulation::default()
        };
        let observations = Observations::simulate(folder.path(), &tiny, 3)?;
        let files = observations.files(1)?;
        assert_eq!(files.len(), 3 * SUBBANDS_PER_GROUP);
        let ordered: Vec<&PathBuf> = files.iter().map(|(_, file)| file).collect();
        assert!(!ordered.is_sorted(), "odd order");
        assert!(files.iter().all(|(due, _)| *due < 2.0 + VERY_LATE_GROUPS));
        let listed = crate::io::read_catalogue(&folder.path().join("catalogue.csv"));
        assert!(listed.is_ok_and(|listed| listed.len() > 8));
        Ok(())
    }
}
