//! Sixteen subbands become one Measurement Set, at one phase centre.
//!
//! The correlator keeps the fringes stopped at the meridian; a set wants them at one place of
//! the sky. That place is where the meridian is in the middle of the observation.

use std::{
    io,
    path::{Path, PathBuf},
};

use measurement_set::{Correlation, Layout, MeasurementSet, MsError, Rows};
use num_complex::{Complex32, Complex64};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{
    part::PartName,
    single::single,
    uvh5::{Header, Uvh5, Uvh5Error},
};
use crate::{
    model::{Degrees, Hertz, JulianDate, Metres, ObservationGroup, SkyPosition},
    science::{Frame, Site, SiteError, Sky, fringe},
};

/// The header's u, v, w are single precision; anything beyond this is another geometry.
const UVW_TOLERANCE_M: f64 = 0.01;

/// Why a group did not become a set.
#[derive(Debug, Error)]
pub enum ConvertError {
    /// A subband can't be read.
    #[error(transparent)]
    Subband(#[from] Uvh5Error),
    /// The subbands don't belong together.
    #[error("{}: {problem}", path.display())]
    Mismatch {
        /// The subband that differs.
        path: PathBuf,
        /// In what.
        problem: &'static str,
    },
    /// The array stands nowhere.
    #[error(transparent)]
    Site(#[from] SiteError),
    /// The set can't be written.
    #[error(transparent)]
    Set(#[from] MsError),
    /// The set can't be put into its place.
    #[error("can't write {}", path.display())]
    File {
        /// The place.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

impl ConvertError {
    /// Whether another try with the same input must fail as well.
    pub fn is_permanent(&self) -> bool {
        matches!(
            self,
            Self::Subband(_) | Self::Mismatch { .. } | Self::Site(_)
        )
    }
}

/// What a conversion made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Converted {
    /// The Measurement Set.
    pub ms: PathBuf,
    /// Its rows: baselines without autocorrelations, times integrations.
    pub rows: usize,
    /// Its channels, ascending.
    pub channels: usize,
    /// Lowest and highest channel.
    pub band: (Hertz, Hertz),
    /// The longest baseline.
    pub longest_baseline: Metres,
    /// The phase centre.
    pub centre: SkyPosition,
    /// The share of visibilities that are flagged.
    pub flagged: f64,
}

/// Converts a group into the set `ms`, which appears in its place only when it is complete.
pub fn convert(group: &ObservationGroup, ms: &Path) -> Result<Converted, ConvertError> {
    let mut subbands = Vec::new();
    for file in group.files() {
        subbands.push(Uvh5::open(file.path())?);
    }
    let band = Band::of(&subbands)?;
    let file_error = |source| ConvertError::File {
        path: ms.to_owned(),
        source,
    };
    let part = PartName::of(ms);
    let mut converted = band.write(&subbands, part.path())?;
    part.put_in_place_of_older(ms).map_err(file_error)?;
    ms.clone_into(&mut converted.ms);
    Ok(converted)
}

/// Where the channels of all subbands go, and the geometry that they share.
struct Band {
    site: Site,
    centre: SkyPosition,
    meridian: Frame,
    /// For each channel of the set, ascending: its subband, and its place in it.
    channels: Vec<(usize, usize)>,
    frequencies: Vec<Hertz>,
    correlations: Vec<Correlation>,
    /// The rows that are kept: place in the file, and the two antennas by number.
    rows: Vec<(usize, i64, i64)>,
    header: Header,
}

impl Band {
    fn of(subbands: &[Uvh5]) -> Result<Self, ConvertError> {
        let header = subbands[0].header().clone();
        let mut channels: Vec<(Hertz, usize, usize)> = Vec::new();
        for (index, subband) in subbands.iter().enumerate() {
            let other = subband.header();
            let problem = if other.baselines != header.baselines {
                Some("its baselines differ from those of the first subband")
            } else if other.times.len() != header.times.len() {
                Some("it has another number of integrations than the first subband")
            } else if other.polarizations != header.polarizations {
                Some("its polarizations differ from those of the first subband")
            } else {
                None
            };
            if let Some(problem) = problem {
                let path = subband.path().to_owned();
                return Err(ConvertError::Mismatch { path, problem });
            }
            let own = other.frequencies.iter().enumerate();
            channels.extend(own.map(|(place, frequency)| (*frequency, index, place)));
        }
        channels.sort_by(|a, b| a.0.0.total_cmp(&b.0.0));
        let site = Site::new(header.latitude, header.longitude, header.altitude)?;
        let middle = middle(&header.times);
        let declination = header.declination.ok_or_else(|| ConvertError::Mismatch {
            path: subbands[0].path().to_owned(),
            problem: "it doesn't say at which declination its fringes are stopped",
        })?;
        let centre = Sky::at(middle, &site).meridian_position(declination);
        let meridian = site.meridian_frame(declination);
        let rows = header.baselines.iter().enumerate();
        let band = Self {
            site,
            centre,
            meridian,
            frequencies: channels.iter().map(|channel| channel.0).collect(),
            channels: channels
                .iter()
                .map(|channel| (channel.1, channel.2))
                .collect(),
            rows: rows
                .filter(|(_, (first, second))| first != second)
                .map(|(row, (first, second))| (row, *first, *second))
                .collect(),
            correlations: correlations(&subbands[0])?,
            header,
        };
        band.check_uvw(subbands[0].path())?;
        Ok(band)
    }

    /// The file's own u, v, w must be those of the meridian: all phases follow from them.
    fn check_uvw(&self, path: &Path) -> Result<(), ConvertError> {
        for (row, first, second) in &self.rows {
            let ours = self.meridian.uvw(self.baseline(*first, *second));
            let theirs = self.header.uvw_m[*row];
            let differs = ours
                .iter()
                .zip(theirs)
                .any(|(a, b)| (a - b).abs() > UVW_TOLERANCE_M);
            if differs {
                return Err(ConvertError::Mismatch {
                    path: path.to_owned(),
                    problem: "its u, v, w are not those of the meridian at its declination",
                });
            }
        }
        Ok(())
    }

    /// From the first antenna to the second, Earth-fixed.
    fn baseline(&self, first: i64, second: i64) -> [f64; 3] {
        let place = |number| {
            let found = self.header.antennas.iter().find(|a| a.number == number);
            found.map_or([0.0; 3], |antenna| antenna.offset_m)
        };
        let (from, to) = (place(first), place(second));
        [to[0] - from[0], to[1] - from[1], to[2] - from[2]]
    }

    fn write(&self, subbands: &[Uvh5], path: &Path) -> Result<Converted, ConvertError> {
        let used = self.used_antennas();
        let mut set = MeasurementSet::create(path, &self.layout(&used))?;
        let index = |number: i64| used.iter().position(|used| *used == number);
        let index = |number| i32::try_from(index(number).unwrap_or(0)).unwrap_or(0);
        let first: Vec<i32> = self.rows.iter().map(|row| index(row.1)).collect();
        let second: Vec<i32> = self.rows.iter().map(|row| index(row.2)).collect();
        let correlations = self.header.polarizations.len();
        #[expect(
            clippy::cast_possible_truncation,
            reason = "weights are single precision"
        )]
        let weight = (self.header.channel_width.0 * self.header.integration.0) as f32;
        let weights = vec![weight; self.rows.len() * correlations];
        let (mut flagged, mut total) = (0_usize, 0_usize);
        for (time, utc) in self.header.times.iter().enumerate() {
            let (uvw, data, flags) = self.integration(subbands, time, *utc)?;
            flagged += flags.iter().filter(|flag| **flag).count();
            total += flags.len();
            set.append(&Rows {
                time_s: utc.to_mjd().seconds(),
                interval_s: self.header.integration.0,
                antennas: (&first, &second),
                uvw_m: &uvw,
                data: &data,
                flags: &flags,
                weights: &weights,
            })?;
        }
        set.close()?;
        let lengths = self.rows.iter().map(|(_, first, second)| {
            let [x, y, z] = self.baseline(*first, *second);
            (x * x + y * y + z * z).sqrt()
        });
        #[expect(clippy::cast_precision_loss, reason = "a share needs no more")]
        Ok(Converted {
            ms: path.to_owned(),
            rows: self.rows.len() * self.header.times.len(),
            channels: self.channels.len(),
            band: (
                self.frequencies[0],
                self.frequencies[self.frequencies.len() - 1],
            ),
            longest_baseline: Metres(lengths.fold(0.0, f64::max)),
            centre: self.centre,
            flagged: flagged as f64 / total.max(1) as f64,
        })
    }

    /// One integration of all subbands, turned to the phase centre. A Measurement Set counts
    /// baselines the other way round than UVH5: signs of u, v, w and of all phases change.
    #[expect(clippy::type_complexity, reason = "the three parts of the rows")]
    fn integration(
        &self,
        subbands: &[Uvh5],
        time: usize,
        utc: JulianDate,
    ) -> Result<(Vec<[f64; 3]>, Vec<Complex32>, Vec<bool>), ConvertError> {
        let parts = subbands.iter().map(|subband| subband.integration(time));
        let parts = parts.collect::<Result<Vec<_>, _>>()?;
        let frame = Sky::at(utc, &self.site).frame(self.centre);
        let correlations = self.header.polarizations.len();
        let cells = self.rows.len() * self.channels.len() * correlations;
        let mut uvw = Vec::with_capacity(self.rows.len());
        let mut data = Vec::with_capacity(cells);
        let mut flags = Vec::with_capacity(cells);
        for (row, first, second) in &self.rows {
            let baseline = self.baseline(*first, *second);
            let turned = frame.uvw(baseline);
            let path = self.meridian.uvw(baseline)[2] - turned[2];
            uvw.push(turned.map(|component| -component));
            for ((subband, place), frequency) in self.channels.iter().zip(&self.frequencies) {
                let channels = subbands[*subband].header().frequencies.len();
                let start = (row * channels + place) * correlations;
                let turn = fringe(path, frequency.0);
                for cell in start..start + correlations {
                    let flag = parts[*subband].flags[cell];
                    let value = parts[*subband].data[cell];
                    let value = Complex64::new(value.re.into(), value.im.into()) * turn;
                    // A zero says for good that it is flagged: flaggers begin anew.
                    data.push(if flag {
                        Complex32::ZERO
                    } else {
                        single(value.conj())
                    });
                    flags.push(flag);
                }
            }
        }
        Ok((uvw, data, flags))
    }

    /// Numbers of the antennas that have data, ascending.
    fn used_antennas(&self) -> Vec<i64> {
        let ends = self
            .rows
            .iter()
            .flat_map(|(_, first, second)| [*first, *second]);
        let used: std::collections::BTreeSet<i64> = ends.collect();
        used.into_iter().collect()
    }

    fn layout(&self, used: &[i64]) -> Layout {
        let reference = self.site.position_itrf_m();
        let antennas = self.header.antennas.iter();
        let antennas = antennas.filter(|antenna| used.contains(&antenna.number));
        let half = self.header.integration.0 / 2.0;
        let seconds = |time: Option<&JulianDate>| time.map_or(0.0, |time| time.to_mjd().seconds());
        Layout {
            telescope: self.header.telescope.clone(),
            observer: "DSA-110".into(),
            project: "continuum imaging".into(),
            history: "converted from UVH5 by pipeline-tasks".into(),
            time_range_s: (
                seconds(self.header.times.first()) - half,
                seconds(self.header.times.last()) + half,
            ),
            antennas: antennas
                .map(|antenna| measurement_set::Antenna {
                    name: antenna.name.clone(),
                    station: antenna.name.clone(),
                    position_m: [0, 1, 2].map(|axis| reference[axis] + antenna.offset_m[axis]),
                    diameter_m: antenna.diameter.0,
                })
                .collect(),
            frequencies_hz: self
                .frequencies
                .iter()
                .map(|frequency| frequency.0)
                .collect(),
            channel_width_hz: self.header.channel_width.0,
            correlations: self.correlations.clone(),
            field_name: field_name(self.centre),
            field_ra: self.centre.ra.0,
            field_dec: self.centre.dec.0,
        }
    }
}

fn middle(times: &[JulianDate]) -> JulianDate {
    let (first, last) = (times[0].0, times[times.len() - 1].0);
    JulianDate(f64::midpoint(first, last))
}

fn correlations(subband: &Uvh5) -> Result<Vec<Correlation>, ConvertError> {
    let polarizations = subband.header().polarizations.iter().copied();
    let correlations: Option<_> = polarizations.map(correlation).collect();
    correlations.ok_or_else(|| ConvertError::Mismatch {
        path: subband.path().to_owned(),
        problem: "its polarizations are no products of receptors",
    })
}

/// AIPS counts the products of receptors down from -1: RR, LL, RL, LR, XX, YY, XY, YX. Above are
/// Stokes parameters, which no correlator writes.
fn correlation(aips: i64) -> Option<Correlation> {
    Some(match aips {
        -1 => Correlation::Rr,
        -2 => Correlation::Ll,
        -3 => Correlation::Rl,
        -4 => Correlation::Lr,
        -5 => Correlation::Xx,
        -6 => Correlation::Yy,
        -7 => Correlation::Xy,
        -8 => Correlation::Yx,
        _ => return None,
    })
}

/// `meridian_<right ascension>_<declination>` in degrees.
fn field_name(centre: SkyPosition) -> String {
    let (Degrees(ra), Degrees(dec)) = (centre.ra.to_degrees(), centre.dec.to_degrees());
    format!("meridian_{ra:.3}_{dec:+.3}")
}
