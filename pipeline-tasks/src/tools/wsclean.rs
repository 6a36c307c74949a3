//! Imaging with `WSClean`.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use thiserror::Error;

use super::process::{Tool, ToolError};
use crate::{
    io::{Converted, PartName},
    model::{Arcseconds, Hertz, Metres, Radians},
    science::{SPEED_OF_LIGHT, field_of_view},
};

/// Pixels over the width that the longest baseline resolves: the beam, which is elongated, then
/// has three over its minor axis.
const PIXELS_PER_RESOLUTION: f64 = 4.0;
/// Diameter of a DSA-110 dish, which sets the field.
const DISH: Metres = Metres(4.65);

/// Why there is no image.
#[derive(Debug, Error)]
pub enum ImageError {
    /// `WSClean` failed.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// The image can't be put into its place.
    #[error("can't write {}", path.display())]
    File {
        /// The place.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

/// The size of an image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ImagePlan {
    /// Pixels along each side.
    pub pixels: u32,
    /// Width of a pixel.
    pub cell: Arcseconds,
}

impl ImagePlan {
    /// The field of the dishes at the middle of the band, as finely as the array resolves.
    pub fn of(set: &Converted) -> Self {
        let resolution = Radians(SPEED_OF_LIGHT / set.band.1.0 / set.longest_baseline.0);
        let cell = resolution.to_arcseconds().0 / PIXELS_PER_RESOLUTION;
        let cell = (cell * 10.0).round().max(1.0) / 10.0;
        let middle = Hertz(f64::midpoint(set.band.0.0, set.band.1.0));
        let field = field_of_view(middle, DISH).0 * 3_600.0;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a positive number of some thousands"
        )]
        // Whole tens: fast for the Fourier transform.
        let pixels = (field / cell / 10.0).ceil().min(1_000.0) as u32 * 10;
        Self {
            pixels,
            cell: Arcseconds(cell),
        }
    }
}

/// Images a set into the file `fits`, which appears in its place only when it is complete.
pub async fn image(
    set: &Converted,
    fits: &Path,
    threads: usize,
    limit: Duration,
) -> Result<ImagePlan, ImageError> {
    let plan = ImagePlan::of(set);
    let scratch = PartName::of(fits);
    let file_error = |source| ImageError::File {
        path: fits.to_owned(),
        source,
    };
    fs::create_dir_all(scratch.path()).map_err(file_error)?;
    let pixels = plan.pixels.to_string();
    let cell = format!("{}asec", plan.cell.0);
    let threads = threads.to_string();
    let set = set.ms.to_string_lossy().into_owned();
    let arguments = [
        &["-quiet", "-j", &threads, "-mem", "20", "-use-wgridder"][..],
        &["-name", "image", "-size", &pixels, &pixels, "-scale", &cell],
        &[
            "-weight", "briggs", "0.5", "-niter", "5000", "-mgain", "0.8",
        ],
        &["-auto-mask", "5", "-auto-threshold", "1.0", "-pol", "I"],
        &["-data-column", "DATA", "-no-update-model-required", &set],
    ];
    let tool = Tool {
        program: "wsclean",
        arguments: arguments.concat().into_iter().map(str::to_owned).collect(),
        folder: scratch.path().to_owned(),
        limit,
    };
    tool.run().await?;
    let made = scratch.path().join("image-image.fits");
    fs::rename(made, fits).map_err(file_error)?;
    Ok(plan)
}
