//! Imaging with `WSClean`.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::task::{JoinError, spawn_blocking};

use super::process::{Tool, ToolError, check_disk, check_memory};
use crate::{
    io::{FitsError, FitsImage, PartName, SetInfo},
    model::{Arcseconds, Hertz, Radians},
    science::{SPEED_OF_LIGHT, field_of_view},
};

/// Pixels over the width that the longest baseline resolves: the beam, which is elongated, then
/// has three or more over its minor axis.
const PIXELS_PER_RESOLUTION: f64 = 4.0;
/// The side of an image over the beam's full width at half power: at its edges the beam has a
/// quarter of its power.
const FIELD: f64 = 1.3;
/// Pixels along each side at most.
const PIXELS_MAX: f64 = 14_000.0;
/// Between natural (2) and uniform weights (-2).
const ROBUSTNESS: f64 = 0.5;
/// A clean without a mask ends at this many times the noise.
const UNMASKED_THRESHOLD: &str = "3";
/// The share of the brightest source that is cleaned before the visibilities are looked at again.
/// With more (0.8), the clean diverges on groups of a dozen antennas: their sidelobes are high.
const MAJOR_GAIN: &str = "0.6";
/// The restoring beam is fitted to the point spread function in a box so many times as wide as the
/// longest baseline resolves. With few antennas the fit falls into a sidelobe in some of them, and
/// in which depends on the group: they are tried in this order.
const BEAM_BOXES: &[&str] = &["1", "3", "1.5", "2"];
/// A beam narrower than this share of what the longest baseline resolves is that of a sidelobe.
const BEAM_LEAST: f64 = 0.5;
/// Bytes on disk for each pixel of the image: some ten planes of single precision, twice.
const DISK_BYTES_PER_PIXEL: u64 = 80;
/// Bytes of memory for each pixel, and beside them: 443 MB were measured for 2500 by 2500.
const MEMORY_BYTES_PER_PIXEL: u64 = 60;
const MEMORY_BYTES_LEAST: u64 = 80_000_000;

/// Why there is no image.
#[derive(Debug, Error)]
pub enum ImageError {
    /// `WSClean` failed.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// There would be no image.
    #[error(
        "{}: an image of {pixels} pixels of {cell}\" can't be made; are there only \
         autocorrelations in the set?",
        ms.display()
    )]
    NoPixels {
        /// The set.
        ms: PathBuf,
        /// Pixels along each side.
        pixels: u32,
        /// Their width in arcseconds.
        cell: f64,
    },
    /// The point spread function can't be read.
    #[error(transparent)]
    Fits(#[from] FitsError),
    /// The look at it was broken off.
    #[error("the look at the point spread function was broken off")]
    BrokenOff(#[from] JoinError),
    /// The image can't be put into its place.
    #[error("can't write {}", path.display())]
    File {
        /// The place.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

impl ImageError {
    /// Whether another try must fail as well.
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::Tool(error) => error.is_permanent(),
            Self::NoPixels { .. } => true,
            Self::Fits(_) | Self::BrokenOff(_) | Self::File { .. } => false,
        }
    }
}

/// How much effort an image is worth.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ImagingTier {
    /// A quick look: pixels twice as wide, a shallow clean. Not for science.
    Development,
    /// The pipeline's usual depth.
    #[default]
    Standard,
    /// Cleans deeper, into the noise of the brightest sources' surroundings.
    HighPrecision,
}

impl ImagingTier {
    /// Iterations of the clean at most, and the noise above which it masks and at which it stops.
    fn depth(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Development => ("300", "5", "3"),
            Self::Standard => ("5000", "5", "3"),
            Self::HighPrecision => ("20000", "4", "1"),
        }
    }
}

/// The size of an image, and how its data are weighted and cleaned.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ImagePlan {
    /// Pixels along each side.
    pub pixels: u32,
    /// Width of a pixel.
    pub cell: Arcseconds,
    /// Briggs' robustness: 2 weights all visibilities alike, -2 all places of the uv plane. Less
    /// of it makes a narrower beam and more noise.
    pub robustness: f64,
    /// Whether the clean stays where the first, shallow one has found something. Good where there
    /// are many baselines. Where there are few, what the sidelobes have hidden stays out of the
    /// mask: then not masked, and down to three times the noise, whatever the tier.
    pub masked: bool,
    /// A restoring beam with a narrower minor axis is no beam, but the fit of a sidelobe.
    pub beam_least: Arcseconds,
    /// The boxes in which the beam is fitted, until a fit is wide enough: each is so many times as
    /// wide as the longest baseline resolves.
    pub beam_boxes: &'static [&'static str],
}

impl ImagePlan {
    /// The field of the dishes at the middle of the band, as finely as the array resolves. Of a
    /// long array this is but the middle of the field, for there are no more than 14 000 pixels.
    pub fn of(set: &SetInfo, tier: ImagingTier) -> Self {
        let (low, high) = set.band();
        let resolution = Radians(SPEED_OF_LIGHT / high.0 / set.longest_baseline.0);
        let coarser = if tier == ImagingTier::Development {
            2.0
        } else {
            1.0
        };
        let cell = rounded(resolution.to_arcseconds().0 / PIXELS_PER_RESOLUTION * coarser);
        let middle = Hertz(f64::midpoint(low.0, high.0));
        let field = FIELD * field_of_view(middle, set.dish).0 * 3_600.0;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a positive number of some thousands"
        )]
        // Whole tens: fast for the Fourier transform.
        let pixels = (field / cell / 10.0).ceil().min(PIXELS_MAX / 10.0) as u32 * 10;
        Self {
            pixels,
            cell: Arcseconds(cell),
            robustness: ROBUSTNESS,
            masked: true,
            beam_least: Arcseconds(BEAM_LEAST * resolution.to_arcseconds().0),
            beam_boxes: BEAM_BOXES,
        }
    }
}

