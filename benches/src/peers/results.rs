//! From the answers of all rounds to numbers.

use std::{collections::BTreeMap, time::Duration};

use absurd_sdk::chain;
use serde::Serialize;

use super::{
    FoundOf,
    list::Peer,
    order::{STEPS, WARM_UP, Workload},
    program::{Answer, Measured},
};
use crate::{
    error::Result,
    measure::{Latencies, Percentiles, Spread, per_second},
};

/// What all rounds of one workload on one peer came to.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Found {
    /// Spawns, tasks or steps in a second.
    PerSecond(Spread),
    /// Milliseconds.
    Latency {
        /// Of each round, half of the samples were below it.
        p50: Spread,
        /// All but one of a hundred.
        p99: Spread,
        /// All rounds together.
        all: Percentiles,
    },
}

/// The answers, by peer and workload.
#[derive(Debug, Default)]
pub(super) struct Results {
    answers: BTreeMap<(&'static str, Workload), Vec<Measured>>,
    failures: BTreeMap<(&'static str, Workload), String>,
    tunings: BTreeMap<&'static str, Vec<String>>,
}

impl Results {
    /// Adds what a round came to. What fails once is not tried again.
    pub(super) fn add(&mut self, peer: &Peer, workload: Workload, answer: Result<Answer>) {
        let key = (peer.name, workload);
        match answer {
            Ok(answer) => {
                let tuning = self.tunings.entry(peer.name).or_default();
                for note in answer.notes {
                    if !tuning.contains(&note) {
                        tuning.push(note);
                    }
                }
                self.answers.entry(key).or_default().push(answer.measured);
            }
            Err(error) => {
                self.answers.remove(&key);
                self.failures.insert(key, chain(error.as_ref()));
            }
        }
    }

    /// Whether a round of this failed.
    pub(super) fn has_failed(&self, peer: &Peer, workload: Workload) -> bool {
        self.failures.contains_key(&(peer.name, workload))
    }

    /// What failed, a sentence each.
    pub(super) fn failures(&self) -> impl Iterator<Item = String> {
        let failures = self.failures.iter();
        failures.map(|((peer, workload), why)| format!("{peer}, {workload} failed: {why}"))
    }

    /// Why this failed, if it did.
    pub(super) fn failure(&self, peer: &Peer, workload: Workload) -> Option<&str> {
        let failure = self.failures.get(&(peer.name, workload));
        failure.map(String::as_str)
    }

    /// How each peer was tuned, in its program's words.
    pub(super) fn tunings(&self) -> &BTreeMap<&'static str, Vec<String>> {
        &self.tunings
    }

    /// The numbers.
    pub(super) fn found(&self) -> Result<FoundOf> {
        let mut found = FoundOf::new();
        for (key, rounds) in &self.answers {
            found.insert(*key, of_rounds(key.1, rounds)?);
        }
        Ok(found)
    }
}

fn of_rounds(workload: Workload, rounds: &[Measured]) -> Result<Found> {
    let mut rates = Vec::new();
    let (mut p50, mut p99) = (Vec::new(), Vec::new());
    let mut all = Latencies::new()?;
    for round in rounds {
        match round {
            Measured::Rate { executed, elapsed } => {
                let units = match workload {
                    Workload::W4 => executed * STEPS,
                    _ => *executed,
                };
                rates.push(per_second(units, *elapsed));
            }
            Measured::Latencies(micros) => {
                let latencies = counted(workload, micros)?;
                let percentiles = latencies.percentiles()?;
                p50.push(percentiles.p50);
                p99.push(percentiles.p99);
                all.merge(&latencies)?;
            }
        }
    }
    if p50.is_empty() {
        return Ok(Found::PerSecond(Spread::of(rates)?));
    }
    Ok(Found::Latency {
        p50: Spread::of(p50)?,
        p99: Spread::of(p99)?,
        all: all.percentiles()?,
    })
}

/// The samples that count. Each began after the last one had ended, so none was held up.
fn counted(workload: Workload, micros: &[u64]) -> Result<Latencies> {
    let warm_up = if workload == Workload::W5 { 0 } else { WARM_UP };
    let mut latencies = Latencies::new()?;
    for micros in micros.iter().skip(warm_up) {
        latencies.add(Duration::from_micros(*micros))?;
    }
    Ok(latencies)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_come_to_a_spread() {
        let round = |seconds| Measured::Rate {
            executed: 100,
            elapsed: Duration::from_secs(seconds),
        };
        let rounds = [round(1), round(2), round(4)];
        let Found::PerSecond(tasks) = of_rounds(Workload::W3, &rounds).unwrap() else {
            panic!("W3 is a rate");
        };
        assert!((tasks.median - 50.0).abs() < 1e-9);
        let Found::PerSecond(steps) = of_rounds(Workload::W4, &rounds).unwrap() else {
            panic!("W4 is a rate");
        };
        assert!((steps.median - 500.0).abs() < 1e-9);
    }

    #[test]
    fn samples_that_warm_up_do_not_count() {
        let mut micros = vec![1_000_000; WARM_UP];
        micros.extend([2_000; 20]);
        let Found::Latency { p99, all, .. } =
            of_rounds(Workload::W6, &[Measured::Latencies(micros)]).unwrap()
        else {
            panic!("W6 is a latency");
        };
        assert!(p99.median < 2.1);
        assert_eq!(all.count, 20);
    }
}
