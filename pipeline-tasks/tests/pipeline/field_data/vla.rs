//! VLA, 2010-04-26, J1008+0730 at 36.3 GHz: a point source, not calibrated. Four circular
//! correlations, dishes that follow the source, rows for antennas that did not observe.

use measurement_set::{Correlation, MeasurementSet};
use num_complex::Complex64;
use pipeline_tasks::{
    io::{FitsImage, GainTable, SetInfo, SolveSettings, apply, solve},
    model::{Jansky, Metres},
    tools::{ImageOrder, ImagePlan, ImagingTier, image},
};

use super::{LIMIT, Seen, point, unpack};
use crate::TestResult;

const SET: &str = "day2_TDEM0003_10s_norx_1src_1spw.ms";

/// One MHz: a channel alone, of 125 kHz, is too noisy.
fn settings() -> SolveSettings {
    SolveSettings {
        flux_min: Jansky(0.5),
        channels_per_gain: 8,
        ..SolveSettings::default()
    }
}

#[tokio::test]
async fn a_point_source_is_calibrated_and_imaged() -> TestResult {
    let folder = tempfile::tempdir()?;
    let Some(ms) = unpack(SET, folder.path())? else {
        return Ok(());
    };
    let info = SetInfo::of(&ms)?;
    assert_eq!(info.telescope, "EVLA");
    let (rr, ll) = (Correlation::Rr, Correlation::Ll);
    let circular = [rr, Correlation::Rl, Correlation::Lr, ll];
    assert_eq!(
        (&info.correlations[..], info.polarizations),
        (&circular[..], 2)
    );
    assert_eq!((info.antennas.len(), info.frequencies.len()), (28, 64));
    assert_eq!((info.integrations.len(), info.dish), (15, Metres(25.0)));
    assert_eq!(info.integrations.iter().map(|i| i.rows).sum::<u64>(), 1_360);

    let source = [point(info.centre, 1.0)];
    let alone = SolveSettings {
        channels_per_gain: 1,
        ..settings()
    };
    let noisy = solve(&ms, &source, &alone).err().ok_or("it was solved")?;
    assert!(noisy.is_permanent(), "{noisy}");
    assert!(noisy.to_string().contains("no usable gains"), "{noisy}");

    let (table, quality) = solve(&ms, &source, &settings())?;
    println!("{quality:?}");
    // Antenna 7 has no signal at all, 12 little. Ten more have no row, and are not counted.
    assert!(quality.dead_antennas.contains(&"7".to_owned()));
    assert!(quality.dead_antennas.len() <= 2, "{quality:?}");
    assert!(quality.snr > 8.0 && quality.flagged < 0.1, "{quality:?}");
    let gains = folder.path().join("gains.h5");
    table.write(&gains)?;
    let flagged = apply(&ms, &gains, &[])?;
    assert!((0.1..0.25).contains(&flagged), "{flagged}");

    let order = ImageOrder {
        ms: &ms,
        column: "CORRECTED_DATA",
        tier: ImagingTier::Standard,
        threads: 2,
        limit: LIMIT,
    };
    let fits = folder.path().join("image.fits");
    image(&order, ImagePlan::of(&info, order.tier), &fits, None).await?;
    let image = FitsImage::read(&fits)?;
    let seen = Seen::of(&image)?;
    println!("{:.3} Jy, noise {:.4} Jy", seen.peak, seen.noise);
    assert_eq!(seen.place, (0, 0), "the source is at the phase centre");
    // CASA with a bandpass and gains in time: 0.81 Jy and 0.010 Jy.
    assert!((0.9..1.05).contains(&seen.peak), "{} Jy", seen.peak);
    assert!(seen.noise < 0.01, "{} Jy", seen.noise);
    let (major, minor) = image.beam;
    let arcseconds = (major.0 * 3_600.0, minor.0 * 3_600.0);
    assert!(arcseconds.0 < 3.5 && arcseconds.1 > 1.5, "{arcseconds:?}");
    Ok(())
}

/// Gains make a point source even of noise, if they are solved from the data that they correct.
/// Here they come from every second integration, and what is looked at is the others.
#[test]
fn gains_hold_for_data_that_they_were_not_solved_from() -> TestResult {
    let folders = [tempfile::tempdir()?, tempfile::tempdir()?];
    let Some(first) = unpack(SET, folders[0].path())? else {
        return Ok(());
    };
    let second = unpack(SET, folders[1].path())?.ok_or("the data are gone")?;
    let info = SetInfo::of(&first)?;
    let others: Vec<_> = info.integrations.iter().skip(1).step_by(2).collect();
    let mut set = MeasurementSet::open_for_update(&first)?;
    for rows in &others {
        let cells = set.flags(rows.start, rows.rows)?.len();
        set.write_flags(rows.start, rows.rows, &vec![true; cells])?;
    }
    set.close()?;
    let (table, _) = solve(&first, &[point(info.centre, 1.0)], &settings())?;
    let gains = folders[0].path().join("gains.h5");
    table.write(&gains)?;
    assert_eq!(GainTable::read(&gains)?, table);
    apply(&second, &gains, &[])?;

    let set = MeasurementSet::open(&second)?;
    let (mut sums, mut counts) = ([Complex64::ZERO; 4], [0.0; 4]);
    for rows in others {
        let data = set.visibilities("CORRECTED_DATA", rows.start, rows.rows)?;
        let flags = set.flags(rows.start, rows.rows)?;
        for (cell, (value, flag)) in data.iter().zip(flags).enumerate() {
            if !flag {
                sums[cell % 4] += Complex64::new(value.re.into(), value.im.into());
                counts[cell % 4] += 1.0;
            }
        }
    }
    let [rr, rl, lr, ll] = [0, 1, 2, 3].map(|hand| sums[hand] / counts[hand]);
    println!("RR {rr:.3}, RL {rl:.3}, LR {lr:.3}, LL {ll:.3}");
    for parallel in [rr, ll] {
        assert!((0.8..1.1).contains(&parallel.re), "{parallel}");
        assert!(parallel.im.abs() < 0.1, "{parallel}");
    }
    for cross in [rl, lr] {
        assert!(
            cross.norm() < 0.1,
            "the source has little polarization: {cross}"
        );
    }
    Ok(())
}
