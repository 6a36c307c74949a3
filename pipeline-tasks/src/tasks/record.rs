//! What processed groups and mosaics leave in the registry.

use std::path::PathBuf;

use absurd_sdk::{RunInfo, TaskError, TaskResult};
use serde_json::{Map, Value, json};

use super::{
    mosaic::PublishedMosaic,
    process_group::Product,
    stages::{SourceFlux, VALID_HOURS, tile_of_group},
    toolbox::Toolbox,
};
use crate::{
    io::{GainTable, SetInfo},
    model::{Mjd, Seconds},
    registry::{
        self, CalTable, Measurement, MosaicBuild, PgConnection, ProductId, ProductKind, Provenance,
        record_caltable, record_mosaic, record_photometry, record_product,
    },
};

/// Registers all that was made of a group; again and again, if need be.
pub(super) async fn record_group(
    connection: &mut PgConnection,
    product: &Product,
    raw: &[PathBuf],
    run: &RunInfo,
) -> TaskResult<u64> {
    let outputs = &product.outputs;
    let Some(ms) = &outputs.ms_path else {
        return Err(TaskError::msg(
            "the stages before have made no Measurement Set",
        ));
    };
    let span = SetInfo::of(ms)?.span();
    let made = |kind, path: PathBuf, quality: Map<String, Value>, provenance: Provenance| {
        registry::Product {
            observed: Some(span),
            quality,
            provenance: provenance.parameters(json!({"flagged": outputs.flagged})),
            ..registry::Product::of_group(kind, product.group, path)
        }
    };
    let mut of_raw = Provenance::of_run(run);
    for file in raw {
        of_raw = of_raw.input(file)?;
    }
    let of_ms = Provenance::of_run(run).input(ms)?;
    let set = made(ProductKind::MeasurementSet, ms.clone(), Map::new(), of_raw);
    record_product(connection, &set).await?;
    for path in &outputs.caltables {
        // Tables of other programs are folders; they are as old as the set they were solved on.
        let (first, last) = if path.is_dir() {
            span
        } else {
            GainTable::span_of(path)?
        };
        let mut kinds = outputs.calibration_tables.iter();
        let kind = kinds.find(|(_, table)| *table == path);
        let quality = match serde_json::to_value(&outputs.calibration_quality)? {
            Value::Object(quality) => quality,
            _ => Map::new(),
        };
        let margin = VALID_HOURS * 3_600.0;
        let table = CalTable {
            product: made(ProductKind::Caltable, path.clone(), quality, of_ms.clone()),
            table_type: kind.map_or("bandpass", |(kind, _)| kind).into(),
            valid: (first.plus(Seconds(-margin)), last.plus(Seconds(margin))),
            is_usable: true,
        };
        record_caltable(connection, &table).await?;
    }
    let noise = Map::from_iter([("noise_jy".to_owned(), json!(product.rms.0))]);
    let image = made(
        ProductKind::Image,
        product.image.clone(),
        noise,
        of_ms.clone(),
    );
    record_product(connection, &image).await?;
    if let Some(page) = &outputs.report_path {
        let page = made(ProductKind::Report, page.clone(), Map::new(), of_ms);
        record_product(connection, &page).await?;
    }
    let measurements = measurements(product, span)?;
    Ok(record_photometry(connection, &measurements).await?)
}

/// Registers a mosaic, with the tiles that it was made of.
pub(super) async fn record_published(
    connection: &mut PgConnection,
    tools: &Toolbox,
    published: &PublishedMosaic,
    name: String,
    run: &RunInfo,
) -> TaskResult<ProductId> {
    let mut provenance = Provenance::of_run(run);
    for group in &published.groups {
        provenance = provenance.input(tile_of_group(tools, *group)?.image)?;
    }
    let quality = Map::from_iter([
        (
            "noise_jy".to_owned(),
            json!(published.mosaic.effective_noise.0),
        ),
        ("verdict".to_owned(), json!(published.quality.verdict)),
        ("checks".to_owned(), json!(published.quality.checks)),
    ]);
    // The moments at which the groups begin; their images' rows say when they end.
    let begins = published.groups.first().zip(published.groups.last());
    let product = registry::Product {
        kind: ProductKind::Mosaic,
        path: published.mosaic_path.clone(),
        group: None,
        observed: begins.map(|(first, last)| (first.to_mjd(), last.to_mjd())),
        quality,
        provenance,
    };
    let mosaic = MosaicBuild {
        product,
        name,
        tier: published.quality.tier.to_string(),
        groups: published.groups.clone(),
    };
    Ok(record_mosaic(connection, &mosaic).await?)
}

fn measurements(product: &Product, (first, last): (Mjd, Mjd)) -> TaskResult<Vec<Measurement>> {
    let Some(path) = &product.outputs.photometry_path else {
        return Ok(Vec::new());
    };
    let fluxes: Vec<SourceFlux> = serde_json::from_slice(&std::fs::read(path)?)?;
    let measurement = |source: SourceFlux| Measurement {
        group: product.group,
        source_name: source.name,
        position: source.position,
        flux: source.photometry.flux,
        flux_error: source.photometry.error(),
        snr: source.photometry.snr(),
        mjd: Mjd(f64::midpoint(first.0, last.0)),
        image: product.image.clone(),
    };
    Ok(fluxes.into_iter().map(measurement).collect())
}
