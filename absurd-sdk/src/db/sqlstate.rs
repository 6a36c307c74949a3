//! The SQLSTATEs that the engine speaks, and what each means to us.

/// What a refusal of the database means. `docs/errors.md` has a heading for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SqlState {
    /// `AB001`: the task has been cancelled.
    Cancelled,
    /// `AB002`: this run has already failed, usually because its lease was over.
    RunFailed,
    /// `AB003`: the retry strategy is not acceptable.
    BadRetryStrategy,
    /// `AB004`: this worker no longer holds the run.
    LeaseLost,
    /// `AB005`: a filter of a read model names an unknown key.
    BadFilter,
    /// `42P01`: the queue's tables don't exist.
    QueueMissing,
    /// `3F000`, `42883`: the schema `absurd` or one of its functions doesn't exist.
    SchemaMissing,
    /// `40001`, `40P01`: call again.
    TryAgain,
    /// `P0001`: a plain refusal, explained by its message.
    Refused,
    /// `0A000`: upstream's schema has no word for it. Raised by the SDK itself.
    FeatureMissing,
    /// Anything else that PostgreSQL may say.
    Other,
}

impl SqlState {
    pub(crate) fn from_code(code: &str) -> Self {
        match code {
            "AB001" => Self::Cancelled,
            "AB002" => Self::RunFailed,
            "AB003" => Self::BadRetryStrategy,
            "AB004" => Self::LeaseLost,
            "AB005" => Self::BadFilter,
            "42P01" => Self::QueueMissing,
            "3F000" | "42883" => Self::SchemaMissing,
            "40001" | "40P01" => Self::TryAgain,
            "P0001" => Self::Refused,
            FEATURE_MISSING => Self::FeatureMissing,
            _ => Self::Other,
        }
    }
}

pub(super) const FEATURE_MISSING: &str = "0A000";

/// Codes by which a server says that it is going down or not yet up (class 57P),
/// that connections are short (53300), or that the connection broke (class 08).
pub(super) fn is_outage(code: &str) -> bool {
    matches!(code, "57P01" | "57P02" | "57P03" | "53300" | "25006") || code.starts_with("08")
}
