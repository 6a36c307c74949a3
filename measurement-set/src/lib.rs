//! CASA Measurement Sets (version 2) through casacore: make one, append to it, read it back.
//!
//! One spectral window, one field, one polarization setup: what an interferometer that follows
//! the sky at one place writes in one observation. A UVFITS file, the exchange format of AIPS and
//! CASA, becomes a set with as many windows as it has.

mod correlation;
mod ffi;

use std::path::{Path, PathBuf};

use num_complex::Complex32;

pub use correlation::Correlation;

/// Why a set can't be made, written or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}", path.display())]
pub struct MsError {
    /// The set.
    pub path: PathBuf,
    /// What kind of trouble it is.
    pub kind: ErrorKind,
    /// casacore's words, or ours.
    pub message: String,
}

/// Kinds of trouble with a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// casacore refused.
    Casacore,
    /// There is no table.
    NotATable,
    /// There is a table, but it is no Measurement Set.
    NotASet,
    /// A column is missing.
    NoColumn,
    /// A column holds something else than was asked for.
    WrongType,
    /// Cells of different shapes were asked for at once, or rows that are not there, or the
    /// caller's parts don't fit.
    MixedShapes,
}

impl ErrorKind {
    /// The kind that the shim's number stands for; none for success.
    fn of(number: i32) -> Option<Self> {
        match number {
            0 => None,
            2 => Some(Self::NotATable),
            3 => Some(Self::NotASet),
            4 => Some(Self::NoColumn),
            5 => Some(Self::WrongType),
            6 => Some(Self::MixedShapes),
            _ => Some(Self::Casacore),
        }
    }
}

impl MsError {
    /// Whether another try must fail as well: what is in a set does not change by itself. A table
    /// that is not there may still come, and what casacore refuses may be a lock or a full disk.
    pub fn is_permanent(&self) -> bool {
        !matches!(self.kind, ErrorKind::Casacore | ErrorKind::NotATable)
    }
}

/// A direction of the sky as a set says it.
#[derive(Debug, Clone, PartialEq)]
pub struct Direction {
    /// Right ascension, or what the frame has in its place: radians.
    pub longitude: f64,
    /// Declination, or what the frame has in its place: radians.
    pub latitude: f64,
    /// casacore's name of the frame, as `J2000` or `ICRS`.
    pub frame: String,
}

/// An antenna of the array.
#[derive(Debug, Clone, PartialEq)]
pub struct Antenna {
    /// Its name.
    pub name: String,
    /// The name of the place where it stands.
    pub station: String,
    /// Where it stands: ITRF, metres.
    pub position_m: [f64; 3],
    /// The diameter of its dish in metres.
    pub diameter_m: f64,
}

/// What a new set says beside its visibilities.
#[derive(Debug, Clone, PartialEq)]
pub struct Layout {
    /// The telescope's name, as casacore's catalogues know it.
    pub telescope: String,
    /// Who observed.
    pub observer: String,
    /// For what.
    pub project: String,
    /// Where the set comes from.
    pub history: String,
    /// First and last moment: MJD, UTC, in seconds.
    pub time_range_s: (f64, f64),
    /// The antennas; rows name them by their place in this list.
    pub antennas: Vec<Antenna>,
    /// Centres of the channels in hertz.
    pub frequencies_hz: Vec<f64>,
    /// Width of a channel in hertz.
    pub channel_width_hz: f64,
    /// The correlations, in the order of the data.
    pub correlations: Vec<Correlation>,
    /// The field's name.
    pub field_name: String,
    /// Right ascension of the phase centre, J2000, radians.
    pub field_ra: f64,
    /// Its declination, radians.
    pub field_dec: f64,
}

/// All rows of one integration.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    /// The middle of the integration: MJD, UTC, in seconds.
    pub time_s: f64,
    /// Its length in seconds.
    pub interval_s: f64,
    /// First and second antenna of each row.
    pub antennas: (&'a [i32], &'a [i32]),
    /// u, v, w of each row in metres: from the first antenna to the second, as CASA counts.
    pub uvw_m: &'a [[f64; 3]],
    /// Visibilities by row, then channel, then correlation.
    pub data: &'a [Complex32],
    /// Which of them are not to be used.
    pub flags: &'a [bool],
    /// Weights by row, then correlation.
    pub weights: &'a [f32],
}

