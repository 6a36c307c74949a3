//! Finding sources with source-extractor (Bertin & Arnouts 1996, A&AS 117, 393).

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::task::{JoinError, spawn_blocking};

use super::process::{Tool, ToolError};
use crate::{
    io::{FitsError, FitsImage, PartName},
    model::{Jansky, SkyPosition},
};

/// What is asked of each source, in the order of the names in the catalogue.
const COLUMNS: [&str; 8] = [
    "XWIN_IMAGE",
    "YWIN_IMAGE",
    "XPEAK_IMAGE",
    "YPEAK_IMAGE",
    "FLUX_AUTO",
    "THRESHOLD",
    "ELONGATION",
    "FLAGS",
];
/// Pixels are collected from this many times the local noise, so that a source is measured down
/// to its wings, whatever significance its peak must have.
const ISLAND_SIGNIFICANCE: f64 = 3.0;
/// The noise is local over squares this wide: wider than sources and their sidelobes.
const NOISE_PIXELS: &str = "128";
/// source-extractor's flag for a source whose pixels another one shares.
const FLAG_BLENDED: u32 = 2;

/// Why no sources were found, not even none.
#[derive(Debug, Error)]
pub enum FindError {
    /// The program failed.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// The image can't be read.
    #[error(transparent)]
    Fits(#[from] FitsError),
    /// A file beside the image can't be written or read.
    #[error("can't use {} while looking for sources", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The program's catalogue is not what was asked for.
    #[error("source-extractor's catalogue can't be read at `{line}`; is it another version?")]
    Catalogue {
        /// The line.
        line: String,
    },
    /// The work on the pixels was broken off.
    #[error("the measurement of sources was broken off")]
    BrokenOff(#[from] JoinError),
}

impl FindError {
    /// Whether another try with the same input must fail as well.
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::Fits(error) => error.is_permanent(),
            Self::Catalogue { .. } => true,
            Self::Tool(error) => error.is_permanent(),
            Self::File { .. } | Self::BrokenOff(_) => false,
        }
    }
}

/// A source on an image.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FoundSource {
    /// Where, ICRS.
    pub position: SkyPosition,
    /// Peak flux density in Jy/beam, interpolated between the pixels: the flux density of a
    /// point.
    pub peak: Jansky,
    /// Flux density in an elliptical aperture, over the area of the beam. Right to some per cent;
    /// meant for telling extended sources from points.
    pub flux: Jansky,
    /// The peak over the local noise.
    pub snr: f64,
    /// The longer over the shorter axis, of the source as the beam shows it.
    pub elongation: f64,
    /// Whether its pixels were taken apart from those of a neighbour.
    pub blended: bool,
}

/// What to look for, and where.
#[derive(Debug, Clone)]
pub struct Search {
    /// An image of two dimensions in Jy/beam, as tiles and mosaics are.
    pub image: PathBuf,
    /// Its weights, one over the square of the noise; without them the noise is taken to be the
    /// same over squares of 128 pixels.
    pub weight: Option<PathBuf>,
    /// The peak over the local noise, at least.
    pub significance: f64,
}

/// Finds the sources of an image, brightest first. Works in a folder beside the image that is
/// gone afterwards.
///
/// # Errors
/// If the program fails or takes longer than `limit`, or the image can't be read.
pub async fn find_sources(search: &Search, limit: Duration) -> Result<Vec<FoundSource>, FindError> {
    let scratch = PartName::of(&search.image);
    let file_error = |path: &Path| {
        let path = path.to_owned();
        move |source| FindError::File { path, source }
    };
    fs::create_dir_all(scratch.path()).map_err(file_error(scratch.path()))?;
    let columns = scratch.path().join("columns.param");
    fs::write(&columns, COLUMNS.join("\n") + "\n").map_err(file_error(&columns))?;
    let tool = Tool {
        program: "source-extractor",
        arguments: arguments(search).map_err(file_error(&search.image))?,
        folder: scratch.path().to_owned(),
        limit,
    };
    tool.run().await?;
    let search = search.clone();
    // The folder is removed when the work ends, also if nobody waits for it any more.
    spawn_blocking(move || found(&search, &scratch)).await?
}

/// Measures what the program has found.
fn found(search: &Search, scratch: &PartName) -> Result<Vec<FoundSource>, FindError> {
    let catalogue = scratch.path().join("found.cat");
    let catalogue = fs::read_to_string(&catalogue).map_err(|source| FindError::File {
        path: catalogue,
        source,
    })?;
    let image = FitsImage::read(&search.image)?;
    let mut sources = Vec::new();
    for row in rows(&catalogue)? {
        sources.extend(row.source(&image, island_significance(search.significance)));
    }
    sources.retain(|source| source.snr >= search.significance);
    sources.sort_by(|a, b| b.peak.0.total_cmp(&a.peak.0));
    Ok(sources)
}

