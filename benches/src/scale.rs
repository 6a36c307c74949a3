//! How much of everything.

use std::time::Duration;

use serde::Serialize;

/// The sizes of all workloads.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Scale {
    /// What was asked for: `full`, `quick` or `smoke`.
    pub(crate) name: &'static str,
    /// Whether commits are on disk when they return; without it nothing is measured.
    pub(crate) durable: bool,
    /// How often the limit and the engine take turns.
    pub(crate) rounds: usize,
    /// W1: spawns of one round.
    pub(crate) spawns: usize,
    /// W2, W3, W9: tasks of one round.
    pub(crate) tasks: usize,
    /// W4: tasks of ten steps each.
    pub(crate) stepping_tasks: usize,
    /// W5: steps in a row; W8: cached steps.
    pub(crate) steps: usize,
    /// W6, W7: samples of a latency.
    pub(crate) samples: usize,
    /// W8: replays.
    pub(crate) replays: u32,
    /// W9: finished tasks in the queue.
    pub(crate) finished: usize,
    /// W9: tasks that wait in the queue.
    pub(crate) backlog: usize,
    /// W9: how long a snapshot is held while the queue works.
    pub(crate) snapshot: Duration,
    /// W10: parked tasks.
    pub(crate) parked: usize,
    /// W10: how many of them one event wakes.
    pub(crate) woken: usize,
    /// W10: how long the idle worker is watched.
    pub(crate) idle: Duration,
}

impl Scale {
    /// The sizes for what was asked for; the smaller one wins.
    pub(crate) fn of(quick: bool, smoke: bool) -> Self {
        match (quick, smoke) {
            (_, true) => Self::smoke(),
            (true, false) => Self::quick(),
            (false, false) => Self::full(),
        }
    }

    fn full() -> Self {
        Self {
            name: "full",
            durable: true,
            rounds: 5,
            spawns: 10_000,
            tasks: 10_000,
            stepping_tasks: 1_000,
            steps: 1_000,
            samples: 300,
            replays: 30,
            finished: 1_000_000,
            backlog: 100_000,
            snapshot: Duration::from_mins(10),
            parked: 100_000,
            woken: 10_000,
            idle: Duration::from_secs(30),
        }
    }

    fn quick() -> Self {
        Self {
            name: "quick",
            rounds: 3,
            spawns: 4_000,
            replays: 10,
            snapshot: Duration::from_secs(15),
            idle: Duration::from_secs(5),
            ..Self::full()
        }
    }

    fn smoke() -> Self {
        Self {
            name: "smoke",
            durable: false,
            rounds: 1,
            spawns: 64,
            tasks: 100,
            stepping_tasks: 10,
            steps: 20,
            samples: 5,
            replays: 2,
            finished: 1_000,
            backlog: 200,
            snapshot: Duration::ZERO,
            parked: 200,
            woken: 50,
            idle: Duration::from_millis(200),
        }
    }
}
