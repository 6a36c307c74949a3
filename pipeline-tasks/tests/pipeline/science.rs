//! The whole chain on groups that our code did not write, compared with their truth.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use absurd_sdk::WorkerBuilder;
use absurd_test::Database;
use pipeline_tasks::{
    config::Config,
    io::FitsImage,
    model::{Degrees, Radians, SkyPosition},
    registry,
    science::{Offset, forced_photometry},
    tasks::{
        LightCurveOrder, Product, StageConfig, Toolbox, TransitMosaic, TransitOrder, light_curves,
        mosaic_transit, pipeline_worker,
    },
};
use serde_json::Value;

use crate::{TestResult, config, shared_data};

fn worker(database: &Database, data: &Path, output: &Path) -> WorkerBuilder {
    let config = Config {
        task_timeout: Duration::from_mins(10),
        max_attempts: 1,
        catalogue: Some(data.join("catalog.csv")),
        ..config(data, output)
    };
    pipeline_worker(database.client(), Toolbox::of(&config))
}

/// Processes both groups by the workflow of a mosaic about the calibrator's transit.
async fn processed(
    database: &Database,
    data: &Path,
    output: &Path,
) -> TestResult<(Vec<Product>, TransitMosaic)> {
    let client = database.client();
    registry::install(client.pool()).await?;
    let order = TransitOrder {
        ra: Degrees(128.728_767),
        dec: Degrees(55.572_520),
        start_time: jiff::civil::date(2026, 1, 26).at(8, 0, 0, 0),
        end_time: jiff::civil::date(2026, 1, 26).at(8, 30, 0, 0),
        timespan_minutes: 50.0,
        min_ms_count: 2,
        config: StageConfig::default(),
    };
    let handle = client.spawn(mosaic_transit, order).await?;
    let worker = worker(database, data, output);
    let worker = worker.poll_interval("100ms").start()?;
    let mosaic = handle.result().await?;
    worker.stop().await?;
    let mut products = Vec::new();
    for group in &mosaic.transit.groups {
        let record = output.join("images").join(format!("{}.json", group.id()));
        products.push(serde_json::from_slice(&fs::read(record)?)?);
    }
    Ok((products, mosaic))
}

/// The stages' JSON beside the image.
fn json_of(path: Option<&PathBuf>) -> TestResult<Value> {
    Ok(serde_json::from_slice(&fs::read(path.ok_or("not made")?)?)?)
}

fn number(value: &Value, path: &str) -> TestResult<f64> {
    value
        .pointer(path)
        .and_then(Value::as_f64)
        .ok_or_else(|| format!("no {path}").into())
}

/// The flux density of a source of the truth in a group, not seen through the beam.
fn intrinsic(truth: &Value, group: usize, name: &str) -> TestResult<f64> {
    let tile = &truth["tiles"][group];
    let apparent = tile["apparent_jy_mean"][name].as_f64().ok_or("no flux")?;
    Ok(apparent / tile["beam_mean"][name].as_f64().ok_or("no beam")?)
}

/// What a group's photometry says of a source: its flux, its SNR, how far it is from the truth.
fn measured(photometry: &Value, source: &Value) -> TestResult<Option<(f64, f64, f64)>> {
    let place = SkyPosition::from_degrees(number(source, "/ra")?, number(source, "/dec")?);
    for entry in photometry.as_array().ok_or("no list")? {
        let position: SkyPosition = serde_json::from_value(entry["position"].clone())?;
        if position.separation(place).to_arcseconds().0 < 10.0 {
            let flux = number(entry, "/photometry/flux")?;
            let snr = flux / number(entry, "/photometry/noise")?;
            let offset = &entry["photometry"]["offset"];
            let offset: Option<Offset> = serde_json::from_value(offset.clone())?;
            let Some(offset) = offset else {
                return Ok(None);
            };
            let (sin, cos) = (offset.dec.to_radians(), offset.ra.to_radians());
            let found = SkyPosition {
                ra: Radians(position.ra.0 + cos.0 / position.dec.0.cos()),
                dec: Radians(position.dec.0 + sin.0),
            };
            return Ok(Some((flux, snr, found.separation(place).to_arcseconds().0)));
        }
    }
    Ok(None)
}

/// The marks of one group. Returns the flux density of the variable source.
fn check_group(truth: &Value, index: usize, product: &Product) -> TestResult<f64> {
    let mut variable = None;
    let outputs = &product.outputs;
    let quality = outputs
        .calibration_quality
        .as_ref()
        .ok_or("not calibrated")?;
    println!(
        "{}: noise {:.4} Jy, {:?}, {quality:?}",
        product.group, product.rms.0, outputs.validation
    );
    assert_eq!(quality.dead_antennas, [truth["dead_station"].to_string()]);
    let photometry = json_of(outputs.photometry_path.as_ref())?;
    let matched = json_of(outputs.crossmatch_path.as_ref())?;
    let mut ratios = Vec::new();
    println!("   source  true Jy  ratio   SNR  position");
    for source in truth["sources"].as_array().ok_or("no sources")? {
        let name = source["name"].as_str().ok_or("no name")?;
        let expected = intrinsic(truth, index, name)?;
        let beam = number(&truth["tiles"][index]["beam_mean"], &format!("/{name}"))?;
        let Some((flux, snr, apart)) = measured(&photometry, source)? else {
            println!("{name:>9} {expected:8.4}  not measured, beam {beam:.2}");
            assert!(beam < 0.25, "{name} is not on the image");
            continue;
        };
        let ratio = flux / expected;
        println!("{name:>9} {expected:8.4}  {ratio:.3}  {snr:5.0}  {apart:.2}\"");
        ratios.push(ratio);
        assert!(snr > 8.0, "{name} is lost in the noise");
        if expected > 0.2 {
            assert!((ratio - 1.0).abs() < 0.08, "{name}: {ratio}");
        }
        assert!(snr < 30.0 || apart < 1.5, "{name}: {apart} arcseconds");
        if name == "S04" {
            variable = Some(flux);
        }
    }
    ratios.sort_by(f64::total_cmp);
    let median = ratios[ratios.len() / 2];
    println!("median flux ratio {median:.3}");
    assert!((median - 1.0).abs() < 0.03, "median flux ratio {median}");
    check_detections(truth, &matched, ratios.len())?;
    variable.ok_or_else(|| "S04 was not measured".into())
}

