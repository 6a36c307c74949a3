//! From two simulated groups of one sky to a mosaic: what goes in as fluxes, positions and noise
//! comes out.

use std::{path::Path, process::Command, time::Duration};

use fitsio::FitsFile;
use pipeline_tasks::{
    io::{
        Effects, FitsImage, SetInfo, Simulation, Tile, convert, observed_beam, read_plane,
        write_tile,
    },
    model::{
        CatalogueSource, Degrees, Hertz, Jansky, ObservationGroup, SkyPosition, SubbandFile,
        SubbandIndex,
    },
    science::{MosaicTier, MosaicVerdict, Plane, SinProjection, assess_mosaic, measure_mosaic},
    tools::{
        FoundSource, ImageOrder, ImagePlan, ImagingTier, Mosaic, Search, find_sources, image,
        mosaic,
    },
};

use crate::TestResult;

pub(crate) const LIMIT: Duration = Duration::from_mins(5);
pub(crate) const MIDDLE: Hertz = Hertz(1.405e9);

/// Sources over both groups: right ascension, declination, flux density, spectral index.
fn sky() -> Vec<CatalogueSource> {
    let sources = [
        (128.728_8, 55.572_5, 5.0, -0.36),
        (130.091_3, 56.033_6, 2.1, -0.74),
        (127.807_1, 55.060_4, 1.55, -0.85),
        (129.193_6, 55.067_0, 0.95, -0.65),
        (131.900_0, 55.800_0, 1.2, -0.7),
        (130.500_0, 54.900_0, 0.6, -0.7),
        (131.100_0, 56.100_0, 0.4, -0.8),
        (127.440_0, 55.780_0, 0.47, 0.0),
        (129.700_0, 55.400_0, 0.25, -0.7),
        (132.200_0, 55.200_0, 0.35, -0.7),
        (128.200_0, 56.200_0, 0.3, -1.2),
    ];
    let sources = sources.into_iter().enumerate();
    sources
        .map(|(index, (ra, dec, flux, spectral_index))| CatalogueSource {
            name: format!("S{index:02}"),
            position: SkyPosition::from_degrees(ra, dec),
            flux: Jansky(flux),
            spectral_index,
        })
        .collect()
}

fn group_in(folder: &Path) -> TestResult<ObservationGroup> {
    let files = std::fs::read_dir(folder)?.flatten();
    let files = files.map(|file| SubbandFile::parse(file.path()));
    Ok(ObservationGroup::from_files(
        files.collect::<Result<_, _>>()?,
    )?)
}

/// Observes the sky for five minutes and makes a tile of it. The dishes have no errors: there is
/// nothing to calibrate.
async fn observe(folder: &Path, time: (i8, i8), seed: u64) -> TestResult<Tile> {
    let simulation = Simulation {
        group: jiff::civil::date(2026, 1, 26)
            .at(8, time.0, time.1, 0)
            .into(),
        sky: sky(),
        integrations: 24,
        // Then the imager's pixels sample the beam: between pixels no flux is lost.
        crowding: 3.0,
        gain_amplitude: 0.0,
        gain_phase: Degrees(0.0),
        effects: Effects {
            drifting_beam: true,
            late_subbands: vec![SubbandIndex(7), SubbandIndex(12)],
            ..Effects::default()
        },
        seed,
        ..Simulation::default()
    };
    let files = folder.join(simulation.group.to_string());
    simulation.write(&files)?;
    let group = group_in(&files)?;
    assert_eq!(
        group.id(),
        simulation.group,
        "late subbands belong to their group"
    );
    let set = convert(&group, &files.join("set.ms"))?;
    let apparent = files.join("image.fits");
    let order = ImageOrder {
        ms: &set.ms,
        column: "DATA",
        tier: ImagingTier::Standard,
        threads: 1,
        limit: LIMIT,
    };
    let info = SetInfo::of(&set.ms)?;
    image(&order, ImagePlan::of(&info, order.tier), &apparent, None).await?;
    // All tiles have the same name, as they may in the folders of their groups.
    Ok(write_tile(
        &apparent,
        &observed_beam(&info)?,
        &files.join("tile.fits"),
    )?)
}

