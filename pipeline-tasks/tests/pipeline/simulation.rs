//! The simulator's effects are in its files, and none of them by default.

use std::path::Path;

use num_complex::Complex64;
use pipeline_tasks::{
    io::{Effects, Integration, Interference, Simulation, Uvh5},
    model::{CatalogueSource, Degrees, Jansky, Seconds, SkyPosition, SubbandIndex},
};

use crate::TestResult;

/// Channels of a subband, times two polarizations.
const CELLS: usize = 8;

fn perfect(effects: Effects) -> Simulation {
    Simulation {
        sources: 0,
        antennas: 4,
        integrations: 4,
        sefd: Jansky(0.0),
        gain_amplitude: 0.0,
        gain_phase: Degrees(0.0),
        effects,
        ..Simulation::default()
    }
}

/// First and second antenna.
type Ends = (i64, i64);

/// The integrations of a subband and the baselines of each.
fn read(folder: &Path, name: &str) -> TestResult<(Vec<Integration>, Vec<Ends>)> {
    let subband = Uvh5::open(&folder.join(name))?;
    let times = 0..subband.header().times.len();
    let read = times.map(|time| subband.integration(time));
    let read = read.collect::<Result<_, _>>()?;
    Ok((read, subband.header().baselines.clone()))
}

/// One visibility: baseline, channel, polarization.
fn visibility(
    integration: &Integration,
    row: usize,
    channel: usize,
    polarization: usize,
) -> Complex64 {
    let value = integration.data[row * CELLS + channel * 2 + polarization];
    Complex64::new(value.re.into(), value.im.into())
}

#[test]
fn a_dead_antenna_a_transmitter_and_late_stamps_are_in_the_files() -> TestResult {
    let folder = tempfile::tempdir()?;
    let simulation = perfect(Effects {
        dead_antenna: Some(2),
        interference: vec![Interference {
            subband: SubbandIndex(5),
            channel: 3,
            integrations: 1..3,
            flux: Jansky(60.0),
        }],
        late_subbands: vec![SubbandIndex(5)],
        ..Effects::default()
    });
    let source = simulation.write(folder.path())?[0].flux.0;
    assert!(!folder.path().join("2026-01-26T08:05:18_sb05.hdf5").exists());
    assert!(folder.path().join("2026-01-26T08:05:18_sb04.hdf5").exists());
    let (integrations, baselines) = read(folder.path(), "2026-01-26T08:05:19_sb05.hdf5")?;
    for (time, integration) in integrations.iter().enumerate() {
        for (row, (first, second)) in baselines.iter().enumerate() {
            for channel in 0..4 {
                let seen = visibility(integration, row, channel, 0).norm();
                if [*first, *second].contains(&2) {
                    assert!(seen < 1e-9, "the dead antenna sees {seen}");
                } else if channel == 3 && (1..3).contains(&time) {
                    assert!(
                        (seen - 60.0).abs() < 1.01 * source,
                        "{seen} Jy with the transmitter"
                    );
                } else {
                    assert!((seen / source - 1.0).abs() < 0.1, "{seen} Jy without");
                }
            }
        }
    }
    Ok(())
}

#[test]
fn each_antenna_and_polarization_has_errors_of_its_own() -> TestResult {
    let folder = tempfile::tempdir()?;
    let (without, with) = (folder.path().join("without"), folder.path().join("with"));
    perfect(Effects::default()).write(&without)?;
    let effects = Effects {
        delay: Seconds(3e-9),
        ripple: 0.1,
        subband_steps: 0.05,
        phase_drift: Degrees(4.0),
        ..Effects::default()
    };
    perfect(effects).write(&with)?;
    let (before, _) = read(&without, "2026-01-26T08:05:18_sb05.hdf5")?;
    let (after, baselines) = read(&with, "2026-01-26T08:05:18_sb05.hdf5")?;
    let row = baselines
        .iter()
        .position(|ends| *ends == (0, 3))
        .ok_or("no baseline")?;
    let error = |time: usize, channel, polarization| {
        visibility(&after[time], row, channel, polarization)
            / visibility(&before[time], row, channel, polarization)
    };
    // The phase runs with frequency by the delay and with time by the drift, the amplitude with
    // frequency by the ripple; all differ between the polarizations.
    let slope = (error(0, 1, 0) / error(0, 0, 0)).arg();
    let same_slope = (error(0, 2, 0) / error(0, 1, 0)).arg();
    assert!(
        slope.abs() > 1e-3 && (slope - same_slope).abs() < 1e-3,
        "{slope}, {same_slope}"
    );
    let drift = (error(3, 0, 0) / error(0, 0, 0)).arg().to_degrees();
    assert!(drift.abs() > 0.05 && drift.abs() < 20.0, "{drift} degrees");
    let ripple = error(0, 3, 0).norm() / error(0, 0, 0).norm();
    assert!((ripple - 1.0).abs() > 1e-3, "{ripple}");
    assert!((error(0, 0, 0) - error(0, 0, 1)).norm() > 1e-2);
    Ok(())
}

#[test]
fn the_sky_drifts_through_a_beam_that_stands_still() -> TestResult {
    let folder = tempfile::tempdir()?;
    let mut simulation = perfect(Effects {
        drifting_beam: true,
        ..Effects::default()
    });
    simulation.integrations = 24;
    // An hour angle of a third of the beam before the middle of the group.
    simulation.sky = vec![CatalogueSource {
        name: "west".into(),
        position: SkyPosition::from_degrees(127.7, 55.4),
        flux: Jansky(1.0),
        spectral_index: 0.0,
    }];
    simulation.write(folder.path())?;
    let (integrations, _) = read(folder.path(), "2026-01-26T08:05:18_sb05.hdf5")?;
    let seen: Vec<f64> = integrations
        .iter()
        .map(|i| visibility(i, 0, 0, 0).norm())
        .collect();
    assert!(
        seen.is_sorted_by(|a, b| a > b),
        "it leaves the beam: {seen:?}"
    );
    assert!(seen[0] / seen[23] > 1.2, "{seen:?}");
    Ok(())
}