/// A width to a tenth of an arcsecond; one below an arcsecond to two digits.
fn rounded(cell: f64) -> f64 {
    #[expect(clippy::cast_possible_truncation, reason = "an exponent is small")]
    let digits = if cell < 1.0 {
        1 - cell.log10().floor() as i32
    } else {
        1
    };
    let steps = 10_f64.powi(digits);
    (cell * steps).round() / steps
}

/// What to image, and how.
#[derive(Debug, Clone)]
pub struct ImageOrder<'a> {
    /// The Measurement Set.
    pub ms: &'a Path,
    /// The column of its visibilities.
    pub column: &'static str,
    /// How deep.
    pub tier: ImagingTier,
    /// Threads at most.
    pub threads: usize,
    /// The program is killed after this time.
    pub limit: Duration,
}

/// Images a set into the file `fits`, which appears in its place only when it is complete.
/// Returns the end of what the program said. What the clean has found, in Jy per pixel, goes into
/// the file `model`, if there is one: the sum of its pixels is the clean's flux density.
pub async fn image(
    order: &ImageOrder<'_>,
    plan: ImagePlan,
    fits: &Path,
    model: Option<&Path>,
) -> Result<String, ImageError> {
    if plan.pixels == 0 || !(plan.cell.0 > 0.0 && plan.cell.0.is_finite()) {
        return Err(ImageError::NoPixels {
            ms: order.ms.to_owned(),
            pixels: plan.pixels,
            cell: plan.cell.0,
        });
    }
    let scratch = PartName::of(fits);
    let file_error = |source| ImageError::File {
        path: fits.to_owned(),
        source,
    };
    fs::create_dir_all(scratch.path()).map_err(file_error)?;
    let area = u64::from(plan.pixels) * u64::from(plan.pixels);
    check_disk(scratch.path(), area * DISK_BYTES_PER_PIXEL)?;
    check_memory(MEMORY_BYTES_LEAST + area * MEMORY_BYTES_PER_PIXEL)?;
    let beam_box = beam_box(order, plan, scratch.path()).await?;
    let said = run(order, arguments(order, plan, beam_box), scratch.path()).await?;
    // The image comes last: where it is, its model is, too.
    if let Some(model) = model {
        fs::rename(scratch.path().join("image-model.fits"), model).map_err(|source| {
            ImageError::File {
                path: model.to_owned(),
                source,
            }
        })?;
    }
    fs::rename(scratch.path().join("image-image.fits"), fits).map_err(file_error)?;
    Ok(said)
}

/// Looks for a box in which the fit finds the beam; the last one where none does.
async fn beam_box(
    order: &ImageOrder<'_>,
    plan: ImagePlan,
    folder: &Path,
) -> Result<&'static str, ImageError> {
    let (last, others) = plan.beam_boxes.split_last().unwrap_or((&"1", &[]));
    for beam_box in others {
        let mut only = arguments(order, plan, beam_box);
        only.insert(0, "-make-psf-only".to_owned());
        run(order, only, folder).await?;
        let psf = folder.join("image-psf.fits");
        let beam = spawn_blocking(move || FitsImage::read(&psf).map(|psf| psf.beam)).await??;
        if beam.1.0 * 3_600.0 >= plan.beam_least.0 {
            return Ok(beam_box);
        }
    }
    Ok(last)
}

async fn run(
    order: &ImageOrder<'_>,
    arguments: Vec<String>,
    folder: &Path,
) -> Result<String, ToolError> {
    let tool = Tool {
        program: "wsclean",
        arguments,
        folder: folder.to_owned(),
        limit: order.limit,
    };
    tool.run().await
}

fn arguments(order: &ImageOrder<'_>, plan: ImagePlan, beam_box: &str) -> Vec<String> {
    let pixels = plan.pixels.to_string();
    let cell = format!("{}asec", plan.cell.0);
    let threads = order.threads.to_string();
    let robustness = plan.robustness.to_string();
    let set = order.ms.to_string_lossy().into_owned();
    let (iterations, mask, threshold) = order.tier.depth();
    let depth: &[&str] = if plan.masked {
        &["-auto-mask", mask, "-auto-threshold", threshold]
    } else {
        &["-auto-threshold", UNMASKED_THRESHOLD]
    };
    let arguments = [
        // Reordered data beside the set would stay there when the program is killed.
        &["-quiet", "-j", &threads, "-mem", "20", "-temp-dir", "."][..],
        &["-use-wgridder", "-beam-fitting-size", beam_box],
        &["-name", "image", "-size", &pixels, &pixels, "-scale", &cell],
        &["-weight", "briggs", &robustness],
        &["-niter", iterations, "-mgain", MAJOR_GAIN],
        depth,
        &["-pol", "I", "-data-column", order.column],
        &["-no-update-model-required", &set],
    ];
    arguments.concat().into_iter().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_of_pixels_are_round_numbers() {
        for (width, expected) in [
            (12.34, 12.3),
            (1.04, 1.0),
            (0.96, 0.96),
            (0.271_8, 0.27),
            (0.000_223, 0.000_22),
        ] {
            assert!((rounded(width) / expected - 1.0).abs() < 1e-12, "{width}");
        }
        assert_eq!(rounded(5.13).to_string(), "5.1");
        assert!(!rounded(f64::INFINITY).is_finite());
    }
}
