//! One subband in the UVH5 format: HDF5 as pyuvdata and the DSA-110 writer lay it out.
//!
//! Read an integration at a time, so that memory does not grow with the length of a file.

use std::path::{Path, PathBuf};

use hdf5_metno::{
    Dataset, File, Hyperslab, SliceOrIndex,
    types::{FixedAscii, VarLenAscii, VarLenUnicode},
};
use num_complex::Complex32;
use thiserror::Error;

use crate::{
    model::{Degrees, Hertz, JulianDate, Metres, Radians, Seconds},
    science::DSA_110_DISH,
};

/// Why a file can't be read. None of these goes away by trying again.
#[derive(Debug, Error)]
pub enum Uvh5Error {
    /// There is nothing in it.
    #[error(
        "{}: the file is empty; the correlator did not write it, or a copy failed",
        .0.display()
    )]
    Empty(PathBuf),
    /// It is no HDF5 file, or ends before its time.
    #[error("{}: no readable HDF5 file (truncated?); copy it again", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The library's reason.
        source: hdf5_metno::Error,
    },
    /// A part is missing or of another kind than UVH5 says.
    #[error("{}: `{part}` is missing or can't be read as UVH5", path.display())]
    Part {
        /// The file.
        path: PathBuf,
        /// The part.
        part: String,
        /// The library's reason.
        source: hdf5_metno::Error,
    },
    /// It is UVH5, but of a kind that this pipeline can't take.
    #[error("{}: {problem}", path.display())]
    Unsuited {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
}

/// An antenna of the array.
#[derive(Debug, Clone, PartialEq)]
pub struct Antenna {
    /// The number by which baselines name it.
    pub number: i64,
    /// Its name.
    pub name: String,
    /// From the array's reference point, Earth-fixed, metres.
    pub offset_m: [f64; 3],
    /// The diameter of its dish.
    pub diameter: Metres,
}

/// What a file says beside its visibilities.
#[derive(Debug, Clone, PartialEq)]
pub struct Header {
    /// The telescope's name.
    pub telescope: String,
    /// Geodetic latitude of the reference point.
    pub latitude: Degrees,
    /// East longitude.
    pub longitude: Degrees,
    /// Height above the ellipsoid.
    pub altitude: Metres,
    /// All antennas of the array, whether or not they have data.
    pub antennas: Vec<Antenna>,
    /// First and second antenna of each baseline, in the order of every integration.
    pub baselines: Vec<(i64, i64)>,
    /// The middle of each integration.
    pub times: Vec<JulianDate>,
    /// Length of an integration.
    pub integration: Seconds,
    /// Centres of the channels, in the order of the data.
    pub frequencies: Vec<Hertz>,
    /// Width of a channel.
    pub channel_width: Hertz,
    /// AIPS codes of the polarizations: -5 is XX, -6 is YY.
    pub polarizations: Vec<i64>,
    /// Apparent declination of the meridian at which fringes are stopped; some telescopes
    /// don't say one.
    pub declination: Option<Radians>,
    /// u, v, w of each baseline at the first time, metres.
    pub uvw_m: Vec<[f64; 3]>,
}

/// The visibilities of one integration: by baseline, then channel, then polarization.
#[derive(Debug, Clone, PartialEq)]
pub struct Integration {
    /// The product of the first antenna's conjugate with the second.
    pub data: Vec<Complex32>,
    /// What is not to be used.
    pub flags: Vec<bool>,
}

/// An open file.
#[derive(Debug)]
pub struct Uvh5 {
    path: PathBuf,
    header: Header,
    visibilities: Dataset,
    flags: Dataset,
}

