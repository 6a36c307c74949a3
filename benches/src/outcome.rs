//! What a workload found.

use std::{borrow::Cow, collections::BTreeMap};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    error::Result,
    measure::{Percentiles, Spread},
    profile::Shares,
};

/// All that one workload found.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Outcome {
    /// Its targets, and what was measured.
    pub(crate) checks: Vec<Check>,
    /// What it cost, by the name of the part that was measured.
    pub(crate) costs: BTreeMap<&'static str, Cost>,
    /// Latencies in milliseconds, by name.
    pub(crate) latencies: BTreeMap<&'static str, Percentiles>,
    /// Whatever else is worth knowing.
    pub(crate) notes: BTreeMap<&'static str, Value>,
    /// The statements with the most time; absent where PostgreSQL doesn't count them.
    pub(crate) statements: Option<TopStatements>,
    /// Where the processors' time went; absent without `--profile`.
    pub(crate) profile: Option<Shares>,
}

/// A target and what was measured.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Check {
    /// What was measured.
    pub(crate) what: Cow<'static, str>,
    /// Of what, for example `tasks/s`.
    pub(crate) unit: Cow<'static, str>,
    /// The engine.
    pub(crate) measured: Spread,
    /// The same with plain SQL, where the target is a ratio.
    pub(crate) limit: Option<Spread>,
    /// The engine's median over the limit's.
    pub(crate) ratio: Option<f64>,
    /// What is to be reached.
    pub(crate) target: Target,
    /// Whether it was.
    pub(crate) met: bool,
}

/// What a number, or a ratio where there is a limit, is to reach.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Target {
    /// This or more.
    AtLeast(f64),
    /// This or less.
    AtMost(f64),
    /// Less than this.
    Below(f64),
}

impl Target {
    fn is_met_by(self, value: f64) -> bool {
        match self {
            Self::AtLeast(target) => value >= target,
            Self::AtMost(target) => value <= target,
            Self::Below(target) => value < target,
        }
    }
}

impl Check {
    /// A target for the number itself.
    pub(crate) fn absolute(
        what: &'static str,
        unit: &'static str,
        measured: Spread,
        target: Target,
    ) -> Self {
        Self {
            what: what.into(),
            unit: unit.into(),
            met: target.is_met_by(measured.median),
            measured,
            limit: None,
            ratio: None,
            target,
        }
    }

    /// A target for the ratio to a limit.
    pub(crate) fn against(
        what: &'static str,
        unit: &'static str,
        measured: Spread,
        limit: Spread,
        target: Target,
    ) -> Result<Self> {
        let ratio = measured.median / limit.median;
        if !ratio.is_finite() {
            return Err(format!("{what}: a limit of {} is no limit", limit.median).into());
        }
        Ok(Self {
            what: what.into(),
            unit: unit.into(),
            measured,
            limit: Some(limit),
            ratio: Some(ratio),
            target,
            met: target.is_met_by(ratio),
        })
    }
}

/// What one task, or one step, cost.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Cost {
    /// How many the other numbers were divided by.
    pub(crate) units: usize,
    /// Bytes of write-ahead log for each.
    pub(crate) wal_bytes: f64,
    /// Commits for each.
    pub(crate) commits: f64,
    /// Statements for each.
    pub(crate) statements: f64,
    /// How many of each statement were sent in all.
    pub(crate) statements_by_name: BTreeMap<String, u64>,
    /// Processor time of all of PostgreSQL's processes for each, in microseconds.
    pub(crate) postgres_cpu_us: f64,
    /// Processor time of ours for each, in microseconds.
    pub(crate) our_cpu_us: f64,
    /// The queue's tables afterwards.
    pub(crate) tables: BTreeMap<String, TableState>,
}

/// What a workload left of a table.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct TableState {
    /// Row versions that a vacuum has to remove.
    pub(crate) dead: i64,
    /// Updates.
    pub(crate) updates: i64,
    /// Those of them that touched no index.
    pub(crate) hot_updates: i64,
}

/// The statements with the most time in the round that timed them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct TopStatements {
    /// Those that clients sent; their times hold those of the statements inside.
    pub(crate) sent: Vec<TopStatement>,
    /// Those inside of functions; a caller's time holds those of the functions that it calls.
    pub(crate) inside: Vec<TopStatement>,
}

/// A statement as PostgreSQL counted it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct TopStatement {
    /// Its text, on one line.
    pub(crate) text: String,
    /// How often it ran.
    pub(crate) calls: i64,
    /// In milliseconds.
    pub(crate) total_ms: f64,
    /// In milliseconds.
    pub(crate) mean_ms: f64,
    /// Rows returned or touched.
    pub(crate) rows: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread(value: f64) -> Spread {
        Spread::of(vec![value]).unwrap()
    }

    #[test]
    fn only_the_numbers_decide() {
        let check = |ours, limit, target| {
            Check::against("a", "b", spread(ours), spread(limit), target).unwrap()
        };
        assert!(check(6.0, 10.0, Target::AtLeast(0.6)).met);
        assert!(!check(5.9, 10.0, Target::AtLeast(0.6)).met);
        assert!(!check(16.0, 10.0, Target::AtMost(1.5)).met);
        let absolute = Check::absolute("a", "b", spread(5.0), Target::Below(5.0));
        assert!(!absolute.met);
    }

    #[test]
    fn a_limit_of_nothing_is_an_error() {
        let target = Target::AtLeast(0.6);
        Check::against("a", "b", spread(1.0), spread(0.0), target).unwrap_err();
    }
}