/// A Measurement Set that is open.
#[derive(Debug)]
pub struct MeasurementSet {
    path: PathBuf,
    set: ffi::Set,
    /// Correlations and channels of a row.
    shape: [u64; 2],
}

impl MeasurementSet {
    /// Makes a new set with all its subtables and no rows. There must be nothing at `path`.
    pub fn create(path: &Path, layout: &Layout) -> Result<Self, MsError> {
        let set = ffi::Set::create(path, layout)?;
        let shape = [layout.correlations.len(), layout.frequencies_hz.len()];
        Ok(Self {
            path: path.to_owned(),
            set,
            shape: shape.map(|size| size as u64),
        })
    }

    /// Makes a new set at `place` of a UVFITS file, by casacore's own reader. Every IF of the file
    /// becomes a spectral window. There must be nothing at `place`; what was made there before an
    /// error is removed.
    pub fn import_uvfits(uvfits: &Path, place: &Path) -> Result<(), MsError> {
        let refused = |path: &Path, message: String| MsError {
            path: path.to_owned(),
            kind: ErrorKind::Casacore,
            message,
        };
        if std::fs::symlink_metadata(place).is_ok() {
            let message = "there is something already; give the new set another place";
            return Err(refused(place, message.to_owned()));
        }
        // casacore says of a file that is absent only that it is no FITS.
        std::fs::metadata(uvfits)
            .map_err(|error| refused(uvfits, format!("the file can't be read: {error}")))?;
        ffi::import_uvfits(uvfits, place).inspect_err(|_| {
            // There may be nothing yet; what counts is why the import failed.
            let _ = std::fs::remove_dir_all(place);
        })
    }

    /// Opens a set to read it.
    pub fn open(path: &Path) -> Result<Self, MsError> {
        Self::open_as(path, false)
    }

    /// Opens a set to read it and to write into its rows.
    pub fn open_for_update(path: &Path) -> Result<Self, MsError> {
        Self::open_as(path, true)
    }

    fn open_as(path: &Path, writable: bool) -> Result<Self, MsError> {
        let set = ffi::Set::open(path, writable)?;
        let rows = set.row_count(path, "")?;
        let shape = if rows == 0 {
            [0; 2]
        } else {
            set.shape(path, "DATA", rows)?
        };
        Ok(Self {
            path: path.to_owned(),
            set,
            shape,
        })
    }

    /// Appends the rows of one integration.
    pub fn append(&mut self, rows: &Rows<'_>) -> Result<(), MsError> {
        let count = rows.antennas.0.len();
        let [correlations, channels] = self.shape.map(|size| usize::try_from(size).unwrap_or(0));
        let fits = rows.antennas.1.len() == count
            && rows.uvw_m.len() == count
            && rows.data.len() == count * correlations * channels
            && rows.flags.len() == rows.data.len()
            && rows.weights.len() == count * correlations;
        if !fits {
            return Err(MsError {
                path: self.path.clone(),
                kind: ErrorKind::MixedShapes,
                message: format!(
                    "{count} rows of {channels} channels and {correlations} correlations were \
                     announced, but the parts have other lengths"
                ),
            });
        }
        self.set.append(&self.path, rows, self.shape)
    }

    /// Writes everything to disk and closes the set.
    pub fn close(self) -> Result<(), MsError> {
        self.set.close(&self.path)
    }

    /// How many rows a subtable has; `""` is the main table.
    pub fn row_count(&self, subtable: &str) -> Result<u64, MsError> {
        self.set.row_count(&self.path, subtable)
    }

    /// A text cell of a subtable.
    pub fn text(&self, subtable: &str, column: &str, row: u64) -> Result<String, MsError> {
        self.set.string(&self.path, (subtable, column, row))
    }

    /// A numeric cell of a subtable.
    pub fn numbers(&self, subtable: &str, column: &str, row: u64) -> Result<Vec<f64>, MsError> {
        self.set.numbers(&self.path, (subtable, column, row))
    }

