//! Gains are applied to a Measurement Set, and known sources held still.

use std::path::Path;

use measurement_set::MeasurementSet;
use num_complex::{Complex32, Complex64};

use super::{
    calibrate::{antennas_of, models, share},
    calibration_error::CalibrationError,
    gain_table::GainTable,
    set_info::SetInfo,
    single::single,
};
use crate::{
    model::{CatalogueSource, Hertz},
    science::{SkyModel, count},
};

const CORRECTED: &str = "CORRECTED_DATA";

/// Writes the corrected visibilities of a set, and flags where there is no gain. Returns the share
/// that is flagged then.
///
/// The sources of the catalogue are held still: while the sky drifts through the beam their flux
/// densities change, for a source on the beam's flank by a fifth and more, and so they do over the
/// band. An image has one value for each source; what differs from it stays around the source as
/// rings. So each known source gets the mean that it has over the observation, which is what the
/// image shows of it anyway. Without a catalogue nothing is held.
pub fn apply(
    ms: &Path,
    path: &Path,
    catalogue: &[CatalogueSource],
) -> Result<f64, CalibrationError> {
    let table = GainTable::read(path)?;
    let mut set = MeasurementSet::open_for_update(ms)?;
    let info = SetInfo::read(&set, ms)?;
    let unfit = |problem| CalibrationError::Unfit {
        table: path.to_owned(),
        ms: ms.to_owned(),
        problem,
    };
    let fitted = Fitted::new(&table, &info).map_err(unfit)?;
    let changes = changes(models(&info, catalogue));
    let mut change = vec![Complex64::ZERO; info.frequencies.len()];
    set.add_visibilities(CORRECTED)?;
    let (mut flagged, mut total) = (0_usize, 0_usize);
    for (rows, changes) in info.integrations.iter().zip(&changes) {
        let baselines = set.antennas(rows.start, rows.rows)?;
        let mut data = set.visibilities("DATA", rows.start, rows.rows)?;
        let mut flags = set.flags(rows.start, rows.rows)?;
        let uvw = set.uvw(rows.start, rows.rows)?;
        let cells = info.frequencies.len() * info.correlations.len();
        let parts = data
            .chunks_exact_mut(cells)
            .zip(flags.chunks_exact_mut(cells));
        for ((ends, uvw), (data, flags)) in baselines.iter().zip(&uvw).zip(parts) {
            fitted.correct(antennas_of(*ends), data, flags);
            changes.visibilities(*uvw, &mut change);
            fitted.hold(&change, data, flags);
        }
        flagged += flags.iter().filter(|flag| **flag).count();
        total += flags.len();
        set.write_visibilities(CORRECTED, rows.start, rows.rows, &data)?;
        set.write_flags(rows.start, rows.rows, &flags)?;
    }
    set.close()?;
    if flagged == total {
        return Err(unfit("nothing is left unflagged".into()));
    }
    Ok(share(flagged, total))
}

/// What the sources of each integration have over their means.
fn changes(models: Vec<SkyModel<'_>>) -> Vec<SkyModel<'_>> {
    let sources = models.first().map_or(0, SkyModel::len);
    let mut means = vec![0.0; sources];
    for model in &models {
        for (mean, flux) in means.iter_mut().zip(model.mean_fluxes()) {
            *mean += flux / count(models.len());
        }
    }
    let models = models.into_iter();
    models.map(|model| model.without(&means)).collect()
}

/// A table's gains in the order of a set's antennas and channels.
struct Fitted<'t> {
    table: &'t GainTable,
    antennas: Vec<Option<usize>>,
    channels: Vec<usize>,
    /// By correlation: the places of its two gains among the table's polarizations.
    hands: Vec<Option<(usize, usize)>>,
}

impl<'t> Fitted<'t> {
    fn new(table: &'t GainTable, info: &SetInfo) -> Result<Self, String> {
        if table.polarizations != info.polarizations {
            return Err(format!(
                "{} polarizations, the set has {}",
                table.polarizations, info.polarizations
            ));
        }
        let place = |name: &String| table.antennas.iter().position(|other| other == name);
        let antennas: Vec<_> = info.antennas.iter().map(place).collect();
        if antennas.iter().all(Option::is_none) {
            return Err("it has none of the set's antennas".into());
        }
        let channels = info
            .frequencies
            .iter()
            .map(|frequency| nearest(table, *frequency));
        Ok(Self {
            table,
            antennas,
            channels: channels.collect::<Result<_, _>>()?,
            hands: info.hands(),
        })
    }

    /// Divides a row by its gains. What has none is flagged and zero.
    fn correct(&self, (first, second): (usize, usize), data: &mut [Complex32], flags: &mut [bool]) {
        let place = |antenna: usize| self.antennas.get(antenna).copied().flatten();
        let ends = place(first).zip(place(second));
        let correlations = self.hands.len();
        let data = data.chunks_exact_mut(correlations);
        let cells = data.zip(flags.chunks_exact_mut(correlations));
        for ((data, flags), channel) in cells.zip(&self.channels) {
            for ((value, flag), hands) in data.iter_mut().zip(flags).zip(&self.hands) {
                let gains = match (ends, hands) {
                    (Some((first, second)), Some((of_first, of_second))) => {
                        let first = self.table.gain(*of_first, *channel, first);
                        first.zip(self.table.gain(*of_second, *channel, second))
                    }
                    _ => None,
                };
                if let Some((first, second)) = gains {
                    *value /= first * second.conj();
                } else {
                    *value = Complex32::ZERO;
                    *flag = true;
                }
            }
        }
    }

    /// Takes away a row's changes, by channel. Sources are taken as unpolarized.
    fn hold(&self, changes: &[Complex64], data: &mut [Complex32], flags: &[bool]) {
        let correlations = self.hands.len();
        let data = data.chunks_exact_mut(correlations);
        let cells = data.zip(flags.chunks_exact(correlations));
        for ((data, flags), change) in cells.zip(changes) {
            for ((value, flag), hands) in data.iter_mut().zip(flags).zip(&self.hands) {
                if !flag && hands.is_some_and(|(first, second)| first == second) {
                    *value -= single(*change);
                }
            }
        }
    }
}

/// The table's channel at a frequency, at most one channel away.
fn nearest(table: &GainTable, frequency: Hertz) -> Result<usize, String> {
    let distance = |other: &Hertz| (other.0 - frequency.0).abs();
    let channels = table.frequencies.iter().enumerate();
    let nearest = channels.min_by(|a, b| distance(a.1).total_cmp(&distance(b.1)));
    let width = table
        .frequencies
        .windows(2)
        .map(|pair| (pair[1].0 - pair[0].0).abs());
    let width = width.fold(0.0, f64::max).max(1.0);
    match nearest {
        Some((channel, other)) if distance(other) <= width => Ok(channel),
        _ => Err(format!("it has no gains at {:.3} MHz", frequency.0 / 1e6)),
    }
}
