//! One observation group, from its files to an image: `setup`, the stages of [`STAGES`], and
//! `register`.
//!
//! Every step writes under another name and renames at its end, or writes into the Measurement Set
//! what follows from its data alone. So any of them may be killed at any moment and run again; what
//! a killed one leaves half-made is removed when the next attempt begins.

use std::path::{Path, PathBuf};

use absurd_sdk::prelude::{
    Context, Deserialize, JsonSchema, Serialize, State, TaskError, TaskResult, task,
};

use super::{
    journal::Journal,
    leftovers::{now, sweep},
    params::{Inputs, Outputs, StageConfig, StageParams},
    stage::Stage,
    stages::{in_background, observation},
    toolbox::Toolbox,
    workflow::run_stages,
};
use crate::{
    io::{FitsError, FitsImage, GainQuality, PartName, Uvh5},
    model::{Degrees, GroupId, Jansky, ObservationGroup},
    science::{find_peaks, noise},
};

/// What happens between the files and the products.
pub const STAGES: &[Stage] = &[
    Stage::CatalogSetup,
    Stage::Conversion,
    Stage::Flag,
    Stage::CalibrationSolve,
    Stage::CalibrationApply,
    Stage::Imaging,
];

/// A source stands this many times above the noise of the image,
const SOURCE_SNR_MIN: f64 = 7.0;
/// and is no weaker than this share of the brightest one: below it, what is left of the gains'
/// errors about that one looks the same.
const SOURCE_SHARE_MIN: f64 = 0.003;

/// The files of one observation.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct Group {
    /// The sixteen subband files, in any order; relative names are those of the input folder.
    pub file_paths: Vec<PathBuf>,
    /// Settings of this group.
    #[serde(default)]
    pub config: StageConfig,
}

impl From<Vec<PathBuf>> for Group {
    fn from(file_paths: Vec<PathBuf>) -> Self {
        Self {
            file_paths,
            ..Self::default()
        }
    }
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
    /// How good the calibration is.
    pub calibration: Option<GainQuality>,
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

/// Processes one observation group: converts its sixteen subbands into a Measurement Set, flags
/// interference, calibrates against the field's catalogue, images, and puts the image among the
/// products.
#[task(name = "process-group", max_attempts = 3, retry = exponential("2s", max = "5m"))]
pub async fn process_group(
    ctx: &mut Context,
    group: Group,
    tools: State<Toolbox>,
) -> TaskResult<Product> {
    let (attempt, begin) = (ctx.attempt(), now());
    let inputs = Inputs {
        file_paths: group.file_paths,
        ..Inputs::default()
    };
    let files = observation(&inputs, &tools)?;
    let id = files.id();
    let journal = Journal::in_folder(tools.work(id));
    sweep(&tools, id, begin).await?;

    ctx.step("setup", || async {
        journal.note("setup", attempt)?;
        in_background(move || check(&files)).await
    })
    .await?;

    let params = StageParams {
        config: group.config,
        inputs,
        outputs: Outputs::default(),
    };
    let params = run_stages(ctx, &tools, params, STAGES, Some(&journal)).await?;

    let products = tools.products();
    let product = ctx
        .step("register", || async {
            journal.note("register", attempt)?;
            let (fits, quality) = (params.image()?, params.outputs.calibration_quality);
            in_background(move || register(id, &fits, &products, quality)).await
        })
        .await?;
    // A worker that lost its lease may have been killed after this attempt began.
    sweep(&tools, id, now()).await?;
    Ok(product)
}

/// Checks that each file can be read, before any work is put into the others. A file that can't
/// be read will not be readable by trying again.
fn check(group: &ObservationGroup) -> TaskResult<()> {
    for file in group.files() {
        Uvh5::open(file.path()).map_err(TaskError::terminal)?;
    }
    Ok(())
}

/// Measures an image, and copies it with its measurements among the products.
fn register(
    group: GroupId,
    fits: &Path,
    products: &Path,
    calibration: Option<GainQuality>,
) -> TaskResult<Product> {
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
        calibration,
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
