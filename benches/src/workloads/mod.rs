//! The workloads, one a file.

mod claims;
mod fill;
mod turns;

mod w01_spawn;
mod w02_spawn_many;
mod w03_drain;
mod w04_steps;
mod w05_step;
mod w06_start;
mod w07_resume;
mod w08_replay;
mod w09_history;
mod w10_parked;

use futures::future::{FutureExt as _, LocalBoxFuture};

pub(crate) use self::w04_steps::STEPS;

use crate::{error::Result, outcome::Outcome, scale::Scale, server::Server};

/// A workload: its name, what it does, and how to run it.
pub(crate) struct Workload {
    /// `W1` to `W10`.
    pub(crate) id: &'static str,
    /// What it does.
    pub(crate) title: &'static str,
    run: Run,
}

type Run = for<'a> fn(&'a Server, &'a Scale) -> LocalBoxFuture<'a, Result<Outcome>>;

/// All workloads.
pub(crate) const WORKLOADS: &[Workload] = &[
    Workload {
        id: "W1",
        title: "spawn one at a time, 16 clients",
        run: |server, scale| w01_spawn::run(server, scale).boxed_local(),
    },
    Workload {
        id: "W2",
        title: "spawn many tasks in one call",
        run: |server, scale| w02_spawn_many::run(server, scale).boxed_local(),
    },
    Workload {
        id: "W3",
        title: "drain tasks that do nothing, one worker process",
        run: |server, scale| w03_drain::run(server, scale).boxed_local(),
    },
    Workload {
        id: "W4",
        title: "drain tasks of ten steps, one worker process",
        run: |server, scale| w04_steps::run(server, scale).boxed_local(),
    },
    Workload {
        id: "W5",
        title: "one task, its steps in a row",
        run: |server, scale| w05_step::run(server, scale).boxed_local(),
    },
    Workload {
        id: "W6",
        title: "from a spawn's return to the start of its handler",
        run: |server, scale| w06_start::run(server, scale).boxed_local(),
    },
    Workload {
        id: "W7",
        title: "from an emit's return to the resumption of its waiter",
        run: |server, scale| w07_resume::run(server, scale).boxed_local(),
    },
    Workload {
        id: "W8",
        title: "replay of cached steps, from the claim to the first fresh step",
        run: |server, scale| w08_replay::run(server, scale).boxed_local(),
    },
    Workload {
        id: "W9",
        title: "W3 beside a long history, then under a snapshot held open",
        run: |server, scale| w09_history::run(server, scale).boxed_local(),
    },
    Workload {
        id: "W10",
        title: "parked tasks beside an idle worker, then many woken at once",
        run: |server, scale| w10_parked::run(server, scale).boxed_local(),
    },
];

impl Workload {
    /// Whether somebody who wrote this meant it.
    pub(crate) fn is(&self, name: &str) -> bool {
        self.id.eq_ignore_ascii_case(name.trim())
    }

    /// Measures.
    pub(crate) async fn run(&self, server: &Server, scale: &Scale) -> Result<Outcome> {
        (self.run)(server, scale).await
    }
}
