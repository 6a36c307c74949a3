//! Mosaics by `SWarp` (Bertin et al. 2002, ASP Conf. Ser. 281, 228): tiles are brought to one
//! projection and averaged by their weights.

use std::{
    fs, io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    time::Duration,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::task::{JoinError, spawn_blocking};

use super::process::{Tool, ToolError};
use crate::{
    io::{Card, FitsError, FitsImage, PartName, Tile, read_plane, write_plane},
    model::{Arcseconds, Degrees, Jansky},
    science::{Plane, count, expected_noise},
};

/// No side of a mosaic has more pixels: ten tiles at the telescope's full resolution have 15,000
/// along the drift. More are tiles of different parts of the sky, with nothing between them.
const PIXELS_MAX: f64 = 20_000.0;
/// What `SWarp` makes, in its folder.
const MADE_IMAGE: &str = "mosaic.fits";
const MADE_WEIGHT: &str = "mosaic.weight.fits";

/// Why there is no mosaic.
#[derive(Debug, Error)]
pub enum MosaicError {
    /// There is nothing to put together.
    #[error("a mosaic needs at least one tile; process the groups first")]
    NoTiles,
    /// The tiles are not neighbours.
    #[error(
        "the tiles are {:.1} degrees apart, which makes more than {PIXELS_MAX} pixels of \
         {:.1}\"; give tiles of one strip",
        apart.0, cell.0
    )]
    TooWide {
        /// The largest distance of a tile's centre from that of the first.
        apart: Degrees,
        /// Width of a pixel.
        cell: Arcseconds,
    },
    /// Nothing is left where the tiles have weights.
    #[error("{}: no pixel of the mosaic has a weight; are the tiles' weights zero?", .0.display())]
    Empty(PathBuf),
    /// `SWarp` failed.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// A tile can't be read, or a part of the mosaic can't be written.
    #[error(transparent)]
    Fits(#[from] FitsError),
    /// A file can't be put into its place.
    #[error("can't write {}", path.display())]
    File {
        /// The place.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The work on the pixels was broken off.
    #[error("the work on the mosaic was broken off")]
    BrokenOff(#[from] JoinError),
}

impl MosaicError {
    /// Whether another try with the same input must fail as well.
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::NoTiles | Self::TooWide { .. } | Self::Empty(_) => true,
            Self::Fits(error) => error.is_permanent(),
            Self::Tool(_) | Self::File { .. } | Self::BrokenOff(_) => false,
        }
    }
}

/// A mosaic in its place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Mosaic {
    /// The image in Jy/beam; blank where no tile has a weight.
    pub image: PathBuf,
    /// The sum of the tiles' weights, one over the square of the noise; zero where the image is
    /// blank. For each tile `SWarp` takes the lowest weight within the three pixels that its kernel
    /// reaches, so that the sum is up to 2 % too low where the beam is steep.
    pub weight: PathBuf,
    /// The noise in Jy/beam that follows from the weights; blank where the image is.
    pub noise: PathBuf,
    /// How many tiles are in it.
    pub images: usize,
    /// The median of the tiles' noise.
    pub median_rms: Jansky,
    /// The median of the mosaic's noise over its covered pixels.
    pub effective_noise: Jansky,
    /// The share of pixels that are not blank.
    pub coverage: f64,
    /// The largest difference of a tile's beam area from that of the mosaic's header, as a share:
    /// peaks of the mosaic are uncertain by no more.
    pub beam_spread: f64,
}

/// Puts tiles together to the image `place` (`name.fits`), with `name.weights.fits` and
/// `name.noise.fits` beside it. The three appear only when all are complete, the image last:
/// where it is, the others are, too.
///
/// # Errors
/// If there are no tiles, they are not neighbours, `SWarp` fails or takes longer than `limit`, or a
/// file can't be read or written.
pub async fn mosaic(
    tiles: &[Tile],
    place: &Path,
    threads: usize,
    limit: Duration,
) -> Result<Mosaic, MosaicError> {
    let scratch = PartName::of(place);
    let folder = scratch.path().to_owned();
    let given = tiles.to_vec();
    let into = folder.clone();
    let common = spawn_blocking(move || Common::gather(&given, &into)).await??;
    let tool = Tool {
        program: "SWarp",
        arguments: arguments(tiles.len(), threads),
        folder: folder.clone(),
        limit,
    };
    tool.run().await?;
    let place = place.to_owned();
    // The folder is removed when the work ends, also if nobody waits for it any more.
    spawn_blocking(move || common.finish(&scratch, &place)).await?
}

