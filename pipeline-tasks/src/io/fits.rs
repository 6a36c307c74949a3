//! Radio images in FITS: the plane, its projection, its beam, and what the header says of both.

use std::path::{Path, PathBuf};

use fitsio::{
    FitsFile,
    hdu::{FitsHdu, HduInfo},
    headers::ReadsKey,
};
use thiserror::Error;

use crate::{
    model::{Degrees, Hertz, Radians, SkyPosition},
    science::{Plane, SinProjection},
};

/// CFITSIO's word for "the header has no such keyword".
const KEYWORD_MISSING: i32 = 202;

/// Why an image can't be used.
#[derive(Debug, Error)]
pub enum FitsError {
    /// It can't be read.
    #[error("{}: can't be read as FITS", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The library's reason.
        source: fitsio::errors::Error,
    },
    /// It is FITS, but no image of the sky.
    #[error("{}: {problem}", path.display())]
    NoImage {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// It can't be written.
    #[error("{}: can't be written as FITS; is the disk full, the folder there?", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// The library's reason.
        source: fitsio::errors::Error,
    },
}

impl FitsError {
    /// Whether another try with the same input must fail as well.
    pub fn is_permanent(&self) -> bool {
        matches!(self, Self::NoImage { .. })
    }
}

/// An image of one frequency and one polarization.
#[derive(Debug, Clone)]
pub struct FitsImage {
    /// Flux densities in jansky per beam.
    pub plane: Plane,
    /// Sky to pixel.
    pub projection: SinProjection,
    /// Major and minor axis of the restoring beam.
    pub beam: (Degrees, Degrees),
    /// Its position angle, from north to east.
    pub beam_angle: Degrees,
    /// The frequency that the image stands for.
    pub frequency: Option<Hertz>,
    /// When the observation began (`DATE-OBS`, UTC), as the file writes it.
    pub date: Option<String>,
    /// What was looked at.
    pub object: Option<String>,
    /// With what.
    pub telescope: Option<String>,
}

impl FitsImage {
    /// Reads the image of a file.
    ///
    /// # Errors
    /// If the file can't be read, is no single plane in the SIN projection with north up, or
    /// doesn't say its beam.
    pub fn read(path: &Path) -> Result<Self, FitsError> {
        let mut reader = Reader::open(path)?;
        let projection = reader.projection()?;
        let beam = (
            Degrees(reader.number("BMAJ")?),
            Degrees(reader.number("BMIN")?),
        );
        let beam_angle = reader.optional("BPA")?.map_or(Degrees(0.0), Degrees);
        Ok(Self {
            projection,
            beam,
            beam_angle,
            frequency: reader.frequency()?,
            date: reader.optional("DATE-OBS")?,
            object: reader.optional("OBJECT")?,
            telescope: reader.optional("TELESCOP")?,
            plane: reader.plane()?,
        })
    }

    /// The area of the restoring beam in pixels: what an integrated flux density in Jy/beam times
    /// pixels is divided by. `pi / (4 ln 2)` makes an area of a Gaussian's two widths.
    pub fn beam_pixels(&self) -> f64 {
        let pixel = self.projection.step.0.to_degrees().0 * self.projection.step.1.to_degrees().0;
        let gaussian = std::f64::consts::PI / (4.0 * std::f64::consts::LN_2);
        gaussian * self.beam.0.0 * self.beam.1.0 / pixel.abs()
    }
}

/// Reads the plane of a file that says nothing of a beam, as a weight map.
///
/// # Errors
/// If the file can't be read or is no single plane.
pub fn read_plane(path: &Path) -> Result<Plane, FitsError> {
    Reader::open(path)?.plane()
}

/// A file and its first part, open.
struct Reader<'p> {
    path: &'p Path,
    file: FitsFile,
    hdu: FitsHdu,
}

