//! UVH5 files that can be read, but are no observation of DSA-110: two subbands of the Allen
//! Telescope Array, 3C286 on 2024-12-03, whose values are degenerate, and a file with
//! baseline-dependent averaging.

use std::{
    fs,
    path::{Path, PathBuf},
};

use measurement_set::{Antenna, Correlation, Layout, MeasurementSet, Rows};
use pipeline_tasks::{
    io::{ConvertError, Uvh5, convert, flag_unusable},
    model::{GroupError, ObservationGroup, SkyPosition, SubbandFile, SubbandIndex, cluster},
};

use super::{no_gains, point};
use crate::{TestResult, shared_data};

const ATA: [&str; 2] = [
    "ata.LoA.C0352.uvh5_60647_62965_9760406_3c286_0001.uvh5",
    "ata.LoA.C0544.uvh5_60647_62965_9760406_3c286_0001.uvh5",
];
const STAMP: &str = "2024-12-03T17:29:25";

fn ata() -> Option<[PathBuf; 2]> {
    shared_data("real/uvh5").map(|folder| ATA.map(|name| folder.join(name)))
}

/// Copies files under names of subbands of one instant.
fn named(files: &[&Path], folder: &Path) -> TestResult<Vec<SubbandFile>> {
    let mut named = Vec::new();
    for (subband, file) in files.iter().enumerate() {
        let place = folder.join(format!("{STAMP}_sb{subband:02}.hdf5"));
        fs::copy(file, &place)?;
        named.push(SubbandFile::parse(place)?);
    }
    Ok(named)
}

#[test]
fn two_subbands_of_one_instant_are_parts_of_one_group() -> TestResult {
    let Some(files) = ata() else {
        return Ok(());
    };
    // Their own names say neither time nor subband.
    for file in &files {
        let refused = SubbandFile::parse(file).err().ok_or("it has a name")?;
        assert!(
            refused
                .to_string()
                .contains("a subband file is called like"),
            "{refused}"
        );
    }
    // What is in them belongs together: one instant, the same baselines, one band.
    let [low, high] = [Uvh5::open(&files[0])?, Uvh5::open(&files[1])?];
    assert_eq!(low.header().times, high.header().times);
    assert_eq!(low.header().baselines, high.header().baselines);
    assert_eq!(low.header().antennas, high.header().antennas);
    let band = [&low, &high]
        .map(|file| file.header().frequencies.clone())
        .concat();
    assert_eq!(band.len(), 32);
    assert!(
        band.windows(2)
            .all(|pair| (pair[1].0 - pair[0].0 - 0.5e6).abs() < 1.0)
    );

    // Under names of ours they are one group, which lacks all others.
    let folder = tempfile::tempdir()?;
    let pair = named(&[&files[0], &files[1]], folder.path())?;
    let groups = cluster(pair);
    let [Err(refused)] = &groups[..] else {
        return Err(format!("{groups:?}").into());
    };
    let others: Vec<_> = (2..16).map(SubbandIndex).collect();
    assert!(
        matches!(refused, GroupError::MissingSubbands { group, missing }
            if group.to_string() == STAMP && *missing == others),
        "{refused}"
    );
    assert!(refused.is_permanent());
    Ok(())
}

/// The converter knows that it does not know their phases.
#[test]
fn what_follows_a_source_is_not_converted() -> TestResult {
    let Some(files) = ata() else {
        return Ok(());
    };
    let folder = tempfile::tempdir()?;
    let sixteen: Vec<&Path> = files
        .iter()
        .cycle()
        .take(16)
        .map(PathBuf::as_path)
        .collect();
    let group = ObservationGroup::from_files(named(&sixteen, folder.path())?)?;
    let set = folder.path().join("set.ms");
    let refused = convert(&group, &set).err().ok_or("it was converted")?;
    assert!(
        matches!(refused, ConvertError::Mismatch { .. }),
        "{refused}"
    );
    assert!(
        refused.is_permanent() && refused.to_string().contains("u, v, w"),
        "{refused}"
    );
    assert!(!set.exists(), "half a set is left");
    Ok(())
}