fn arguments(tiles: usize, threads: usize) -> Vec<String> {
    let threads = threads.max(1).to_string();
    let fixed = [
        ["-IMAGEOUT_NAME", MADE_IMAGE],
        ["-WEIGHTOUT_NAME", MADE_WEIGHT],
        ["-WEIGHT_TYPE", "MAP_WEIGHT"],
        ["-WEIGHT_SUFFIX", ".weight.fits"],
        // The weights are right as they are; SWarp would scale them by a noise of its own.
        ["-RESCALE_WEIGHTS", "N"],
        ["-COMBINE_TYPE", "WEIGHTED"],
        ["-RESAMPLING_TYPE", "LANCZOS3"],
        ["-PROJECTION_TYPE", "SIN"],
        ["-CELESTIAL_TYPE", "EQUATORIAL"],
        // Values are per beam, not per pixel, and have no background.
        ["-FSCALASTRO_TYPE", "NONE"],
        ["-FSCALE_KEYWORD", "NONE"],
        ["-SUBTRACT_BACK", "N"],
        ["-COPY_KEYWORDS", "BMAJ,BMIN,BPA,BUNIT"],
        ["-WRITE_XML", "N"],
        ["-VERBOSE_TYPE", "QUIET"],
        ["-RESAMPLE_DIR", "."],
        ["-VMEM_DIR", "."],
        ["-NTHREADS", &threads],
    ];
    let names = (0..tiles).map(|index| tile_name(index, "fits"));
    let fixed = fixed.into_iter().flatten().map(str::to_owned);
    names.chain(fixed).collect()
}

/// The name of a tile in `SWarp`'s folder: there tiles of different folders would meet under the
/// same name.
fn tile_name(index: usize, ending: &str) -> String {
    format!("tile{index:04}.{ending}")
}

/// What the tiles have in common, or what stands for all of them.
struct Common {
    images: usize,
    median_rms: Jansky,
    beam_spread: f64,
    /// A tile's image without its pixels: beam, frequency, date of the mosaic.
    like: FitsImage,
}

impl Common {
    /// Reads what the tiles say of themselves and shows them to `SWarp` in its folder.
    fn gather(tiles: &[Tile], folder: &Path) -> Result<Self, MosaicError> {
        fs::create_dir_all(folder).map_err(file_error(folder))?;
        let mut read = Vec::new();
        for (index, tile) in tiles.iter().enumerate() {
            for (file, ending) in [(&tile.image, "fits"), (&tile.weight, "weight.fits")] {
                let link = folder.join(tile_name(index, ending));
                let file = std::path::absolute(file).map_err(file_error(file))?;
                symlink(file, &link).map_err(file_error(&link))?;
            }
            let mut image = FitsImage::read(&tile.image)?;
            image.plane.values = Vec::new();
            read.push(image);
        }
        check_extent(&read)?;
        read.sort_by(|a, b| beam_area(a).total_cmp(&beam_area(b)));
        let middle = read.get(read.len() / 2).ok_or(MosaicError::NoTiles)?;
        let spread = |image: &FitsImage| (beam_area(image) / beam_area(middle) - 1.0).abs();
        let dates = read.iter().filter_map(|image| image.date.clone());
        let mut rms: Vec<f64> = tiles.iter().map(|tile| tile.rms.0).collect();
        rms.sort_by(f64::total_cmp);
        Ok(Self {
            images: tiles.len(),
            median_rms: Jansky(rms.get(rms.len() / 2).copied().unwrap_or_default()),
            beam_spread: read.iter().map(spread).fold(0.0, f64::max),
            like: FitsImage {
                date: dates.min(),
                object: Some("mosaic".to_owned()),
                ..middle.clone()
            },
        })
    }

