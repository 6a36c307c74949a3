//! Progress and log lines: what a run tells about itself while it works. They are sent along
//! with other writes, and nobody waits for them.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::Context;
use crate::{
    db::writes::{Line, Write},
    ids::RunId,
    store::RunStore,
};

/// Progress of a run that is younger than this is not sent, unless it is the end.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(200);
/// Longest line that is kept, in bytes.
const LINE_BYTES_MAX: usize = 4096;

/// How grave a log line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// Something went wrong.
    Error,
    /// Something may go wrong.
    Warn,
    /// What happens.
    Info,
    /// Details.
    Debug,
}

impl LogLevel {
    fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
        }
    }
}

/// Reports progress and log lines of a run. A cheap clone, for use inside steps.
#[derive(Clone)]
pub struct Reporter {
    run: RunId,
    store: Arc<dyn RunStore>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    step: Option<String>,
    last_progress: Option<Instant>,
}

impl Reporter {
    pub(super) fn new(run: RunId, store: Arc<dyn RunStore>) -> Self {
        Self {
            run,
            store,
            state: Arc::default(),
        }
    }

    /// How far the run has come, from 0 to 1, with a word on what it is at.
    pub fn progress(&self, fraction: f64, message: impl Into<String>) {
        let fraction = if fraction.is_finite() {
            fraction.clamp(0.0, 1.0)
        } else {
            0.0
        };
        {
            let mut state = self.state();
            let is_young = |last: Instant| last.elapsed() < PROGRESS_INTERVAL;
            if fraction < 1.0 && state.last_progress.is_some_and(is_young) {
                return;
            }
            state.last_progress = Some(Instant::now());
        }
        let message = message.into();
        self.store.tell(Write::Progress {
            run: self.run,
            fraction,
            message: (!message.is_empty()).then_some(storable(message)),
        });
    }

    /// Keeps lines, one for each line of the text, under the step that is under way.
    pub fn log(&self, level: LogLevel, text: impl Into<String>) {
        let text = storable(text.into());
        let lines = text.lines().map(|line| Line {
            level: level.as_str(),
            message: shortened(line).to_owned(),
        });
        let step = self.state().step.clone().unwrap_or_default();
        self.store.tell(Write::Log {
            run: self.run,
            step,
            lines: lines.collect(),
        });
    }

    pub(super) fn enter_step(&self, name: &str) {
        self.state().step = Some(name.to_owned());
    }

    pub(super) fn leave_step(&self) {
        self.state().step = None;
    }

    /// The step under way, or the one that failed last.
    pub(super) fn step(&self) -> Option<String> {
        self.state().step.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Reporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reporter")
            .field("run", &self.run)
            .finish_non_exhaustive()
    }
}

impl Context {
    /// Reports progress and log lines; clone it into steps.
    pub fn reporter(&self) -> Reporter {
        self.reporter.clone()
    }

    /// The step that is under way or has failed last.
    pub(crate) fn step_at_end(&self) -> Option<String> {
        self.reporter.step()
    }
}

/// PostgreSQL can't keep a zero character.
fn storable(text: String) -> String {
    if text.contains('\0') {
        text.replace('\0', "\u{fffd}")
    } else {
        text
    }
}

fn shortened(line: &str) -> &str {
    let mut end = line.len().min(LINE_BYTES_MAX);
    while !line.is_char_boundary(end) {
        end -= 1;
    }
    &line[..end]
}
