//! Catalogues, and images of a known sky held against them.

use std::{fs, path::Path};

use pipeline_tasks::{
    io::{ImageReport, read_catalogue, read_vla_calibrators},
    model::{
        Arcseconds, CATALOGUE_FREQUENCY, CatalogueSource, Degrees, Hertz, Jansky, Metres, Mjd,
        Radians, SPECTRAL_INDEX_USUAL, SkyPosition,
    },
    science::{
        CrossMatch, Epoch, Evidence, ImageNumbers, MATCH_RADIUS, MatchMethod, MatchQuality,
        MeasuredSource, Normalisation, Outcome, Photometry, Plane, PositionError, Reference,
        SinProjection, Variability, airy_power, crossmatch, find_peaks, forced_photometry,
        validate, variability, verdict,
    },
};
use rand::{SeedableRng as _, rngs::StdRng};
use rand_distr::{Distribution as _, Normal};
use serde::Deserialize;

use crate::{TestResult, shared_data};

/// Counted with awk: 1865 entries, of which 1042 have a line for 20 cm. One of those says `?`, and
/// 13 say zero, so that 1028 are left.
#[test]
fn the_list_of_the_nrao_is_read() -> TestResult {
    let Some(folder) = shared_data("real/dsa110") else {
        return Ok(());
    };
    let list = read_vla_calibrators(&folder.join("vlacalibrators.txt"))?;
    assert_eq!((list.sources.len(), list.without_flux), (1_028, 837));
    let find = |name: &str| list.sources.iter().find(|source| source.name == name);
    let source = find("0834+555").ok_or("0834+555 is not there")?;
    let there = SkyPosition::from_degrees(128.728_767_1, 55.572_519_7);
    assert!(source.position.separation(there).to_arcseconds().0 < 0.001);
    assert_eq!(source.flux, Jansky(8.8));
    // 5.60 Jy at 6 cm; the truth of the simulated sky has -0.36 for it.
    assert!((source.spectral_index + 0.375).abs() < 0.001, "{source:?}");
    let source = find("1331+305").ok_or("3C286 is not there")?;
    let there = SkyPosition::from_degrees(202.784_533_3, 30.509_155_2);
    assert!(source.position.separation(there).to_arcseconds().0 < 0.001);
    assert_eq!(source.flux, Jansky(15.0));
    // 3C273 has 30 Jy at 6 cm, in a line of the shorter shape.
    let source = find("1229+020").ok_or("3C273 is not there")?;
    assert!((source.spectral_index + 0.054).abs() < 0.001, "{source:?}");
    let south = find("0003-174").ok_or("0003-174 is not there")?;
    assert!(south.position.dec.0 < 0.0);
    assert!(list.sources.iter().all(|source| source.flux.0 > 0.0));
    // In the list, but without a flux at 20 cm, or with one of zero.
    for unknown in ["0001+192", "1911+161", "0137-245"] {
        assert!(find(unknown).is_none(), "{unknown}");
    }
    Ok(())
}

#[test]
fn a_table_of_another_writer_is_read() -> TestResult {
    let Some(folder) = shared_data("groups/small") else {
        return Ok(());
    };
    let sources = read_catalogue(&folder.join("catalog.csv"))?;
    assert_eq!(sources.len(), 18);
    let first = &sources[0];
    assert_eq!((first.name.as_str(), first.flux), ("0834+555", Jansky(8.8)));
    let index = |source: &CatalogueSource| (source.spectral_index - SPECTRAL_INDEX_USUAL).abs();
    assert!(sources.iter().all(|source| index(source) < 1e-12));
    Ok(())
}

/// The sky as it is, which the pipeline never sees.
#[derive(Deserialize)]
struct Truth {
    sources: Vec<TrueSource>,
}

#[derive(Deserialize)]
struct TrueSource {
    name: String,
    ra: f64,
    dec: f64,
    s1400: f64,
    alpha: f64,
    #[serde(default)]
    tile_scale: Vec<f64>,
}

const FREQUENCY: Hertz = Hertz(1.405e9);
const BEAM: (Degrees, Degrees) = (Degrees(50.0 / 3_600.0), Degrees(30.0 / 3_600.0));
const CELL: Arcseconds = Arcseconds(10.0);
const SIZE: u32 = 1_280;
const NOISE: f64 = 0.0014;

