//! Tiles and their mosaics where no imager is needed: edges, refusals, another generator's beam.

use std::path::{Path, PathBuf};

use pipeline_tasks::{
    io::{FitsImage, SetInfo, Tile, convert, observed_beam, read_plane, write_plane, write_tile},
    model::{Degrees, Jansky, Radians, SkyPosition, SubbandFile, cluster},
    science::{AveragedBeam, DSA_110_DISH, Plane, SinProjection},
    tools::{MosaicError, mosaic},
};

use crate::{
    TestResult,
    mosaic::{LIMIT, MIDDLE, sky_of},
    shared_data,
};

#[tokio::test]
async fn tiles_that_make_no_mosaic_are_refused() -> TestResult {
    let folder = tempfile::tempdir()?;
    let place = folder.path().join("mosaic.fits");
    let none = mosaic(&[], &place, 1, LIMIT).await;
    let none = none.err().ok_or("a mosaic of nothing")?;
    assert!(
        matches!(none, MosaicError::NoTiles) && none.is_permanent(),
        "{none}"
    );
    let tile = Tile {
        image: PathBuf::from("nowhere.fits"),
        weight: PathBuf::from("nowhere.weight.fits"),
        rms: Jansky(1e-3),
        coverage: 1.0,
    };
    let lost = mosaic(&[tile], &place, 1, LIMIT).await;
    let lost = lost.err().ok_or("a mosaic of a lost tile")?;
    assert!(
        lost.to_string().contains("nowhere.fits") && !lost.is_permanent(),
        "{lost}"
    );
    assert_eq!(
        std::fs::read_dir(folder.path())?.count(),
        0,
        "nothing stays"
    );
    Ok(())
}

/// A tile made of an image wider than the beam, so that its edge is where the beam ends.
fn round_tile(folder: &Path, centre: SkyPosition) -> TestResult<Tile> {
    let step = Degrees(30.0 / 3_600.0).to_radians();
    let (width, height) = (481_u32, 401_u32);
    // Waves some pixels long everywhere: nothing is lost between pixels, but at an edge it shows.
    let pixels = (0..height).flat_map(|y| (0..width).map(move |x| (f64::from(x), f64::from(y))));
    let waves = pixels.map(|(x, y)| 1e-2 * ((x / 5.0).sin() * (y / 7.0).cos()));
    #[expect(
        clippy::cast_possible_truncation,
        reason = "pixels are single precision"
    )]
    let values = waves.map(|value| value as f32).collect();
    let image = FitsImage {
        plane: Plane {
            width: 481,
            height: 401,
            values,
        },
        projection: SinProjection {
            centre,
            centre_pixel: (240.0, 200.0),
            step: (Radians(-step.0), step),
        },
        beam: (Degrees(90.0 / 3_600.0), Degrees(90.0 / 3_600.0)),
        beam_angle: Degrees(0.0),
        frequency: Some(MIDDLE),
        date: Some("2026-01-26T08:05:18".into()),
        object: None,
        telescope: None,
    };
    let apparent = folder.join("apparent.fits");
    write_plane(&apparent, &image.plane, &image.header("Jy/beam"))?;
    let beam = AveragedBeam::new(&[centre], &[MIDDLE], DSA_110_DISH)?;
    Ok(write_tile(&apparent, &beam, &folder.join("tile.fits"))?)
}

#[tokio::test]
async fn blank_pixels_of_a_tile_are_blank_in_the_mosaic_and_spoil_no_others() -> TestResult {
    let folder = tempfile::tempdir()?;
    let centre = SkyPosition::from_degrees(129.3, 55.4);
    let tile = round_tile(folder.path(), centre)?;
    let made = mosaic(
        std::slice::from_ref(&tile),
        &folder.path().join("m.fits"),
        1,
        LIMIT,
    )
    .await?;
    let (tile_image, image) = (FitsImage::read(&tile.image)?, FitsImage::read(&made.image)?);
    let noise = read_plane(&made.noise)?;
    let beam = AveragedBeam::new(&[centre], &[MIDDLE], DSA_110_DISH)?;
    let highest = |plane: &Plane| {
        let values = plane.values.iter().filter(|value| value.is_finite());
        values.fold(0.0_f32, |most, value| most.max(value.abs()))
    };
    assert!(highest(&image.plane) < 1.1 * highest(&tile_image.plane));
    let weight = read_plane(&tile.weight)?;
    let (mut covered, mut blank) = (0, 0);
    let pixels = (0..image.plane.height).flat_map(|y| (0..image.plane.width).map(move |x| (x, y)));
    for (x, y) in pixels {
        let position = sky_of(&image.projection, x, y).ok_or("no sky")?;
        let place = tile_image.projection.to_pixel(position);
        let (column, row) = place.ok_or("no pixel")?;
        let here = image.plane.at(x, y);
        assert_eq!(here.is_finite(), noise.at(x, y).is_finite());
        // The kernel reaches three pixels to each side, or less where a pixel meets a pixel.
        if all_covered(&weight, column, row, 4) {
            let truth = tile.rms.0 / beam.power(position);
            let ratio = f64::from(noise.at(x, y)) / truth;
            assert!(ratio > 0.999 && ratio < 1.07, "noise {ratio} at {x}, {y}");
            covered += 1;
        } else if !all_covered(&weight, column, row, 2) {
            assert!(here.is_nan(), "{here} at {x}, {y}, close to blank pixels");
            blank += 1;
        }
    }
    assert!(
        covered > 50_000 && blank > 10_000,
        "{covered} covered, {blank} blank"
    );
    Ok(())
}

