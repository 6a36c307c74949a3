//! File names of single subbands: `2026-01-26T08:05:18_sb07.hdf5`.

use std::fmt;
use std::path::{Path, PathBuf};

use jiff::civil::DateTime;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::group_id::GroupId;

/// The number of a subband, 0 to 15; 0 is the one of highest frequency.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct SubbandIndex(pub u8);

impl fmt::Display for SubbandIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sb{:02}", self.0)
    }
}

/// A subband file, as far as its name tells.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "PathBuf", into = "PathBuf")]
#[schemars(with = "PathBuf")]
pub struct SubbandFile {
    path: PathBuf,
    stamp: GroupId,
    subband: SubbandIndex,
}

/// A file whose name is not that of a subband.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "{}: {problem}; a subband file is called like 2026-01-26T08:05:18_sb07.hdf5",
    path.display()
)]
pub struct SubbandNameError {
    /// The file in question.
    pub path: PathBuf,
    /// Which part of the name is wrong.
    pub problem: &'static str,
}

impl SubbandFile {
    /// Reads time and subband from the last part of `path`; opens nothing.
    pub fn parse(path: impl Into<PathBuf>) -> Result<Self, SubbandNameError> {
        let path = path.into();
        match parse_name(&path) {
            Ok((stamp, subband)) => Ok(Self {
                path,
                stamp,
                subband,
            }),
            Err(problem) => Err(SubbandNameError { path, problem }),
        }
    }

    /// Where the file lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The UTC time in the name; files of one observation may differ by seconds.
    pub fn start(&self) -> DateTime {
        self.stamp.start()
    }

    /// The time in the name as a group would carry it.
    pub fn stamp(&self) -> GroupId {
        self.stamp
    }

    /// The subband in the name.
    pub fn subband(&self) -> SubbandIndex {
        self.subband
    }
}

fn parse_name(path: &Path) -> Result<(GroupId, SubbandIndex), &'static str> {
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .ok_or("the name is no text")?;
    let stem = name
        .strip_suffix(".hdf5")
        .ok_or("the name does not end in .hdf5")?;
    let (time, subband) = stem
        .split_once("_sb")
        .ok_or("_sb is missing from the name")?;
    let stamp = time
        .parse()
        .map_err(|_| "the time is not written YYYY-MM-DDTHH:MM:SS")?;
    if subband.len() != 2 || !subband.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("the subband is not written with two digits");
    }
    match subband.parse() {
        Ok(index @ 0..=15) => Ok((stamp, SubbandIndex(index))),
        _ => Err("subbands go from 00 to 15"),
    }
}

impl TryFrom<PathBuf> for SubbandFile {
    type Error = SubbandNameError;

    fn try_from(path: PathBuf) -> Result<Self, Self::Error> {
        Self::parse(path)
    }
}

impl From<SubbandFile> for PathBuf {
    fn from(file: SubbandFile) -> Self {
        file.path
    }
}
