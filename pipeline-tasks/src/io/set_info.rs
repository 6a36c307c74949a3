//! What a Measurement Set says of itself: all that stages after the conversion need to know.

use std::{borrow::Cow, path::Path};

use measurement_set::{Correlation, MeasurementSet, MsError};
use thiserror::Error;

use crate::{
    model::{Hertz, JulianDate, Metres, Mjd, Radians, SkyPosition},
    science::{DSA_110_DISH, Site, Sky, Vector, count},
};

const SECONDS_PER_DAY: f64 = 86_400.0;
/// The name under which DSA-110 writes its files; casacore knows the valley's site by it.
const DSA_110: &str = "OVRO_MMA";
/// Frames whose angles are right ascension and declination as we count them: they are the same
/// to 0.02 arcseconds.
const FRAMES: [&str; 2] = ["J2000", "ICRS"];

/// Why a set can't be used.
#[derive(Debug, Error)]
pub enum SetError {
    /// It can't be read or written.
    #[error(transparent)]
    Set(#[from] MsError),
    /// It holds nothing.
    #[error("{path}: the set has no {what}; convert its observation again")]
    Empty {
        /// The set.
        path: String,
        /// What is missing.
        what: &'static str,
    },
    /// It is a set, but of a kind that this pipeline can't take.
    #[error("{path}: {problem}")]
    Unsuited {
        /// The set.
        path: String,
        /// What is wrong, and what to do.
        problem: String,
    },
}

impl SetError {
    /// Whether another try with the same input must fail as well.
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::Set(error) => error.is_permanent(),
            Self::Empty { .. } | Self::Unsuited { .. } => true,
        }
    }
}

/// A set's shape, band, array and times.
#[derive(Debug, Clone)]
pub struct SetInfo {
    /// The telescope, as casacore knows it.
    pub telescope: String,
    /// Its channels, in the order of the data.
    pub frequencies: Vec<Hertz>,
    /// What is in each of its channels, in the order of the data.
    pub correlations: Vec<Correlation>,
    /// How many of them are products of a receptor with its like: what gains are solved from.
    pub polarizations: usize,
    /// Names of its antennas; rows name them by their place in this list.
    pub antennas: Vec<String>,
    /// The diameter of its dishes: for DSA-110 the one that the beam follows, for others the
    /// smallest that the set says, zero if it says none.
    pub dish: Metres,
    /// The phase centre.
    pub centre: SkyPosition,
    /// The longest baseline; zero where there are only autocorrelations.
    pub longest_baseline: Metres,
    /// Rows of the same time, one after the other.
    pub integrations: Vec<RowsOfTime>,
    site: Site,
}

/// Rows of one time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RowsOfTime {
    /// The middle of the integration.
    pub time: JulianDate,
    /// The first row.
    pub start: u64,
    /// How many.
    pub rows: u64,
}

impl SetInfo {
    /// Reads a set that lies at `path`.
    pub fn of(path: &Path) -> Result<Self, SetError> {
        Self::read(&MeasurementSet::open(path)?, path)
    }

    /// Reads an open set. Times are taken as UTC; a set that counts them in UT1 is off by less
    /// than a second.
    ///
    /// # Errors
    /// If it can't be read, has no visibilities, more than one spectral window or field, or a
    /// phase centre that is no right ascension and declination.
    pub fn read(set: &MeasurementSet, path: &Path) -> Result<Self, SetError> {
        let empty = |what| SetError::Empty {
            path: path.display().to_string(),
            what,
        };
        let rows = set.row_count("")?;
        for table in [
            "DATA_DESCRIPTION",
            "SPECTRAL_WINDOW",
            "POLARIZATION",
            "FIELD",
        ] {
            match set.row_count(table)? {
                0 => return Err(empty(table)),
                1 => {}
                count => {
                    let problem = format!(
                        "{count} rows of {table}: only sets of one spectral window and one field \
                         can be taken; split it (CASA: `split` or `mstransform`) and give its \
                         parts one by one"
                    );
                    return Err(unsuited(path, problem));
                }
            }
        }
        let frequencies = set.numbers("SPECTRAL_WINDOW", "CHAN_FREQ", 0)?;
        if rows == 0 || frequencies.is_empty() {
            return Err(empty("visibilities"));
        }
        let correlations = set.correlations(0)?;
        if correlations.is_empty() {
            return Err(empty("correlations"));
        }
        check_shape(set.shape(), &frequencies, &correlations, path)?;
        let (antennas, site) = antennas(set)?;
        let site = site.ok_or_else(|| empty("antenna positions"))?;
        let telescope = set.text("OBSERVATION", "TELESCOPE_NAME", 0)?;
        let lengths = set.uvw(0, rows)?;
        let lengths = lengths.iter().map(|[u, v, w]| u * u + v * v + w * w);
        Ok(Self {
            dish: dish(set, &telescope)?,
            telescope,
            frequencies: frequencies.into_iter().map(Hertz).collect(),
            polarizations: correlations.iter().filter(|c| is_parallel(**c)).count(),
            correlations,
            antennas,
            centre: centre(set, path)?,
            longest_baseline: Metres(lengths.fold(0.0, f64::max).sqrt()),
            integrations: rows_of_times(&set.times_s(0, rows)?),
            site,
        })
    }