impl Uvh5 {
    /// Opens a file and reads its header.
    pub fn open(path: &Path) -> Result<Self, Uvh5Error> {
        let unreadable = |source| Uvh5Error::Unreadable {
            path: path.to_owned(),
            source,
        };
        if std::fs::metadata(path).is_ok_and(|data| data.len() == 0) {
            return Err(Uvh5Error::Empty(path.to_owned()));
        }
        let file = File::open(path).map_err(unreadable)?;
        let parts = Parts { path, file: &file };
        let header = parts.header()?;
        let visibilities = parts.dataset("Data/visdata")?;
        let flags = parts.dataset("Data/flags")?;
        let rows = header.times.len() * header.baselines.len();
        let cells = header.frequencies.len() * header.polarizations.len();
        for (part, dataset) in [("visdata", &visibilities), ("flags", &flags)] {
            let shape = dataset.shape();
            let fits = shape.first() == Some(&rows) && dataset.size() == rows * cells;
            if !fits {
                return Err(Uvh5Error::Unsuited {
                    path: path.to_owned(),
                    problem: format!("{part} has the shape {shape:?}, the header says otherwise"),
                });
            }
        }
        Ok(Self {
            path: path.to_owned(),
            header,
            visibilities,
            flags,
        })
    }

    /// What the file says of itself.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Where the file lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads one integration. Visibilities that are stored with other numbers, as doubles or as
    /// whole numbers, are converted; what is not finite counts as flagged.
    pub fn integration(&self, index: usize) -> Result<Integration, Uvh5Error> {
        let rows = self.header.baselines.len();
        let part = |part: &'static str| {
            move |source| Uvh5Error::Part {
                path: self.path.clone(),
                part: part.to_owned(),
                source,
            }
        };
        let mut data: Vec<Complex32> =
            read_rows(&self.visibilities, index * rows, rows).map_err(part("Data/visdata"))?;
        let mut flags: Vec<bool> =
            read_rows(&self.flags, index * rows, rows).map_err(part("Data/flags"))?;
        for (value, flag) in data.iter_mut().zip(&mut flags) {
            if !value.is_finite() {
                *value = Complex32::ZERO;
                *flag = true;
            }
        }
        Ok(Integration { data, flags })
    }
}

/// Some rows of a dataset of three or four dimensions, flat.
fn read_rows<T: hdf5_metno::H5Type>(
    dataset: &Dataset,
    start: usize,
    rows: usize,
) -> hdf5_metno::Result<Vec<T>> {
    let mut selection = vec![SliceOrIndex::from(start..start + rows)];
    selection.resize(dataset.ndim(), SliceOrIndex::from(..));
    let read = dataset.read_slice::<T, _, ndarray::IxDyn>(Hyperslab::from(selection))?;
    Ok(read.into_raw_vec_and_offset().0)
}

/// The parts of a file, by their paths.
struct Parts<'f> {
    path: &'f Path,
    file: &'f File,
}

