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
const SNR_MIN: f64 = 50.0;
/// How far a flux density on a mosaic may be from the sky's: that of one source, and the median.
const FLUX_ERROR: (f64, f64) = (0.10, 0.03);
/// A group's beam shows at least so many sources.
const SOURCES_PER_GROUP: usize = 2;

/// What the mosaics show.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub(super) struct Mosaics {
    /// How many.
    pub(super) count: usize,
    /// Sources that were held against the sky, on all of them.
    pub(super) sources: usize,
    /// The median of measured over true flux density.
    pub(super) flux_ratio: f64,
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
    let mut ratios = Vec::new();
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
        let own = fluxes(&place, observations)?;
        if own.len() < SOURCES_PER_GROUP * window.groups.len() {
            let place = place.display();
            return Err(night(format!("{place} shows {} sources", own.len())));
        }
        ratios.extend(own);
    }
    if let Some(other) = files.first() {
        return Err(night(format!("nobody asked for {}", other.display())));
    }
    let worst = ratios.iter().map(|ratio| (ratio - 1.0).abs());
    let mosaics = Mosaics {
        count: expected.len(),
        sources: ratios.len(),
        worst: worst.fold(0.0, f64::max),
        flux_ratio: median(ratios).unwrap_or(f64::NAN),
    };
    let (one, middle) = FLUX_ERROR;
    if mosaics.worst > one || (mosaics.flux_ratio - 1.0).abs() > middle {
        return Err(night(format!("flux densities are wrong: {mosaics:?}")));
    }
    Ok(mosaics)
}

/// Measured over true flux densities of the sources that stand out.
fn fluxes(place: &Path, observations: &Observations) -> Result<Vec<f64>, WorkerError> {
    let image = FitsImage::read(place).map_err(|error| night(error.to_string()))?;
    let sources = observations.sky.iter();
    let ratios = sources.filter_map(|source| {
        let found =
            forced_photometry(&image.plane, &image.projection, image.beam, source.position)?;
        let stands_out = source.flux.0 / found.noise.0 >= SNR_MIN;
        stands_out.then_some(found.flux.0 / source.flux.0)
    });
    Ok(ratios.collect())
}