/// Whether a tile has weights all around a place, so many pixels to each side.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "what is negative lies outside and becomes a huge index"
)]
fn all_covered(weight: &Plane, column: f64, row: f64, reach: i64) -> bool {
    let (column, row) = (column.round() as i64, row.round() as i64);
    let mut around = (-reach..=reach).flat_map(|dx| (-reach..=reach).map(move |dy| (dx, dy)));
    around.all(|(dx, dy)| {
        let (x, y) = ((column + dx) as usize, (row + dy) as usize);
        x < weight.width && y < weight.height && weight.at(x, y) > 0.0
    })
}

#[tokio::test]
async fn tiles_of_different_parts_of_the_sky_are_refused() -> TestResult {
    let folder = tempfile::tempdir()?;
    let mut tiles = Vec::new();
    for (name, ra) in [("here", 129.3), ("there", 40.0)] {
        let own = folder.path().join(name);
        std::fs::create_dir(&own)?;
        tiles.push(round_tile(&own, SkyPosition::from_degrees(ra, 0.0))?);
    }
    // 89 degrees are 10,700 pixels here; closer pixels make more.
    let cell = 10.0 / 3_600.0;
    for tile in &tiles {
        let mut image = FitsImage::read(&tile.image)?;
        let step = Degrees(cell).to_radians();
        image.projection.step = (Radians(-step.0), step);
        write_plane(&tile.image, &image.plane, &image.header("Jy/beam"))?;
    }
    let apart = mosaic(&tiles, &folder.path().join("mosaic.fits"), 1, LIMIT).await;
    let apart = apart.err().ok_or("a mosaic of half the sky")?;
    assert!(
        matches!(apart, MosaicError::TooWide { .. }) && apart.is_permanent(),
        "{apart}"
    );
    assert!(apart.to_string().contains("89.3 degrees"), "{apart}");
    Ok(())
}

#[test]
fn the_beam_of_another_generators_groups_is_that_of_its_truth() -> TestResult {
    let Some(data) = shared_data("groups/small") else {
        return Ok(());
    };
    let truth: serde_json::Value =
        serde_json::from_slice(&std::fs::read(data.join("truth.json"))?)?;
    let files = std::fs::read_dir(&data)?.flatten().map(|file| file.path());
    let files = files.filter_map(|file| SubbandFile::parse(file).ok());
    let groups = cluster(files);
    assert_eq!(groups.len(), 2);
    let folder = tempfile::tempdir()?;
    let (mut worst, mut compared): (f64, usize) = (0.0, 0);
    for (tile, group) in groups.into_iter().enumerate() {
        let set = convert(&group?, &folder.path().join("set.ms"))?;
        let beam = observed_beam(&SetInfo::of(&set.ms)?)?;
        for source in truth["sources"].as_array().ok_or("no sources")? {
            let degrees = |key: &str| source[key].as_f64().ok_or("no position");
            let position = SkyPosition::from_degrees(degrees("ra")?, degrees("dec")?);
            let name = source["name"].as_str().ok_or("no name")?;
            let expected = truth["tiles"][tile]["beam_mean"][name].as_f64();
            let expected = expected.ok_or("no beam")?;
            worst = worst.max((beam.power(position) / expected - 1.0).abs());
            compared += 1;
        }
    }
    println!("{compared} sources, the beam differs by {worst:.1e} at most");
    assert!(
        compared == 34 && worst < 2e-3,
        "{compared} sources, {worst}"
    );
    Ok(())
}