    /// Of a row's values, by channel and correlation, those of the correlations that gains are
    /// solved from.
    pub fn parallel_hands<'v, T: Copy>(&self, values: &'v [T]) -> Cow<'v, [T]> {
        if self.polarizations == self.correlations.len() {
            return Cow::Borrowed(values);
        }
        let values = values.iter().zip(self.correlations.iter().cycle());
        let parallel = values.filter(|(_, correlation)| is_parallel(**correlation));
        Cow::Owned(parallel.map(|(value, _)| *value).collect())
    }

    /// For each correlation the places of its two gains among the polarizations: of the first
    /// antenna's receptor and of the second's. None where a receptor has no gain.
    pub fn hands(&self) -> Vec<Option<(usize, usize)>> {
        hands(&self.correlations)
    }

    /// Lowest and highest channel.
    pub fn band(&self) -> (Hertz, Hertz) {
        let ends = (f64::INFINITY, f64::NEG_INFINITY);
        let (low, high) = self
            .frequencies
            .iter()
            .fold(ends, |(low, high), frequency| {
                (low.min(frequency.0), high.max(frequency.0))
            });
        (Hertz(low), Hertz(high))
    }

    /// First and last moment, the middles of their integrations.
    pub fn span(&self) -> (Mjd, Mjd) {
        let times = self.integrations.iter().map(|rows| rows.time.to_mjd().0);
        let ends = (f64::INFINITY, f64::NEG_INFINITY);
        let (first, last) = times.fold(ends, |(first, last), time| {
            (first.min(time), last.max(time))
        });
        (Mjd(first), Mjd(last))
    }

    /// Where the dishes look at each integration. Those of DSA-110 look up the meridian: into
    /// the direction, fixed to the Earth, in which the phase centre is in the middle of the
    /// observation. Other telescopes follow their phase centre.
    pub fn pointings(&self) -> Vec<SkyPosition> {
        if !drifts(&self.telescope) {
            return vec![self.centre; self.integrations.len()];
        }
        let (first, last) = self.span();
        let middle = Mjd(f64::midpoint(first.0, last.0)).to_julian_date();
        let direction: Vector = Sky::at(middle, &self.site).direction(self.centre);
        let pointing = |rows: &RowsOfTime| Sky::at(rows.time, &self.site).position(direction);
        self.integrations.iter().map(pointing).collect()
    }
}

/// Whether the sky drifts through the beams of a telescope's dishes.
fn drifts(telescope: &str) -> bool {
    telescope == DSA_110 || telescope.starts_with("DSA")
}

fn is_parallel(correlation: Correlation) -> bool {
    let [first, second] = correlation.receptors();
    first == second
}

fn hands(correlations: &[Correlation]) -> Vec<Option<(usize, usize)>> {
    let parallel = correlations.iter().filter(|c| is_parallel(**c));
    let solved: Vec<u8> = parallel.map(|c| c.receptors()[0]).collect();
    let place = |receptor: u8| solved.iter().position(|other| *other == receptor);
    let hands = correlations.iter().map(|correlation| {
        let [first, second] = correlation.receptors();
        place(first).zip(place(second))
    });
    hands.collect()
}

fn unsuited(path: &Path, problem: String) -> SetError {
    SetError::Unsuited {
        path: path.display().to_string(),
        problem,
    }
}

