//! Antenna gains by `StefCal`: each antenna's gain with all others held, again and again until
//! nothing changes (Salvini and Wijnholds 2014, A&A 571, A97).
//!
//! Seen is `gain_p * conj(gain_q) * model_pq`, plus noise, for each channel and polarization by
//! itself. Gains don't change during an observation, so only sums over its time are needed.

use num_complex::{Complex32, Complex64};

/// Rounds after which a solution that still moves is given up.
const ROUNDS_MAX: usize = 300;
/// The share by which gains still move when they are taken as found.
const TOLERANCE: f64 = 1e-6;

/// Sums over time of data and model, by baseline, then channel, then polarization.
#[derive(Debug)]
pub struct Moments {
    antennas: usize,
    channels: usize,
    polarizations: usize,
    /// Empty for a baseline without rows: some arrays name hundreds of antennas, of which a few
    /// observe.
    baselines: Vec<Vec<Cell>>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Cell {
    /// Data times the conjugate of the model.
    cross: Complex64,
    /// Squared amplitudes of the model.
    model: f64,
    /// Squared amplitudes of the data.
    data: f64,
    /// How many visibilities.
    count: u32,
}

/// Gains of all antennas in one channel and polarization.
#[derive(Debug, Clone, PartialEq)]
pub struct Solution {
    /// By antenna; zero where it has no data.
    pub gains: Vec<Complex64>,
    /// Amplitude over its error, by antenna.
    pub snr: Vec<f64>,
    /// Whether the rounds ended because nothing moved any more.
    pub converged: bool,
}

impl Moments {
    /// Empty sums of an array.
    pub fn new(antennas: usize, channels: usize, polarizations: usize) -> Self {
        let baselines = antennas * antennas.saturating_sub(1) / 2;
        Self {
            antennas,
            channels,
            polarizations,
            baselines: vec![Vec::new(); baselines],
        }
    }

    /// Adds a row: its model by channel, its data and flags by channel, then polarization.
    /// Autocorrelations and antennas that the array doesn't have are left out.
    pub fn add(
        &mut self,
        (first, second): (usize, usize),
        model: &[Complex64],
        data: &[Complex32],
        flags: &[bool],
    ) {
        if first == second || first.max(second) >= self.antennas {
            return;
        }
        let turned = first > second;
        let cells = &mut self.baselines[place(first.min(second), first.max(second))];
        cells.resize(self.channels * self.polarizations, Cell::default());
        let cells = cells.chunks_exact_mut(self.polarizations);
        let rows = data
            .chunks_exact(self.polarizations)
            .zip(flags.chunks_exact(self.polarizations));
        for ((cells, model), (data, flags)) in cells.zip(model).zip(rows) {
            let power = model.norm_sqr();
            for ((cell, value), flag) in cells.iter_mut().zip(data).zip(flags) {
                if *flag {
                    continue;
                }
                let value = Complex64::new(value.re.into(), value.im.into());
                let cross = value * model.conj();
                cell.cross += if turned { cross.conj() } else { cross };
                cell.model += power;
                cell.data += value.norm_sqr();
                cell.count += 1;
            }
        }
    }

    fn cell(&self, low: usize, high: usize, channel: usize, polarization: usize) -> Cell {
        let cells = &self.baselines[place(low, high)];
        let cell = cells.get(channel * self.polarizations + polarization);
        cell.copied().unwrap_or_default()
    }

    /// The share of each antenna's visibilities that are there, of those it could have if each of
    /// its baselines had as many as the fullest one.
    pub fn coverage(&self) -> Vec<f64> {
        let mut seen = vec![0.0; self.antennas];
        for high in 1..self.antennas {
            for low in 0..high {
                let cells = self.baselines[place(low, high)].iter();
                let own: f64 = cells.map(|cell| f64::from(cell.count)).sum();
                seen[low] += own;
                seen[high] += own;
            }
        }
        let cells = self.baselines.iter().flatten();
        let most = cells.map(|cell| cell.count).max();
        let per_baseline = self.channels * self.polarizations;
        #[expect(clippy::cast_precision_loss, reason = "a share needs no more")]
        let cells = (self.antennas.saturating_sub(1) * per_baseline) as f64;
        let could_be = (cells * f64::from(most.unwrap_or(0))).max(1.0);
        seen.into_iter().map(|seen| seen / could_be).collect()
    }

