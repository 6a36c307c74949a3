//! How often and when a failed task is tried again, and when it is given up.

use std::time::Duration;

use serde_json::{Value, json};

/// The longest delay the engine accepts: one day.
const DELAY_MAX: Duration = Duration::from_hours(24);

/// The delay before the next attempt, after attempt `n` (from 1) failed.
///
/// The number of attempts is set apart from it, by [`Attempts`].
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum RetryPolicy {
    /// At once.
    #[default]
    Immediate,
    /// Always the same delay.
    Fixed {
        /// The delay, at most a day.
        base: Duration,
    },
    /// `base * factor^(n - 1)`, at most `max`.
    Exponential {
        /// The first delay, at most a day.
        base: Duration,
        /// Growth from one delay to the next.
        factor: f64,
        /// The longest delay; a day where it is absent.
        max: Option<Duration>,
    },
}

/// A retry policy that the engine would refuse.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the retry policy's {field} is out of range; {hint}")]
pub struct InvalidRetryPolicy {
    field: &'static str,
    hint: &'static str,
}

impl RetryPolicy {
    /// The same delay before every retry.
    pub fn fixed(base: Duration) -> Self {
        Self::Fixed { base }
    }

    /// Doubling delays from `base` on, at most a day each.
    pub fn exponential(base: Duration) -> Self {
        Self::Exponential {
            base,
            factor: 2.0,
            max: None,
        }
    }

    /// The delay after failure `n`, from 1, where this process itself waits.
    pub(crate) fn delay(self, failure: u32) -> Duration {
        match self {
            Self::Immediate => Duration::ZERO,
            Self::Fixed { base } => base,
            Self::Exponential { base, factor, max } => {
                let max = max.unwrap_or(DELAY_MAX);
                let growth = factor.powf(f64::from(failure.saturating_sub(1)));
                let seconds = base.as_secs_f64() * growth;
                Duration::try_from_secs_f64(seconds).map_or(max, |delay| delay.min(max))
            }
        }
    }

    /// The wire form, checked by the rules that the engine has for it, so that a
    /// policy one database would store and stumble over later is refused here.
    pub(crate) fn to_json(self) -> Result<Value, InvalidRetryPolicy> {
        match self {
            Self::Immediate => Ok(json!({ "kind": "none" })),
            Self::Fixed { base } => {
                check_delay("base", base)?;
                Ok(json!({ "kind": "fixed", "base_seconds": seconds(base) }))
            }
            Self::Exponential { base, factor, max } => {
                check_delay("base", base)?;
                check_delay("max", max.unwrap_or_default())?;
                if !factor.is_finite() || factor < 0.0 {
                    let hint = "give a finite number that is not negative";
                    return Err(InvalidRetryPolicy {
                        field: "factor",
                        hint,
                    });
                }
                let max = seconds(max.unwrap_or(DELAY_MAX));
                Ok(json!({
                    "kind": "exponential",
                    "base_seconds": seconds(base),
                    "factor": factor,
                    "max_seconds": max,
                }))
            }
        }
    }
}

fn check_delay(field: &'static str, delay: Duration) -> Result<(), InvalidRetryPolicy> {
    if delay > DELAY_MAX {
        return Err(InvalidRetryPolicy {
            field,
            hint: "give at most 24 hours",
        });
    }
    Ok(())
}

/// Whole seconds as an integer, others as a fraction: other clients print them as they stand.
fn seconds(duration: Duration) -> Value {
    if duration.subsec_nanos() == 0 {
        return json!(duration.as_secs());
    }
    json!(duration.as_secs_f64())
}

/// How many attempts a task has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Attempts {
    /// What the next more general setting says: task, then client.
    #[default]
    Inherit,
    /// No limit.
    Unlimited,
    /// This many, the first one included.
    AtMost(u32),
}

/// When a task is cancelled by itself. Whole seconds; fractions are rounded up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cancellation {
    /// From spawn until the first start.
    pub max_delay: Option<Duration>,
    /// From the first start on, by the clock on the wall, sleeps and retries included.
    pub max_duration: Option<Duration>,
}

impl Cancellation {
    pub(crate) fn to_json(self) -> Option<Value> {
        let mut policy = serde_json::Map::new();
        let whole = |duration| json!(crate::period::ceil_seconds(duration));
        if let Some(delay) = self.max_delay {
            policy.insert("max_delay".into(), whole(delay));
        }
        if let Some(duration) = self.max_duration {
            policy.insert("max_duration".into(), whole(duration));
        }
        (!policy.is_empty()).then_some(Value::Object(policy))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wire_form_is_what_other_clients_send() {
        let policy = RetryPolicy::Exponential {
            base: Duration::from_secs(2),
            factor: 3.0,
            max: Some(Duration::from_millis(90_500)),
        };
        assert_eq!(
            policy.to_json(),
            Ok(json!({
                "kind": "exponential", "base_seconds": 2, "factor": 3.0, "max_seconds": 90.5
            })),
        );
    }

    #[test]
    fn what_the_engine_would_refuse_is_refused_here() {
        assert!(
            RetryPolicy::fixed(Duration::from_hours(25))
                .to_json()
                .is_err()
        );
        let nan = RetryPolicy::Exponential {
            base: Duration::ZERO,
            factor: f64::NAN,
            max: None,
        };
        assert!(nan.to_json().is_err());
    }
}
