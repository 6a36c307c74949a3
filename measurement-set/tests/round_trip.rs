//! A set is read back as it was written.

use measurement_set::{Antenna, Correlation, ErrorKind, Layout, MeasurementSet, Rows};
use num_complex::Complex32;

fn layout() -> Layout {
    let antenna = |name: &str, x: f64| Antenna {
        name: name.into(),
        station: format!("pad {name}"),
        position_m: [x, 2.0, 3.0],
        diameter_m: 4.65,
    };
    Layout {
        telescope: "OVRO_MMA".into(),
        observer: "nobody".into(),
        project: "round trip".into(),
        history: "a test".into(),
        time_range_s: (5.0e9, 5.0e9 + 60.0),
        antennas: vec![antenna("1", 1.0), antenna("2", 10.0), antenna("3", 100.0)],
        frequencies_hz: vec![1.30e9, 1.31e9, 1.32e9],
        channel_width_hz: 1.0e7,
        correlations: vec![Correlation::Xx, Correlation::Yy],
        field_name: "field".into(),
        field_ra: 2.25,
        field_dec: 0.97,
    }
}

#[test]
fn what_is_written_is_read_back() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("set.ms");
    let mut set = MeasurementSet::create(&path, &layout())?;
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let data: Vec<_> = (0..12).map(|n| Complex32::new(n as f32, -0.5)).collect();
    let flags: Vec<_> = (0..12).map(|n| n % 5 == 0).collect();
    let rows = Rows {
        time_s: 5.0e9 + 6.0,
        interval_s: 12.0,
        antennas: (&[0, 1], &[1, 2]),
        uvw_m: &[[1.0, 2.0, 3.0], [-4.0, 5.5, 6.0]],
        data: &data,
        flags: &flags,
        weights: &[1.0, 2.0, 3.0, 4.0],
    };
    set.append(&rows)?;
    set.append(&rows)?;
    set.close()?;

    let set = MeasurementSet::open(&path)?;
    assert_eq!(set.row_count("")?, 4);
    assert_eq!(set.shape(), [2, 3]);
    assert_eq!(set.visibilities("DATA", 2, 2)?, data);
    assert_eq!(set.flags(0, 2)?, flags);
    assert_eq!(set.uvw(1, 1)?, [[-4.0, 5.5, 6.0]]);
    assert_eq!(set.row_count("ANTENNA")?, 3);
    assert_eq!(set.text("ANTENNA", "STATION", 2)?, "pad 3");
    assert_eq!(set.numbers("ANTENNA", "POSITION", 1)?, [10.0, 2.0, 3.0]);
    assert_eq!(
        set.numbers("SPECTRAL_WINDOW", "CHAN_FREQ", 0)?,
        [1.30e9, 1.31e9, 1.32e9]
    );
    assert_eq!(set.numbers("FIELD", "PHASE_DIR", 0)?, [2.25, 0.97]);
    let centre = set.phase_centre(0)?;
    assert_eq!((centre.longitude, centre.latitude), (2.25, 0.97));
    assert_eq!(centre.frame, "J2000");
    assert_eq!(set.correlations(0)?, layout().correlations);
    let missing = set.visibilities("MODEL_DATA", 0, 1).err();
    let missing = missing.ok_or("there is no such column")?;
    assert_eq!(missing.kind, ErrorKind::NoColumn);
    assert!(missing.is_permanent());
    assert!(
        missing
            .to_string()
            .contains("no column MODEL_DATA; there are UVW"),
        "{missing}"
    );
    let beyond = [
        set.uvw(3, 2).err(),
        set.times_s(5, 1).err(),
        set.text("ANTENNA", "NAME", 3).err(),
        set.numbers("FIELD", "PHASE_DIR", 1).err(),
        set.phase_centre(1).err(),
    ];
    for error in beyond {
        let error = error.ok_or("there is no such row")?;
        assert_eq!(error.kind, ErrorKind::MixedShapes, "{error}");
        assert!(error.to_string().contains("were asked for"), "{error}");
    }
    Ok(())
}

