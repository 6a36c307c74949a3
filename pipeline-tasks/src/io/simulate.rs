//! An observation group made up: known point sources through the dishes' beam, noise, gain
//! errors, in the layout of the DSA-110 writer. Independent of the conversion's phases: a source
//! is where its own direction puts it.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use hdf5_metno::File;
use jiff::SignedDuration;
use ndarray::Array4;
use num_complex::{Complex32, Complex64};
use rand::{SeedableRng as _, rngs::StdRng};
use rand_distr::{Distribution as _, StandardNormal};
use thiserror::Error;

use super::{
    simulated_effects::{Cell, Effects, Gains, progress},
    simulated_header::{HeaderError, SimulatedHeader},
    simulated_sky::{INTEGRATION, PointSource, sources, stations},
    single::single,
};
use crate::{
    model::{
        CatalogueSource, Degrees, GroupId, Hertz, Jansky, JulianDate, SUBBANDS_PER_GROUP, Seconds,
        SkyPosition,
    },
    science::{
        DSA_110_DISH, OBSERVATORY_LATITUDE, Site, SiteError, Sky, Vector, airy_power, count, dot,
        fringe, observatory,
    },
};

/// The band of the continuum correlator: sixteen subbands from the top down.
const BAND_TOP: Hertz = Hertz(1.498_75e9);
const BAND_BOTTOM: Hertz = Hertz(1.311_25e9);

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
    /// The sky, where it is known: these sources take the place of made-up ones.
    pub sky: Vec<CatalogueSource>,
    /// How many antennas.
    pub antennas: usize,
    /// How the antennas crowd where the two arms cross: their distances go with this power of
    /// their order. 1.5 makes a sharp beam; at 3 there is a dense core with few stations far out,
    /// as in the real array, and the beam is twice as wide.
    pub crowding: f64,
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
    /// What a real array adds; nothing by default.
    pub effects: Effects,
    /// Everything random follows from it: groups of one night need different ones, else they have
    /// the same noise.
    pub seed: u64,
}

impl Default for Simulation {
    fn default() -> Self {
        Self {
            group: GroupId::from(jiff::civil::date(2026, 1, 26).at(8, 5, 18, 0)),
            declination: Degrees(55.4),
            sources: 6,
            sky: Vec::new(),
            antennas: 24,
            crowding: 1.5,
            channels: 4,
            integrations: 12,
            sefd: Jansky(6_500.0),
            gain_amplitude: 0.02,
            gain_phase: Degrees(2.0),
            effects: Effects::default(),
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
            let path = folder.join(self.file_name(subband));
            // Half a file would look like a subband.
            let half_made = path.with_extension("hdf5.part");
            scene.write_subband(subband, &half_made)?;
            fs::rename(&half_made, &path)
                .map_err(|source| SimulationError::File { path, source })?;
        }
        Ok(scene.apparent())
    }

    /// The sources as they are on the sky, brightest first, as a catalogue would list them.
    pub fn sources(&self) -> Result<Vec<CatalogueSource>, SimulationError> {
        let mut sources = Scene::new(self)?.sources;
        sources.sort_by(|a, b| b.flux.0.total_cmp(&a.flux.0));
        Ok(sources)
    }

    /// The correlator's nodes read their clocks one by one, so that stamps of a group may differ.
    fn file_name(&self, subband: usize) -> String {
        let late = self.effects.late_subbands.iter();
        let late = late.filter(|late| usize::from(late.0) == subband).count();
        let delay = SignedDuration::from_secs(i64::from(late > 0));
        let stamp = GroupId::from(self.group.start().saturating_add(delay));
        format!("{stamp}_sb{subband:02}.hdf5")
    }
}

/// Everything that the subbands share.
struct Scene<'s> {
    simulation: &'s Simulation,
    site: Site,
    skies: Vec<Sky>,
    times: Vec<JulianDate>,
    sources: Vec<CatalogueSource>,
    antennas: Vec<Vector>,
    baselines: Vec<(usize, usize)>,
    gains: Gains,
    /// Where the dishes look at each time.
    pointings: Vec<SkyPosition>,
    /// Of each baseline, towards the meridian.
    uvw_m: Vec<Vector>,
    /// Where transmitters are: to the north, on the ground.
    horizon: Vector,
}

impl<'s> Scene<'s> {
    fn new(simulation: &'s Simulation) -> Result<Self, SimulationError> {
        let site = observatory()?;
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
        let gains = Gains::new(gains.collect(), &simulation.effects, simulation.seed);
        let made_up = sources(simulation.sources, centre, &mut random);
        let known = !simulation.sky.is_empty();
        let pointing = |sky: &Sky| {
            let drifting = simulation.effects.drifting_beam;
            if drifting {
                sky.meridian_position(declination)
            } else {
                centre
            }
        };
        let baselines = (0..simulation.antennas)
            .flat_map(|second| (0..=second).map(move |first| (first, second)));
        let stations = stations(simulation.antennas, simulation.crowding);
        let mut scene = Self {
            site,
            sources: if known {
                simulation.sky.clone()
            } else {
                made_up
            },
            pointings: skies.iter().map(pointing).collect(),
            antennas: stations
                .map(|local| site.from_local(OBSERVATORY_LATITUDE, local))
                .collect(),
            baselines: baselines.collect(),
            uvw_m: Vec::new(),
            horizon: site.from_local(OBSERVATORY_LATITUDE, [0.0, 1.0, 0.0]),
            gains,
            skies,
            times,
            simulation,
        };
        let meridian = scene.site.meridian_frame(declination);
        let uvw = scene
            .baselines
            .iter()
            .map(|ends| meridian.uvw(scene.baseline(*ends)));
        scene.uvw_m = uvw.collect();
        Ok(scene)
    }