#[tokio::test]
async fn two_groups_become_a_mosaic_with_the_right_fluxes_and_weights() -> TestResult {
    let folder = tempfile::tempdir()?;
    let tiles = [
        observe(folder.path(), (5, 18), 1).await?,
        observe(folder.path(), (10, 27), 2).await?,
    ];
    let place = folder.path().join("mosaic.fits");
    let made = mosaic(&tiles, &place, 2, LIMIT).await?;
    println!("{made:#?}");
    for file in [
        &tiles[0].image,
        &tiles[1].weight,
        &made.image,
        &made.weight,
        &made.noise,
    ] {
        verify(file)?;
    }
    check_header(&made)?;
    check_weights(&tiles, &made.image, &made.weight)?;

    for (image, weight, expected) in [
        // The last one is beyond the edge of the first tile.
        (&tiles[0].image, Some(&tiles[0].weight), 10),
        (&made.image, Some(&made.weight), sky().len()),
        (&made.image, None, sky().len()),
    ] {
        let search = Search {
            image: image.clone(),
            weight: weight.cloned(),
            significance: 8.0,
        };
        let found = find_sources(&search, LIMIT).await?;
        assert_eq!(check_sources(&found), expected, "in {}", image.display());
    }

    let (image, weight) = (FitsImage::read(&made.image)?, read_plane(&made.weight)?);
    let measures = measure_mosaic(&image.plane, &weight).ok_or("nothing to measure")?;
    println!("{measures:#?}");
    assert!((measures.expected_noise.0 / made.effective_noise.0 - 1.0).abs() < 1e-6);
    let quality = assess_mosaic(MosaicTier::Quicklook, &measures, &[]);
    assert_ne!(quality.verdict, MosaicVerdict::Fail, "{quality:#?}");
    let left = std::fs::read_dir(folder.path())?.flatten();
    let left = left.filter(|file| file.file_name().to_string_lossy().ends_with(".part"));
    assert_eq!(left.count(), 0, "no scratch folder stays");
    Ok(())
}

/// The header says of the mosaic what the result does.
fn check_header(made: &Mosaic) -> TestResult {
    let mut file = FitsFile::open(&made.image)?;
    let header = file.primary_hdu()?;
    assert_eq!(header.read_key::<i64>(&mut file, "NIMAGES")?, 2);
    assert_eq!(header.read_key::<String>(&mut file, "BUNIT")?, "Jy/beam");
    let begun: String = header.read_key(&mut file, "DATE-OBS")?;
    assert!(begun.starts_with("2026-01-26T08:05:"), "{begun}");
    for (keyword, expected) in [
        ("MEDRMS", made.median_rms.0),
        ("EFFNOISE", made.effective_noise.0),
        ("COVERAGE", made.coverage),
    ] {
        let found: f64 = header.read_key(&mut file, keyword)?;
        assert!(
            (found / expected - 1.0).abs() < 1e-9,
            "{keyword} is {found}"
        );
    }
    Ok(())
}

/// How many of the true sources were found, each with its flux density and in its place, and
/// nothing else that is as bright as they are.
fn check_sources(found: &[FoundSource]) -> usize {
    let mut matched = 0;
    for source in found {
        let sky = sky();
        let distance = |truth: &CatalogueSource| truth.position.separation(source.position);
        let truth = sky
            .iter()
            .min_by(|a, b| distance(a).0.total_cmp(&distance(b).0));
        let truth = truth.unwrap_or(&sky[0]);
        let shift = distance(truth).to_arcseconds().0;
        if shift > 20.0 {
            println!("no source: {:.4} Jy, snr {:.1}", source.peak.0, source.snr);
            assert!(source.peak.0 < 0.05, "{source:?} is not in the sky");
            continue;
        }
        let ratio = source.peak.0 / truth.flux_at(MIDDLE).0;
        let integrated = source.flux.0 / truth.flux_at(MIDDLE).0;
        println!(
            "{} {:.2} Jy: peak {ratio:.3}, flux {integrated:.3}, {shift:.2}\", snr {:.0}, \
             elongation {:.2}",
            truth.name, truth.flux.0, source.snr, source.elongation
        );
        assert!((ratio - 1.0).abs() < 0.05, "{}: {ratio}", truth.name);
        assert!(
            (integrated - 1.0).abs() < 0.15,
            "{}: {integrated}",
            truth.name
        );
        assert!(shift < 2.0, "{}: {shift}\"", truth.name);
        matched += 1;
    }
    matched
}