    /// The sums of each `width` neighbouring channels, as one: gains that hardly change among them
    /// are found more exactly from all of them. The last one may have fewer.
    pub fn merged(&self, width: usize) -> Self {
        let width = width.max(1);
        let mut merged = Self::new(
            self.antennas,
            self.channels.div_ceil(width),
            self.polarizations,
        );
        for (from, into) in self.baselines.iter().zip(&mut merged.baselines) {
            for part in from.chunks(width * self.polarizations) {
                let mut sums = vec![Cell::default(); self.polarizations];
                for channel in part.chunks(self.polarizations) {
                    for (sum, cell) in sums.iter_mut().zip(channel) {
                        sum.cross += cell.cross;
                        sum.model += cell.model;
                        sum.data += cell.data;
                        sum.count += cell.count;
                    }
                }
                into.append(&mut sums);
            }
        }
        merged
    }

    /// Solves one channel and polarization. The gains' common phase is that of the start, where
    /// `reference` has none.
    pub fn solve(&self, channel: usize, polarization: usize, reference: usize) -> Solution {
        let matrix = Matrix::of(self, channel, polarization);
        let reference = matrix.used.iter().position(|antenna| *antenna == reference);
        let mut gains = matrix.start(reference);
        let mut converged = false;
        for round in 0..ROUNDS_MAX {
            let mut next = matrix.improve(&gains);
            // Every second step goes half the way only: else two gains can swing for ever.
            if round % 2 == 1 {
                for (next, old) in next.iter_mut().zip(&gains) {
                    *next = (*next + old) / 2.0;
                }
            }
            let moved: f64 = next
                .iter()
                .zip(&gains)
                .map(|(a, b)| (a - b).norm_sqr())
                .sum();
            let size: f64 = next.iter().map(Complex64::norm_sqr).sum();
            gains = next;
            if moved <= TOLERANCE * TOLERANCE * size {
                converged = true;
                break;
            }
        }
        let turn = match reference.and_then(|place| gains.get(place)) {
            Some(gain) if gain.norm() > 0.0 => gain.conj() / gain.norm(),
            _ => Complex64::ONE,
        };
        for gain in &mut gains {
            *gain *= turn;
        }
        let mut solution = Solution {
            gains: vec![Complex64::ZERO; self.antennas],
            snr: vec![0.0; self.antennas],
            converged,
        };
        let found = gains.iter().zip(matrix.snr(&gains));
        for (antenna, (gain, snr)) in matrix.used.iter().zip(found) {
            solution.gains[*antenna] = *gain;
            solution.snr[*antenna] = snr;
        }
        solution
    }
}

/// The place of a baseline among all of them.
fn place(low: usize, high: usize) -> usize {
    high * (high - 1) / 2 + low
}

/// The sums of one channel and polarization for every ordered pair of antennas that have any.
struct Matrix {
    /// The antennas that have data; all else here goes by their places in this list, for the work
    /// goes with the square.
    used: Vec<usize>,
    antennas: usize,
    cells: Vec<Cell>,
}

impl Matrix {
    fn of(moments: &Moments, channel: usize, polarization: usize) -> Self {
        let cell = |low, high| moments.cell(low, high, channel, polarization);
        let mut has_data = vec![false; moments.antennas];
        for high in 1..moments.antennas {
            for low in 0..high {
                if cell(low, high).count > 0 {
                    (has_data[low], has_data[high]) = (true, true);
                }
            }
        }
        let used: Vec<_> = (0..moments.antennas).filter(|a| has_data[*a]).collect();
        let antennas = used.len();
        let mut cells = vec![Cell::default(); antennas * antennas];
        for high in 1..antennas {
            for low in 0..high {
                let cell = cell(used[low], used[high]);
                cells[low * antennas + high] = cell;
                cells[high * antennas + low] = Cell {
                    cross: cell.cross.conj(),
                    ..cell
                };
            }
        }
        Self {
            used,
            antennas,
            cells,
        }
    }

