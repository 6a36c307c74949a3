//! Real data of other telescopes, row by row of the table in `shared/data/README.md`; its UVH5
//! rows are read in `reader.rs`. What the pipeline can take is taken, the rest is refused.

mod sets;
mod stations;
mod subbands;
mod vla;
mod vlba;

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use pipeline_tasks::{
    io::{CalibrationError, FitsImage, SolveSettings, solve},
    model::{CatalogueSource, Jansky, SkyPosition},
    science::{Plane, noise},
};

use crate::{TestResult, shared_data};

const LIMIT: Duration = Duration::from_mins(5);

/// Unpacks a Measurement Set; `None` where the data are absent.
fn unpack(set: &str, folder: &Path) -> TestResult<Option<PathBuf>> {
    let Some(data) = shared_data("real/ms") else {
        return Ok(None);
    };
    let archive = data.join(format!("{set}.tar.gz"));
    // The archives hold attributes of the system that they were packed on.
    let unpacked = Command::new("tar")
        .args(["--warning=no-unknown-keyword", "-xzf"])
        .arg(&archive)
        .arg("-C")
        .arg(folder)
        .status()?;
    if !unpacked.success() {
        return Err(format!("{}: {unpacked}", archive.display()).into());
    }
    Ok(Some(folder.join(set)))
}

/// A point source with a flat spectrum.
fn point(position: SkyPosition, flux: f64) -> CatalogueSource {
    CatalogueSource {
        name: "point".into(),
        position,
        flux: Jansky(flux),
        spectral_index: 0.0,
    }
}

/// Solves a set that gives no gains, and returns why.
fn no_gains(ms: &Path, sky: &[CatalogueSource]) -> TestResult<CalibrationError> {
    let refused = solve(ms, sky, &SolveSettings::default()).err();
    let refused = refused.ok_or("it was solved")?;
    println!("{refused}");
    assert!(
        matches!(refused, CalibrationError::BadSolutions { .. }),
        "{refused}"
    );
    Ok(refused)
}

/// The brightest pixel of an image, where it is, and the noise.
struct Seen {
    peak: f64,
    /// Pixels from the middle, to the right and up.
    place: (i64, i64),
    noise: f64,
}

impl Seen {
    fn of(image: &FitsImage) -> TestResult<Self> {
        let Plane { width, values, .. } = &image.plane;
        let brightest = values.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
        let (index, peak) = brightest.ok_or("an empty image")?;
        let from_middle = |pixel: usize, size: usize| -> TestResult<i64> {
            Ok(i64::try_from(pixel)? - i64::try_from(size / 2)?)
        };
        Ok(Self {
            peak: f64::from(*peak),
            place: (
                from_middle(index % width, *width)?,
                from_middle(index / width, image.plane.height)?,
            ),
            noise: noise(&image.plane).ok_or("no noise")?,
        })
    }
}
