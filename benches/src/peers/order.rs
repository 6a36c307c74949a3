//! What a peer's program is told, and what it says: one JSON object as its only argument, and
//! then lines with one JSON object each. Lines that are no such object are a library's own words.
//!
//! The program prepares what it can without being timed, says `ready`, waits for the line `go`,
//! measures, says what it found, and ends.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{error::Result, scale::Scale};

/// The clients that spawn at once in W1.
const CLIENTS: usize = 16;
/// Steps of each task in W4.
pub(super) const STEPS: usize = 10;
/// Samples of W6 and W7 that only warm up.
pub(super) const WARM_UP: usize = 10;
/// Samples of a round; several rounds add up, and some peers are slow.
const SAMPLES_MAX: usize = 100;
/// Pauses between samples lie between this and [`PAUSE_MAX_MS`], spread evenly, so that no peer
/// that polls is met at the same moment of its period each time.
const PAUSE_MIN_MS: usize = 20;
const PAUSE_MAX_MS: usize = 120;
/// No divisor of the range of pauses.
const PAUSE_STRIDE_MS: usize = 61;

/// The workloads that peers take part in, as the harness defines them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Workload {
    /// Spawns one at a time, from many clients.
    W1,
    /// Spawns in bulk.
    W2,
    /// Drains tasks that do nothing.
    W3,
    /// Drains tasks of ten steps.
    W4,
    /// One task, its steps in a row.
    W5,
    /// From a spawn's return to its handler's start.
    W6,
    /// From an emit's return to its waiter's resumption.
    W7,
}

impl Workload {
    /// All of them.
    pub(crate) const ALL: [Self; 7] = [
        Self::W1,
        Self::W2,
        Self::W3,
        Self::W4,
        Self::W5,
        Self::W6,
        Self::W7,
    ];
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// The workloads that were asked for, all of them where none was named.
pub(crate) fn chosen(only: &[String]) -> Result<Vec<Workload>> {
    let is =
        |workload: &Workload, name: &String| workload.to_string().eq_ignore_ascii_case(name.trim());
    for name in only {
        if !Workload::ALL.iter().any(|workload| is(workload, name)) {
            return Err(format!("no peer runs `{name}`; write for example W3,W4").into());
        }
    }
    let wanted =
        |workload: &Workload| only.is_empty() || only.iter().any(|name| is(workload, name));
    Ok(Workload::ALL.into_iter().filter(wanted).collect())
}

/// What a peer's program is to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Order {
    /// Its database.
    pub(crate) url: String,
    /// The workload.
    pub(crate) workload: Workload,
    /// W1 to W4: how many tasks.
    pub(crate) tasks: usize,
    /// W4: steps of each task; W5: of the only one.
    pub(crate) steps: usize,
    /// W1: how many clients spawn at once.
    pub(crate) clients: usize,
    /// W6, W7: the pause before each sample, in milliseconds.
    pub(crate) pauses_ms: Vec<u64>,
    /// Counts the tasks whose end is not recorded yet; absent where PostgreSQL doesn't know.
    pub(crate) unfinished: Option<String>,
}

impl Order {
    /// The order for a workload, but for the database; slow peers get one in `share` tasks.
    pub(super) fn new(workload: Workload, scale: &Scale, share: usize) -> Self {
        let tasks = match workload {
            Workload::W1 => scale.spawns,
            Workload::W2 | Workload::W3 => scale.tasks,
            Workload::W4 => scale.stepping_tasks,
            Workload::W5 | Workload::W6 | Workload::W7 => share,
        };
        let samples = WARM_UP + scale.samples.min(SAMPLES_MAX);
        Self {
            url: String::new(),
            workload,
            tasks: tasks.div_ceil(share),
            steps: if workload == Workload::W5 {
                scale.steps
            } else {
                STEPS
            },
            clients: CLIENTS,
            pauses_ms: (0..samples).map(pause_ms).collect(),
            unfinished: None,
        }
    }
}

fn pause_ms(sample: usize) -> u64 {
    let range = PAUSE_MAX_MS - PAUSE_MIN_MS;
    (PAUSE_MIN_MS + sample * PAUSE_STRIDE_MS % range) as u64
}

/// What a peer's program says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "snake_case")]
pub(crate) enum Message {
    /// How the peer was tuned, for the reader of the table.
    Note {
        /// A sentence.
        text: String,
    },
    /// Everything is prepared.
    Ready,
    /// W1 to W4: how much was done, and how long it took.
    Rate {
        /// Spawns, or executions of the handler as the handler counted them.
        executed: usize,
        /// From the beginning until the last end was recorded, in microseconds.
        elapsed_us: u64,
    },
    /// W5 to W7: each sample in microseconds, in the order of measuring.
    Latencies {
        /// The samples, those that only warm up included.
        micros: Vec<u64>,
    },
}

impl Message {
    /// A rate that was measured here.
    pub(super) fn rate(executed: usize, elapsed: Duration) -> Self {
        Self::Rate {
            executed,
            elapsed_us: micros(elapsed),
        }
    }
}

/// A time in whole microseconds.
pub(super) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_the_same_on_the_other_side() {
        let order = Order::new(Workload::W6, &Scale::of(true, false), 1);
        let text = serde_json::to_string(&order).unwrap();
        assert!(text.contains("\"workload\":\"W6\""), "{text}");
        assert_eq!(serde_json::from_str::<Order>(&text).unwrap(), order);
    }

    #[test]
    fn messages_are_what_the_other_languages_write() {
        for (text, message) in [
            ("{\"say\":\"ready\"}", Message::Ready),
            (
                "{\"say\":\"rate\",\"executed\":2,\"elapsed_us\":7}",
                Message::rate(2, Duration::from_micros(7)),
            ),
            (
                "{\"say\":\"latencies\",\"micros\":[1,2]}",
                Message::Latencies { micros: vec![1, 2] },
            ),
            (
                "{\"say\":\"note\",\"text\":\"a\"}",
                Message::Note { text: "a".into() },
            ),
        ] {
            assert_eq!(serde_json::to_string(&message).unwrap(), text);
            assert_eq!(serde_json::from_str::<Message>(text).unwrap(), message);
        }
    }

    #[test]
    fn pauses_are_spread_over_their_range() {
        let pauses: Vec<u64> = (0..100).map(pause_ms).collect();
        let mut sorted = pauses.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(sorted.len(), 100);
        assert_eq!((sorted[0], sorted[99]), (20, 119));
    }

    #[test]
    fn slow_peers_get_fewer_tasks() {
        let scale = Scale::of(true, false);
        assert_eq!(Order::new(Workload::W3, &scale, 10).tasks, 1_000);
        assert_eq!(Order::new(Workload::W5, &scale, 10).tasks, 1);
    }

    #[test]
    fn an_unknown_workload_is_refused() {
        assert_eq!(chosen(&["w3".to_owned()]).unwrap(), [Workload::W3]);
        assert_eq!(chosen(&[]).unwrap().len(), 7);
        chosen(&["W10".to_owned()]).unwrap_err();
    }
}
