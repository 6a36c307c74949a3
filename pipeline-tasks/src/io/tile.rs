//! An image becomes a tile of a mosaic: corrected for the dishes' beam, with the weight of each
//! pixel beside it, both as files that `SWarp` reads.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{
    fits::{FitsError, FitsImage},
    fits_write::write_plane,
    set_info::SetInfo,
};
use crate::{
    model::{Arcseconds, Jansky},
    science::{AveragedBeam, AveragedBeamError, Plane, SinProjection, count, noise},
};

/// Where the beam lets through less than this, pixels are blank: the correction would make more
/// of the beam's errors than of the sky.
pub const BEAM_POWER_MIN: f64 = 0.2;

/// The beam is computed on a grid this wide and interpolated: over a minute of arc it bends by
/// less than 4e-5 of its peak.
const GRID: Arcseconds = Arcseconds(60.0);

/// Why there is no tile.
#[derive(Debug, Error)]
pub enum TileError {
    /// The image can't be read, or the tile can't be written.
    #[error(transparent)]
    Fits(#[from] FitsError),
    /// There is no noise, so no weight.
    #[error("{}: every pixel is blank or the same; image the group again", .0.display())]
    NoNoise(PathBuf),
    /// The beam is somewhere else.
    #[error(
        "{}: no pixel lies where the beam lets through {BEAM_POWER_MIN} or more; \
         is it the beam of another group?",
        .0.display()
    )]
    OutsideBeam(PathBuf),
}

impl TileError {
    /// Whether another try with the same input must fail as well.
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::Fits(error) => error.is_permanent(),
            _ => true,
        }
    }
}

/// A tile in its place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Tile {
    /// The image in Jy/beam, divided by the beam; blank where that is below [`BEAM_POWER_MIN`].
    pub image: PathBuf,
    /// `(beam / rms)^2`: one over the square of each pixel's noise in Jy/beam, zero where the
    /// image is blank.
    pub weight: PathBuf,
    /// Noise of the image before the correction, the same everywhere on it: that at the centre
    /// of the beam.
    pub rms: Jansky,
    /// The share of pixels that are not blank.
    pub coverage: f64,
}

/// The beam through which the dishes saw an observation.
///
/// # Errors
/// If the set has no integration or no channel.
pub fn observed_beam(set: &SetInfo) -> Result<AveragedBeam, AveragedBeamError> {
    AveragedBeam::new(&set.pointings(), &set.frequencies, set.dish)
}

/// Corrects an image for the beam and writes it to `place`, a name that ends in `.fits`, with its
/// weights beside it under the name that `SWarp` looks for (`.weight.fits`). The image comes last:
/// where it is, the weights are, too.
///
/// # Errors
/// If the image has no noise or lies outside of the beam, or a file can't be read or written.
pub fn write_tile(image: &Path, beam: &AveragedBeam, place: &Path) -> Result<Tile, TileError> {
    let mut read = FitsImage::read(image)?;
    let rms = noise(&read.plane).filter(|rms| *rms > 0.0);
    let rms = rms.ok_or_else(|| TileError::NoNoise(image.to_owned()))?;
    let power = beam_plane(&read.projection, &read.plane, beam);
    let mut weight = power.clone();
    let mut kept = 0_usize;
    for (value, weight) in read.plane.values.iter_mut().zip(&mut weight.values) {
        let power = f64::from(*weight);
        let keep = power >= BEAM_POWER_MIN && value.is_finite();
        kept += usize::from(keep);
        (*value, *weight) = if keep {
            (
                single(f64::from(*value) / power),
                single((power / rms).powi(2)),
            )
        } else {
            (f32::NAN, 0.0)
        };
    }
    if kept == 0 {
        return Err(TileError::OutsideBeam(image.to_owned()));
    }
    let weight_place = place.with_extension("weight.fits");
    write_plane(&weight_place, &weight, &read.header("beam2/Jy2"))?;
    write_plane(place, &read.plane, &read.header("Jy/beam"))?;
    Ok(Tile {
        image: place.to_owned(),
        weight: weight_place,
        rms: Jansky(rms),
        coverage: count(kept) / count(read.plane.values.len()),
    })
}

