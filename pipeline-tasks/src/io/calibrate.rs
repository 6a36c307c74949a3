//! Calibration of a Measurement Set: flags of what can't be used, gains against a model of the
//! sky, and their application.
//!
//! All of it follows from the column DATA and can be done again: flags that are set here come on
//! top of those of the interference flagger, which begins anew each time it runs.

use std::{collections::BTreeMap, path::Path};

use measurement_set::MeasurementSet;
use num_complex::{Complex32, Complex64};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    calibration_error::CalibrationError, gain_table::GainTable, set_info::SetInfo, single::single,
};
use crate::{
    model::{CatalogueSource, Hertz, Jansky, SkyPosition},
    science::{Moments, SkyModel, Solution},
};

/// Sources beyond this distance from the phase centre are outside the first null of the beam.
const MODEL_RADIUS_DEGREES: f64 = 3.5;
/// An antenna whose gains are below this share of the array's median is dead.
const DEAD_BELOW: f64 = 0.1;
/// Reference antennas in the order in which they are tried: the outer ones, whose neighbours do
/// not shadow them (the original pipeline's chain).
pub const REFERENCE_ANTENNAS: [&str; 14] = [
    "103", "104", "105", "106", "107", "108", "109", "110", "111", "112", "113", "114", "115",
    "116",
];
const CORRECTED: &str = "CORRECTED_DATA";

/// How gains are solved.
#[derive(Debug, Clone, PartialEq)]
pub struct SolveSettings {
    /// Reference antennas by name, in the order in which they are tried.
    pub reference_antennas: Vec<String>,
    /// Gains with a lower ratio of amplitude to error are flagged.
    pub snr_min: f64,
    /// The sources of the field must have this flux density through the beam.
    pub flux_min: Jansky,
    /// Neighbouring channels that get the same gains: more than one where a channel alone is too
    /// noisy.
    pub channels_per_gain: usize,
}

impl Default for SolveSettings {
    fn default() -> Self {
        Self {
            reference_antennas: REFERENCE_ANTENNAS.map(str::to_owned).into(),
            snr_min: 3.0,
            flux_min: Jansky(1.0),
            channels_per_gain: 1,
        }
    }
}

/// How good a table is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GainQuality {
    /// The antenna whose phases are zero.
    pub reference_antenna: String,
    /// Antennas without signal.
    pub dead_antennas: Vec<String>,
    /// The share of gains of the other antennas that are not to be used.
    pub flagged: f64,
    /// The median of amplitude over error.
    pub snr: f64,
    /// The median amplitude.
    pub amplitude: f64,
    /// Sources of the model.
    pub model_sources: usize,
    /// Their flux density through the beam at the middle of the band.
    pub model_flux: Jansky,
}

/// Flags, beside what is flagged already, visibilities that are zero or not finite: the converter
/// writes zeros where the correlator flagged. Returns the share that is flagged then.
pub fn flag_unusable(ms: &Path) -> Result<f64, CalibrationError> {
    let mut set = MeasurementSet::open_for_update(ms)?;
    let info = SetInfo::read(&set, ms)?;
    let (mut flagged, mut total) = (0_usize, 0_usize);
    for rows in &info.integrations {
        let data = set.visibilities("DATA", rows.start, rows.rows)?;
        let mut flags = set.flags(rows.start, rows.rows)?;
        for (flag, value) in flags.iter_mut().zip(&data) {
            *flag |= *value == Complex32::ZERO || !value.is_finite();
        }
        flagged += flags.iter().filter(|flag| **flag).count();
        total += flags.len();
        set.write_flags(rows.start, rows.rows, &flags)?;
    }
    set.close()?;
    Ok(share(flagged, total))
}