    /// Makes the mosaic's three files of what `SWarp` made, and puts them into their places.
    fn finish(self, scratch: &PartName, place: &Path) -> Result<Mosaic, MosaicError> {
        let folder = scratch.path();
        let mut image = FitsImage::read(&folder.join(MADE_IMAGE))?;
        let mut weight = read_plane(&folder.join(MADE_WEIGHT))?;
        let noise = blank_uncovered(&mut image.plane, &mut weight);
        let effective_noise =
            expected_noise(&weight).ok_or_else(|| MosaicError::Empty(place.to_owned()))?;
        let covered = weight.values.iter().filter(|weight| **weight > 0.0).count();
        let coverage = count(covered) / count(weight.values.len());
        let image = FitsImage {
            plane: image.plane,
            projection: image.projection,
            ..self.like
        };
        let images = i64::try_from(self.images).unwrap_or(i64::MAX);
        let own = [
            Card::whole("NIMAGES", images, "tiles in the mosaic"),
            Card::number(
                "MEDRMS",
                self.median_rms.0,
                "[Jy/beam] median noise of the tiles",
            ),
            Card::number(
                "EFFNOISE",
                effective_noise.0,
                "[Jy/beam] median noise of the mosaic",
            ),
            Card::number("COVERAGE", coverage, "share of pixels that are not blank"),
        ];
        let mut made = Vec::new();
        for (plane, unit, ending) in [
            (&weight, "beam2/Jy2", "weights.fits"),
            (&noise, "Jy/beam", "noise.fits"),
            (&image.plane, "Jy/beam", "fits"),
        ] {
            let part = folder.join(format!("done.{ending}"));
            let cards = [image.header(unit), own.to_vec()].concat();
            write_plane(&part, plane, &cards)?;
            made.push((part, place.with_extension(ending)));
        }
        // Only now, when all three are there.
        for (part, place) in made {
            fs::rename(part, &place).map_err(file_error(&place))?;
        }
        Ok(Mosaic {
            image: place.with_extension("fits"),
            weight: place.with_extension("weights.fits"),
            noise: place.with_extension("noise.fits"),
            images: self.images,
            median_rms: self.median_rms,
            effective_noise,
            coverage,
            beam_spread: self.beam_spread,
        })
    }
}

/// Blanks pixels without weight, and returns the noise that the weights promise.
fn blank_uncovered(image: &mut Plane, weight: &mut Plane) -> Plane {
    let pixels = image.values.iter_mut().zip(&mut weight.values);
    let noise = pixels.map(|(value, weight)| {
        if value.is_finite() && *weight > 0.0 && weight.is_finite() {
            return weight.sqrt().recip();
        }
        (*value, *weight) = (f32::NAN, 0.0);
        f32::NAN
    });
    Plane {
        values: noise.collect(),
        ..*image
    }
}

/// Refuses tiles so far apart that the grid between them would fill the disk.
fn check_extent(tiles: &[FitsImage]) -> Result<(), MosaicError> {
    let Some(first) = tiles.first() else {
        return Err(MosaicError::NoTiles);
    };
    let cell = first.projection.step.1.to_arcseconds().0.abs();
    let mut apart = Degrees(0.0);
    for tile in tiles {
        let distance = tile.projection.centre.separation(first.projection.centre);
        apart.0 = apart.0.max(distance.to_degrees().0);
    }
    let side = count(first.plane.width.max(first.plane.height));
    if apart.0 * 3_600.0 / cell + side > PIXELS_MAX {
        let cell = Arcseconds(cell);
        return Err(MosaicError::TooWide { apart, cell });
    }
    Ok(())
}

fn beam_area(image: &FitsImage) -> f64 {
    image.beam.0.0 * image.beam.1.0
}

fn file_error(path: &Path) -> impl FnOnce(io::Error) -> MosaicError {
    let path = path.to_owned();
    move |source| MosaicError::File { path, source }
}
