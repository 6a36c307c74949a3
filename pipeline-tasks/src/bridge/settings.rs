//! How the bridge is to behave.

use std::{fmt, path::PathBuf, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Settings of a bridge.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Where the correlator's files arrive; nothing in it is ever changed.
    pub incoming: PathBuf,
    /// Where products go; the bridge keeps its own files in `bridge` below it.
    pub output: PathBuf,
    /// A file that has not changed for so long is taken for complete, and opened.
    pub settle: Duration,
    /// A group that still lacks subbands so long after its last file changed is overdue.
    pub deadline: Duration,
    /// What then happens to it.
    pub partial: Partial,
    /// Nothing is submitted while more tasks than these are pending.
    pub queue_max: u32,
    /// Nothing is submitted while the disk of the output folder has less than this free.
    pub disk_min: Bytes,
    /// How often the folder is looked at when no event says that something has changed.
    pub scan_interval: Duration,
}

/// What happens to a group whose missing subbands do not come in time. None is converted as it
/// is: conversion takes whole groups only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Partial {
    /// It is reported as refused.
    #[default]
    Refuse,
    /// It goes on collecting, without a report.
    Wait,
}

impl Settings {
    /// The settings of an installation that says nothing else.
    pub fn new(incoming: impl Into<PathBuf>, output: impl Into<PathBuf>) -> Self {
        Self {
            incoming: incoming.into(),
            output: output.into(),
            settle: Duration::from_secs(5),
            deadline: Duration::from_mins(10),
            partial: Partial::Refuse,
            queue_max: 1_000,
            disk_min: Bytes(100_000_000_000),
            scan_interval: Duration::from_secs(2),
        }
    }
}

/// An amount of data. Written `100GB` or as a plain number of bytes; the units are powers of a
/// thousand, as disks are sold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Bytes(pub u64);

/// A text that is no amount of data.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{text}` is no amount of data; write for example 500MB, 100GB or 2TB")]
pub struct BytesError {
    /// What was given.
    pub text: String,
}

/// Longer names first, for every name ends in the last one.
const UNITS: [(&str, u64); 5] = [
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
];

impl FromStr for Bytes {
    type Err = BytesError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (number, unit) = UNITS
            .into_iter()
            .find_map(|(name, unit)| Some((text.strip_suffix(name)?, unit)))
            .unwrap_or((text, 1));
        let number = number.trim().parse::<u64>().ok();
        let bytes = number.and_then(|number| number.checked_mul(unit));
        bytes.map(Self).ok_or_else(|| BytesError {
            text: text.to_owned(),
        })
    }
}

impl fmt::Display for Bytes {
    /// Rounded down to the largest unit of which there is at least one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = UNITS.into_iter().find(|(_, unit)| self.0 >= *unit);
        let (name, unit) = fits.unwrap_or(("B", 1));
        write!(f, "{} {name}", self.0 / unit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_of_data_are_read_as_people_write_them() -> Result<(), BytesError> {
        for (text, bytes) in [
            ("100GB", 100_000_000_000),
            ("2 TB", 2_000_000_000_000),
            ("7kB", 7_000),
            ("7B", 7),
            ("12345", 12_345),
        ] {
            assert_eq!(text.parse::<Bytes>()?, Bytes(bytes), "{text}");
        }
        for text in ["", "GB", "-1GB", "1.5GB", "99999999999TB", "1 PB"] {
            assert!(text.parse::<Bytes>().is_err(), "{text}");
        }
        assert_eq!(Bytes(99_999_999_999).to_string(), "99 GB");
        assert_eq!(Bytes(0).to_string(), "0 B");
        Ok(())
    }
}