/// The rows must be as long as the subtables say.
fn check_shape(
    shape: [u64; 2],
    frequencies: &[f64],
    correlations: &[Correlation],
    path: &Path,
) -> Result<(), SetError> {
    let [width, height] = shape;
    if [width, height] == [correlations.len() as u64, frequencies.len() as u64] {
        return Ok(());
    }
    let problem = format!(
        "its rows have {height} channels and {width} correlations, its subtables {} and {}; \
         whoever wrote it has to write it again",
        frequencies.len(),
        correlations.len()
    );
    Err(unsuited(path, problem))
}

fn centre(set: &MeasurementSet, path: &Path) -> Result<SkyPosition, SetError> {
    let centre = set.phase_centre(0)?;
    if !FRAMES.contains(&centre.frame.as_str()) {
        let problem = format!(
            "its phase centre is in the frame {}; only {} can be taken",
            centre.frame,
            FRAMES.join(" and ")
        );
        return Err(unsuited(path, problem));
    }
    Ok(SkyPosition {
        ra: Radians(centre.longitude).wrapped(),
        dec: Radians(centre.latitude),
    })
}

/// The names of the antennas, and the middle of those that stand somewhere: some writers leave
/// empty rows for antennas that were not used.
fn antennas(set: &MeasurementSet) -> Result<(Vec<String>, Option<Site>), SetError> {
    let mut names = Vec::new();
    let (mut sum, mut placed) = ([0.0; 3], 0);
    for row in 0..set.row_count("ANTENNA")? {
        names.push(set.text("ANTENNA", "NAME", row)?);
        let position = set.numbers("ANTENNA", "POSITION", row)?;
        for (sum, axis) in sum.iter_mut().zip(&position) {
            *sum += axis;
        }
        placed += usize::from(position.iter().any(|axis| axis.abs() > 0.0));
    }
    let middle = sum.map(|axis| axis / count(placed));
    Ok((names, (placed > 0).then(|| Site::at_itrf(middle))))
}

/// The diameter that the beam of DSA-110 follows. Of others the smallest dish, which sees the
/// widest field; zero where none is said.
fn dish(set: &MeasurementSet, telescope: &str) -> Result<Metres, SetError> {
    if drifts(telescope) {
        return Ok(DSA_110_DISH);
    }
    let mut smallest: Option<f64> = None;
    for row in 0..set.row_count("ANTENNA")? {
        let diameter = set.numbers("ANTENNA", "DISH_DIAMETER", row)?;
        let said = diameter.into_iter().filter(|diameter| *diameter > 0.0);
        smallest = said.chain(smallest).reduce(f64::min);
    }
    Ok(Metres(smallest.unwrap_or(0.0)))
}

#[expect(
    clippy::float_cmp,
    reason = "the rows of an integration repeat one number"
)]
fn rows_of_times(times_s: &[f64]) -> Vec<RowsOfTime> {
    let mut start = 0;
    let blocks = times_s.chunk_by(|a, b| a == b);
    blocks
        .map(|block| {
            let rows = block.len() as u64;
            let of_time = RowsOfTime {
                time: Mjd(block[0] / SECONDS_PER_DAY).to_julian_date(),
                start,
                rows,
            };
            start += rows;
            of_time
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_correlation_has_the_gains_of_its_two_receptors() {
        use Correlation::{Ll, Lr, Rl, Rr, Xx, Xy, Yx, Yy};
        let both = [(0, 0), (1, 1)].map(Some);
        assert_eq!(hands(&[Xx, Yy]), both);
        // The order of the file counts, here also for the gains.
        assert_eq!(hands(&[Yy, Xx]), both);
        let four = [(0, 0), (0, 1), (1, 0), (1, 1)].map(Some);
        assert_eq!(hands(&[Rr, Rl, Lr, Ll]), four);
        // One receptor alone has gains, and what needs the other one has none.
        assert_eq!(hands(&[Yx, Yy]), [None, Some((0, 0))]);
        assert_eq!(hands(&[Xy]), [None]);
    }

    #[test]
    fn rows_are_told_apart_by_their_times() {
        let rows = rows_of_times(&[86_400.0, 86_400.0, 172_800.0]);
        let blocks: Vec<_> = rows.iter().map(|rows| (rows.start, rows.rows)).collect();
        assert_eq!(blocks, [(0, 2), (2, 1)]);
        assert!((rows[1].time.to_mjd().0 - 2.0).abs() < 1e-9);
    }
}
