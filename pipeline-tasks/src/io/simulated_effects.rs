//! What real arrays add to what they see: each antenna's own errors, and the neighbours'
//! transmitters.

use std::{f64::consts::TAU, ops::Range};

use num_complex::Complex64;
use rand::{SeedableRng as _, rngs::StdRng};
use rand_distr::{Distribution as _, StandardNormal};

use crate::{
    model::{Degrees, Hertz, Jansky, SUBBANDS_PER_GROUP, Seconds, SubbandIndex},
    science::count,
};

/// Standing waves in cables of some metres make ripples this wide.
const RIPPLE_PERIOD: Hertz = Hertz(40e6);
/// Delays turn phases about this frequency.
const BAND_MIDDLE: Hertz = Hertz(1.405e9);

/// What a real array adds; nothing by default.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Effects {
    /// The dishes stand still and the sky drifts through their beam; without it the beam follows
    /// the sky.
    pub drifting_beam: bool,
    /// Scatter of the antennas' delays.
    pub delay: Seconds,
    /// Height of the bandpass ripple, as a share of the amplitude.
    pub ripple: f64,
    /// Scatter of the subbands' amplitudes, as a share.
    pub subband_steps: f64,
    /// Scatter of the turn of the antennas' phases from the beginning to the end of the group.
    pub phase_drift: Degrees,
    /// An antenna that hears only its own noise, by its place.
    pub dead_antenna: Option<usize>,
    /// Transmitters on the ground.
    pub interference: Vec<Interference>,
    /// Subbands whose files are stamped one second late.
    pub late_subbands: Vec<SubbandIndex>,
}

/// A transmitter at the northern horizon, as strong in every antenna.
#[derive(Debug, Clone, PartialEq)]
pub struct Interference {
    /// The subband it falls into.
    pub subband: SubbandIndex,
    /// The channel of that subband, in the order of the file.
    pub channel: usize,
    /// The integrations while it is on.
    pub integrations: Range<usize>,
    /// How strong it is.
    pub flux: Jansky,
}

/// The antennas' gains: a constant for each, and the effects for each of its two polarizations.
pub(super) struct Gains {
    antennas: Vec<(Complex64, [Errors; 2])>,
    ripple: f64,
    dead: Option<usize>,
}

struct Errors {
    delay_s: f64,
    ripple_phase: f64,
    steps: Vec<f64>,
    drift: f64,
}

/// A moment and a channel.
#[derive(Clone, Copy)]
pub(super) struct Cell {
    pub(super) subband: usize,
    pub(super) frequency: f64,
    /// From -0.5 at the beginning of the group to 0.5 at its end.
    pub(super) progress: f64,
}

impl Gains {
    pub(super) fn new(constant: Vec<Complex64>, effects: &Effects, seed: u64) -> Self {
        // A stream of its own: switching effects on changes neither sources nor noise.
        let mut random = StdRng::seed_from_u64(seed ^ 0x6761_696e);
        let mut normal = || -> f64 { StandardNormal.sample(&mut random) };
        let mut errors = || Errors {
            delay_s: effects.delay.0 * normal(),
            ripple_phase: TAU * normal(),
            steps: (0..SUBBANDS_PER_GROUP)
                .map(|_| effects.subband_steps * normal())
                .collect(),
            drift: effects.phase_drift.to_radians().0 * normal(),
        };
        let antennas = constant
            .into_iter()
            .map(|gain| (gain, [errors(), errors()]));
        Self {
            antennas: antennas.collect(),
            ripple: effects.ripple,
            dead: effects.dead_antenna,
        }
    }

    /// The gains of all antennas, both polarizations each.
    pub(super) fn at(&self, cell: Cell) -> Vec<[Complex64; 2]> {
        let antennas = self.antennas.iter().enumerate();
        antennas
            .map(|(place, (constant, errors))| {
                if self.dead == Some(place) {
                    return [Complex64::ZERO; 2];
                }
                errors
                    .each_ref()
                    .map(|errors| constant * self.error(errors, cell))
            })
            .collect()
    }

    fn error(&self, errors: &Errors, cell: Cell) -> Complex64 {
        let from_middle = cell.frequency - BAND_MIDDLE.0;
        let wave = (TAU * from_middle / RIPPLE_PERIOD.0 + errors.ripple_phase).sin();
        let step = errors.steps.get(cell.subband).copied().unwrap_or_default();
        let amplitude = (1.0 + self.ripple * wave) * (1.0 + step);
        let phase = TAU * errors.delay_s * from_middle + errors.drift * cell.progress;
        Complex64::from_polar(amplitude, phase)
    }
}

impl Effects {
    /// How strong the transmitters are in a channel at an integration.
    pub(super) fn interference(&self, subband: usize, channel: usize, integration: usize) -> f64 {
        let heard = self.interference.iter().filter(|source| {
            usize::from(source.subband.0) == subband
                && source.channel == channel
                && source.integrations.contains(&integration)
        });
        heard.map(|source| source.flux.0).sum()
    }
}

/// How far an integration is in its group, from -0.5 to 0.5.
pub(super) fn progress(integration: usize, integrations: usize) -> f64 {
    (count(integration) + 0.5) / count(integrations.max(1)) - 0.5
}
