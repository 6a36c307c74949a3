//! Sixteen subband files make one observation.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::group_id::GroupId;
use super::subband::{SubbandFile, SubbandIndex};

/// How many subbands a complete observation has.
pub const SUBBANDS_PER_GROUP: usize = 16;

/// Files of one observation are stamped within this many seconds; the next
/// observation begins 309 seconds later.
const STAMP_SPREAD_MAX_SECONDS: i64 = 60;

/// The sixteen files of one observation, ordered by subband.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "GroupFiles")]
pub struct ObservationGroup {
    id: GroupId,
    files: Vec<SubbandFile>,
}

/// What a stored group looks like before it has been checked again.
#[derive(Deserialize, JsonSchema)]
struct GroupFiles {
    /// The files, in any order.
    files: Vec<SubbandFile>,
}

/// Why some files are no complete observation. Every case is permanent: the same
/// list of files will not become complete by trying again.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum GroupError {
    /// There was nothing to group.
    #[error("no subband files were given")]
    Empty,
    /// Some subbands have no file.
    #[error(
        "group {group} lacks {}; wait for the files or send them again",
        list(missing)
    )]
    MissingSubbands {
        /// The earliest stamp among the files that are there.
        group: GroupId,
        /// The subbands without a file.
        missing: Vec<SubbandIndex>,
    },
    /// One subband has more than one file.
    #[error(
        "group {group} has {} files for {subband} ({}); keep the right one",
        paths.len(),
        paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
    )]
    Duplicate {
        /// The earliest stamp among the files.
        group: GroupId,
        /// The subband that occurs more than once.
        subband: SubbandIndex,
        /// Its files.
        paths: Vec<PathBuf>,
    },
    /// The files belong to more than one observation.
    #[error(
        "the files from {earliest} to {latest} are more than one observation; group them first"
    )]
    SeveralObservations {
        /// The earliest stamp.
        earliest: GroupId,
        /// The latest stamp.
        latest: GroupId,
    },
}

impl GroupError {
    /// Whether another try with the same input must fail as well.
    pub fn is_permanent(&self) -> bool {
        true
    }

    /// The name that the group would have; none if there is none.
    pub fn group(&self) -> Option<GroupId> {
        match self {
            Self::Empty => None,
            Self::MissingSubbands { group, .. } | Self::Duplicate { group, .. } => Some(*group),
            Self::SeveralObservations { earliest, .. } => Some(*earliest),
        }
    }
}

fn list(subbands: &[SubbandIndex]) -> String {
    subbands
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}

impl ObservationGroup {
    /// Checks that these files are one complete observation, in whatever order
    /// they come. The same path given twice counts once.
    pub fn from_files(mut files: Vec<SubbandFile>) -> Result<Self, GroupError> {
        files.sort_by(|a, b| (a.subband(), a.path()).cmp(&(b.subband(), b.path())));
        files.dedup_by(|a, b| a.path() == b.path());
        let stamps = || files.iter().map(SubbandFile::stamp);
        let (Some(id), Some(latest)) = (stamps().min(), stamps().max()) else {
            return Err(GroupError::Empty);
        };
        if seconds_between(id, latest) > STAMP_SPREAD_MAX_SECONDS {
            return Err(GroupError::SeveralObservations {
                earliest: id,
                latest,
            });
        }
        if let Some(twice) = files
            .windows(2)
            .find(|pair| pair[0].subband() == pair[1].subband())
        {
            let subband = twice[0].subband();
            let paths = files
                .iter()
                .filter(|file| file.subband() == subband)
                .map(|file| file.path().to_owned())
                .collect();
            return Err(GroupError::Duplicate {
                group: id,
                subband,
                paths,
            });
        }
        let missing: Vec<_> = (0_u8..16)
            .map(SubbandIndex)
            .filter(|subband| files.iter().all(|file| file.subband() != *subband))
            .collect();
        if !missing.is_empty() {
            return Err(GroupError::MissingSubbands { group: id, missing });
        }
        Ok(Self { id, files })
    }

    /// The name of the group: its earliest stamp.
    pub fn id(&self) -> GroupId {
        self.id
    }

    /// Its sixteen files, `sb00` (highest frequency) first.
    pub fn files(&self) -> &[SubbandFile] {
        &self.files
    }
}

impl TryFrom<GroupFiles> for ObservationGroup {
    type Error = GroupError;

    fn try_from(stored: GroupFiles) -> Result<Self, Self::Error> {
        Self::from_files(stored.files)
    }
}

/// Sorts files into observations by their stamps, earliest first.
///
/// A cluster reaches from its earliest file to one minute later, so that the
/// outcome does not depend on the order in which files were listed. Each cluster
/// is then one complete group or says why it is none.
pub fn cluster(
    files: impl IntoIterator<Item = SubbandFile>,
) -> Vec<Result<ObservationGroup, GroupError>> {
    let mut files: Vec<_> = files.into_iter().collect();
    files.sort_by_key(SubbandFile::stamp);
    let mut groups = Vec::new();
    let mut rest = files.as_slice();
    while let Some(first) = rest.first() {
        let size = rest.partition_point(|file| {
            seconds_between(first.stamp(), file.stamp()) <= STAMP_SPREAD_MAX_SECONDS
        });
        let (cluster, later) = rest.split_at(size);
        groups.push(ObservationGroup::from_files(cluster.to_vec()));
        rest = later;
    }
    groups
}

fn seconds_between(earlier: GroupId, later: GroupId) -> i64 {
    later.start().duration_since(earlier.start()).as_secs()
}
