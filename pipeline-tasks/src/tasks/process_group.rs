//! One observation group, from its files to an image: `setup`, the steps of the standard chain, and
//! `publish` and `register`.
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
    record::record_group,
    stage::{STANDARD_PIPELINE_CHAIN, Stage},
    stages::{in_background, observation, write_json},
    toolbox::Toolbox,
    workflow::run_stages,
};
use crate::{
    io::{PartName, Uvh5},
    model::{Degrees, GroupId, Jansky, ObservationGroup},
    science::{CrossMatch, MeasuredSource},
};

/// What happens between the files and the products: the standard chain, with a catalogue of its
/// own.
fn stages() -> Vec<Stage> {
    let chain = STANDARD_PIPELINE_CHAIN.stages.iter().copied();
    [Stage::CatalogSetup].into_iter().chain(chain).collect()
}

/// The names of the steps, in their order.
pub fn steps() -> Vec<&'static str> {
    let stages = stages().into_iter().map(Stage::step);
    let steps = ["setup"].into_iter().chain(stages);
    steps.chain(["publish", "register"]).collect()
}

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

/// An image in its final place, and what is known of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Product {
    /// The group it shows.
    pub group: GroupId,
    /// The FITS file: flux densities as the array sees them.
    pub image: PathBuf,
    /// Noise at the centre of the dishes' beam.
    pub rms: Jansky,
    /// Its sources, brightest first.
    pub sources: Vec<Source>,
    /// All that the stages have made.
    pub outputs: Outputs,
}

/// A source on an image.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Source {
    /// Right ascension, ICRS.
    pub ra: Degrees,
    /// Declination, ICRS.
    pub dec: Degrees,
    /// Flux density, corrected for the dishes' beam.
    pub flux: Jansky,
}

impl From<&MeasuredSource> for Source {
    fn from(source: &MeasuredSource) -> Self {
        Self {
            ra: source.position.ra.to_degrees(),
            dec: source.position.dec.to_degrees(),
            flux: source.flux,
        }
    }
}

/// Processes one observation group: converts its sixteen subbands into a Measurement Set, flags
/// interference, calibrates against the field's catalogue, images, and puts the image among the
/// products.
#[task(name = "process-group", retry = exponential("2s", max = "5m"))]
pub async fn process_group(
    ctx: &mut Context,
    group: Group,
    tools: State<Toolbox>,
) -> TaskResult<Product> {
    process(ctx, &tools, group).await
}

/// The same as part of a task that knows more of the group.
pub(super) async fn process(
    ctx: &mut Context,
    tools: &Toolbox,
    group: Group,
) -> TaskResult<Product> {
    let (attempt, begin) = (ctx.attempt(), now());
    let inputs = Inputs {
        file_paths: group.file_paths,
        ..Inputs::default()
    };
    let files = observation(&inputs, tools)?;
    let id = files.id();
    let journal = Journal::in_folder(tools.work(id));
    // A stage elsewhere may be at work on this group while the workflow's worker is replaced.
    if !tools.shares_work() {
        sweep(tools, id, begin).await?;
    }

    ctx.step("setup", || async {
        journal.note("setup", attempt)?;
        let files = files.clone();
        in_background(move || check(&files)).await
    })
    .await?;

    let params = StageParams {
        config: group.config,
        inputs,
        outputs: Outputs::default(),
    };
    let params = run_stages(ctx, tools, params, &stages(), Some(&journal)).await?;

    let products = tools.products();
    let raw = files.files().iter().map(|file| file.path().to_owned());
    let raw: Vec<PathBuf> = raw.collect();
    let run = ctx.info().clone();
    let product: Product = ctx
        .step("publish", || async {
            journal.note("publish", attempt)?;
            let fits = params.image()?;
            in_background(move || publish(id, &fits, &products, params.outputs)).await
        })
        .await?;
    // Rows and checkpoint are one commit.
    ctx.transaction("register", async |tx| {
        journal.note("register", attempt)?;
        record_group(tx, &product, &raw, &run).await
    })
    .await?;
    // A worker that lost its lease may have been killed after this attempt began.
    sweep(tools, id, now()).await?;
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

/// Copies an image among the products, with a record of what is known of it.
fn publish(group: GroupId, fits: &Path, products: &Path, outputs: Outputs) -> TaskResult<Product> {
    let (Some(tile), Some(crossmatch)) = (&outputs.tile, &outputs.crossmatch_path) else {
        return Err(TaskError::msg("the stages before have made no image"));
    };
    let matched: CrossMatch = serde_json::from_slice(&std::fs::read(crossmatch)?)?;
    let listed = matched.matches.iter().map(|pair| &pair.measured);
    let mut sources: Vec<Source> = listed.chain(&matched.new).map(Source::from).collect();
    sources.sort_by(|a, b| b.flux.0.total_cmp(&a.flux.0));
    let product = Product {
        group,
        image: products.join(format!("{group}.fits")),
        rms: tile.rms,
        sources,
        outputs,
    };
    std::fs::create_dir_all(products)?;
    let copy = PartName::of(&product.image);
    std::fs::copy(fits, copy.path())?;
    copy.put_in_place(&product.image)?;
    let record = product.image.with_extension("json");
    write_json(&record, &product)?;
    Ok(product)
}
