//! The header of a simulated subband, in the layout of the DSA-110 writer.

use hdf5_metno::{File, types::FixedAscii};
use ndarray::Array2;

use super::simulated_sky::INTEGRATION;
use crate::{
    model::{Hertz, JulianDate, Radians},
    science::{
        DSA_110_DISH, OBSERVATORY_ALTITUDE, OBSERVATORY_LATITUDE, OBSERVATORY_LONGITUDE, Vector,
    },
};

/// What a header says.
pub(super) struct SimulatedHeader<'s> {
    /// From the array's reference point, Earth-fixed, metres.
    pub(super) antennas: &'s [Vector],
    /// First and second antenna, by place.
    pub(super) baselines: &'s [(usize, usize)],
    /// The u, v, w of each baseline in metres.
    pub(super) uvw_m: &'s [Vector],
    pub(super) times: &'s [JulianDate],
    /// In the order of the data, hertz.
    pub(super) frequencies: &'s [f64],
    pub(super) channel_width: Hertz,
    pub(super) declination: Radians,
}

impl SimulatedHeader<'_> {
    pub(super) fn write(&self, file: &File) -> Result<(), HeaderError> {
        let header = file.create_group("Header")?;
        let rows = self.times.len() * self.baselines.len();
        let integer = |name: &str, value: usize| -> hdf5_metno::Result<()> {
            let value = i64::try_from(value).unwrap_or(i64::MAX);
            header
                .new_dataset::<i64>()
                .create(name)?
                .write_scalar(&value)
        };
        integer("Nants_data", self.antennas.len())?;
        integer("Nants_telescope", self.antennas.len())?;
        integer("Nbls", self.baselines.len())?;
        integer("Nblts", rows)?;
        integer("Nfreqs", self.frequencies.len())?;
        integer("Npols", 2)?;
        integer("Nspws", 1)?;
        integer("Ntimes", self.times.len())?;
        let declination = self.declination.0;
        for (name, value) in [
            ("latitude", OBSERVATORY_LATITUDE.0),
            ("longitude", OBSERVATORY_LONGITUDE.0),
            ("altitude", OBSERVATORY_ALTITUDE.0),
            ("channel_width", self.channel_width.0),
            ("phase_center_app_dec", declination),
        ] {
            header
                .new_dataset::<f64>()
                .create(name)?
                .write_scalar(&value)?;
        }
        let extra = header.create_group("extra_keywords")?;
        for (name, value) in [("phase_center_dec", declination), ("ha_phase_center", 0.0)] {
            extra
                .new_dataset::<f64>()
                .create(name)?
                .write_scalar(&value)?;
        }
        for (name, value) in [
            ("telescope_name", "OVRO_MMA"),
            ("instrument", "DSA"),
            ("object_name", "search"),
            ("phase_type", "drift"),
            ("history", "simulated by pipeline-worker simulate"),
        ] {
            let value = ascii(value)?;
            header
                .new_dataset::<FixedAscii<64>>()
                .create(name)?
                .write_scalar(&value)?;
        }
        self.write_arrays(&header, rows)
    }

    fn write_arrays(&self, header: &hdf5_metno::Group, rows: usize) -> Result<(), HeaderError> {
        let numbers = |name: &str, values: Vec<f64>| {
            header.new_dataset_builder().with_data(&values).create(name)
        };
        let integers = |name: &str, values: Vec<i64>| {
            header.new_dataset_builder().with_data(&values).create(name)
        };
        let table = |name: &str, values: Vec<f64>, columns: usize| {
            let height = values.len() / columns;
            let values = Array2::from_shape_vec((height, columns), values);
            let values = values.map_err(|error| HeaderError::Text(error.to_string()))?;
            let written = header.new_dataset_builder().with_data(&values).create(name);
            written.map_err(HeaderError::from)
        };
        let numbered = |count: usize| (0..count).filter_map(|n| i64::try_from(n).ok());
        let repeat = |ends: fn(&(usize, usize)) -> usize| {
            let once = self.baselines.iter().map(ends);
            let all = (0..self.times.len()).flat_map(|_| once.clone());
            all.filter_map(|n| i64::try_from(n).ok())
                .collect::<Vec<_>>()
        };
        integers("ant_1_array", repeat(|ends| ends.0))?;
        integers("ant_2_array", repeat(|ends| ends.1))?;
        integers("antenna_numbers", numbered(self.antennas.len()).collect())?;
        integers("polarization_array", vec![-5, -6])?;
        integers("spw_array", vec![1])?;
        let names = (1..=self.antennas.len()).map(|name| ascii(&name.to_string()));
        let names = names.collect::<Result<Vec<FixedAscii<64>>, _>>()?;
        header
            .new_dataset_builder()
            .with_data(&names)
            .create("antenna_names")?;
        numbers(
            "antenna_diameters",
            vec![DSA_110_DISH.0; self.antennas.len()],
        )?;
        numbers("integration_time", vec![INTEGRATION.0; rows])?;
        let per_row = |time: &JulianDate| std::iter::repeat_n(time.0, self.baselines.len());
        numbers("time_array", self.times.iter().flat_map(per_row).collect())?;
        table(
            "freq_array",
            self.frequencies.to_vec(),
            self.frequencies.len(),
        )?;
        table("antenna_positions", self.antennas.concat(), 3)?;
        let uvw = (0..self.times.len()).flat_map(|_| self.uvw_m.iter().flatten().copied());
        table("uvw_array", uvw.collect(), 3)?;
        Ok(())
    }
}

/// What can go wrong in a header.
pub(super) enum HeaderError {
    Hdf5(hdf5_metno::Error),
    Text(String),
}

impl From<hdf5_metno::Error> for HeaderError {
    fn from(error: hdf5_metno::Error) -> Self {
        Self::Hdf5(error)
    }
}

fn ascii(text: &str) -> Result<FixedAscii<64>, HeaderError> {
    FixedAscii::from_ascii(text).map_err(|error| HeaderError::Text(error.to_string()))
}