/// At places all over the mosaic its weight is the sum of the tiles' weights there.
fn check_weights(tiles: &[Tile], image: &Path, weight: &Path) -> TestResult {
    let weight = read_plane(weight)?;
    let read = FitsImage::read(image)?;
    let tiles = tiles.iter().map(|tile| {
        let projection = FitsImage::read(&tile.image)?.projection;
        Ok((projection, read_plane(&tile.weight)?))
    });
    let tiles = tiles.collect::<TestResult<Vec<_>>>()?;
    let (mut alone, mut shared, mut blank) = (0, 0, 0);
    for (x, y) in grid(&weight) {
        let made = f64::from(weight.at(x, y));
        let Some(position) = sky_of(&read.projection, x, y) else {
            continue;
        };
        let parts: Option<Vec<f64>> = tiles
            .iter()
            .map(|(projection, weight)| weight_at(projection, weight, position))
            .collect();
        // Close to a tile's edge the resampling reaches beyond it.
        let Some(parts) = parts else { continue };
        let expected: f64 = parts.iter().sum();
        match parts.iter().filter(|part| **part > 0.0).count() {
            0 => {
                assert!(made == 0.0 && read.plane.at(x, y).is_nan());
                blank += 1;
                continue;
            }
            1 => alone += 1,
            _ => shared += 1,
        }
        // SWarp takes the lowest weight under its kernel, three pixels to each side: where the
        // beam is steep that is two per cent less than the weight itself, and never more.
        let ratio = made / expected;
        assert!(
            ratio > 0.975 && ratio < 1.001,
            "{made} for {expected} at {x}, {y}"
        );
        assert!(read.plane.at(x, y).is_finite());
    }
    println!("{alone} places in one tile, {shared} in both, {blank} in none");
    assert!(alone > 100 && shared > 100 && blank > 10);
    Ok(())
}

fn grid(plane: &Plane) -> impl Iterator<Item = (usize, usize)> + use<> {
    let (width, height) = (plane.width, plane.height);
    let columns = move |y| (0..width).step_by(37).map(move |x| (x, y));
    (0..height).step_by(37).flat_map(columns)
}

#[expect(clippy::cast_precision_loss, reason = "a pixel coordinate is small")]
pub(crate) fn sky_of(projection: &SinProjection, x: usize, y: usize) -> Option<SkyPosition> {
    projection.to_sky(x as f64, y as f64)
}

/// The weight of a tile at a place, zero outside of it; none if an edge is near.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    reason = "pixel coordinates are small"
)]
fn weight_at(projection: &SinProjection, weight: &Plane, position: SkyPosition) -> Option<f64> {
    let (x, y) = projection.to_pixel(position)?;
    let (x, y) = (x.round() as i64, y.round() as i64);
    let at = |x: i64, y: i64| {
        let inside =
            (0..weight.width as i64).contains(&x) && (0..weight.height as i64).contains(&y);
        if inside {
            weight.at(x as usize, y as usize)
        } else {
            0.0
        }
    };
    let here = at(x, y);
    let around = [
        (-5, 0),
        (5, 0),
        (0, -5),
        (0, 5),
        (-5, -5),
        (5, 5),
        (-5, 5),
        (5, -5),
    ];
    let same = around
        .into_iter()
        .all(|(dx, dy)| (at(x + dx, y + dy) > 0.0) == (here > 0.0));
    same.then_some(f64::from(here))
}

fn verify(file: &Path) -> TestResult {
    let verified = Command::new("fitsverify").arg("-q").arg(file).output()?;
    let verdict = String::from_utf8_lossy(&verified.stdout);
    assert!(verified.status.success(), "{verdict}");
    Ok(())
}
