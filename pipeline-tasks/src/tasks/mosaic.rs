//! Mosaics: tiles of groups put together, and the workflow around a calibrator's transit.

use std::path::PathBuf;

use absurd_sdk::prelude::{
    Context, Deserialize, JsonSchema, Serialize, State, TaskError, TaskResult, task,
};
use jiff::civil::DateTime;

use super::{
    leftovers::sweep_mosaic,
    params::{Inputs, StageConfig},
    process_group::{Group, process_group},
    record::record_published,
    stages::{finally, in_background, observations, tile_of_group},
    toolbox::Toolbox,
};
use crate::{
    io::{FitsImage, read_plane},
    model::{Degrees, GroupId, Mjd, ObservationGroup, SkyPosition, SubbandFile},
    science::{
        MATCH_RADIUS, MatchMethod, MeasuredSource, MosaicQuality, MosaicTier, PositionError,
        assess_mosaic, crossmatch, measure_mosaic, observatory, sources_within, transits,
    },
    tools::{Mosaic, Search, find_sources, mosaic},
};

/// A source stands this many times above a mosaic's noise.
const SIGNIFICANCE: f64 = 8.0;
/// Catalogue sources so far from a mosaic's centre are compared with it.
const FIELD: Degrees = Degrees(10.0);

/// Which groups to put together.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct MosaicOrder {
    /// The groups; they have been processed.
    pub groups: Vec<GroupId>,
    /// The name of the mosaic; first and last group where it is absent.
    pub name: Option<String>,
    /// Whose limits it is held against; by the span of time where it is absent.
    pub tier: Option<MosaicTier>,
}

/// A mosaic in its place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PublishedMosaic {
    /// The FITS file.
    pub mosaic_path: PathBuf,
    /// The groups that are in it.
    pub groups: Vec<GroupId>,
    /// What was made.
    pub mosaic: Mosaic,
    /// How good it is.
    pub quality: MosaicQuality,
}

/// Puts the tiles of processed groups together, measures the result, registers it, and says
/// `mosaic.published:<path>`.
#[task(name = "create-mosaic", retry = exponential("5s", max = "5m"))]
pub async fn create_mosaic(
    ctx: &mut Context,
    order: MosaicOrder,
    tools: State<Toolbox>,
) -> TaskResult<PublishedMosaic> {
    publish(ctx, &tools, order).await
}

async fn publish(
    ctx: &mut Context,
    tools: &Toolbox,
    mut order: MosaicOrder,
) -> TaskResult<PublishedMosaic> {
    order.groups.sort_unstable();
    order.groups.dedup();
    let (Some(first), Some(last)) = (order.groups.first(), order.groups.last()) else {
        return Err(TaskError::terminal(TaskError::msg(
            "a mosaic needs groups: give `groups`",
        )));
    };
    let span = last.to_mjd().0 - first.to_mjd().0;
    let tier = MosaicTier::of_span(crate::model::Seconds(span * 86_400.0));
    let tier = order.tier.unwrap_or(tier);
    let name = order
        .name
        .clone()
        .unwrap_or_else(|| format!("mosaic_{first}_{last}"));
    let place = tools.mosaics().join(format!("{name}.fits"));
    sweep_mosaic(tools, &place, ctx.attempt()).await?;
    let groups = order.groups.clone();
    let made: Mosaic = ctx
        .step("mosaic", || async {
            let tiles = groups.iter().map(|group| tile_of_group(tools, *group));
            let tiles = tiles.collect::<TaskResult<Vec<_>>>()?;
            std::fs::create_dir_all(tools.mosaics())?;
            let made = mosaic(&tiles, &place, tools.threads, tier.rules().limit).await;
            made.map_err(|error| finally(error.is_permanent(), error))
        })
        .await?;
    let quality: MosaicQuality = ctx
        .step("quality", || quality_of(tools, &made, tier))
        .await?;
    let published = PublishedMosaic {
        mosaic_path: made.image.clone(),
        groups: order.groups,
        mosaic: made,
        quality,
    };
    let run = ctx.info().clone();
    // Rows and checkpoint are one commit.
    ctx.transaction("register", async |tx| {
        record_published(tx, tools, &published, name, &run).await
    })
    .await?;
    let event = format!("mosaic.published:{}", published.mosaic_path.display());
    ctx.emit_event(event, &published).await?;
    Ok(published)
}

/// Holds a mosaic against the catalogue and the limits of its tier.
async fn quality_of(tools: &Toolbox, made: &Mosaic, tier: MosaicTier) -> TaskResult<MosaicQuality> {
    let search = Search {
        image: made.image.clone(),
        weight: Some(made.weight.clone()),
        significance: SIGNIFICANCE,
    };
    let found = find_sources(&search, tools.limit).await;
    let found = found.map_err(|error| finally(error.is_permanent(), error))?;
    let (image, weight) = (made.image.clone(), made.weight.clone());
    let catalogue = tools.catalogue.clone();
    in_background(move || {
        let read = FitsImage::read(&image)?;
        let weights = read_plane(&weight)?;
        let numbers = measure_mosaic(&read.plane, &weights)
            .ok_or_else(|| TaskError::msg(format!("{} is blank", image.display())))?;
        let listed = match catalogue {
            Some(path) => crate::io::read_catalogue(&path).map_err(TaskError::terminal)?,
            None => Vec::new(),
        };
        let listed = sources_within(&listed, read.projection.centre, FIELD);
        let measured: Vec<MeasuredSource> = found
            .iter()
            .map(|source| MeasuredSource {
                position: source.position,
                position_error: PositionError::round(MATCH_RADIUS),
                flux: source.peak,
                flux_error: crate::model::Jansky(source.peak.0 / source.snr),
            })
            .collect();
        let matched = crossmatch(&measured, &listed, MatchMethod::default(), |s| s.flux);
        let offsets: Vec<_> = matched
            .matches
            .iter()
            .map(|pair| (pair.offset.ra, pair.offset.dec))
            .collect();
        Ok(assess_mosaic(tier, &numbers, &offsets))
    })
    .await
}