/// Solves for the gains of a set against all catalogue sources of its field, seen through the
/// drifting beam. A model of the brightest source alone would put the others into the gains.
pub fn solve(
    ms: &Path,
    catalogue: &[CatalogueSource],
    settings: &SolveSettings,
) -> Result<(GainTable, GainQuality), CalibrationError> {
    let set = MeasurementSet::open(ms)?;
    let info = SetInfo::read(&set, ms)?;
    if info.polarizations == 0 || info.longest_baseline.0 <= 0.0 {
        return Err(CalibrationError::BadSolutions {
            ms: ms.to_owned(),
            problem: "the set has no two antennas with a receptor of one kind".into(),
        });
    }
    let near = |source: &&CatalogueSource| {
        source.position.separation(info.centre).to_degrees().0 < MODEL_RADIUS_DEGREES
    };
    let field: Vec<CatalogueSource> = catalogue.iter().filter(near).cloned().collect();
    let pointings = info.pointings();
    let model = |pointing: SkyPosition| {
        SkyModel::new(&field, info.centre, pointing, info.dish, &info.frequencies)
    };
    let model_flux = pointings
        .get(pointings.len() / 2)
        .map(|middle| model(*middle).total_flux());
    let model_flux = model_flux.unwrap_or(0.0);
    if model_flux < settings.flux_min.0 {
        return Err(CalibrationError::NoModel {
            ms: ms.to_owned(),
            sources: field.len(),
            flux: model_flux,
            needed: settings.flux_min.0,
        });
    }
    let channels = info.frequencies.len();
    let mut moments = Moments::new(info.antennas.len(), channels, info.polarizations);
    let mut seen = vec![Complex64::ZERO; channels];
    let mut present = vec![false; info.antennas.len()];
    for (rows, pointing) in info.integrations.iter().zip(&pointings) {
        let model = model(*pointing);
        let baselines = set.antennas(rows.start, rows.rows)?;
        let uvw = set.uvw(rows.start, rows.rows)?;
        let data = set.visibilities("DATA", rows.start, rows.rows)?;
        let flags = set.flags(rows.start, rows.rows)?;
        let cells = channels * info.correlations.len();
        let data = data.chunks_exact(cells).zip(flags.chunks_exact(cells));
        for ((ends, uvw), (data, flags)) in baselines.iter().zip(&uvw).zip(data) {
            let ends = antennas_of(*ends);
            for antenna in [ends.0, ends.1] {
                if let Some(present) = present.get_mut(antenna) {
                    *present = true;
                }
            }
            model.visibilities(*uvw, &mut seen);
            let (data, flags) = (info.parallel_hands(data), info.parallel_hands(flags));
            moments.add(ends, &seen, &data, &flags);
        }
    }
    let mut solved = Solved::of(&info, &moments, settings);
    solved.present = present;
    solved.flag_dead();
    solved.finish(ms, field.len(), Jansky(model_flux))
}

/// Solutions on their way to a table.
struct Solved<'i> {
    info: &'i SetInfo,
    reference: usize,
    /// By polarization, then channel.
    solutions: Vec<Solution>,
    snr_min: f64,
    /// Whether an antenna has a row. One that did not observe is not dead, and says nothing of
    /// what is usual.
    present: Vec<bool>,
    dead: Vec<usize>,
}

impl<'i> Solved<'i> {
    fn of(info: &'i SetInfo, moments: &Moments, settings: &SolveSettings) -> Self {
        let reference = reference_antenna(info, moments, &settings.reference_antennas);
        let (channels, width) = (info.frequencies.len(), settings.channels_per_gain.max(1));
        let merged = (width > 1).then(|| moments.merged(width));
        let moments = merged.as_ref().unwrap_or(moments);
        let solve = |polarization| {
            let blocks = (0..channels.div_ceil(width)).map(move |block| (block, polarization));
            blocks.flat_map(|(block, polarization)| {
                let solution = moments.solve(block, polarization, reference);
                std::iter::repeat_n(solution, width.min(channels - block * width))
            })
        };
        Self {
            info,
            reference,
            solutions: (0..info.polarizations).flat_map(solve).collect(),
            snr_min: settings.snr_min,
            present: vec![true; info.antennas.len()],
            dead: Vec::new(),
        }
    }

    /// Finds the antennas whose gains are small against the array's.
    fn flag_dead(&mut self) {
        let amplitude = |antenna: usize| {
            let gains = self.solutions.iter().filter_map(|s| s.gains.get(antenna));
            median(gains.map(|gain| gain.norm()).collect()).unwrap_or(0.0)
        };
        let antennas = (0..self.present.len()).filter(|antenna| self.present[*antenna]);
        let amplitudes: Vec<_> = antennas.map(|a| (a, amplitude(a))).collect();
        let usual = median(amplitudes.iter().map(|(_, amplitude)| *amplitude).collect());
        let limit = DEAD_BELOW * usual.unwrap_or(0.0);
        let dead = amplitudes.iter().filter(|(_, size)| *size <= limit);
        self.dead = dead.map(|(antenna, _)| *antenna).collect();
    }

