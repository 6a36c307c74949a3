//! Cron patterns: when a schedule fires. No I/O.
//!
//! croner reads the patterns and knows what happens to them where clocks are moved; it speaks
//! of time in chrono's types, which stay in this file.

use std::{fmt, str::FromStr};

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use croner::{
    Cron,
    parser::{CronParser, Seconds},
};
use jiff::Timestamp;

/// A cron pattern in a time zone: `minute hour day month weekday`, with seconds before them if
/// there are six fields. `@hourly`, `L`, `#` and `W` are known.
#[derive(Clone)]
pub struct CronPattern {
    pattern: Cron,
    text: String,
    zone: Tz,
}

/// A pattern or time zone that can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadCron {
    /// The pattern.
    #[error("`{text}` is no cron pattern: {problem}; write for example `0 3 * * *`")]
    Pattern {
        /// What was given.
        text: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The time zone.
    #[error("there is no time zone `{0}`; write for example `America/Los_Angeles` or `UTC`")]
    Zone(String),
}

impl CronPattern {
    /// Reads a pattern, and a zone by its name in the IANA database.
    pub fn new(pattern: &str, zone: &str) -> Result<Self, BadCron> {
        let zone = Tz::from_str(zone).map_err(|_| BadCron::Zone(zone.to_owned()))?;
        let parser = CronParser::builder().seconds(Seconds::Optional).build();
        let parsed = parser.parse(pattern).map_err(|error| BadCron::Pattern {
            text: pattern.to_owned(),
            problem: error.to_string(),
        })?;
        Ok(Self {
            pattern: parsed,
            text: pattern.to_owned(),
            zone,
        })
    }

    /// The pattern as it was given.
    pub fn pattern(&self) -> &str {
        &self.text
    }

    /// The time zone's name.
    pub fn time_zone(&self) -> &'static str {
        self.zone.name()
    }

    /// The first tick after a time; `None` when there is none, as for the 30th of February.
    pub fn next_after(&self, time: Timestamp) -> Option<Timestamp> {
        let next = self.pattern.find_next_occurrence(&self.local(time)?, false);
        timestamp(&next.ok()?)
    }

    /// The last tick at or before a time.
    pub fn last_until(&self, time: Timestamp) -> Option<Timestamp> {
        let last = self
            .pattern
            .find_previous_occurrence(&self.local(time)?, true);
        timestamp(&last.ok()?)
    }

    /// The ticks after a time, first one first.
    pub fn ticks_after(&self, time: Timestamp) -> impl Iterator<Item = Timestamp> + '_ {
        std::iter::successors(self.next_after(time), |tick| self.next_after(*tick))
    }

    fn local(&self, time: Timestamp) -> Option<DateTime<Tz>> {
        let nanos = u32::try_from(time.subsec_nanosecond()).ok()?;
        let utc = DateTime::<Utc>::from_timestamp(time.as_second(), nanos)?;
        Some(utc.with_timezone(&self.zone))
    }
}

impl fmt::Debug for CronPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CronPattern({:?} in {})", self.text, self.zone.name())
    }
}

fn timestamp(time: &DateTime<Tz>) -> Option<Timestamp> {
    Timestamp::from_second(time.timestamp()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticks(pattern: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
        let pattern = CronPattern::new(pattern, zone).expect("a pattern");
        let after = after.parse().expect("a time");
        let ticks = pattern.ticks_after(after).take(count);
        ticks.map(|tick| tick.to_string()).collect()
    }

    #[test]
    fn ticks_are_those_of_the_clock_on_the_wall() {
        // Clocks go forward at 02:00 on 2026-03-08 in Los Angeles.
        assert_eq!(
            ticks(
                "30 3 * * *",
                "America/Los_Angeles",
                "2026-03-07T00:00:00Z",
                3
            ),
            [
                "2026-03-07T11:30:00Z",
                "2026-03-08T10:30:00Z",
                "2026-03-09T10:30:00Z"
            ],
        );
        assert_eq!(
            ticks("*/20 * * * * *", "UTC", "2026-01-01T00:00:01Z", 2),
            ["2026-01-01T00:00:20Z", "2026-01-01T00:00:40Z"],
        );
    }

    #[test]
    fn a_tick_on_the_dot_is_the_last_one_but_not_the_next() {
        let hourly = CronPattern::new("@hourly", "UTC").expect("a pattern");
        let noon: Timestamp = "2026-01-01T12:00:00Z".parse().expect("a time");
        assert_eq!(hourly.last_until(noon), Some(noon));
        let next = hourly.next_after(noon).expect("one");
        assert_eq!(next.to_string(), "2026-01-01T13:00:00Z");
    }

    #[test]
    fn what_can_t_be_read_says_what_could() {
        let refused = CronPattern::new("soon", "UTC").expect_err("no pattern");
        assert!(
            refused.to_string().contains("write for example"),
            "{refused}"
        );
        let refused = CronPattern::new("@daily", "Mars/Olympus").expect_err("no zone");
        assert_eq!(refused, BadCron::Zone("Mars/Olympus".into()));
    }
}
