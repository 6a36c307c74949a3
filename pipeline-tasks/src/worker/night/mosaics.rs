//! The mosaics of a night: each window became one, and shows the sky as it is.

use std::{collections::BTreeSet, path::Path};

use absurd_sdk::Client;

use super::{WorkerError, delivery::Observations, entries, night, tasks_named};
use crate::{
    io::FitsImage,
    model::GroupId,
    registry::window_name,
    science::{Window, WindowRules, forced_photometry, median, windows},
};

/// The task that makes one.
pub(super) const TASK: &str = "create-mosaic";
/// Sources that stand so far above the noise are held against the sky.
const SNR_MIN: f64 = 8.0;
/// How far a flux density on a mosaic may be from the sky's: that of one source, and the median.
/// What noise may do to each comes on top.
const FLUX_ERROR: (f64, f64) = (0.10, 0.03);
/// A source is within so many standard deviations of the noise.
const SIGMAS: f64 = 5.0;
/// A group's beam shows at least so many sources.
const SOURCES_PER_GROUP: usize = 2;
/// With fewer antennas the sidelobes of one source hide the others.
const ANTENNAS_MIN: usize = 10;

/// What the mosaics show.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub(super) struct Mosaics {
    /// How many.
    pub(super) count: usize,
    /// How bright their sources are; none where the array is too small to tell.
    pub(super) fluxes: Option<Fluxes>,
}

/// Flux densities on mosaics, held against the sky's.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub(super) struct Fluxes {
    /// Of how many sources, on all mosaics together.
    pub(super) sources: usize,
    /// The median of measured over true flux density.
    pub(super) ratio: f64,
    /// The largest distance of a ratio from one.
    pub(super) worst: f64,
}

/// The windows that the night's groups make.
pub(super) fn expected(observations: &Observations) -> Vec<Window> {
    let groups = observations.groups.iter().map(|(group, _)| *group);
    let groups: Vec<GroupId> = groups.collect();
    windows(&groups, &WindowRules::default())
}

/// Fails unless each window has one task and one mosaic, on which the sky's sources have their
/// flux densities.
pub(super) async fn check(
    client: &Client,
    output: &Path,
    observations: &Observations,
    antennas: usize,
) -> Result<Mosaics, WorkerError> {
    let expected = expected(observations);
    let tasks = tasks_named(client, TASK).await?;
    let keys: BTreeSet<_> = tasks
        .iter()
        .filter_map(|task| task.idempotency_key.clone())
        .collect();
    let name = |window: &Window| format!("{TASK}:{}", window_name(window));
    if tasks.len() != expected.len() || keys != expected.iter().map(name).collect() {
        return Err(night(format!(
            "{} mosaics were made of {} windows: {keys:?}",
            tasks.len(),
            expected.len()
        )));
    }
    let mut seen = Vec::new();
    let folder = output.join("mosaics");
    let mut files = entries(&folder)?;
    for window in &expected {
        let (Some(first), Some(last)) = (window.groups.first(), window.groups.last()) else {
            continue;
        };
        let place = folder.join(format!("mosaic_{first}_{last}.fits"));
        for kind in ["fits", "weights.fits", "noise.fits"] {
            files.remove(&place.with_extension(kind));
        }
        let own = sources(&place, observations)?;
        let is_enough = own.len() >= SOURCES_PER_GROUP * window.groups.len();
        if antennas >= ANTENNAS_MIN && !is_enough {
            let place = place.display();
            return Err(night(format!("{place} shows {} sources", own.len())));
        }
        seen.extend(own);
    }
    if let Some(other) = files.first() {
        return Err(night(format!("nobody asked for {}", other.display())));
    }
    let fluxes = (antennas >= ANTENNAS_MIN).then(|| Fluxes::of(&seen));
    Ok(Mosaics {
        count: expected.len(),
        fluxes: fluxes.transpose()?,
    })
}

impl Fluxes {
    /// Fails if one is wrong, or all together.
    fn of(seen: &[Seen]) -> Result<Self, WorkerError> {
        let off = |source: &Seen| (source.ratio - 1.0).abs();
        let (one, middle) = FLUX_ERROR;
        if let Some(wrong) = seen.iter().find(|s| off(s) > one + SIGMAS * s.noise) {
            return Err(night(format!("a flux density is wrong: {wrong:?}")));
        }
        let middle_of = |of: fn(&Seen) -> f64| median(seen.iter().map(of)).unwrap_or(f64::NAN);
        let fluxes = Self {
            sources: seen.len(),
            ratio: middle_of(|source| source.ratio),
            worst: seen.iter().map(off).fold(0.0, f64::max),
        };
        let noise = middle_of(|source| source.noise);
        if (fluxes.ratio - 1.0).abs() > middle + noise {
            return Err(night(format!("flux densities are wrong: {fluxes:?}")));
        }
        Ok(fluxes)
    }
}

/// A source of the sky on a mosaic.
#[derive(Debug)]
struct Seen {
    /// Measured over true flux density.
    ratio: f64,
    /// The noise at its place over its true flux density.
    noise: f64,
}

/// The sources that stand out of a mosaic's noise.
fn sources(place: &Path, observations: &Observations) -> Result<Vec<Seen>, WorkerError> {
    let image = FitsImage::read(place).map_err(|error| night(error.to_string()))?;
    let sky = observations.sky.iter();
    let seen = sky.filter_map(|source| {
        let found =
            forced_photometry(&image.plane, &image.projection, image.beam, source.position)?;
        let seen = Seen {
            ratio: found.flux.0 / source.flux.0,
            noise: found.noise.0 / source.flux.0,
        };
        (seen.noise * SNR_MIN <= 1.0).then_some(seen)
    });
    Ok(seen.collect())
}
