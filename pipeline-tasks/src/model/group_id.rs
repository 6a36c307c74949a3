//! The name of an observation group: the earliest time stamp of its files.

use std::fmt;
use std::str::FromStr;

use jiff::civil::DateTime;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::units::Mjd;

/// The identity of an observation group, written `2026-01-26T08:05:18` (UTC).
///
/// Ordered by time. It is the file name of every product of the group.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct GroupId(DateTime);

/// A text that is no group id.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{text:?} is no group id: write the UTC time as 2026-01-26T08:05:18")]
pub struct GroupIdError {
    /// What was given.
    pub text: String,
}

impl GroupId {
    /// The UTC time in the name.
    pub fn start(self) -> DateTime {
        self.0
    }

    /// The time in the name as a modified Julian date.
    pub fn to_mjd(self) -> Mjd {
        let days = i64::from(self.0.date().day_of_year())
            + days_before_year(i64::from(self.0.year()))
            - days_before_year(1858)
            - 321;
        let time = self.0.time();
        let seconds = (f64::from(time.hour()) * 60.0 + f64::from(time.minute())) * 60.0
            + f64::from(time.second());
        #[expect(clippy::cast_precision_loss, reason = "a count of days is small")]
        Mjd(days as f64 + seconds / 86_400.0)
    }
}

/// Days from the start of year 1 to the start of `year` (Gregorian).
fn days_before_year(year: i64) -> i64 {
    let past = year - 1;
    past * 365 + past / 4 - past / 100 + past / 400
}

impl From<DateTime> for GroupId {
    fn from(start: DateTime) -> Self {
        let whole_seconds = start.with().subsec_nanosecond(0).build().unwrap_or(start);
        Self(whole_seconds)
    }
}

impl fmt::Display for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for GroupId {
    type Err = GroupIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // jiff reads more spellings than the archive writes; only the one that
        // prints the same again may name a product.
        match text.parse::<DateTime>() {
            Ok(start) if start.subsec_nanosecond() == 0 && start.to_string() == text => {
                Ok(Self(start))
            }
            _ => Err(GroupIdError {
                text: text.to_owned(),
            }),
        }
    }
}

impl TryFrom<String> for GroupId {
    type Error = GroupIdError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<GroupId> for String {
    fn from(id: GroupId) -> Self {
        id.to_string()
    }
}
