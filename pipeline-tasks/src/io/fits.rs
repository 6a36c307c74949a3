//! Radio images in FITS: the plane, its projection, its beam.

use std::path::{Path, PathBuf};

use fitsio::{FitsFile, hdu::HduInfo};
use thiserror::Error;

use crate::{
    model::{Degrees, Radians, SkyPosition},
    science::{Plane, SinProjection},
};

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
}

/// An image of one frequency and one polarization.
#[derive(Debug)]
pub struct FitsImage {
    /// Flux densities in jansky per beam.
    pub plane: Plane,
    /// Sky to pixel.
    pub projection: SinProjection,
    /// Major and minor axis of the restoring beam.
    pub beam: (Degrees, Degrees),
}

impl FitsImage {
    /// Reads the image of a file.
    pub fn read(path: &Path) -> Result<Self, FitsError> {
        let unreadable = |source| FitsError::Unreadable {
            path: path.to_owned(),
            source,
        };
        let no_image = |problem: String| FitsError::NoImage {
            path: path.to_owned(),
            problem,
        };
        let mut file = FitsFile::open(path).map_err(unreadable)?;
        let hdu = file.primary_hdu().map_err(unreadable)?;
        let HduInfo::ImageInfo { shape, .. } = &hdu.info else {
            return Err(no_image("its first part is no image".into()));
        };
        // The fastest axis comes last.
        let (height, width) = match shape.as_slice() {
            [.., height, width] if shape.iter().product::<usize>() == height * width => {
                (*height, *width)
            }
            _ => return Err(no_image(format!("the shape {shape:?} is no single plane"))),
        };
        let mut number = |key: &str| -> Result<f64, FitsError> {
            hdu.read_key::<f64>(&mut file, key).map_err(unreadable)
        };
        let centre = SkyPosition::from_degrees(number("CRVAL1")?, number("CRVAL2")?);
        let projection = SinProjection {
            centre,
            centre_pixel: (number("CRPIX1")? - 1.0, number("CRPIX2")? - 1.0),
            step: (
                Radians(number("CDELT1")?.to_radians()),
                Radians(number("CDELT2")?.to_radians()),
            ),
        };
        let beam = (Degrees(number("BMAJ")?), Degrees(number("BMIN")?));
        let values = hdu.read_image(&mut file).map_err(unreadable)?;
        Ok(Self {
            plane: Plane {
                width,
                height,
                values,
            },
            projection,
            beam,
        })
    }
}
