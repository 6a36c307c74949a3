//! Gain tables: complex gains of antennas by polarization and channel, in HDF5.

use std::{
    io,
    path::{Path, PathBuf},
};

use hdf5_metno::{File, types::FixedAscii};
use num_complex::Complex32;
use thiserror::Error;

use super::part::PartName;
use crate::model::{Hertz, Mjd};

/// Longest name of an antenna.
type Name = FixedAscii<32>;

/// Why a table can't be used.
#[derive(Debug, Error)]
pub enum GainTableError {
    /// It can't be read or written.
    #[error("{}: can't be read or written as a gain table; solve again", path.display())]
    Hdf5 {
        /// The table.
        path: PathBuf,
        /// The library's reason.
        source: hdf5_metno::Error,
    },
    /// Its parts don't fit together.
    #[error("{}: {problem}; solve again", path.display())]
    Malformed {
        /// The table.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// It can't be put into its place.
    #[error("can't write {}", path.display())]
    File {
        /// The place.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

/// Gains of one observation: what is seen is `gain_p * conj(gain_q)` times the sky.
#[derive(Debug, Clone, PartialEq)]
pub struct GainTable {
    /// The antennas, by name.
    pub antennas: Vec<String>,
    /// The channels.
    pub frequencies: Vec<Hertz>,
    /// How many polarizations.
    pub polarizations: usize,
    /// By polarization, then channel, then antenna.
    pub gains: Vec<Complex32>,
    /// Which of them are not to be used.
    pub flags: Vec<bool>,
    /// The observation's first and last moment.
    pub span: (Mjd, Mjd),
}

impl GainTable {
    /// The place of a gain.
    pub fn index(&self, polarization: usize, channel: usize, antenna: usize) -> usize {
        (polarization * self.frequencies.len() + channel) * self.antennas.len() + antenna
    }

    /// The gain of an antenna; none where it is not to be used.
    pub fn gain(&self, polarization: usize, channel: usize, antenna: usize) -> Option<Complex32> {
        let index = self.index(polarization, channel, antenna);
        let usable = self.flags.get(index) == Some(&false);
        self.gains.get(index).copied().filter(|_| usable)
    }

    /// Writes the table to `path`, where it appears only when it is complete.
    pub fn write(&self, path: &Path) -> Result<(), GainTableError> {
        let part = PartName::of(path);
        let failed = |source| GainTableError::Hdf5 {
            path: path.to_owned(),
            source,
        };
        self.write_parts(part.path()).map_err(failed)?;
        part.put_in_place(path)
            .map_err(|source| GainTableError::File {
                path: path.to_owned(),
                source,
            })
    }

    fn write_parts(&self, path: &Path) -> hdf5_metno::Result<()> {
        let name = |name: &String| Name::from_ascii(name.as_bytes());
        let antennas: Result<Vec<Name>, _> = self.antennas.iter().map(name).collect();
        let antennas = antennas.map_err(|error| hdf5_metno::Error::from(error.to_string()))?;
        let frequencies: Vec<f64> = self.frequencies.iter().map(|f| f.0).collect();
        let shape = (
            self.polarizations,
            self.frequencies.len(),
            self.antennas.len(),
        );
        let shaped = |error: ndarray::ShapeError| hdf5_metno::Error::from(error.to_string());
        let gains = ndarray::ArrayView::from_shape(shape, &self.gains).map_err(shaped)?;
        let flags = ndarray::ArrayView::from_shape(shape, &self.flags).map_err(shaped)?;
        let file = File::create(path)?;
        let part = || file.new_dataset_builder();
        part().with_data(&antennas).create("antennas")?;
        part().with_data(&frequencies).create("frequencies_hz")?;
        part().with_data(&gains).create("gains")?;
        part().with_data(&flags).create("flags")?;
        let span = [self.span.0.0, self.span.1.0];
        part().with_data(&span).create("span_mjd")?;
        file.close()
    }

    /// First and last moment of a table's observation; its gains are not read.
    pub fn span_of(path: &Path) -> Result<(Mjd, Mjd), GainTableError> {
        let read = File::open(path).and_then(|file| read_span(&file));
        read.map_err(|source| GainTableError::Hdf5 {
            path: path.to_owned(),
            source,
        })
    }

    /// Reads a table.
    pub fn read(path: &Path) -> Result<Self, GainTableError> {
        let failed = |source| GainTableError::Hdf5 {
            path: path.to_owned(),
            source,
        };
        let table = Self::read_parts(path).map_err(failed)?;
        let cells = table.polarizations * table.frequencies.len() * table.antennas.len();
        if cells == 0 || table.gains.len() != cells || table.flags.len() != cells {
            return Err(GainTableError::Malformed {
                path: path.to_owned(),
                problem: format!(
                    "{} gains and {} flags for {} antennas, {} channels, {} polarizations",
                    table.gains.len(),
                    table.flags.len(),
                    table.antennas.len(),
                    table.frequencies.len(),
                    table.polarizations
                ),
            });
        }
        Ok(table)
    }

    fn read_parts(path: &Path) -> hdf5_metno::Result<Self> {
        let file = File::open(path)?;
        let antennas: Vec<Name> = file.dataset("antennas")?.read_raw()?;
        let frequencies: Vec<f64> = file.dataset("frequencies_hz")?.read_raw()?;
        let gains = file.dataset("gains")?;
        Ok(Self {
            antennas: antennas
                .iter()
                .map(|name| name.as_str().to_owned())
                .collect(),
            frequencies: frequencies.into_iter().map(Hertz).collect(),
            polarizations: gains.shape().first().copied().unwrap_or(0),
            gains: gains.read_raw()?,
            flags: file.dataset("flags")?.read_raw()?,
            span: read_span(&file)?,
        })
    }
}

fn read_span(file: &File) -> hdf5_metno::Result<(Mjd, Mjd)> {
    let span: Vec<f64> = file.dataset("span_mjd")?.read_raw()?;
    match span[..] {
        [first, last] => Ok((Mjd(first), Mjd(last))),
        _ => Err("span_mjd holds no two times".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_read_as_it_was_written() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("gains.h5");
        let table = GainTable {
            antennas: vec!["1".into(), "103".into()],
            frequencies: vec![Hertz(1.3e9), Hertz(1.4e9)],
            polarizations: 1,
            gains: [0.1, 0.2, 0.3, 0.4]
                .map(|re| Complex32::new(re, -re))
                .into(),
            flags: vec![false, true, false, false],
            span: (Mjd(61_066.3), Mjd(61_066.4)),
        };
        table.write(&path)?;
        let read = GainTable::read(&path)?;
        assert_eq!(read, table);
        assert_eq!(GainTable::span_of(&path)?, table.span);
        assert_eq!(read.gain(0, 1, 0), Some(Complex32::new(0.3, -0.3)));
        assert_eq!(read.gain(0, 0, 1), None);
        std::fs::write(&path, b"no table")?;
        let refused = GainTable::read(&path).err().ok_or("it was read")?;
        assert!(refused.to_string().contains("gains.h5"), "{refused}");
        Ok(())
    }
}