/// The beam's power at each pixel of a plane, interpolated on a grid.
fn beam_plane(projection: &SinProjection, like: &Plane, beam: &AveragedBeam) -> Plane {
    let pixel = projection.step.1.to_arcseconds().0.abs();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "not negative and held small"
    )]
    let step = (GRID.0 / pixel).clamp(1.0, 1_000.0) as usize;
    let columns = like.width / step + 2;
    let power = |x: usize, y: usize| {
        let position = projection.to_sky(count(x), count(y));
        position.map_or(0.0, |position| beam.power(position))
    };
    let grid: Vec<Vec<f64>> = (0..like.height / step + 2)
        .map(|row| {
            (0..columns)
                .map(|column| power(column * step, row * step))
                .collect()
        })
        .collect();
    let mut values = Vec::with_capacity(like.values.len());
    for (rows, row) in grid.windows(2).zip(0..) {
        let [low, high] = rows else { continue };
        for y in row * step..((row + 1) * step).min(like.height) {
            let up = count(y % step) / count(step);
            let between: Vec<f64> = low
                .iter()
                .zip(high)
                .map(|(l, h)| l + (h - l) * up)
                .collect();
            let pairs = between.windows(2).flat_map(|pair| {
                let [left, right] = *pair else {
                    return Vec::new();
                };
                let along = |x| left + (right - left) * count(x) / count(step);
                (0..step).map(along).collect()
            });
            values.extend(pairs.take(like.width).map(single));
        }
    }
    Plane {
        width: like.width,
        height: like.height,
        values,
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "pixels are single precision"
)]
fn single(value: f64) -> f32 {
    value as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        io::read_plane,
        model::{Degrees, Hertz, Radians, SkyPosition},
        science::DSA_110_DISH,
    };

    const CENTRE: (f64, f64) = (129.324, 55.4);

    fn beam() -> AveragedBeam {
        let centre = SkyPosition::from_degrees(CENTRE.0, CENTRE.1);
        AveragedBeam::new(&[centre], &[Hertz(1.4e9)], DSA_110_DISH).unwrap()
    }

    /// An image wide enough to leave the beam, with noise of 2 mJy and a blank pixel.
    fn image(folder: &Path, centre: (f64, f64)) -> PathBuf {
        let step = Degrees(30.0 / 3600.0).to_radians();
        let (width, height) = (481_usize, 401_usize);
        // Half of the pixels are no further than one unit from zero.
        let noise = (0..width * height).map(|pixel| count(pixel % 5) - 2.0);
        let mut values: Vec<f32> = noise.map(|unit| single(2e-3 / 1.4826 * unit)).collect();
        values[200 * width + 240] = 1.0;
        values[200 * width + 270] = f32::NAN;
        let image = FitsImage {
            plane: Plane {
                width,
                height,
                values,
            },
            projection: SinProjection {
                centre: SkyPosition::from_degrees(centre.0, centre.1),
                centre_pixel: (240.0, 200.0),
                step: (Radians(-step.0), step),
            },
            beam: (Degrees(90.0 / 3600.0), Degrees(90.0 / 3600.0)),
            beam_angle: Degrees(0.0),
            frequency: None,
            date: None,
            object: None,
            telescope: None,
        };
        let path = folder.join("image.fits");
        write_plane(&path, &image.plane, &image.header("JY/BEAM")).unwrap();
        path
    }

    #[test]
    fn a_tile_is_the_image_over_the_beam_with_its_weights() {
        let folder = tempfile::tempdir().unwrap();
        let source = image(folder.path(), CENTRE);
        let place = folder.path().join("2026-01-26T08:05:18.fits");
        let beam = beam();
        let tile = write_tile(&source, &beam, &place).unwrap();
        assert_eq!(
            tile.weight,
            folder.path().join("2026-01-26T08:05:18.weight.fits")
        );
        assert!((tile.rms.0 - 2e-3).abs() < 1e-8);
        let before = FitsImage::read(&source).unwrap();
        let after = FitsImage::read(&tile.image).unwrap();
        let weight = read_plane(&tile.weight).unwrap();
        let (mut kept, mut outside) = (0, 0);
        for (x, y) in (0..481).flat_map(|x| (0..401).map(move |y| (x, y))) {
            let position = before.projection.to_sky(count(x), count(y)).unwrap();
            let power = beam.power(position);
            if (power - BEAM_POWER_MIN).abs() < 1e-4 {
                continue;
            }
            if power < BEAM_POWER_MIN || (x, y) == (270, 200) {
                assert!(after.plane.at(x, y).is_nan() && weight.at(x, y) == 0.0);
                outside += 1;
                continue;
            }
            let expected = f64::from(before.plane.at(x, y)) / power;
            let error = f64::from(after.plane.at(x, y)) - expected;
            assert!(error.abs() <= 3e-4 * expected.abs(), "{error} at {x}, {y}");
            let ratio = f64::from(weight.at(x, y)) * (2e-3 / power).powi(2);
            assert!((ratio - 1.0).abs() < 6e-4, "{ratio} at {x}, {y}");
            kept += 1;
        }
        assert!(
            kept > 50_000 && outside > 10_000,
            "{kept} kept, {outside} cut"
        );
        let share = f64::from(kept) / f64::from(kept + outside);
        assert!((tile.coverage - share).abs() < 1e-3);
    }

    #[test]
    fn an_image_outside_the_beam_or_without_noise_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("tile.fits");
        let source = image(folder.path(), (CENTRE.0, CENTRE.1 - 20.0));
        let error = write_tile(&source, &beam(), &place).unwrap_err();
        assert!(matches!(error, TileError::OutsideBeam(_)) && error.is_permanent());
        let source = image(folder.path(), CENTRE);
        let mut blank = FitsImage::read(&source).unwrap();
        blank.plane.values.fill(f32::NAN);
        write_plane(&source, &blank.plane, &blank.header("Jy/beam")).unwrap();
        let error = write_tile(&source, &beam(), &place).unwrap_err();
        assert!(matches!(error, TileError::NoNoise(_)) && error.is_permanent());
        assert!(!place.exists());
    }
}
