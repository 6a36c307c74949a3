//! Imaging with `WSClean`.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::process::{Tool, ToolError, check_disk};
use crate::{
    io::{PartName, SetInfo},
    model::{Arcseconds, Hertz, Radians},
    science::{DSA_110_DISH, SPEED_OF_LIGHT, field_of_view},
};

/// Pixels over the width that the longest baseline resolves: the beam, which is elongated, then
/// has four over its minor axis. With three, the clean spreads a source that lies between pixels,
/// and takes up to 2 % off its peak.
const PIXELS_PER_RESOLUTION: f64 = 5.0;
/// The side of an image over the beam's full width at half power: at its edges the beam has a
/// quarter of its power.
const FIELD: f64 = 1.3;
/// Bytes on disk for each pixel of the image: some ten planes of single precision, twice.
const DISK_BYTES_PER_PIXEL: u64 = 80;

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

impl ImageError {
    /// Whether another try must fail as well.
    pub fn is_permanent(&self) -> bool {
        matches!(self, Self::Tool(error) if error.is_permanent())
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
            Self::Standard => ("5000", "5", "1.0"),
            Self::HighPrecision => ("20000", "4", "0.5"),
        }
    }
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
    pub fn of(set: &SetInfo, tier: ImagingTier) -> Self {
        let (low, high) = set.band();
        let resolution = Radians(SPEED_OF_LIGHT / high.0 / set.longest_baseline.0);
        let coarser = if tier == ImagingTier::Development {
            2.0
        } else {
            1.0
        };
        let cell = resolution.to_arcseconds().0 / PIXELS_PER_RESOLUTION * coarser;
        let cell = (cell * 10.0).round().max(1.0) / 10.0;
        let middle = Hertz(f64::midpoint(low.0, high.0));
        let field = FIELD * field_of_view(middle, DSA_110_DISH).0 * 3_600.0;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a positive number of some thousands"
        )]
        // Whole tens: fast for the Fourier transform.
        let pixels = (field / cell / 10.0).ceil().min(1_400.0) as u32 * 10;
        Self {
            pixels,
            cell: Arcseconds(cell),
        }
    }
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
/// Returns the end of what the program said.
pub async fn image(
    order: &ImageOrder<'_>,
    plan: ImagePlan,
    fits: &Path,
) -> Result<String, ImageError> {
    let scratch = PartName::of(fits);
    let file_error = |source| ImageError::File {
        path: fits.to_owned(),
        source,
    };
    fs::create_dir_all(scratch.path()).map_err(file_error)?;
    let area = u64::from(plan.pixels) * u64::from(plan.pixels);
    check_disk(scratch.path(), area * DISK_BYTES_PER_PIXEL)?;
    let pixels = plan.pixels.to_string();
    let cell = format!("{}asec", plan.cell.0);
    let threads = order.threads.to_string();
    let set = order.ms.to_string_lossy().into_owned();
    let (iterations, mask, threshold) = order.tier.depth();
    let arguments = [
        &["-quiet", "-j", &threads, "-mem", "20", "-use-wgridder"][..],
        &["-name", "image", "-size", &pixels, &pixels, "-scale", &cell],
        &[
            "-weight", "briggs", "0.5", "-niter", iterations, "-mgain", "0.8",
        ],
        &[
            "-auto-mask",
            mask,
            "-auto-threshold",
            threshold,
            "-pol",
            "I",
        ],
        &[
            "-data-column",
            order.column,
            "-no-update-model-required",
            &set,
        ],
    ];
    let tool = Tool {
        program: "wsclean",
        arguments: arguments.concat().into_iter().map(str::to_owned).collect(),
        folder: scratch.path().to_owned(),
        limit: order.limit,
    };
    let said = tool.run().await?;
    let made = scratch.path().join("image-image.fits");
    fs::rename(made, fits).map_err(file_error)?;
    Ok(said)
}
