//! How a benchmark fails: with what happened, for a person to read.

use std::error::Error;

/// Any error; the workload that meets one is reported as failed.
pub(crate) type Result<T = ()> = std::result::Result<T, Box<dyn Error + Send + Sync>>;