    fn row(&self, antenna: usize) -> &[Cell] {
        &self.cells[antenna * self.antennas..(antenna + 1) * self.antennas]
    }

    /// Phases as the baselines to the reference antenna have them, one amplitude for all: the
    /// right valley, also where phases are far from zero.
    fn start(&self, reference: Option<usize>) -> Vec<Complex64> {
        let (cross, model) = self.cells.iter().fold((0.0, 0.0), |(cross, model), cell| {
            (cross + cell.cross.norm(), model + cell.model)
        });
        let amplitude = if model > 0.0 {
            (cross / model).sqrt()
        } else {
            0.0
        };
        let gain = |antenna: usize| {
            let cells = self.row(antenna);
            let reference = reference.and_then(|reference| cells.get(reference));
            let cross = reference.map_or(Complex64::ZERO, |cell| cell.cross);
            match cross.norm() {
                0.0 => Complex64::from(amplitude),
                norm => amplitude * cross / norm,
            }
        };
        (0..self.antennas).map(gain).collect()
    }

    fn improve(&self, gains: &[Complex64]) -> Vec<Complex64> {
        let better = |antenna: usize| {
            let (sum, weight) = self.row(antenna).iter().zip(gains).fold(
                (Complex64::ZERO, 0.0),
                |(sum, weight), (cell, gain)| {
                    (
                        sum + gain * cell.cross,
                        weight + gain.norm_sqr() * cell.model,
                    )
                },
            );
            if weight > 0.0 {
                sum / weight
            } else {
                Complex64::ZERO
            }
        };
        (0..self.antennas).map(better).collect()
    }