#[test]
fn averaging_by_baseline_is_refused_for_good() -> TestResult {
    let Some(data) = shared_data("real/uvh5") else {
        return Ok(());
    };
    let folder = tempfile::tempdir()?;
    let file = data.join("simulated_bda_file.uvh5");
    let group = ObservationGroup::from_files(named(&[file.as_path(); 16], folder.path())?)?;
    let refused = convert(&group, &folder.path().join("set.ms")).err();
    let refused = refused.ok_or("it was converted")?;
    assert!(matches!(refused, ConvertError::Subband(_)), "{refused}");
    assert!(refused.is_permanent());
    assert!(
        refused.to_string().contains("baseline-dependent averaging"),
        "{refused}"
    );
    Ok(())
}

/// Even in a set, with the right model, the degenerate values make no gains.
#[test]
fn degenerate_values_are_not_calibrated() -> TestResult {
    let Some([file, _]) = ata() else {
        return Ok(());
    };
    let folder = tempfile::tempdir()?;
    let ms = folder.path().join("set.ms");
    let source = SkyPosition::from_degrees(202.784_533_3, 30.509_155_2);
    write_set(&Uvh5::open(&file)?, source, &ms)?;
    let flagged = flag_unusable(&ms)?;
    println!("{:.0} % flagged", 100.0 * flagged);
    assert!(flagged > 0.2, "{flagged}");
    let refused = no_gains(&ms, &[point(source, 15.0)])?;
    assert!(refused.is_permanent());
    Ok(())
}

/// The first integration of a file as a set, without autocorrelations.
fn write_set(file: &Uvh5, centre: SkyPosition, ms: &Path) -> TestResult {
    let header = file.header();
    let time_s = header.times[0].to_mjd().seconds();
    let antenna = |antenna: &pipeline_tasks::io::Antenna| Antenna {
        name: antenna.name.clone(),
        station: antenna.name.clone(),
        position_m: antenna.offset_m.map(|axis| axis + 1.0),
        diameter_m: antenna.diameter.0,
    };
    let layout = Layout {
        telescope: header.telescope.clone(),
        observer: String::new(),
        project: String::new(),
        history: "a test".into(),
        time_range_s: (time_s, time_s),
        antennas: header.antennas.iter().map(antenna).collect(),
        frequencies_hz: header.frequencies.iter().map(|f| f.0).collect(),
        channel_width_hz: header.channel_width.0,
        // As the file has them: -5, -7, -8, -6.
        correlations: vec![
            Correlation::Xx,
            Correlation::Xy,
            Correlation::Yx,
            Correlation::Yy,
        ],
        field_name: "3C286".into(),
        field_ra: centre.ra.0,
        field_dec: centre.dec.0,
    };
    let place = |number: i64| -> TestResult<i32> {
        let place = header.antennas.iter().position(|a| a.number == number);
        Ok(i32::try_from(place.ok_or("no such antenna")?)?)
    };
    let integration = file.integration(0)?;
    let cells = header.frequencies.len() * header.polarizations.len();
    let (mut first, mut second, mut uvw) = (Vec::new(), Vec::new(), Vec::new());
    let (mut data, mut flags) = (Vec::new(), Vec::new());
    for (row, ends) in header.baselines.iter().enumerate() {
        if ends.0 == ends.1 {
            continue;
        }
        first.push(place(ends.0)?);
        second.push(place(ends.1)?);
        uvw.push(header.uvw_m[row].map(|axis| -axis));
        let values = &integration.data[row * cells..][..cells];
        data.extend(values.iter().map(num_complex::Complex32::conj));
        flags.extend_from_slice(&integration.flags[row * cells..][..cells]);
    }
    let mut set = MeasurementSet::create(ms, &layout)?;
    set.append(&Rows {
        time_s,
        interval_s: header.integration.0,
        antennas: (&first, &second),
        uvw_m: &uvw,
        data: &data,
        flags: &flags,
        weights: &vec![1.0; first.len() * 4],
    })?;
    set.close()?;
    Ok(())
}