    /// The correlations of a row of POLARIZATION, in the order of the data.
    pub fn correlations(&self, row: u64) -> Result<Vec<Correlation>, MsError> {
        let codes = self.numbers("POLARIZATION", "CORR_TYPE", row)?;
        let correlation = |code: &f64| {
            Correlation::from_code(*code).ok_or_else(|| MsError {
                path: self.path.clone(),
                kind: ErrorKind::WrongType,
                message: format!(
                    "its data have the Stokes type {code}; only correlations of two linear \
                     (XX, XY, YX, YY) or two circular receptors (RR, RL, LR, LL) can be read"
                ),
            })
        };
        codes.iter().map(correlation).collect()
    }

    /// The phase centre of a row of FIELD.
    pub fn phase_centre(&self, field: u64) -> Result<Direction, MsError> {
        self.set.phase_centre(&self.path, field)
    }

    /// Correlations and channels of a row.
    pub fn shape(&self) -> [u64; 2] {
        self.shape
    }

    /// A complex column of some rows, by row, then channel, then correlation.
    pub fn visibilities(
        &self,
        column: &str,
        start: u64,
        rows: u64,
    ) -> Result<Vec<Complex32>, MsError> {
        let parts = self
            .set
            .complex(&self.path, column, (start, rows), self.shape)?;
        let pairs = parts.chunks_exact(2);
        Ok(pairs.map(|pair| Complex32::new(pair[0], pair[1])).collect())
    }

    /// The flags of some rows, in the order of the visibilities.
    pub fn flags(&self, start: u64, rows: u64) -> Result<Vec<bool>, MsError> {
        self.set.flags(&self.path, (start, rows), self.shape)
    }

    /// The middle of the integration of some rows: MJD, UTC, in seconds.
    pub fn times_s(&self, start: u64, rows: u64) -> Result<Vec<f64>, MsError> {
        self.set.doubles(&self.path, "TIME", (start, rows))
    }

    /// First and second antenna of some rows.
    pub fn antennas(&self, start: u64, rows: u64) -> Result<Vec<(i32, i32)>, MsError> {
        let first = self.set.integers(&self.path, "ANTENNA1", (start, rows))?;
        let second = self.set.integers(&self.path, "ANTENNA2", (start, rows))?;
        Ok(first.into_iter().zip(second).collect())
    }

    /// Whether the main table has a column.
    pub fn has_column(&self, column: &str) -> Result<bool, MsError> {
        self.set.has_column(&self.path, column)
    }

    /// Adds a column of visibilities, zero in all rows. One that is there stays as it is.
    pub fn add_visibilities(&mut self, column: &str) -> Result<(), MsError> {
        self.set.add_complex(&self.path, column)
    }

    /// Writes a column of visibilities into rows that exist, in the order in which it is read.
    pub fn write_visibilities(
        &mut self,
        column: &str,
        start: u64,
        rows: u64,
        data: &[Complex32],
    ) -> Result<(), MsError> {
        self.check_length(rows, data.len())?;
        let parts: Vec<f32> = data.iter().flat_map(|value| [value.re, value.im]).collect();
        self.set
            .write_complex(&self.path, column, (start, rows), self.shape, &parts)
    }

    /// Writes flags into rows that exist; a row is flagged as such when all of it is.
    pub fn write_flags(&mut self, start: u64, rows: u64, flags: &[bool]) -> Result<(), MsError> {
        self.check_length(rows, flags.len())?;
        self.set
            .write_flags(&self.path, (start, rows), self.shape, flags)
    }

    fn check_length(&self, rows: u64, length: usize) -> Result<(), MsError> {
        let [correlations, channels] = self.shape;
        if u64::try_from(length).ok() == Some(rows * correlations * channels) {
            return Ok(());
        }
        Err(MsError {
            path: self.path.clone(),
            kind: ErrorKind::MixedShapes,
            message: format!(
                "{rows} rows of {channels} channels and {correlations} correlations don't take \
                 {length} values"
            ),
        })
    }

    /// u, v and w of some rows in metres.
    pub fn uvw(&self, start: u64, rows: u64) -> Result<Vec<[f64; 3]>, MsError> {
        let parts = self.set.uvw(&self.path, (start, rows))?;
        let triples = parts.chunks_exact(3);
        Ok(triples.map(|uvw| [uvw[0], uvw[1], uvw[2]]).collect())
    }
}