    fn apparent(&self) -> Vec<PointSource> {
        let middle = Hertz(f64::midpoint(BAND_TOP.0, BAND_BOTTOM.0));
        let seen = self.sources.iter().map(|source| {
            let fluxes = (0..self.times.len()).map(|time| self.flux(source, time, middle));
            PointSource {
                position: source.position,
                flux: Jansky(fluxes.sum::<f64>() / count(self.times.len())),
            }
        });
        let mut seen: Vec<PointSource> = seen.collect();
        seen.sort_by(|a, b| b.flux.0.total_cmp(&a.flux.0));
        seen
    }

    /// The flux density of a source through the dishes' beam, in jansky.
    fn flux(&self, source: &CatalogueSource, time: usize, frequency: Hertz) -> f64 {
        let offset = self.pointings[time].separation(source.position);
        source.flux_at(frequency).0 * airy_power(offset, frequency, DSA_110_DISH)
    }

    fn write_subband(&self, subband: usize, path: &Path) -> Result<(), SimulationError> {
        let failed = |source| SimulationError::Hdf5 {
            path: path.to_owned(),
            source,
        };
        let frequencies = self.frequencies(subband);
        let file = File::create(path).map_err(failed)?;
        let header = self.header(&frequencies).write(&file);
        header.map_err(|error| match error {
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

    fn header<'h>(&'h self, frequencies: &'h [f64]) -> SimulatedHeader<'h> {
        SimulatedHeader {
            antennas: &self.antennas,
            baselines: &self.baselines,
            uvw_m: &self.uvw_m,
            times: &self.times,
            frequencies,
            channel_width: Hertz(self.channel_width()),
            declination: self.simulation.declination.to_radians(),
        }
    }

    /// By time and baseline, then spectral window, channel and polarization.
    fn visibilities(&self, subband: usize, frequencies: &[f64]) -> Array4<Complex32> {
        let rows = self.times.len() * self.baselines.len();
        let mut data = Array4::zeros((rows, 1, frequencies.len(), 2));
        let seed = self.simulation.seed.wrapping_mul(1_000_003);
        let mut random = StdRng::seed_from_u64(seed + subband as u64);
        let noise = self.simulation.sefd.0 / (2.0 * self.channel_width() * INTEGRATION.0).sqrt();
        for time in 0..self.times.len() {
            let moment = self.moment(time, subband, frequencies);
            for (row, ends) in self.baselines.iter().enumerate() {
                for (channel, seen) in moment.iter().enumerate() {
                    let sum = self.seen(seen, row);
                    for polarization in 0..2 {
                        let [first, second] =
                            [ends.0, ends.1].map(|end| seen.gains[end][polarization]);
                        let gain = first.conj() * second;
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

    /// What one integration has in each channel, for all baselines.
    fn moment(&self, time: usize, subband: usize, frequencies: &[f64]) -> Vec<Moment> {
        let effects = &self.simulation.effects;
        let sky = &self.skies[time];
        let directions = self
            .sources
            .iter()
            .map(|source| sky.direction(source.position));
        let directions: Vec<Vector> = directions.collect();
        let channels = frequencies.iter().enumerate();
        channels
            .map(|(channel, frequency)| {
                let fluxes = self.sources.iter();
                let fluxes = fluxes.map(|source| self.flux(source, time, Hertz(*frequency)));
                Moment {
                    frequency: *frequency,
                    sources: directions.iter().copied().zip(fluxes).collect(),
                    interference: effects.interference(subband, channel, time),
                    gains: self.gains.at(Cell {
                        subband,
                        frequency: *frequency,
                        progress: progress(time, self.times.len()),
                    }),
                }
            })
            .collect()
    }

    /// What a baseline would see without its antennas' errors.
    fn seen(&self, moment: &Moment, row: usize) -> Complex64 {
        let baseline = self.baseline(self.baselines[row]);
        let stopped = self.uvw_m[row][2];
        let from = |direction: Vector| fringe(dot(baseline, direction) - stopped, moment.frequency);
        let mut sum = Complex64::ZERO;
        for (direction, flux) in &moment.sources {
            sum += flux * from(*direction);
        }
        if moment.interference > 0.0 {
            sum += moment.interference * from(self.horizon);
        }
        sum
    }
}

/// One integration in one channel.
struct Moment {
    frequency: f64,
    /// Direction and flux density through the beam.
    sources: Vec<(Vector, f64)>,
    interference: f64,
    gains: Vec<[Complex64; 2]>,
}