    fn finish(
        self,
        ms: &Path,
        model_sources: usize,
        model_flux: Jansky,
    ) -> Result<(GainTable, GainQuality), CalibrationError> {
        let (mut gains, mut flags) = (Vec::new(), Vec::new());
        let (mut snr, mut amplitudes, mut flagged) = (Vec::new(), Vec::new(), 0_usize);
        for solution in &self.solutions {
            for (antenna, (gain, own_snr)) in solution.gains.iter().zip(&solution.snr).enumerate() {
                let is_absent = self.present.get(antenna) == Some(&false);
                let is_dead = is_absent || self.dead.contains(&antenna);
                // A ratio that is no number is no good either.
                let is_bad = !solution.converged || own_snr.is_nan() || *own_snr < self.snr_min;
                gains.push(single(*gain));
                flags.push(is_dead || is_bad);
                if is_dead {
                    continue;
                }
                flagged += usize::from(is_bad);
                snr.push(*own_snr);
                amplitudes.push(gain.norm());
            }
        }
        let alive = snr.len();
        let quality = GainQuality {
            reference_antenna: self.name(self.reference),
            dead_antennas: self
                .dead
                .iter()
                .map(|antenna| self.name(*antenna))
                .collect(),
            flagged: share(flagged, alive),
            snr: median(snr).unwrap_or(0.0),
            amplitude: median(amplitudes).unwrap_or(0.0),
            model_sources,
            model_flux,
        };
        if alive == 0 || quality.flagged > FLAGGED_MAX || quality.snr < SNR_MIN {
            return Err(CalibrationError::BadSolutions {
                ms: ms.to_owned(),
                problem: format!(
                    "{:.0} % of the gains are flagged (at most {:.0} %), the median ratio to their \
                     error is {:.1} (at least {SNR_MIN}), dead antennas: {}",
                    quality.flagged * 100.0,
                    FLAGGED_MAX * 100.0,
                    quality.snr,
                    quality.dead_antennas.join(", ")
                ),
            });
        }
        let table = GainTable {
            antennas: self.info.antennas.clone(),
            frequencies: self.info.frequencies.clone(),
            polarizations: self.info.polarizations,
            gains,
            flags,
            span: self.info.span(),
        };
        Ok((table, quality))
    }

    fn name(&self, antenna: usize) -> String {
        self.info.antennas.get(antenna).cloned().unwrap_or_default()
    }
}

/// Limits of a table that may be used (dsa110-contimg's quality assurance).
const FLAGGED_MAX: f64 = 0.5;
const SNR_MIN: f64 = 5.0;

/// The first of the wished antennas with at least half of its data, else the fullest of all.
fn reference_antenna(info: &SetInfo, moments: &Moments, wished: &[String]) -> usize {
    let coverage = moments.coverage();
    let is_good = |antenna: &usize| coverage.get(*antenna).is_some_and(|share| *share >= 0.5);
    let places: BTreeMap<&str, usize> = info
        .antennas
        .iter()
        .enumerate()
        .map(|(place, name)| (name.as_str(), place))
        .collect();
    let wished = wished
        .iter()
        .filter_map(|name| places.get(name.as_str()).copied());
    let fullest = || {
        coverage
            .iter()
            .enumerate()
            .max_by(|a, b| a.1.total_cmp(b.1))
    };
    wished
        .into_iter()
        .find(is_good)
        .or_else(|| fullest().map(|(antenna, _)| antenna))
        .unwrap_or(0)
}

/// Writes the corrected visibilities of a set, and flags where there is no gain. Returns the share
/// that is flagged then.
pub fn apply(ms: &Path, path: &Path) -> Result<f64, CalibrationError> {
    let table = GainTable::read(path)?;
    let mut set = MeasurementSet::open_for_update(ms)?;
    let info = SetInfo::read(&set, ms)?;
    let unfit = |problem| CalibrationError::Unfit {
        table: path.to_owned(),
        ms: ms.to_owned(),
        problem,
    };
    let fitted = Fitted::new(&table, &info).map_err(unfit)?;
    set.add_visibilities(CORRECTED)?;
    let (mut flagged, mut total) = (0_usize, 0_usize);
    for rows in &info.integrations {
        let baselines = set.antennas(rows.start, rows.rows)?;
        let mut data = set.visibilities("DATA", rows.start, rows.rows)?;
        let mut flags = set.flags(rows.start, rows.rows)?;
        let cells = info.frequencies.len() * info.correlations.len();
        let parts = data
            .chunks_exact_mut(cells)
            .zip(flags.chunks_exact_mut(cells));
        for (ends, (data, flags)) in baselines.iter().zip(parts) {
            fitted.correct(antennas_of(*ends), data, flags);
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

fn antennas_of((first, second): (i32, i32)) -> (usize, usize) {
    // A negative number is no antenna; neither is the largest.
    let place = |antenna| usize::try_from(antenna).unwrap_or(usize::MAX);
    (place(first), place(second))
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    let middle = values.len() / 2;
    (!values.is_empty()).then(|| *values.select_nth_unstable_by(middle, f64::total_cmp).1)
}

#[expect(clippy::cast_precision_loss, reason = "a share needs no more")]
fn share(part: usize, total: usize) -> f64 {
    part as f64 / total.max(1) as f64
}