fn arguments(search: &Search) -> io::Result<Vec<String>> {
    // The program runs in another folder.
    let absolute =
        |path: &Path| std::path::absolute(path).map(|path| path.to_string_lossy().into_owned());
    let island = island_significance(search.significance).to_string();
    let mut arguments = vec![absolute(&search.image)?];
    let fixed = [
        ["-PARAMETERS_NAME", "columns.param"],
        ["-CATALOG_NAME", "found.cat"],
        ["-CATALOG_TYPE", "ASCII_HEAD"],
        ["-VERBOSE_TYPE", "QUIET"],
        ["-WRITE_XML", "N"],
        // A filter would need a file of its own, and the beam has smoothed the image already.
        ["-FILTER", "N"],
        ["-DETECT_THRESH", &island],
        ["-ANALYSIS_THRESH", &island],
        ["-DETECT_MINAREA", "3"],
        // An interferometer sees no background; what looks like one belongs to sources.
        ["-BACK_TYPE", "MANUAL"],
        ["-BACK_VALUE", "0.0"],
        ["-BACK_SIZE", NOISE_PIXELS],
        // Sidelobes would be cleaned off as wings of the source, and the flux of neighbours with
        // them.
        ["-CLEAN", "N"],
        ["-NTHREADS", "1"],
    ];
    arguments.extend(fixed.into_iter().flatten().map(str::to_owned));
    if let Some(weight) = &search.weight {
        let weight = absolute(weight)?;
        let weighted = [
            ["-WEIGHT_TYPE", "MAP_WEIGHT"],
            ["-WEIGHT_IMAGE", &weight],
            ["-WEIGHT_GAIN", "N"],
        ];
        arguments.extend(weighted.into_iter().flatten().map(str::to_owned));
    }
    Ok(arguments)
}

/// Never above what a peak must have, else sources would be lost.
fn island_significance(significance: f64) -> f64 {
    significance.min(ISLAND_SIGNIFICANCE)
}

/// A line of the catalogue.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Row {
    place: (f64, f64),
    top: (usize, usize),
    flux: f64,
    threshold: f64,
    elongation: f64,
    flags: u32,
}

impl Row {
    fn parse(line: &str) -> Option<Self> {
        let cells: Vec<&str> = line.split_whitespace().collect();
        let [x, y, top_x, top_y, flux, threshold, elongation, flags] = *cells.as_slice() else {
            return None;
        };
        let number = |cell: &str| cell.parse::<f64>().ok();
        // Pixels count from one in FITS.
        let pixel = |cell: &str| cell.parse::<usize>().ok()?.checked_sub(1);
        Some(Self {
            place: (number(x)? - 1.0, number(y)? - 1.0),
            top: (pixel(top_x)?, pixel(top_y)?),
            flux: number(flux)?,
            threshold: number(threshold)?,
            elongation: number(elongation)?,
            flags: flags.parse().ok()?,
        })
    }

    /// None for what lies outside of the sky.
    fn source(self, image: &FitsImage, island: f64) -> Option<FoundSource> {
        let peak = image.plane.interpolate(self.top.0, self.top.1).value;
        Some(FoundSource {
            position: image.projection.to_sky(self.place.0, self.place.1)?,
            peak: Jansky(peak),
            flux: Jansky(self.flux / image.beam_pixels()),
            snr: peak / (self.threshold / island),
            elongation: self.elongation,
            blended: self.flags & FLAG_BLENDED != 0,
        })
    }
}

/// The rows of a catalogue whose head names the columns that were asked for.
fn rows(catalogue: &str) -> Result<Vec<Row>, FindError> {
    let unreadable = |line: &str| FindError::Catalogue {
        line: line.to_owned(),
    };
    let mut names = COLUMNS.iter();
    let mut rows = Vec::new();
    for line in catalogue.lines() {
        if let Some(head) = line.strip_prefix('#') {
            let name = head.split_whitespace().nth(1);
            if name != names.next().copied() {
                return Err(unreadable(line));
            }
        } else {
            rows.push(Row::parse(line).ok_or_else(|| unreadable(line))?);
        }
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "\
#   1 XWIN_IMAGE             Windowed position estimate along x                         [pixel]
#   2 YWIN_IMAGE             Windowed position estimate along y                         [pixel]
#   3 XPEAK_IMAGE            x-coordinate of the brightest pixel                        [pixel]
#   4 YPEAK_IMAGE            y-coordinate of the brightest pixel                        [pixel]
#   5 FLUX_AUTO              Flux within a Kron-like elliptical aperture                [count]
#   6 THRESHOLD              Detection threshold above background                       [count]
#   7 ELONGATION             A_IMAGE/B_IMAGE
#   8 FLAGS                  Extraction flags
";

    #[test]
    fn a_catalogue_is_read() {
        let line = " 101.5000  51.2500  101   51   12.5  0.006  1.250    3\n";
        let read = rows(&(HEAD.to_owned() + line)).unwrap();
        assert_eq!(read.len(), 1);
        assert_eq!((read[0].place, read[0].top), ((100.5, 50.25), (100, 50)));
        assert!((read[0].flux - 12.5).abs() < 1e-12 && read[0].flags == 3);
        assert!(rows(HEAD).unwrap().is_empty(), "no sources are no error");
    }

    #[test]
    fn another_catalogue_is_refused() {
        for catalogue in [
            HEAD.replace("FLUX_AUTO", "FLUX_ISO"),
            HEAD.to_owned() + "1.0 2.0 nan\n",
            HEAD.to_owned() + "1.0 2.0 0 3 1.0 1.0 1.0 0\n",
        ] {
            let error = rows(&catalogue).unwrap_err();
            assert!(error.is_permanent(), "{error}");
        }
    }
}
