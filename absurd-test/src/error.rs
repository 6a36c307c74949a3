//! What can go wrong before a test begins.

use std::{io, path::PathBuf};

/// The test kit can't do what was asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TestError {
    /// No server programs on this machine.
    #[error(
        "PostgreSQL's server programs were not found in PATH or /usr/lib/postgresql; install \
         them (Debian: `apt-get install postgresql`), or set ABSURD_TEST_DATABASE_URL"
    )]
    NoPostgres,
    /// A program of PostgreSQL failed.
    #[error("`{program}` failed: {said}")]
    Program {
        /// Its name.
        program: &'static str,
        /// The end of what it said.
        said: String,
    },
    /// A file or folder can't be used.
    #[error("can't use {}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The test's own SQL failed.
    #[error("can't prepare the test's database")]
    Sql(#[from] sqlx::Error),
    /// The SDK refused.
    #[error(transparent)]
    Absurd(#[from] absurd_sdk::Error),
    /// What a test waited for did not come.
    #[error("waited in vain: {0}")]
    Never(String),
    /// The environment says something that can't be understood.
    #[error("{variable} is `{value}`; write for example before:3 or after:3")]
    Variable {
        /// Its name.
        variable: &'static str,
        /// Its value.
        value: String,
    },
    /// A task did not survive a crash as it should.
    #[error("{message}")]
    Crash {
        /// What happened, and where the worker was killed.
        message: String,
    },
    /// A helper thread ended badly.
    #[error("a helper thread of the test kit panicked")]
    Thread,
}

impl TestError {
    /// For `map_err` on what is done to a path.
    pub(crate) fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, source }
    }
}