    /// Amplitudes over their errors, from what the solution leaves unexplained.
    fn snr(&self, gains: &[Complex64]) -> Vec<f64> {
        let (mut rest, mut count) = (0.0, 0.0);
        for (antenna, gain) in gains.iter().enumerate() {
            for (cell, other) in self.row(antenna).iter().zip(gains) {
                let product = gain * other.conj();
                rest += cell.data - 2.0 * (product.conj() * cell.cross).re
                    + product.norm_sqr() * cell.model;
                count += f64::from(cell.count);
            }
        }
        // Each pair was counted twice, in both sums.
        let variance = if count > 0.0 {
            (rest / count).max(0.0)
        } else {
            0.0
        };
        let snr = |(antenna, gain): (usize, &Complex64)| {
            let cells = self.row(antenna).iter().zip(gains);
            let weight: f64 = cells
                .map(|(cell, other)| other.norm_sqr() * cell.model)
                .sum();
            match (weight > 0.0, variance > 0.0) {
                (true, true) => gain.norm() * (weight / variance).sqrt(),
                (true, false) => f64::INFINITY,
                (false, _) => 0.0,
            }
        };
        gains.iter().enumerate().map(snr).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRUTH: [(f64, f64); 6] = [
        (0.35, 10.0),
        (0.30, -120.0),
        (0.42, 179.0),
        (0.38, 75.0),
        (0.33, -60.0),
        (0.40, 140.0),
    ];

    #[expect(clippy::cast_possible_truncation, reason = "data are single precision")]
    fn observed(noise: f64, dead: Option<usize>) -> Moments {
        let gain = |antenna: usize| {
            if dead == Some(antenna) {
                Complex64::ZERO
            } else {
                Complex64::from_polar(TRUTH[antenna].0, TRUTH[antenna].1.to_radians())
            }
        };
        let mut moments = Moments::new(TRUTH.len(), 1, 1);
        let mut turn = 0.0_f64;
        for time in 0..20 {
            for high in 1..TRUTH.len() {
                for low in 0..high {
                    turn += 1.234_567;
                    let model = Complex64::from_polar(9.0, 0.1 * f64::from(time) + turn.sin());
                    // Not random, but without any relation to the model.
                    let error = Complex64::from_polar(noise, 1e3 * turn);
                    let value = gain(low) * gain(high).conj() * model + error;
                    let value = Complex32::new(value.re as f32, value.im as f32);
                    moments.add((low, high), &[model], &[value], &[false]);
                }
            }
        }
        moments
    }

    #[test]
    fn gains_are_found_but_for_the_phase_of_the_reference() {
        let solution = observed(0.0, None).solve(0, 0, 2);
        assert!(solution.converged);
        for (gain, (amplitude, phase)) in solution.gains.iter().zip(TRUTH) {
            let expected = Complex64::from_polar(amplitude, (phase - TRUTH[2].1).to_radians());
            assert!((gain - expected).norm() < 1e-5, "{gain} is not {expected}");
        }
    }

    #[test]
    fn channels_together_are_less_noisy_than_one() {
        let (one, noise) = (Complex32::ONE, Complex32::from(0.4));
        let mut moments = Moments::new(3, 5, 1);
        // The errors of neighbours cancel each other; the last channel has no neighbour.
        let data = [
            one + noise,
            one - noise,
            one - noise,
            one + noise,
            one * 4.0,
        ];
        for ends in [(0, 1), (1, 2), (2, 0)] {
            moments.add(ends, &[Complex64::ONE; 5], &data, &[false; 5]);
        }
        let merged = moments.merged(2);
        for (channel, amplitude) in [(0, 1.0), (1, 1.0), (2, 2.0)] {
            for gain in merged.solve(channel, 0, 0).gains {
                assert!((gain - amplitude).norm() < 1e-6, "{channel}: {gain}");
            }
        }
        let alone = moments.merged(1).solve(3, 0, 0);
        assert_eq!(alone, moments.solve(3, 0, 0));
        assert!(alone.gains.iter().any(|gain| (gain - 1.0).norm() > 0.01));
    }

    #[test]
    fn the_errors_are_those_of_the_noise() {
        let noise = 0.5;
        let solution = observed(noise, None).solve(0, 0, 0);
        // Five baselines of twenty integrations, of amplitude 9 and mean gain 0.36.
        let expected = 0.36 / (noise / (100.0_f64.sqrt() * 9.0 * 0.36));
        for snr in &solution.snr {
            assert!(
                (snr / expected - 1.0).abs() < 0.3,
                "{snr} is not about {expected}"
            );
        }
    }

    #[test]
    fn a_dead_antenna_has_a_small_gain_and_hurts_no_other() {
        let solution = observed(0.3, Some(4)).solve(0, 0, 0);
        assert!(solution.gains[4].norm() < 0.02, "{}", solution.gains[4]);
        let expected = Complex64::from_polar(0.42, 169.0_f64.to_radians());
        assert!(
            (solution.gains[2] - expected).norm() < 0.02,
            "{}",
            solution.gains[2]
        );
    }

    #[test]
    fn flagged_data_and_absent_antennas_count_for_nothing() {
        let mut moments = Moments::new(3, 1, 1);
        let one = Complex32::ONE;
        moments.add((1, 0), &[Complex64::ONE], &[one], &[false]);
        moments.add((0, 2), &[Complex64::ONE], &[one * 100.0], &[true]);
        moments.add((0, 9), &[Complex64::ONE], &[one], &[false]);
        let solution = moments.solve(0, 0, 0);
        assert_eq!(solution.gains[2], Complex64::ZERO);
        assert!((solution.gains[0].norm() - 1.0).abs() < 1e-6);
        assert!((moments.coverage()[0] - 0.5).abs() < 1e-12);
    }
}
