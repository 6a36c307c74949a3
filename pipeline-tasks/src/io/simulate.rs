//! An observation group made up: known point sources through the dishes' beam, noise, gain
//! errors, in the layout of the DSA-110 writer. Independent of the conversion's phases: a source
//! is where its own direction puts it.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use hdf5_metno::{File, types::FixedAscii};
use ndarray::{Array2, Array4};
use num_complex::{Complex32, Complex64};
use rand::{SeedableRng as _, rngs::StdRng};
use rand_distr::{Distribution as _, StandardNormal};
use thiserror::Error;

use super::simulated_sky::{PointSource, count, sources, stations};
use crate::{
    model::{
        Degrees, GroupId, Hertz, Jansky, JulianDate, Metres, SUBBANDS_PER_GROUP, Seconds,
        SkyPosition,
    },
    science::{Site, SiteError, Sky, Vector, airy_power, dot, fringe},
};

/// Owens Valley, from the header of the telescope's files.
const LATITUDE: Degrees = Degrees(37.233_405_1);
const LONGITUDE: Degrees = Degrees(-118.283);
const ALTITUDE: Metres = Metres(1_188.051_9);
const DISH: Metres = Metres(4.65);
/// The band of the continuum correlator: sixteen subbands from the top down.
const BAND_TOP: Hertz = Hertz(1.498_75e9);
const BAND_BOTTOM: Hertz = Hertz(1.311_25e9);
const INTEGRATION: Seconds = Seconds(12.884_901_888);

/// Why a simulation could not be written.
#[derive(Debug, Error)]
pub enum SimulationError {
    /// A file can't be written.
    #[error("can't write {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// HDF5 refuses.
    #[error("can't write {}", path.display())]
    Hdf5 {
        /// The file.
        path: PathBuf,
        /// The library's reason.
        source: hdf5_metno::Error,
    },
    /// The site is no place.
    #[error(transparent)]
    Site(#[from] SiteError),
    /// A text does not fit into its field.
    #[error("a text does not fit into its HDF5 field: {0}")]
    Text(String),
}

/// What to simulate.
#[derive(Debug, Clone)]
pub struct Simulation {
    /// When; the name of the group.
    pub group: GroupId,
    /// Apparent declination of the meridian that is looked at.
    pub declination: Degrees,
    /// How many sources, beside the bright one near the centre.
    pub sources: usize,
    /// How many antennas.
    pub antennas: usize,
    /// Channels of each subband.
    pub channels: usize,
    /// Integrations.
    pub integrations: usize,
    /// System equivalent flux density of a dish: the noise.
    pub sefd: Jansky,
    /// Scatter of the gains' amplitudes, as a share.
    pub gain_amplitude: f64,
    /// Scatter of the gains' phases.
    pub gain_phase: Degrees,
    /// Everything random follows from it.
    pub seed: u64,
}

impl Default for Simulation {
    fn default() -> Self {
        Self {
            group: GroupId::from(jiff::civil::date(2026, 1, 26).at(8, 5, 18, 0)),
            declination: Degrees(55.4),
            sources: 6,
            antennas: 24,
            channels: 4,
            integrations: 12,
            sefd: Jansky(6_500.0),
            gain_amplitude: 0.02,
            gain_phase: Degrees(2.0),
            seed: 1,
        }
    }
}

impl Simulation {
    /// Writes the sixteen files into a folder and returns the sources as they are on the sky,
    /// brightest first, with their fluxes through the beam.
    pub fn write(&self, folder: &Path) -> Result<Vec<PointSource>, SimulationError> {
        fs::create_dir_all(folder).map_err(|source| SimulationError::File {
            path: folder.to_owned(),
            source,
        })?;
        let scene = Scene::new(self)?;
        for subband in 0..SUBBANDS_PER_GROUP {
            let path = folder.join(format!("{}_sb{subband:02}.hdf5", self.group));
            // Half a file would look like a subband.
            let half_made = path.with_extension("hdf5.part");
            scene.write_subband(subband, &half_made)?;
            fs::rename(&half_made, &path)
                .map_err(|source| SimulationError::File { path, source })?;
        }
        Ok(scene.apparent())
    }
}

/// Everything that the subbands share.
struct Scene<'s> {
    simulation: &'s Simulation,
    site: Site,
    skies: Vec<Sky>,
    times: Vec<JulianDate>,
    sources: Vec<PointSource>,
    antennas: Vec<Vector>,
    baselines: Vec<(usize, usize)>,
    gains: Vec<Complex64>,
    centre: SkyPosition,
}