#[test]
fn columns_are_added_and_written_into() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("set.ms");
    let mut set = MeasurementSet::create(&path, &layout())?;
    set.append(&Rows {
        time_s: 5.0e9 + 6.0,
        interval_s: 12.0,
        antennas: (&[0, 1], &[1, 2]),
        uvw_m: &[[1.0, 2.0, 3.0], [-4.0, 5.5, 6.0]],
        data: &[Complex32::ONE; 12],
        flags: &[false; 12],
        weights: &[1.0; 4],
    })?;
    set.close()?;

    let corrected = vec![Complex32::new(2.0, -3.0); 6];
    let mut flags = vec![false; 6];
    flags[4] = true;
    let mut set = MeasurementSet::open_for_update(&path)?;
    assert!(!set.has_column("CORRECTED_DATA")?);
    set.add_visibilities("CORRECTED_DATA")?;
    set.write_visibilities("CORRECTED_DATA", 1, 1, &corrected)?;
    set.write_flags(1, 1, &flags)?;
    let refused = set.write_flags(0, 2, &flags).err().map(|error| error.kind);
    assert_eq!(refused, Some(ErrorKind::MixedShapes));
    // A second time it is as before.
    set.add_visibilities("CORRECTED_DATA")?;
    set.close()?;

    let set = MeasurementSet::open(&path)?;
    assert_eq!(
        set.visibilities("CORRECTED_DATA", 0, 1)?,
        [Complex32::ZERO; 6]
    );
    assert_eq!(set.visibilities("CORRECTED_DATA", 1, 1)?, corrected);
    assert_eq!(set.flags(1, 1)?, flags);
    assert_eq!(set.antennas(0, 2)?, [(0, 1), (1, 2)]);
    assert_eq!(set.times_s(0, 2)?, [5.0e9 + 6.0; 2]);
    Ok(())
}

#[test]
fn parts_of_other_lengths_are_refused() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let mut set = MeasurementSet::create(&folder.path().join("set.ms"), &layout())?;
    let refused = set.append(&Rows {
        time_s: 0.0,
        interval_s: 1.0,
        antennas: (&[0], &[1]),
        uvw_m: &[[0.0; 3]],
        data: &[],
        flags: &[],
        weights: &[1.0, 1.0],
    });
    assert_eq!(
        refused.err().map(|error| error.kind),
        Some(ErrorKind::MixedShapes)
    );
    Ok(())
}

#[test]
fn what_is_no_set_says_so() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let nothing = MeasurementSet::open(&folder.path().join("none.ms")).err();
    let nothing = nothing.ok_or("it opened")?;
    assert_eq!(nothing.kind, ErrorKind::NotATable);
    assert!(nothing.to_string().contains("none.ms"), "{nothing}");
    assert!(!nothing.is_permanent(), "it may still come");
    Ok(())
}

#[test]
fn circular_correlations_are_kept() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("set.ms");
    let circular = Layout {
        correlations: vec![
            Correlation::Rr,
            Correlation::Rl,
            Correlation::Lr,
            Correlation::Ll,
        ],
        ..layout()
    };
    let set = MeasurementSet::create(&path, &circular)?;
    assert_eq!(set.correlations(0)?, circular.correlations);
    let products = set.numbers("POLARIZATION", "CORR_PRODUCT", 0)?;
    assert_eq!(products, [0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0]);
    Ok(())
}

#[test]
fn what_is_no_uvfits_leaves_nothing() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let place = folder.path().join("set.ms");
    let file = folder.path().join("file.uvfits");
    let refused = |why: &str| -> Result<(), Box<dyn std::error::Error>> {
        let said = MeasurementSet::import_uvfits(&file, &place).err();
        let said = said.ok_or("it was imported")?.to_string();
        assert!(said.contains("file.uvfits"), "{said}");
        assert!(said.contains(why), "{said}");
        assert!(!place.exists(), "half a set is left");
        Ok(())
    };
    refused("can't be read")?;
    std::fs::write(&file, "")?;
    refused("")?;
    std::fs::write(&file, "SIMPLE  =  no FITS at all".repeat(400))?;
    refused("")?;

    std::fs::create_dir(&place)?;
    let taken = MeasurementSet::import_uvfits(&file, &place).err();
    let taken = taken.ok_or("it was imported")?.to_string();
    assert!(taken.contains("set.ms: there is something"), "{taken}");
    assert!(place.exists(), "what was there before stays");
    Ok(())
}
