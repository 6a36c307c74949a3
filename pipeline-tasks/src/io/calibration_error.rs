//! Why a Measurement Set is not calibrated, and whether another try is worth it.

use std::path::PathBuf;

use measurement_set::MsError;
use thiserror::Error;

use super::{gain_table::GainTableError, set_info::SetError};

/// Why a set was not calibrated.
#[derive(Debug, Error)]
pub enum CalibrationError {
    /// The set can't be used.
    #[error(transparent)]
    Set(#[from] SetError),
    /// The table can't be used.
    #[error(transparent)]
    Table(#[from] GainTableError),
    /// No source is strong enough to solve against.
    #[error(
        "{}: the catalogue's {sources} sources in the field have {flux:.2} Jy through the beam, \
         {needed:.2} Jy are needed; use a catalogue that covers the field, or other tables",
        ms.display()
    )]
    NoModel {
        /// The set.
        ms: PathBuf,
        /// How many sources are in the field.
        sources: usize,
        /// Their flux density through the beam, jansky.
        flux: f64,
        /// What is asked for.
        needed: f64,
    },
    /// The solutions are too bad to be used.
    #[error("{}: no usable gains: {problem}", ms.display())]
    BadSolutions {
        /// The set.
        ms: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// The table is of another band or array.
    #[error("{} does not fit {}: {problem}", table.display(), ms.display())]
    Unfit {
        /// The table.
        table: PathBuf,
        /// The set.
        ms: PathBuf,
        /// In what.
        problem: String,
    },
}

impl From<MsError> for CalibrationError {
    fn from(error: MsError) -> Self {
        Self::Set(error.into())
    }
}

impl CalibrationError {
    /// Whether another try with the same input must fail as well.
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::NoModel { .. } | Self::BadSolutions { .. } | Self::Unfit { .. } => true,
            Self::Set(error) => error.is_permanent(),
            Self::Table(error) => matches!(error, GainTableError::Malformed { .. }),
        }
    }
}
