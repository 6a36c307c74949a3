//! Why a command failed.

use absurd_sdk::{DbError, Error};

/// Why a command failed: one line, with its causes.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    #[error(transparent)]
    Absurd(#[from] Error),
    #[error(transparent)]
    Postgres(#[from] absurd_test::TestError),
    #[error(transparent)]
    Name(#[from] absurd_sdk::InvalidName),
    #[error(transparent)]
    Cron(#[from] absurd_sdk::BadCron),
    #[error("can't print the answer")]
    Json(#[from] serde_json::Error),
    #[error("can't write to the terminal")]
    Output(#[from] std::io::Error),
    #[error("can't hear SIGTERM")]
    Signal(#[source] std::io::Error),
    #[error("{0}")]
    Usage(String),
}

/// Adds to a refusal of the engine what to do about it.
pub(crate) fn advise(advice: impl FnOnce() -> String) -> impl FnOnce(Error) -> CliError {
    move |error| match error {
        Error::Database(DbError::Refused { code, message, .. }) if code == "AB005" => {
            CliError::Usage(format!("{message}; {}", advice()))
        }
        other => other.into(),
    }
}