/// What the primary beam leaves of a source.
fn seen(position: SkyPosition) -> f64 {
    let offset = position.separation(projection().centre);
    airy_power(offset, FREQUENCY, Metres(4.65))
}

fn projection() -> SinProjection {
    let step = CELL.to_radians();
    SinProjection {
        centre: SkyPosition::from_degrees(128.9, 55.45),
        centre_pixel: (f64::from(SIZE / 2), f64::from(SIZE / 2)),
        step: (Radians(-step.0), step),
    }
}

/// An image of the true sky in one epoch, with noise; the epoch's scale is off by a factor.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "pixels are single precision and their places small"
)]
fn image(truth: &Truth, epoch: usize, scale: f64) -> TestResult<Plane> {
    let mut random = StdRng::seed_from_u64(epoch as u64);
    let normal = Normal::new(0.0, NOISE)?;
    let size = SIZE as usize;
    let noise = (0..size * size).map(|_| normal.sample(&mut random) as f32);
    let mut values: Vec<f32> = noise.collect();
    let width = |axis: Degrees| axis.0 * 3_600.0 / CELL.0 / 2.354_82;
    let (along, across) = (width(BEAM.0), width(BEAM.1));
    for source in &truth.sources {
        let position = SkyPosition::from_degrees(source.ra, source.dec);
        let spectrum = (FREQUENCY.0 / CATALOGUE_FREQUENCY.0).powf(source.alpha);
        let change = source.tile_scale.get(epoch).copied().unwrap_or(1.0);
        let flux = source.s1400 * spectrum * change * seen(position) * scale;
        let (x0, y0) = projection().to_pixel(position).ok_or("behind us")?;
        for y in y0 as usize - 12..y0 as usize + 14 {
            for x in x0 as usize - 12..x0 as usize + 14 {
                let (dx, dy) = ((x as f64 - x0) / across, (y as f64 - y0) / along);
                values[y * size + x] += (flux * (-(dx * dx + dy * dy) / 2.0).exp()) as f32;
            }
        }
    }
    Ok(Plane {
        width: size,
        height: size,
        values,
    })
}

fn expected(source: &CatalogueSource) -> Jansky {
    Jansky(source.flux_at(FREQUENCY).0 * seen(source.position))
}

fn measured(plane: &Plane, threshold: Jansky, noise: Jansky) -> Vec<MeasuredSource> {
    let peaks = find_peaks(plane, threshold.0).into_iter();
    let sources = peaks.filter_map(|peak| {
        Some(MeasuredSource {
            position: projection().to_sky(peak.x, peak.y)?,
            position_error: PositionError::from_noise(BEAM.0, peak.value / noise.0),
            flux: Jansky(peak.value),
            flux_error: noise,
        })
    });
    sources.collect()
}

fn sky(folder: &Path) -> TestResult<(Truth, Vec<CatalogueSource>)> {
    let truth = serde_json::from_slice(&fs::read(folder.join("truth.json"))?)?;
    Ok((truth, read_catalogue(&folder.join("catalog.csv"))?))
}

fn check_matches(found: &CrossMatch, truth: &Truth) {
    let ghosts: Vec<_> = found
        .missing
        .iter()
        .map(|entry| &entry.listed.name)
        .collect();
    assert_eq!(ghosts, ["GHOST1", "GHOST2"]);
    assert!(found.missing.iter().all(|ghost| ghost.expected.0 > 0.1));
    assert_eq!(found.new.len(), 1, "S06 and nothing else: {:?}", found.new);
    let new = &found.new[0];
    let s06 = truth.sources.iter().find(|source| source.name == "S06");
    let s06 = s06.map(|source| SkyPosition::from_degrees(source.ra, source.dec));
    assert!(s06.is_some_and(|place| place.separation(new.position).to_arcseconds().0 < 1.0));
    assert_eq!(found.matches.len(), 16);
    // The calibrator's position in the catalogue is exact.
    let calibrator = found
        .matches
        .iter()
        .find(|pair| pair.listed.name == "0834+555");
    let quality = calibrator.map(|pair| pair.quality);
    assert_eq!(quality, Some(MatchQuality::Excellent));
    for pair in &found.matches {
        let ratio = pair.flux_ratio().unwrap_or(f64::NAN);
        assert!((0.8..1.2).contains(&ratio), "{pair:?}");
    }
}

