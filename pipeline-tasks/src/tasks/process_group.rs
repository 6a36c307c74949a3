//! One observation group, from its files to an image: `setup`, `convert`, `image`, `register`.
//!
//! Every step writes under another name and renames at its end, and depends on nothing but the
//! steps before it. So any of them may be killed at any moment and run again.

use std::path::{Path, PathBuf};

use absurd_sdk::prelude::{
    Context, Deserialize, JsonSchema, Serialize, State, TaskError, TaskResult, task,
};

use super::{journal::Journal, toolbox::Toolbox};
use crate::{
    io::{Converted, FitsError, FitsImage, PartName, Uvh5, convert},
    model::{Degrees, GroupId, Jansky, ObservationGroup, SubbandFile},
    science::{find_peaks, noise},
    tools::image,
};

/// A source stands this many times above the noise of the image,
const SOURCE_SNR_MIN: f64 = 7.0;
/// and is no weaker than this share of the brightest one: below it, what gain errors of some per
/// cent make of that one looks the same.
const SOURCE_SHARE_MIN: f64 = 0.02;

/// The files of one observation.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Group {
    /// The sixteen subband files, in any order; relative names are those of the input folder.
    pub file_paths: Vec<PathBuf>,
}

/// An image in its final place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Product {
    /// The group it shows.
    pub group: GroupId,
    /// The FITS file.
    pub image: PathBuf,
    /// Noise of the image.
    pub rms: Jansky,
    /// Its sources, brightest first.
    pub sources: Vec<Source>,
}

/// A source on an image.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Source {
    /// Right ascension, ICRS.
    pub ra: Degrees,
    /// Declination, ICRS.
    pub dec: Degrees,
    /// Peak flux density per beam, not corrected for the dishes' beam.
    pub flux: Jansky,
}

/// Processes one observation group: converts its sixteen subbands into a Measurement Set, images
/// that, and puts the image among the products.
#[task(name = "process-group", max_attempts = 3, retry = exponential("2s", max = "5m"))]
pub async fn process_group(
    ctx: &mut Context,
    group: Group,
    tools: State<Toolbox>,
) -> TaskResult<Product> {
    let attempt = ctx.attempt();
    let files = observation(&group, &tools)?;
    let id = files.id();
    let work = tools.work(id);
    let journal = Journal::in_folder(&work);

    let files: ObservationGroup = ctx
        .step("setup", || async {
            journal.note("setup", attempt)?;
            in_background(move || check(files)).await
        })
        .await?;

    let set: Converted = ctx
        .step("convert", || async {
            journal.note("convert", attempt)?;
            let ms = work.join(format!("{id}.ms"));
            in_background(move || {
                convert(&files, &ms).map_err(|error| {
                    let permanent = error.is_permanent();
                    finally(permanent, error)
                })
            })
            .await
        })
        .await?;

    let fits: PathBuf = ctx
        .step("image", || async {
            journal.note("image", attempt)?;
            let fits = work.join(format!("{id}.fits"));
            image(&set, &fits, tools.threads, tools.limit).await?;
            Ok::<_, TaskError>(fits)
        })
        .await?;

    let products = tools.products();
    ctx.step("register", || async {
        journal.note("register", attempt)?;
        in_background(move || register(id, &fits, &products)).await
    })
    .await
}

/// The group that the files' names make; no file is opened.
fn observation(group: &Group, tools: &Toolbox) -> TaskResult<ObservationGroup> {
    let files = group.file_paths.iter().map(|file| tools.incoming(file));
    let files = files.map(SubbandFile::parse);
    let files = files.collect::<Result<Vec<_>, _>>();
    let files = files.map_err(TaskError::terminal)?;
    ObservationGroup::from_files(files).map_err(TaskError::terminal)
}

/// Checks that each file can be read, before any work is put into the others. A file that can't
/// be read will not be readable by trying again.
fn check(group: ObservationGroup) -> TaskResult<ObservationGroup> {
    for file in group.files() {
        Uvh5::open(file.path()).map_err(TaskError::terminal)?;
    }
    Ok(group)
}

/// Measures an image, and copies it with its measurements among the products.
fn register(group: GroupId, fits: &Path, products: &Path) -> TaskResult<Product> {
    let measured = FitsImage::read(fits)?;
    let rms = noise(&measured.plane).ok_or_else(|| FitsError::NoImage {
        path: fits.to_owned(),
        problem: "every pixel is blank".to_owned(),
    })?;
    let brightest = measured.plane.maximum();
    let brightest = brightest.map_or(0.0, |(x, y)| f64::from(measured.plane.at(x, y)));
    let threshold = (SOURCE_SNR_MIN * rms).max(SOURCE_SHARE_MIN * brightest);
    let peaks = find_peaks(&measured.plane, threshold);
    let sources = peaks.iter().filter_map(|peak| {
        let position = measured.projection.to_sky(peak.x, peak.y)?;
        Some(Source {
            ra: position.ra.to_degrees(),
            dec: position.dec.to_degrees(),
            flux: Jansky(peak.value),
        })
    });
    let product = Product {
        group,
        image: products.join(format!("{group}.fits")),
        rms: Jansky(rms),
        sources: sources.collect(),
    };
    std::fs::create_dir_all(products)?;
    let copy = PartName::of(&product.image);
    std::fs::copy(fits, copy.path())?;
    copy.put_in_place(&product.image)?;
    let record = product.image.with_extension("json");
    let part = PartName::of(&record);
    std::fs::write(part.path(), serde_json::to_vec_pretty(&product)?)?;
    part.put_in_place(&record)?;
    Ok(product)
}

/// Runs what computes or waits for disks where that holds up no other task.
async fn in_background<T: Send + 'static>(
    work: impl FnOnce() -> TaskResult<T> + Send + 'static,
) -> TaskResult<T> {
    tokio::task::spawn_blocking(work).await?
}

/// An error that is final if `permanent`.
fn finally(permanent: bool, error: impl Into<TaskError>) -> TaskError {
    if permanent {
        TaskError::terminal(error)
    } else {
        error.into()
    }
}