impl<'s> Scene<'s> {
    fn new(simulation: &'s Simulation) -> Result<Self, SimulationError> {
        let site = Site::new(LATITUDE, LONGITUDE, ALTITUDE)?;
        let mut random = StdRng::seed_from_u64(simulation.seed);
        let start = simulation.group.to_mjd();
        let times: Vec<JulianDate> = (0..simulation.integrations)
            .map(|index| {
                let half_way = count(index) + 0.5;
                start
                    .plus(Seconds(INTEGRATION.0 * half_way))
                    .to_julian_date()
            })
            .collect();
        let skies: Vec<Sky> = times.iter().map(|time| Sky::at(*time, &site)).collect();
        let declination = simulation.declination.to_radians();
        let centre = skies[skies.len() / 2].meridian_position(declination);
        let gains = (0..simulation.antennas).map(|_| {
            let amplitude: f64 = StandardNormal.sample(&mut random);
            let phase: f64 = StandardNormal.sample(&mut random);
            Complex64::from_polar(
                1.0 + simulation.gain_amplitude * amplitude,
                simulation.gain_phase.to_radians().0 * phase,
            )
        });
        let gains = gains.collect();
        let baselines = (0..simulation.antennas)
            .flat_map(|second| (0..=second).map(move |first| (first, second)));
        Ok(Self {
            site,
            sources: sources(simulation.sources, centre, &mut random),
            antennas: stations(simulation.antennas)
                .map(|local| site.from_local(LATITUDE, local))
                .collect(),
            baselines: baselines.collect(),
            gains,
            skies,
            times,
            centre,
            simulation,
        })
    }

    fn apparent(&self) -> Vec<PointSource> {
        let middle = Hertz(f64::midpoint(BAND_TOP.0, BAND_BOTTOM.0));
        let seen = self.sources.iter().map(|source| PointSource {
            flux: Jansky(source.flux.0 * self.beam(source.position, middle)),
            ..*source
        });
        let mut seen: Vec<PointSource> = seen.collect();
        seen.sort_by(|a, b| b.flux.0.total_cmp(&a.flux.0));
        seen
    }

    /// The dishes look at the centre; the Earth turns by less than a tenth of their beam.
    fn beam(&self, position: SkyPosition, frequency: Hertz) -> f64 {
        airy_power(self.centre.separation(position), frequency, DISH)
    }

    fn write_subband(&self, subband: usize, path: &Path) -> Result<(), SimulationError> {
        let failed = |source| SimulationError::Hdf5 {
            path: path.to_owned(),
            source,
        };
        let frequencies = self.frequencies(subband);
        let file = File::create(path).map_err(failed)?;
        self.write_header(&file, &frequencies)
            .map_err(|error| match error {
                HeaderError::Hdf5(source) => failed(source),
                HeaderError::Text(text) => SimulationError::Text(text),
            })?;
        let data = self.visibilities(subband, &frequencies);
        let shape = data.dim();
        let group = file.create_group("Data").map_err(failed)?;
        let write = || -> hdf5_metno::Result<()> {
            group
                .new_dataset_builder()
                .with_data(&data)
                .create("visdata")?;
            let flags = Array4::from_elem(shape, false);
            group
                .new_dataset_builder()
                .with_data(&flags)
                .create("flags")?;
            let samples = Array4::from_elem(shape, 1.0_f32);
            group
                .new_dataset_builder()
                .with_data(&samples)
                .create("nsamples")?;
            file.close()
        };
        write().map_err(failed)
    }

    /// The channels of a subband, descending as the correlator writes them.
    fn frequencies(&self, subband: usize) -> Vec<f64> {
        let channels = self.simulation.channels;
        let width = self.channel_width();
        (0..channels)
            .map(|channel| BAND_TOP.0 - width * (count(subband * channels + channel) + 0.5))
            .collect()
    }