#[test]
fn an_image_of_a_known_sky_is_judged() -> TestResult {
    let Some(folder) = shared_data("groups/small") else {
        return Ok(());
    };
    let (truth, catalogue) = sky(&folder)?;
    let plane = image(&truth, 0, 1.0)?;
    let numbers = ImageNumbers::of(&plane).ok_or("blank")?;
    assert!((numbers.rms.0 / NOISE - 1.0).abs() < 0.02, "{numbers:?}");
    let threshold = Jansky(7.0 * numbers.rms.0);
    let sources = measured(&plane, threshold, numbers.rms);
    let found = crossmatch(&sources, &catalogue, MatchMethod::default(), expected);
    check_matches(&found, &truth);

    let checks = validate(&Evidence {
        crossmatch: &found,
        image: numbers,
        complete_above: Jansky(1.5 * threshold.0),
        noise_expected: Some(Jansky(NOISE)),
    });
    // The two ghosts of the catalogue look like two sources that the image has lost.
    assert_eq!(verdict(&checks), Outcome::Warn);
    let bad = checks.iter().filter(|check| check.outcome != Outcome::Pass);
    let bad: Vec<_> = bad
        .map(|check| (check.name.as_str(), check.value))
        .collect();
    assert_eq!(bad, [("completeness", Some(16.0 / 18.0))]);

    let output = tempfile::tempdir()?;
    let page = output.path().join("reports/image.html");
    let report = ImageReport {
        title: "A known sky",
        facts: &[(
            "Noise",
            format!("{:.2} mJy per beam", 1_000.0 * numbers.rms.0),
        )],
        centre: projection().centre,
        checks: &checks,
        crossmatch: &found,
        match_radius: MATCH_RADIUS,
        plane: Some(&plane),
    };
    report.write(&page)?;
    let page = fs::read_to_string(page)?;
    // Sixteen points in each of three plots.
    assert_eq!(page.matches("class=\"point\"").count(), 48);
    assert!(page.contains("<td>GHOST2</td>") && page.len() < 300_000);
    assert!(!page.contains("http"), "a page asks nobody for anything");
    Ok(())
}

#[test]
fn the_source_that_changes_is_told_from_those_that_do_not() -> TestResult {
    let Some(folder) = shared_data("groups/small") else {
        return Ok(());
    };
    let (truth, catalogue) = sky(&folder)?;
    let measure = |plane: &Plane| -> Vec<Option<Photometry>> {
        let places = catalogue.iter().map(|source| source.position);
        places
            .map(|place| forced_photometry(plane, &projection(), BEAM, place))
            .collect()
    };
    let first = measure(&image(&truth, 0, 1.0)?);
    // The second epoch reads seven per cent low.
    let second = measure(&image(&truth, 1, 0.93)?);
    let pairs: Vec<_> = first.into_iter().zip(second).collect();
    let references: Vec<_> = pairs
        .iter()
        .filter_map(|(first, second)| {
            Some(Reference {
                expected: (*first)?.flux,
                measured: (*second)?,
            })
        })
        .collect();
    let scale = Normalisation::of(&references).ok_or("too few references")?;
    assert!((scale.factor * 0.93 - 1.0).abs() < 0.01, "{scale:?}");

    for (source, (first, second)) in catalogue.iter().zip(pairs) {
        let (first, second) = (first.ok_or("no flux")?, second.ok_or("no flux")?);
        let second = scale.apply(&second);
        let epoch = |day: f64, measured: &Photometry, error| Epoch {
            time: Mjd(61_066.0 + day),
            flux: measured.flux,
            error,
        };
        let epochs = [
            epoch(0.0, &first, first.noise),
            epoch(0.1, &second, second.error()),
        ];
        let Variability::Change(change) = variability(&epochs)? else {
            panic!("two epochs are a change");
        };
        let name = source.name.as_str();
        if name.starts_with("GHOST") {
            assert!(
                first.snr() < 4.0 && first.offset.is_none(),
                "{name}: {first:?}"
            );
        } else if name == "S04" {
            let ratio = change.ratio.ok_or("no ratio")?;
            assert!(
                (ratio.value - 1.4).abs() < 0.06 && ratio.error < 0.06,
                "{ratio:?}"
            );
            assert!(change.significance > 20.0, "{change:?}");
        } else {
            assert!(change.significance.abs() < 4.0, "{name}: {change:?}");
            assert!(first.offset.is_some(), "{name}: {first:?}");
        }
    }
    Ok(())
}
