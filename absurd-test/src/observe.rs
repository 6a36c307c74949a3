//! Observers of the SDK's statements: one records, one kills.

use std::{
    env, fmt,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use absurd_sdk::observe::StatementObserver;
use rustix::process::{Signal, getpid, kill_process};

use crate::error::TestError;

/// Records the names of all statements that a client sends, in their order.
#[derive(Debug, Default)]
pub struct Recorder(Mutex<Vec<&'static str>>);

impl Recorder {
    /// What was recorded since the last call.
    pub fn take(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl StatementObserver for Recorder {
    fn before(&self, statement: &'static str) {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        names.push(statement);
    }

    fn after(&self, _statement: &'static str) {}
}

/// Ends this process with SIGKILL just before or just after its n-th statement.
///
/// The test says where by the environment variable [`Kill::ENV`]; the process under test asks
/// [`Kill::from_env`] and gives what it got to its client.
#[derive(Debug)]
pub struct Kill {
    moment: Moment,
    at: usize,
    seen: AtomicUsize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    Before,
    After,
}

impl Kill {
    /// The variable that says where to kill: `before:3`, `after:3`.
    pub const ENV: &'static str = "ABSURD_TEST_KILL";

    /// Before the statement is sent; the first one is number 1.
    pub fn before(statement: usize) -> Self {
        Self::at(Moment::Before, statement)
    }

    /// After the database has answered, before the client has seen it.
    pub fn after(statement: usize) -> Self {
        Self::at(Moment::After, statement)
    }

    fn at(moment: Moment, at: usize) -> Self {
        Self {
            moment,
            at,
            seen: AtomicUsize::new(0),
        }
    }

    /// What the environment says; nothing where it says nothing.
    #[expect(
        clippy::disallowed_methods,
        reason = "the test tells its child process where to die"
    )]
    pub fn from_env() -> Result<Option<Self>, TestError> {
        let Ok(value) = env::var(Self::ENV) else {
            return Ok(None);
        };
        let kill = value.split_once(':').and_then(|(moment, at)| {
            let at = at.parse().ok()?;
            match moment {
                "before" => Some(Self::before(at)),
                "after" => Some(Self::after(at)),
                _ => None,
            }
        });
        match kill {
            Some(kill) => Ok(Some(kill)),
            None => Err(TestError::Variable {
                variable: Self::ENV,
                value,
            }),
        }
    }

    fn reached(&self, moment: Moment) {
        if moment == self.moment && self.seen.fetch_add(1, Ordering::SeqCst) + 1 == self.at {
            // It can't fail: a process may always end itself.
            let _ = kill_process(getpid(), Signal::KILL);
        }
    }
}

impl fmt::Display for Kill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moment = match self.moment {
            Moment::Before => "before",
            Moment::After => "after",
        };
        write!(f, "{moment}:{}", self.at)
    }
}

impl StatementObserver for Kill {
    fn before(&self, _statement: &'static str) {
        self.reached(Moment::Before);
    }

    fn after(&self, _statement: &'static str) {
        self.reached(Moment::After);
    }
}
