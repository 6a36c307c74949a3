//! Measurement Sets as others write them: OVRO-LWA, and MWA by Birli, a converter in Rust.

use measurement_set::{Correlation, ErrorKind, MeasurementSet};
use pipeline_tasks::{
    io::{CalibrationError, SetInfo, SolveSettings, flag_unusable, solve},
    model::SkyPosition,
    tools::{ImageError, ImageOrder, ImagePlan, ImagingTier, image},
};

use super::{LIMIT, no_gains, point, unpack};
use crate::TestResult;

#[test]
fn a_set_of_the_same_site_is_read() -> TestResult {
    let folder = tempfile::tempdir()?;
    let name = "2018-03-21-01_26_33_0004384620257280_000000_downselected.ms";
    let Some(ms) = unpack(name, folder.path())? else {
        return Ok(());
    };
    let set = MeasurementSet::open(&ms)?;
    let info = SetInfo::read(&set, &ms)?;
    assert_eq!(info.telescope, "OVRO_MMA");
    let [xx, yy] = [Correlation::Xx, Correlation::Yy];
    let order = [xx, yy, Correlation::Xy, Correlation::Yx];
    assert_eq!(info.correlations, order);
    let hands = [(0, 0), (1, 1), (0, 1), (1, 0)].map(Some);
    assert_eq!(info.hands(), hands);
    assert_eq!(info.antennas.len(), 256);
    assert_eq!(info.antennas[255], "ANT256");
    let rows = info.integrations[0].rows;
    assert_eq!((info.integrations.len(), rows), (1, 20 * 21 / 2));
    let mut observed: Vec<_> = set.antennas(0, rows)?.iter().map(|ends| ends.0).collect();
    observed.dedup();
    assert_eq!(observed, (0..20).collect::<Vec<_>>());
    let (low, high) = info.band();
    assert_eq!(
        (info.frequencies.len(), low.0, high.0),
        (109, 27.384e6, 29.976e6)
    );
    // 2018-03-26 18:54:04.896.
    let time = info.integrations[0].time.to_mjd().0;
    assert!((time - 58_203.787_556_667).abs() < 1e-8, "{time}");
    let zenith = SkyPosition::from_degrees(349.195_558, 36.959_314);
    let apart = info.centre.separation(zenith).to_arcseconds();
    assert!(apart.0 < 0.1, "{} arcseconds", apart.0);
    assert!((info.longest_baseline.0 - 91.951).abs() < 0.001);
    // Nothing moves in one integration: the zenith stays where it was.
    let pointing = info.pointings()[0].separation(info.centre).to_arcseconds();
    assert!(pointing.0 < 0.001, "{} arcseconds", pointing.0);
    drop(set);

    assert!(flag_unusable(&ms)? < 0.2);
    let nothing_there = solve(&ms, &[], &SolveSettings::default()).err();
    let nothing_there = nothing_there.ok_or("it was solved")?;
    assert!(matches!(nothing_there, CalibrationError::NoModel { .. }));
    // One point is no model of the whole sky at 28 MHz.
    let sky = [point(info.centre, 10.0)];
    let refused = no_gains(&ms, &sky)?;
    assert!(refused.is_permanent());
    Ok(())
}

/// One row, an autocorrelation, all of it flagged: read, and refused by what needs baselines.
#[tokio::test]
async fn a_set_of_another_rust_program_is_read() -> TestResult {
    let folder = tempfile::tempdir()?;
    let Some(ms) = unpack("1090008640_birli.ms", folder.path())? else {
        return Ok(());
    };
    let set = MeasurementSet::open(&ms)?;
    let info = SetInfo::read(&set, &ms)?;
    assert_eq!(info.telescope, "MWA");
    let all = [
        Correlation::Xx,
        Correlation::Xy,
        Correlation::Yx,
        Correlation::Yy,
    ];
    assert_eq!((&info.correlations[..], info.polarizations), (&all[..], 2));
    assert_eq!(
        (info.antennas.len(), info.antennas[0].as_str()),
        (128, "Tile011")
    );
    let (low, high) = info.band();
    assert_eq!(
        (info.frequencies.len(), low.0, high.0),
        (768, 167.055e6, 197.735e6)
    );
    assert_eq!((info.integrations.len(), info.integrations[0].rows), (1, 1));
    assert_eq!(set.antennas(0, 1)?, [(0, 0)]);
    assert!(set.flags(0, 1)?.iter().all(|flag| *flag));
    let data = set.visibilities("DATA", 0, 1)?;
    assert_eq!(data.len(), 768 * 4);
    assert!(data.iter().any(|value| value.norm() > 0.0));
    let missing = set.visibilities("CORRECTED_DATA", 0, 1).err();
    let missing = missing.ok_or("there is no such column")?;
    assert_eq!(missing.kind, ErrorKind::NoColumn);
    assert!(
        missing.to_string().contains("no column CORRECTED_DATA"),
        "{missing}"
    );
    let inside = MeasurementSet::open(&ms.join("ANTENNA")).err();
    let inside = inside.ok_or("a subtable is no set")?;
    assert_eq!(inside.kind, ErrorKind::NotASet);
    drop(set);

    let sky = [point(info.centre, 10.0)];
    let refused = no_gains(&ms, &sky)?;
    assert!(refused.to_string().contains("no two antennas"), "{refused}");
    let order = ImageOrder {
        ms: &ms,
        column: "DATA",
        tier: ImagingTier::Standard,
        threads: 1,
        limit: LIMIT,
    };
    let plan = ImagePlan::of(&info, order.tier);
    let refused = image(&order, plan, &folder.path().join("image.fits"), None).await;
    let refused = refused.err().ok_or("it was imaged")?;
    assert!(matches!(refused, ImageError::NoPixels { .. }), "{refused}");
    assert!(refused.is_permanent() && refused.to_string().contains("autocorrelations"));
    Ok(())
}
