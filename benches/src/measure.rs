//! Numbers from many runs: their middle, their spread, and latencies.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::error::Result;

/// The longest latency that is told from longer ones.
const LONGEST: Duration = Duration::from_mins(1);

/// One number, measured several times.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Spread {
    /// The middle one; of an even number of runs, between the two in the middle.
    pub(crate) median: f64,
    /// The smallest.
    pub(crate) min: f64,
    /// The largest.
    pub(crate) max: f64,
    /// All of them, in the order of measuring.
    pub(crate) runs: Vec<f64>,
}

impl Spread {
    /// The spread of some numbers; an error where none was measured.
    pub(crate) fn of(runs: Vec<f64>) -> Result<Self> {
        let mut sorted = runs.clone();
        sorted.sort_by(f64::total_cmp);
        let (Some(min), Some(max)) = (sorted.first(), sorted.last()) else {
            return Err("nothing was measured".into());
        };
        if !runs.iter().all(|run| run.is_finite()) {
            return Err(format!("this is no measurement: {runs:?}").into());
        }
        let middle = sorted.len() / 2;
        let median = if sorted.len().is_multiple_of(2) {
            f64::midpoint(sorted[middle - 1], sorted[middle])
        } else {
            sorted[middle]
        };
        Ok(Self {
            median,
            min: *min,
            max: *max,
            runs,
        })
    }
}

/// How many per second.
pub(crate) fn per_second(count: usize, elapsed: Duration) -> f64 {
    number(count) / elapsed.as_secs_f64()
}

/// A count as a number to reckon with.
#[expect(clippy::cast_precision_loss, reason = "no count here comes near 2^53")]
pub(crate) fn number(count: usize) -> f64 {
    count as f64
}

/// Latencies, to the microsecond.
#[derive(Debug)]
pub(crate) struct Latencies(Histogram<u64>);

/// What is told of latencies, in milliseconds.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Percentiles {
    /// How many were measured; more where a late one stood for those that it held up.
    pub(crate) count: u64,
    /// Half of them were below it.
    pub(crate) p50: f64,
    /// Nine of ten.
    pub(crate) p90: f64,
    /// All but one of a hundred.
    pub(crate) p99: f64,
    /// The longest.
    pub(crate) max: f64,
}

impl Latencies {
    /// None yet.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self(Histogram::new_with_bounds(1, micros(LONGEST), 3)?))
    }

    /// Adds one of a closed loop, where the next begins when this one has ended.
    pub(crate) fn add(&mut self, latency: Duration) -> Result {
        Ok(self.0.record(micros(latency).max(1))?)
    }

    /// Adds one of a series with a beat. One that took longer than a beat also stands for the
    /// ones that should have begun meanwhile.
    pub(crate) fn add_with_beat(&mut self, latency: Duration, beat: Duration) -> Result {
        let latency = micros(latency).max(1);
        Ok(self.0.record_correct(latency, micros(beat))?)
    }

    /// Adds all of another series.
    pub(crate) fn merge(&mut self, other: &Self) -> Result {
        Ok(self.0.add(&other.0)?)
    }

    /// An error where nothing was measured.
    pub(crate) fn percentiles(&self) -> Result<Percentiles> {
        if self.0.is_empty() {
            return Err("no latency was measured".into());
        }
        let at = |quantile| milliseconds(self.0.value_at_quantile(quantile));
        Ok(Percentiles {
            count: self.0.len(),
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            max: milliseconds(self.0.max()),
        })
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn milliseconds(micros: u64) -> f64 {
    Duration::from_micros(micros).as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_has_a_middle() {
        assert!((Spread::of(vec![3.0, 1.0, 2.0]).unwrap().median - 2.0).abs() < 1e-9);
        assert!((Spread::of(vec![4.0, 1.0, 2.0, 3.0]).unwrap().median - 2.5).abs() < 1e-9);
    }

    #[test]
    fn nothing_measured_is_an_error_and_no_zero() {
        Spread::of(Vec::new()).unwrap_err();
        Spread::of(vec![f64::NAN]).unwrap_err();
        Spread::of(vec![per_second(1, Duration::ZERO)]).unwrap_err();
        Latencies::new().unwrap().percentiles().unwrap_err();
    }

    #[test]
    fn a_late_sample_stands_for_those_that_it_held_up() {
        let mut latencies = Latencies::new().unwrap();
        latencies
            .add_with_beat(Duration::from_millis(50), Duration::from_millis(10))
            .unwrap();
        assert_eq!(latencies.percentiles().unwrap().count, 5);
    }
}