impl Parts<'_> {
    fn header(&self) -> Result<Header, Uvh5Error> {
        let times: Vec<f64> = self.numbers("Header/time_array")?;
        let first: Vec<i64> = self.numbers("Header/ant_1_array")?;
        let second: Vec<i64> = self.numbers("Header/ant_2_array")?;
        let uvw: Vec<f64> = self.numbers("Header/uvw_array")?;
        let lengths: Vec<f64> = self.numbers("Header/integration_time")?;
        let declared: i64 = self.number("Header/Nbls")?;
        let baselines = usize::try_from(declared).unwrap_or(0);
        self.check_order(&times, (&first, &second), &lengths, baselines)?;
        let frequencies: Vec<f64> = self.numbers("Header/freq_array")?;
        let declination = self
            .number("Header/extra_keywords/phase_center_dec")
            .or_else(|_| self.number("Header/phase_center_app_dec"));
        Ok(Header {
            telescope: self.text("Header/telescope_name")?,
            latitude: Degrees(self.number("Header/latitude")?),
            longitude: Degrees(self.number("Header/longitude")?),
            altitude: Metres(self.number("Header/altitude")?),
            antennas: self.antennas()?,
            baselines: first.into_iter().zip(second).take(baselines).collect(),
            times: times
                .iter()
                .step_by(baselines)
                .map(|t| JulianDate(*t))
                .collect(),
            integration: Seconds(lengths.first().copied().unwrap_or_default()),
            frequencies: frequencies.into_iter().map(Hertz).collect(),
            channel_width: Hertz(self.number::<f64>("Header/channel_width")?.abs()),
            polarizations: self.numbers("Header/polarization_array")?,
            declination: declination.ok().map(Radians),
            uvw_m: triples(&uvw).take(baselines).collect(),
        })
    }

    /// Integrations one after the other, each with the same baselines in the same order.
    #[expect(
        clippy::float_cmp,
        reason = "a writer repeats one number, it doesn't compute it again"
    )]
    fn check_order(
        &self,
        times: &[f64],
        (first, second): (&[i64], &[i64]),
        lengths: &[f64],
        baselines: usize,
    ) -> Result<(), Uvh5Error> {
        let whole = baselines > 0 && times.len().is_multiple_of(baselines) && !times.is_empty();
        let same = whole
            && times
                .chunks(baselines)
                .all(|rows| rows.iter().all(|t| *t == rows[0]))
            && first
                .chunks(baselines)
                .all(|rows| rows == &first[..baselines])
            && second
                .chunks(baselines)
                .all(|rows| rows == &second[..baselines])
            && lengths.iter().all(|length| *length == lengths[0]);
        if same {
            return Ok(());
        }
        Err(Uvh5Error::Unsuited {
            path: self.path.to_owned(),
            problem: "its rows are not whole integrations of the same baselines \
                      (baseline-dependent averaging?)"
                .to_owned(),
        })
    }

    fn antennas(&self) -> Result<Vec<Antenna>, Uvh5Error> {
        let numbers: Vec<i64> = self.numbers("Header/antenna_numbers")?;
        let positions: Vec<f64> = self.numbers("Header/antenna_positions")?;
        let names = self.texts("Header/antenna_names")?;
        let diameters: Vec<f64> = self
            .numbers("Header/antenna_diameters")
            .unwrap_or_else(|_| vec![DSA_110_DISH.0; numbers.len()]);
        let antennas = numbers.into_iter().zip(names).zip(triples(&positions));
        Ok(antennas
            .zip(diameters)
            .map(|(((number, name), offset_m), diameter)| Antenna {
                number,
                name,
                offset_m,
                diameter: Metres(diameter),
            })
            .collect())
    }

    fn dataset(&self, part: &str) -> Result<Dataset, Uvh5Error> {
        self.file
            .dataset(part)
            .map_err(|source| self.failed(part, source))
    }

    fn numbers<T: hdf5_metno::H5Type>(&self, part: &str) -> Result<Vec<T>, Uvh5Error> {
        let read = self.dataset(part)?.read_raw();
        read.map_err(|source| self.failed(part, source))
    }

    /// The first number of a part: some writers give one for all, some one for each.
    fn number<T: hdf5_metno::H5Type>(&self, part: &str) -> Result<T, Uvh5Error> {
        let first = self.numbers(part)?.into_iter().next();
        first.ok_or_else(|| self.failed(part, "it is empty".into()))
    }

    fn text(&self, part: &str) -> Result<String, Uvh5Error> {
        let first = self.texts(part)?.into_iter().next();
        first.ok_or_else(|| self.failed(part, "it is empty".into()))
    }

    /// Texts of fixed or of variable length, as different writers keep them.
    fn texts(&self, part: &str) -> Result<Vec<String>, Uvh5Error> {
        let dataset = self.dataset(part)?;
        if let Ok(texts) = dataset.read_raw::<FixedAscii<128>>() {
            return Ok(texts.iter().map(|text| text.as_str().to_owned()).collect());
        }
        if let Ok(texts) = dataset.read_raw::<VarLenAscii>() {
            return Ok(texts.iter().map(|text| text.as_str().to_owned()).collect());
        }
        let texts = dataset.read_raw::<VarLenUnicode>();
        let texts = texts.map_err(|source| self.failed(part, source))?;
        Ok(texts.iter().map(|text| text.as_str().to_owned()).collect())
    }

    fn failed(&self, part: &str, source: hdf5_metno::Error) -> Uvh5Error {
        Uvh5Error::Part {
            path: self.path.to_owned(),
            part: part.to_owned(),
            source,
        }
    }
}

fn triples(flat: &[f64]) -> impl Iterator<Item = [f64; 3]> + '_ {
    flat.chunks_exact(3)
        .map(|triple| [triple[0], triple[1], triple[2]])
}
