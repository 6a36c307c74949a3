//! Lengths of time as people write them.

use std::{str::FromStr, time::Duration};

/// A length of time, from a [`Duration`] or from text such as `"90s"`, `"15m"` or `"1h 30m"`.
///
/// Text is read when the operation runs; bad text is that operation's error.
#[derive(Debug, Clone)]
pub struct Period(Result<Duration, BadPeriod>);

/// Text that is no length of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is no length of time; write for example \"250ms\", \"90s\", \"15m\" or \"1h 30m\""
)]
pub struct BadPeriod {
    text: String,
}

impl Period {
    pub(crate) fn get(self) -> Result<Duration, BadPeriod> {
        self.0
    }
}

impl From<Duration> for Period {
    fn from(duration: Duration) -> Self {
        Self(Ok(duration))
    }
}

impl From<&str> for Period {
    fn from(text: &str) -> Self {
        let bad = || BadPeriod {
            text: text.to_owned(),
        };
        let parsed = text.parse::<jiff::SignedDuration>().map_err(|_| bad());
        Self(parsed.and_then(|signed| Duration::try_from(signed).map_err(|_| bad())))
    }
}

impl From<String> for Period {
    fn from(text: String) -> Self {
        Self::from(text.as_str())
    }
}

/// Reads text at once: bad text is an error here, and not later.
impl FromStr for Period {
    type Err = BadPeriod;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::from(text).0.map(Self::from)
    }
}

/// Whole seconds, rounded up: a wait never ends before its time.
pub(crate) fn ceil_seconds(duration: Duration) -> i32 {
    let fraction = u64::from(duration.subsec_nanos() > 0);
    let whole = duration.as_secs().saturating_add(fraction);
    i32::try_from(whole).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_read_as_people_write_it() {
        let read = |text: &str| Period::from(text).get();
        assert_eq!(read("15m"), Ok(Duration::from_mins(15)));
        assert_eq!(read("1h 30m"), Ok(Duration::from_mins(90)));
        assert!(read("soon").is_err());
        assert!(read("-5s").is_err());
        assert!("-5s".parse::<Period>().is_err());
    }

    #[test]
    fn seconds_are_rounded_up() {
        assert_eq!(ceil_seconds(Duration::from_millis(1)), 1);
        assert_eq!(ceil_seconds(Duration::from_secs(2)), 2);
        assert_eq!(ceil_seconds(Duration::MAX), i32::MAX);
    }
}