/// All sources of the image were found, and nothing else.
fn check_detections(truth: &Value, matched: &Value, on_image: usize) -> TestResult {
    let pairs = matched["matches"].as_array().ok_or("no matches")?;
    for pair in pairs {
        let listed = pair["listed"]["name"].as_str().unwrap_or_default();
        assert!(!listed.starts_with("GHOST"), "{listed} was detected");
    }
    let unlisted = truth["sources"].as_array().ok_or("no sources")?.iter();
    let unlisted = unlisted.filter(|source| source["in_catalog"] == false);
    let new = matched["new"].as_array().ok_or("no new ones")?;
    println!("new: {}", serde_json::to_string(new)?);
    assert_eq!(new.len(), unlisted.clone().count(), "new sources");
    assert_eq!(pairs.len() + new.len(), on_image, "sources found");
    for (new, source) in new.iter().zip(unlisted) {
        let found: SkyPosition = serde_json::from_value(new["position"].clone())?;
        let place = SkyPosition::from_degrees(number(source, "/ra")?, number(source, "/dec")?);
        assert!(
            found.separation(place).to_arcseconds().0 < 1.5,
            "{source} is not {new}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn the_small_groups_agree_with_their_truth() -> TestResult {
    let Some(data) = shared_data("groups/small") else {
        return Ok(());
    };
    let database = Database::start().await?;
    let output = tempfile::tempdir()?;
    let (products, mosaic) = processed(&database, &data, output.path()).await?;
    assert_eq!(products.len(), 2);
    let truth: Value = serde_json::from_slice(&fs::read(data.join("truth.json"))?)?;
    let mut variable = Vec::new();
    for (index, product) in products.iter().enumerate() {
        variable.push(check_group(&truth, index, product)?);
    }
    let mut connection = database.client().pool().acquire().await?;
    let curve = registry::light_curve(&mut connection, "S04").await?;
    let kept: Vec<f64> = curve.iter().map(|point| point.flux.0).collect();
    assert_eq!(kept, variable, "the light curve of the registry");
    let ratio = variable[1] / variable[0];
    println!("S04: {ratio:.3}");
    assert!(
        (ratio - 1.4).abs() < 0.06,
        "S04 became {ratio} times as bright"
    );
    check_light_curves(&database, &data, output.path()).await?;
    check_mosaic(&truth, &mosaic)
}

/// The light curves of the registry show the one source that varies.
async fn check_light_curves(database: &Database, data: &Path, output: &Path) -> TestResult {
    let looked = database
        .client()
        .spawn(light_curves, LightCurveOrder::default());
    let looked = looked.await?;
    worker(database, data, output).run_until_idle().await?;
    let looked = looked.result().await?;
    println!("variable: {:?}", looked.candidates);
    assert!(
        looked.sources > 10 && looked.errors.is_empty(),
        "{looked:?}"
    );
    let most = looked.candidates.first().ok_or("nothing varies")?;
    assert_eq!((most.source_name.as_str(), most.epochs), ("S04", 2));
    assert!(most.deviation > 0.0, "it became brighter");
    Ok(())
}

/// All sources are on the mosaic, with the flux densities of the sky; the variable one is between
/// its two.
fn check_mosaic(truth: &Value, made: &TransitMosaic) -> TestResult {
    let image = FitsImage::read(&made.mosaic_path)?;
    println!("mosaic: {:?}", made.quality);
    let mut ratios = Vec::new();
    for source in truth["sources"].as_array().ok_or("no sources")? {
        let name = source["name"].as_str().ok_or("no name")?;
        let place = SkyPosition::from_degrees(number(source, "/ra")?, number(source, "/dec")?);
        let found = forced_photometry(&image.plane, &image.projection, image.beam, place);
        let found = found.ok_or_else(|| format!("{name} is not on the mosaic"))?;
        let ratio = found.flux.0 / intrinsic(truth, 0, name)?;
        println!("{name:>9}  {ratio:.3}  SNR {:.0}", found.snr());
        assert!(found.snr() > 8.0, "{name} is lost in the noise");
        if name != "S04" {
            ratios.push(ratio);
        }
    }
    ratios.sort_by(f64::total_cmp);
    let median = ratios[ratios.len() / 2];
    assert!(
        (median - 1.0).abs() < 0.03,
        "median flux ratio of the mosaic {median}"
    );
    Ok(())
}
