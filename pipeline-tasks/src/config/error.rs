//! Settings that can't be used.

use std::{io, path::PathBuf};

use thiserror::Error;

/// Why a program can't start with the settings that it finds. None of these goes away by itself.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// A value that makes no sense.
    #[error("{place} is `{value}`: {problem}")]
    Value {
        /// The variable, or the key and its file.
        place: String,
        /// What stands there.
        value: String,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// A setting that is wrong whatever its value is, which may be secret.
    #[error("{place}: {problem}")]
    Place {
        /// The variable, or the key and its file.
        place: String,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// A file that can't be read.
    #[error("can't read the settings in {}; see PIPELINE_CONFIG", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}
