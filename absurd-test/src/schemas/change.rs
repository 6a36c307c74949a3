//! What a comparison finds.

use std::fmt;

/// Who reads JSON of the old schema with code of the new one, or the other way round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// Old JSON is read by new code.
    Params,
    /// Old JSON is read by new code, and new JSON by those who know the old schema.
    Output,
}

/// Whether a change of a schema harms anybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Effect {
    /// JSON that is stored, or somebody who reads it, does not fit the new code.
    Breaking,
    /// All that is stored can still be read.
    Compatible,
}

/// One difference between a recorded schema and that of the code.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SchemaChange {
    /// Whether it harms.
    pub effect: Effect,
    /// Where it is, as in `params.files[].name`; empty for the task as a whole.
    pub path: String,
    /// What is different.
    pub what: String,
}

impl Effect {
    /// For a change that only takes something away (`narrowed`), or only adds.
    pub(super) fn of(narrowed: bool) -> Self {
        if narrowed {
            Self::Breaking
        } else {
            Self::Compatible
        }
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Breaking => "breaking",
            Self::Compatible => "compatible",
        })
    }
}

impl fmt::Display for SchemaChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { effect, path, what } = self;
        let colon = if path.is_empty() { "" } else { ": " };
        write!(f, "{effect:<10}  {path}{colon}{what}")
    }
}
