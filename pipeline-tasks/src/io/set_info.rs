//! What a Measurement Set says of itself: all that stages after the conversion need to know.

use std::path::Path;

use measurement_set::{MeasurementSet, MsError};
use thiserror::Error;

use crate::{
    model::{Hertz, JulianDate, Metres, Mjd, Radians, SkyPosition},
    science::{Site, Sky, Vector},
};

const SECONDS_PER_DAY: f64 = 86_400.0;

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
}

/// A set's shape, band, array and times.
#[derive(Debug, Clone)]
pub struct SetInfo {
    /// Its channels, in the order of the data.
    pub frequencies: Vec<Hertz>,
    /// How many polarizations.
    pub polarizations: usize,
    /// Names of its antennas; rows name them by their place in this list.
    pub antennas: Vec<String>,
    /// The phase centre.
    pub centre: SkyPosition,
    /// The longest baseline.
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

    /// Reads an open set.
    pub fn read(set: &MeasurementSet, path: &Path) -> Result<Self, SetError> {
        let empty = |what| SetError::Empty {
            path: path.display().to_string(),
            what,
        };
        let rows = set.row_count("")?;
        let frequencies = set.numbers("SPECTRAL_WINDOW", "CHAN_FREQ", 0)?;
        if rows == 0 || frequencies.is_empty() {
            return Err(empty("visibilities"));
        }
        let mut antennas = Vec::new();
        let mut reference = [0.0; 3];
        let count = set.row_count("ANTENNA")?;
        for row in 0..count {
            antennas.push(set.text("ANTENNA", "NAME", row)?);
            let position = set.numbers("ANTENNA", "POSITION", row)?;
            for (sum, axis) in reference.iter_mut().zip(position) {
                #[expect(clippy::cast_precision_loss, reason = "antennas are some hundreds")]
                let share = axis / count as f64;
                *sum += share;
            }
        }
        let centre = set.numbers("FIELD", "PHASE_DIR", 0)?;
        let [ra, dec] = centre[..] else {
            return Err(empty("phase centre"));
        };
        let lengths = set.uvw(0, rows)?;
        let lengths = lengths.iter().map(|[u, v, w]| u * u + v * v + w * w);
        let [polarizations, _] = set.shape();
        Ok(Self {
            frequencies: frequencies.into_iter().map(Hertz).collect(),
            polarizations: usize::try_from(polarizations).unwrap_or(0),
            antennas,
            centre: SkyPosition {
                ra: Radians(ra).wrapped(),
                dec: Radians(dec),
            },
            longest_baseline: Metres(lengths.fold(0.0, f64::max).sqrt()),
            integrations: rows_of_times(&set.times_s(0, rows)?),
            site: Site::at_itrf(reference),
        })
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

    /// Where dishes look that look up the meridian, at each integration: the direction, fixed to
    /// the Earth, in which the phase centre is in the middle of the observation.
    pub fn pointings(&self) -> Vec<SkyPosition> {
        let (first, last) = self.span();
        let middle = Mjd(f64::midpoint(first.0, last.0)).to_julian_date();
        let direction: Vector = Sky::at(middle, &self.site).direction(self.centre);
        let pointing = |rows: &RowsOfTime| Sky::at(rows.time, &self.site).position(direction);
        self.integrations.iter().map(pointing).collect()
    }
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
    fn rows_are_told_apart_by_their_times() {
        let rows = rows_of_times(&[86_400.0, 86_400.0, 172_800.0]);
        let blocks: Vec<_> = rows.iter().map(|rows| (rows.start, rows.rows)).collect();
        assert_eq!(blocks, [(0, 2), (2, 1)]);
        assert!((rows[1].time.to_mjd().0 - 2.0).abs() < 1e-9);
    }
}