impl<'p> Reader<'p> {
    fn open(path: &'p Path) -> Result<Self, FitsError> {
        let unreadable = |source| FitsError::Unreadable {
            path: path.to_owned(),
            source,
        };
        let mut file = FitsFile::open(path).map_err(unreadable)?;
        let hdu = file.primary_hdu().map_err(unreadable)?;
        Ok(Self { path, file, hdu })
    }

    fn unreadable(&self, source: fitsio::errors::Error) -> FitsError {
        FitsError::Unreadable {
            path: self.path.to_owned(),
            source,
        }
    }

    fn no_image(&self, problem: String) -> FitsError {
        FitsError::NoImage {
            path: self.path.to_owned(),
            problem,
        }
    }

    fn optional<T: ReadsKey>(&mut self, keyword: &str) -> Result<Option<T>, FitsError> {
        match self.hdu.read_key(&mut self.file, keyword) {
            Ok(value) => Ok(Some(value)),
            Err(fitsio::errors::Error::Fits(error)) if error.status == KEYWORD_MISSING => Ok(None),
            Err(error) => Err(self.unreadable(error)),
        }
    }

    fn number(&mut self, keyword: &str) -> Result<f64, FitsError> {
        let found = self.optional(keyword)?;
        found.ok_or_else(|| self.no_image(format!("its header has no {keyword}")))
    }

    fn projection(&mut self) -> Result<SinProjection, FitsError> {
        for (keyword, expected) in [("CTYPE1", "RA---SIN"), ("CTYPE2", "DEC--SIN")] {
            let found: Option<String> = self.optional(keyword)?;
            if found.as_deref().map(str::trim) != Some(expected) {
                let found = found.unwrap_or_default();
                return Err(self.no_image(format!(
                    "{keyword} is `{found}`; only images in the SIN projection are read"
                )));
            }
        }
        let centre = SkyPosition::from_degrees(self.number("CRVAL1")?, self.number("CRVAL2")?);
        Ok(SinProjection {
            centre,
            centre_pixel: (self.number("CRPIX1")? - 1.0, self.number("CRPIX2")? - 1.0),
            step: (
                self.step("CDELT1", "CD1_1", "CD1_2")?,
                self.step("CDELT2", "CD2_2", "CD2_1")?,
            ),
        })
    }

    /// The step along one axis. Some programs write it as a matrix, which must not turn the image.
    fn step(&mut self, plain: &str, matrix: &str, turn: &str) -> Result<Radians, FitsError> {
        let step: f64 = match self.optional(matrix)? {
            Some(step) => step,
            None => self.number(plain)?,
        };
        let turned: f64 = self.optional(turn)?.unwrap_or(0.0);
        if turned.abs() > 1e-6 * step.abs() {
            return Err(self.no_image("north is not up; only images with north up are read".into()));
        }
        Ok(Degrees(step).to_radians())
    }

    /// Imagers give the frequency as the third axis, or as that of a line.
    fn frequency(&mut self) -> Result<Option<Hertz>, FitsError> {
        let axis: Option<String> = self.optional("CTYPE3")?;
        let axis_is_frequency = axis.is_some_and(|axis| axis.trim() == "FREQ");
        let keyword = if axis_is_frequency {
            "CRVAL3"
        } else {
            "RESTFRQ"
        };
        let found: Option<f64> = self.optional(keyword)?;
        Ok(found.map(Hertz))
    }

    fn plane(&mut self) -> Result<Plane, FitsError> {
        let HduInfo::ImageInfo { shape, .. } = &self.hdu.info else {
            return Err(self.no_image("its first part is no image".into()));
        };
        // The fastest axis comes last.
        let (height, width) = match shape.as_slice() {
            [.., height, width] if shape.iter().product::<usize>() == height * width => {
                (*height, *width)
            }
            _ => return Err(self.no_image(format!("the shape {shape:?} is no single plane"))),
        };
        let read = self.hdu.read_image(&mut self.file);
        let values = read.map_err(|error| self.unreadable(error))?;
        Ok(Plane {
            width,
            height,
            values,
        })
    }
}