/// A mosaic about the transit of a calibrator.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct TransitOrder {
    /// The calibrator's right ascension, ICRS.
    pub ra: Degrees,
    /// Its declination.
    pub dec: Degrees,
    /// Transits are looked for from here on, UTC.
    #[schemars(with = "String")]
    pub start_time: DateTime,
    /// And until here.
    #[schemars(with = "String")]
    pub end_time: DateTime,
    /// Groups this much before and after a transit belong to it, together.
    #[serde(default = "fifty")]
    pub timespan_minutes: f64,
    /// A transit with fewer groups is none.
    #[serde(default = "ten")]
    pub min_ms_count: usize,
    /// Settings of the groups.
    #[serde(default)]
    pub config: StageConfig,
}

fn fifty() -> f64 {
    50.0
}

fn ten() -> usize {
    10
}

/// A transit and the groups about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Transit {
    /// When the calibrator was on the meridian.
    pub time: Mjd,
    /// The groups about it, earliest first.
    pub groups: Vec<ObservationGroup>,
}

/// What became of a transit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TransitMosaic {
    /// The mosaic.
    pub mosaic_path: PathBuf,
    /// The transit.
    pub transit: Transit,
    /// How good the mosaic is.
    pub quality: MosaicQuality,
}

/// Finds the calibrator's transits in the data, takes the one with most groups, processes those
/// that nobody has processed yet, each as a task of its own, and puts them together.
#[task(name = "mosaic-transit", retry = exponential("5s", max = "5m"))]
pub async fn mosaic_transit(
    ctx: &mut Context,
    order: TransitOrder,
    tools: State<Toolbox>,
) -> TaskResult<TransitMosaic> {
    let transits: Vec<Transit> = ctx
        .step("find_transits", || async { find_transits(&order, &tools) })
        .await?;
    let transit: Transit = ctx
        .step("select_transit", || async {
            select_transit(transits, order.min_ms_count)
        })
        .await?;
    let mut children = Vec::new();
    for group in &transit.groups {
        let files = group.files().iter().map(SubbandFile::path);
        let params = Group {
            config: order.config.clone(),
            ..Group::from(files.map(PathBuf::from).collect::<Vec<_>>())
        };
        // The key that the bridge uses: what it has submitted is not processed again.
        let key = format!("process-group:{}", group.id());
        children.push(
            ctx.spawn(process_group, params)
                .idempotency_key(key)
                .await?,
        );
    }
    for child in &children {
        ctx.await_task(child).await?;
    }
    let groups = MosaicOrder {
        groups: transit.groups.iter().map(ObservationGroup::id).collect(),
        ..MosaicOrder::default()
    };
    let published = publish(ctx, &tools, groups).await?;
    Ok(TransitMosaic {
        mosaic_path: published.mosaic_path,
        transit,
        quality: published.quality,
    })
}

fn find_transits(order: &TransitOrder, tools: &Toolbox) -> TaskResult<Vec<Transit>> {
    let site = observatory().map_err(TaskError::terminal)?;
    let position = SkyPosition::from_degrees(order.ra.0, order.dec.0);
    let mjd = |time: DateTime| GroupId::from(time).to_mjd();
    let (from, until) = (mjd(order.start_time), mjd(order.end_time));
    let half = order.timespan_minutes / 2.0 / 1_440.0;
    let inputs = Inputs {
        start_time: Some(order.start_time),
        end_time: Some(order.end_time),
        ..Inputs::default()
    };
    let groups = observations(&inputs, tools)?;
    let transits = transits(&site, position, (from, until)).into_iter();
    Ok(transits
        .map(|time| Transit {
            time,
            groups: groups
                .iter()
                .filter(|group| (group.id().to_mjd().0 - time.0).abs() <= half)
                .cloned()
                .collect(),
        })
        .collect())
}

fn select_transit(transits: Vec<Transit>, at_least: usize) -> TaskResult<Transit> {
    let fullest = transits
        .into_iter()
        .max_by_key(|transit| transit.groups.len());
    let count = fullest.as_ref().map_or(0, |transit| transit.groups.len());
    fullest.filter(|_| count >= at_least).ok_or_else(|| {
        let few = format!("the fullest transit has {count} groups, {at_least} are needed");
        TaskError::terminal(TaskError::msg(few))
    })
}

/// Several transits, one mosaic each.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct TransitBatch {
    /// The transits to look for.
    pub transits: Vec<TransitOrder>,
}

/// What became of a batch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BatchResult {
    /// The mosaics, in the order of the transits.
    pub results: Vec<TransitMosaic>,
    /// How many.
    pub count: usize,
}

/// Makes a mosaic of each transit; they are processed at the same time.
#[task(name = "mosaic-batch", retry = exponential("5s", max = "5m"))]
pub async fn mosaic_batch(ctx: &mut Context, batch: TransitBatch) -> TaskResult<BatchResult> {
    let mut children = Vec::new();
    for order in batch.transits {
        children.push(ctx.spawn(mosaic_transit, order).await?);
    }
    let mut results = Vec::new();
    for child in &children {
        results.push(ctx.await_task(child).await?);
    }
    Ok(BatchResult {
        count: results.len(),
        results,
    })
}
