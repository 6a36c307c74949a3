//! VLBA, 2006-06-15, M87 at 8.1 GHz (MOJAVE): calibrated, in UVFITS, with two spectral windows
//! and pixels of a third of a milliarcsecond.

use measurement_set::{Correlation, MeasurementSet};
use pipeline_tasks::{
    io::{FitsImage, SetError, SetInfo, read_plane},
    model::Arcseconds,
    tools::{ImageOrder, ImagePlan, ImagingTier, image},
};

use super::{LIMIT, Seen};
use crate::{TestResult, shared_data};

#[tokio::test]
async fn a_jet_is_imported_and_imaged() -> TestResult {
    let Some(data) = shared_data("real/uvfits") else {
        return Ok(());
    };
    let folder = tempfile::tempdir()?;
    let ms = folder.path().join("mojave.ms");
    MeasurementSet::import_uvfits(&data.join("mojave.uvfits"), &ms)?;
    let set = MeasurementSet::open(&ms)?;
    assert_eq!(set.text("OBSERVATION", "TELESCOPE_NAME", 0)?, "VLBA");
    assert_eq!((set.row_count("ANTENNA")?, set.row_count("")?), (10, 6_300));
    assert_eq!(set.text("ANTENNA", "STATION", 9)?, "SC");
    let window = |row| set.numbers("SPECTRAL_WINDOW", "CHAN_FREQ", row);
    assert_eq!(window(0)?, [8.104_458_75e9]);
    assert_eq!(window(1)?, [8.112_458_75e9]);
    assert_eq!(set.row_count("SPECTRAL_WINDOW")?, 2);
    let circular = [
        Correlation::Rr,
        Correlation::Rl,
        Correlation::Lr,
        Correlation::Ll,
    ];
    // The file says RR, LL, RL, LR; casacore sorts.
    assert_eq!(set.correlations(0)?, circular);
    let centre = set.phase_centre(0)?;
    let degrees = (centre.longitude.to_degrees(), centre.latitude.to_degrees());
    let (ra, dec) = (
        degrees.0.rem_euclid(360.0) - 187.705_930_754,
        degrees.1 - 12.391_123_286_1,
    );
    assert!(ra.abs() < 1e-8 && dec.abs() < 1e-8, "{degrees:?}");
    let mut times = set.times_s(0, 6_300)?;
    times.sort_by(f64::total_cmp);
    times.dedup();
    assert_eq!(times.len(), 87);

    // Two windows are nothing for our solver, and it says so.
    let refused = SetInfo::read(&set, &ms).err().ok_or("it was read")?;
    assert!(matches!(refused, SetError::Unsuited { .. }), "{refused}");
    assert!(refused.is_permanent());
    assert!(refused.to_string().contains("split it"), "{refused}");
    drop(set);
    check_image(&ms).await
}

async fn check_image(ms: &std::path::Path) -> TestResult {
    let order = ImageOrder {
        ms,
        column: "DATA",
        tier: ImagingTier::Standard,
        threads: 2,
        limit: LIMIT,
    };
    let plan = ImagePlan {
        pixels: 1_024,
        cell: Arcseconds(0.000_3),
        robustness: 0.0,
        masked: false,
        beam_least: Arcseconds(0.000_45),
        beam_boxes: &["3"],
    };
    let (fits, model) = (ms.with_extension("fits"), ms.with_extension("model.fits"));
    image(&order, plan, &fits, Some(&model)).await?;
    let image = FitsImage::read(&fits)?;
    let seen = Seen::of(&image)?;
    let cleaned = read_plane(&model)?.values.into_iter();
    let cleaned: f64 = cleaned.map(f64::from).sum();
    let milliarcseconds = |axis: f64| axis * 3.6e6;
    let beam = (
        milliarcseconds(image.beam.0.0),
        milliarcseconds(image.beam.1.0),
    );
    println!(
        "{:.3} Jy, noise {:.5} Jy, cleaned {cleaned:.3} Jy, beam {beam:.2?} mas",
        seen.peak, seen.noise
    );
    // A set that pyuvdata wrote: 1.370 Jy, 2.7 mJy, 2.36 Jy, 2.63 x 0.94 mas.
    let close = |found: f64, expected: f64, share: f64| (found / expected - 1.0).abs() < share;
    assert!(
        seen.place.0.abs() <= 1 && seen.place.1.abs() <= 1,
        "{:?}",
        seen.place
    );
    assert!(close(seen.peak, 1.370, 0.03), "{} Jy", seen.peak);
    // A smaller share is cleaned at a time than by default, which finds more and leaves less.
    assert!(seen.noise < 0.002_7, "{} Jy", seen.noise);
    assert!(close(cleaned, 2.36, 0.10), "{cleaned} Jy");
    assert!(
        close(beam.0, 2.63, 0.05) && close(beam.1, 0.94, 0.05),
        "{beam:?} mas"
    );
    // The jet goes to the north-west: there, off the core, is something; opposite of it nothing.
    let flux = |right: f64, up: f64| -> f64 {
        let pixels = image.plane.values.iter().enumerate();
        let inside = pixels.filter(|(index, _)| {
            #[expect(clippy::cast_precision_loss, reason = "an image is small")]
            let (x, y) = (
                (index % 1_024) as f64 - 512.0,
                (index / 1_024) as f64 - 512.0,
            );
            // Boxes of 15 mas by 7 mas.
            (x - right).abs() < 25.0 && (y - up).abs() < 12.0
        });
        inside.map(|(_, value)| f64::from(*value)).sum::<f64>() / image.beam_pixels()
    };
    let (jet, opposite) = (flux(40.0, 16.0), flux(-40.0, -16.0));
    println!("{jet:.3} Jy in the jet, {opposite:.3} Jy opposite");
    assert!(jet > 0.2 && opposite.abs() < 0.1, "{jet} and {opposite} Jy");
    Ok(())
}