    fn channel_width(&self) -> f64 {
        let channels = count(SUBBANDS_PER_GROUP * self.simulation.channels);
        (BAND_TOP.0 - BAND_BOTTOM.0) / channels
    }

    fn baseline(&self, (first, second): (usize, usize)) -> Vector {
        let (from, to) = (self.antennas[first], self.antennas[second]);
        [to[0] - from[0], to[1] - from[1], to[2] - from[2]]
    }

    /// By time and baseline, then spectral window, channel and polarization.
    fn visibilities(&self, subband: usize, frequencies: &[f64]) -> Array4<Complex32> {
        let rows = self.times.len() * self.baselines.len();
        let mut data = Array4::zeros((rows, 1, frequencies.len(), 2));
        let seed = self.simulation.seed.wrapping_mul(1_000_003);
        let mut random = StdRng::seed_from_u64(seed + subband as u64);
        let noise = self.simulation.sefd.0 / (2.0 * self.channel_width() * INTEGRATION.0).sqrt();
        let declination = self.simulation.declination.to_radians();
        let meridian = self.site.meridian_frame(declination);
        for (time, sky) in self.skies.iter().enumerate() {
            let directions: Vec<Vector> = self
                .sources
                .iter()
                .map(|source| sky.direction(source.position))
                .collect();
            for (row, ends) in self.baselines.iter().enumerate() {
                let baseline = self.baseline(*ends);
                let stopped = meridian.uvw(baseline)[2];
                let gain = self.gains[ends.0].conj() * self.gains[ends.1];
                for (channel, frequency) in frequencies.iter().enumerate() {
                    let mut sum = Complex64::ZERO;
                    for (source, direction) in self.sources.iter().zip(&directions) {
                        let beam = self.beam(source.position, Hertz(*frequency));
                        let path = dot(baseline, *direction) - stopped;
                        sum += source.flux.0 * beam * fringe(path, *frequency);
                    }
                    for polarization in 0..2 {
                        let scatter = Complex64::new(
                            StandardNormal.sample(&mut random),
                            StandardNormal.sample(&mut random),
                        );
                        let cell = (time * self.baselines.len() + row, 0, channel, polarization);
                        data[cell] = single(sum * gain + noise * scatter);
                    }
                }
            }
        }
        data
    }

    fn write_header(&self, file: &File, frequencies: &[f64]) -> Result<(), HeaderError> {
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
        integer("Nfreqs", frequencies.len())?;
        integer("Npols", 2)?;
        integer("Nspws", 1)?;
        integer("Ntimes", self.times.len())?;
        let declination = self.simulation.declination.to_radians().0;
        for (name, value) in [
            ("latitude", LATITUDE.0),
            ("longitude", LONGITUDE.0),
            ("altitude", ALTITUDE.0),
            ("channel_width", self.channel_width()),
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
        self.write_arrays(&header, frequencies, rows)
    }

    fn write_arrays(
        &self,
        header: &hdf5_metno::Group,
        frequencies: &[f64],
        rows: usize,
    ) -> Result<(), HeaderError> {
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
        numbers("antenna_diameters", vec![DISH.0; self.antennas.len()])?;
        numbers("integration_time", vec![INTEGRATION.0; rows])?;
        let per_row = |time: &JulianDate| std::iter::repeat_n(time.0, self.baselines.len());
        numbers("time_array", self.times.iter().flat_map(per_row).collect())?;
        table("freq_array", frequencies.to_vec(), frequencies.len())?;
        table("antenna_positions", self.antennas.concat(), 3)?;
        let declination = self.simulation.declination.to_radians();
        let meridian = self.site.meridian_frame(declination);
        let once = self
            .baselines
            .iter()
            .map(|ends| meridian.uvw(self.baseline(*ends)));
        let once: Vec<Vector> = once.collect();
        let uvw = (0..self.times.len()).flat_map(|_| once.iter().flatten().copied());
        table("uvw_array", uvw.collect(), 3)?;
        Ok(())
    }
}

/// What can go wrong in a header.
enum HeaderError {
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

#[expect(
    clippy::cast_possible_truncation,
    reason = "files hold single precision"
)]
fn single(value: Complex64) -> Complex32 {
    Complex32::new(value.re as f32, value.im as f32)
}
