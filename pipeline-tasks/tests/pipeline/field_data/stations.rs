//! Where the antennas of DSA-110 stand, as the telescope's own list says.

use std::fs;

use pipeline_tasks::{
    io::Uvh5,
    model::{Degrees, Metres},
    science::Site,
};

use crate::{TestResult, shared_data};

/// A station's number, latitude, longitude and, but for the last one, height.
type Station = (i64, Degrees, Degrees, Option<Metres>);

fn stations(text: &str) -> TestResult<Vec<Station>> {
    let lines = text.lines().map(|line| line.split(',').map(str::trim));
    let mut stations = Vec::new();
    for line in lines {
        let cells: Vec<_> = line.collect();
        let Some(number) = cells.get(1).and_then(|name| name.strip_prefix("DSA-")) else {
            continue;
        };
        let Ok(number) = number.parse() else {
            continue;
        };
        let height = cells[4].parse().ok().map(Metres);
        let (latitude, longitude) = (cells[2].parse()?, cells[3].parse()?);
        stations.push((number, Degrees(latitude), Degrees(longitude), height));
    }
    Ok(stations)
}

/// Another program has put antennas of this list into its files: our geodesy must bring each
/// station to the place that it has there.
#[test]
fn the_stations_stand_where_another_program_put_them() -> TestResult {
    let Some(list) = shared_data("real/dsa110") else {
        return Ok(());
    };
    let Some(group) = shared_data("groups/small") else {
        return Ok(());
    };
    let list = fs::read_to_string(list.join("DSA110_Station_Coordinates.csv"))?;
    let stations = stations(&list)?;
    assert_eq!(stations.len(), 117);
    let numbers: Vec<i64> = stations.iter().map(|station| station.0).collect();
    assert_eq!(numbers, (1..=117).collect::<Vec<_>>());
    let without: Vec<_> = stations
        .iter()
        .filter(|station| station.3.is_none())
        .collect();
    assert_eq!(without.len(), 1);

    let file = Uvh5::open(&group.join("2026-01-26T08:05:18_sb00.hdf5"))?;
    let header = file.header();
    assert_eq!(header.antennas.len(), 117);
    let reference = Site::new(header.latitude, header.longitude, header.altitude)?;
    let reference = reference.position_itrf_m();
    let mut compared = 0;
    for (number, latitude, longitude, height) in stations {
        let Some(height) = height else {
            continue;
        };
        let name = number.to_string();
        let antenna = header.antennas.iter().find(|antenna| antenna.name == name);
        let antenna = antenna.ok_or_else(|| format!("no antenna {name}"))?;
        assert_eq!(antenna.number, number - 1);
        let position = Site::new(latitude, longitude, height)?.position_itrf_m();
        let offset = [0, 1, 2].map(|axis| position[axis] - reference[axis]);
        let apart = offset
            .iter()
            .zip(antenna.offset_m)
            .map(|(a, b)| (a - b).powi(2));
        let apart = apart.sum::<f64>().sqrt();
        assert!(apart < 0.001, "station {number} is {apart} m away");
        compared += 1;
    }
    assert_eq!(compared, 116);
    Ok(())
}
