//! From subbands to a Measurement Set: nothing is lost, and every phase is where it belongs.

use std::path::{Path, PathBuf};

use measurement_set::MeasurementSet;
use num_complex::Complex64;
use pipeline_tasks::{
    io::{ConvertError, Simulation, convert},
    model::{Degrees, Jansky, ObservationGroup, SkyPosition, SubbandFile},
    science::fringe,
};

use crate::{TestResult, shared_data};

/// The one group of a folder, in whatever order its files are listed.
fn group_of(folder: &Path, stamps: &str) -> TestResult<ObservationGroup> {
    let files = std::fs::read_dir(folder)?
        .flatten()
        .map(|entry| entry.path());
    let files = files.filter(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.ends_with(".hdf5") && name.starts_with(stamps)
    });
    let files: Vec<PathBuf> = files.collect();
    let files = files
        .into_iter()
        .map(SubbandFile::parse)
        .collect::<Result<_, _>>()?;
    Ok(ObservationGroup::from_files(files)?)
}

/// Direction cosines of a source as seen from a phase centre.
fn cosines(centre: SkyPosition, source: SkyPosition) -> [f64; 3] {
    let (sin_dec, cos_dec) = source.dec.0.sin_cos();
    let (sin_dec0, cos_dec0) = centre.dec.0.sin_cos();
    let (sin_ra, cos_ra) = (source.ra.0 - centre.ra.0).sin_cos();
    [
        cos_dec * sin_ra,
        sin_dec * cos_dec0 - cos_dec * sin_dec0 * cos_ra,
        sin_dec * sin_dec0 + cos_dec * cos_dec0 * cos_ra,
    ]
}

#[test]
fn a_source_has_the_phases_of_its_place() -> TestResult {
    let folder = tempfile::tempdir()?;
    let perfect = Simulation {
        sources: 0,
        antennas: 10,
        integrations: 4,
        sefd: Jansky(0.0),
        gain_amplitude: 0.0,
        gain_phase: Degrees(0.0),
        ..Simulation::default()
    };
    let source = perfect.write(folder.path())?[0];
    let group = group_of(folder.path(), "2026")?;
    let converted = convert(&group, &folder.path().join("set.ms"))?;
    let set = MeasurementSet::open(&converted.ms)?;
    assert_eq!((converted.rows, converted.channels), (45 * 4, 64));
    assert_eq!(set.row_count("")?, 180);
    let frequencies = set.numbers("SPECTRAL_WINDOW", "CHAN_FREQ", 0)?;
    assert!(frequencies.is_sorted() && frequencies.len() == 64);

    let [l, m, n] = cosines(converted.centre, source.position);
    let uvw = set.uvw(0, 180)?;
    let data = set.visibilities("DATA", 0, 180)?;
    let mut worst: f64 = 0.0;
    for (row, [u, v, w]) in uvw.iter().enumerate() {
        let path = u * l + v * m + w * (n - 1.0);
        for (channel, frequency) in frequencies.iter().enumerate() {
            let found = data[(row * 64 + channel) * 2];
            let found = Complex64::new(found.re.into(), found.im.into());
            worst = worst.max((found * fringe(path, *frequency).conj()).arg().abs());
        }
    }
    // The frame of a SIN image turns by less than this in a minute of observation.
    assert!(worst.to_degrees() < 0.5, "{} degrees", worst.to_degrees());
    let amplitude = f64::from(data[0].norm());
    assert!(
        (amplitude - source.flux.0).abs() < 0.05 * source.flux.0,
        "{amplitude} Jy"
    );
    Ok(())
}

#[test]
fn groups_of_another_writer_are_converted() -> TestResult {
    // Folder, files, baselines without autocorrelations, integrations.
    let groups = [
        ("groups/small", "2026-01-26T08:05", 24 * 23 / 2, 24),
        ("groups/mini", "2026", 12 * 11 / 2, 6),
    ];
    for (name, stamps, baselines, integrations) in groups {
        let Some(data) = shared_data(name) else {
            return Ok(());
        };
        let folder = tempfile::tempdir()?;
        let group = group_of(&data, stamps)?;
        let converted = convert(&group, &folder.path().join("set.ms"))?;
        assert_eq!(converted.rows, baselines * integrations, "{name}");
        assert_eq!(converted.channels, 64, "{name}");
        let set = MeasurementSet::open(&converted.ms)?;
        assert_eq!(set.text("OBSERVATION", "TELESCOPE_NAME", 0)?, "OVRO_MMA");
        assert!(converted.flagged < 0.5, "{name}: {}", converted.flagged);
        let (low, high) = converted.band;
        assert!(low.0 > 1.31e9 && high.0 < 1.50e9, "{name}");
    }
    Ok(())
}

#[test]
fn a_set_is_made_anew_over_an_old_one() -> TestResult {
    let folder = tempfile::tempdir()?;
    let small = Simulation {
        antennas: 3,
        integrations: 1,
        ..Simulation::default()
    };
    small.write(folder.path())?;
    let group = group_of(folder.path(), "2026")?;
    let place = folder.path().join("set.ms");
    let first = convert(&group, &place)?;
    assert_eq!(convert(&group, &place)?, first);
    let left = std::fs::read_dir(folder.path())?.flatten().filter(|entry| {
        let name = entry.file_name();
        name.to_string_lossy().ends_with(".part")
    });
    assert_eq!(left.count(), 0, "no half-made set stays");
    Ok(())
}

#[test]
fn a_subband_of_another_observation_is_refused() -> TestResult {
    let folder = tempfile::tempdir()?;
    let one = Simulation {
        antennas: 3,
        integrations: 1,
        ..Simulation::default()
    };
    one.write(folder.path())?;
    let other = Simulation {
        antennas: 4,
        ..one.clone()
    };
    let foreign = folder.path().join("foreign");
    other.write(&foreign)?;
    let swapped = format!("{}_sb05.hdf5", one.group);
    std::fs::rename(foreign.join(&swapped), folder.path().join(&swapped))?;
    std::fs::remove_dir_all(foreign)?;
    let refused = convert(
        &group_of(folder.path(), "2026")?,
        &folder.path().join("set.ms"),
    );
    let refused = refused.err().ok_or("it converted")?;
    assert!(
        matches!(refused, ConvertError::Mismatch { .. }),
        "{refused}"
    );
    assert!(
        refused.is_permanent() && refused.to_string().contains("sb05"),
        "{refused}"
    );
    Ok(())
}
