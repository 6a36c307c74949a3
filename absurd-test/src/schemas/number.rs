//! Which numbers a schema takes, by its format and its bounds.

use serde_json::{Map, Value};

/// Numbers from `low` to `high`. The ends are rounded, which only matters far above 2^53.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Range {
    low: f64,
    high: f64,
}

/// The formats that schemars writes: bits, and whether there are negative numbers.
const INTEGERS: &[(&str, i32, bool)] = &[
    ("int8", 8, true),
    ("int16", 16, true),
    ("int32", 32, true),
    ("int64", 64, true),
    ("int128", 128, true),
    ("int", 64, true),
    ("uint8", 8, false),
    ("uint16", 16, false),
    ("uint32", 32, false),
    ("uint64", 64, false),
    ("uint128", 128, false),
    ("uint", 64, false),
];

impl Range {
    pub(super) fn of(body: &Map<String, Value>) -> Self {
        let format = Self::of_format(format(body));
        let low = bound(body, "minimum").unwrap_or(f64::NEG_INFINITY);
        let high = bound(body, "maximum").unwrap_or(f64::INFINITY);
        Self {
            low: low.max(format.low),
            high: high.min(format.high),
        }
    }

    pub(super) fn holds(self, other: Self) -> bool {
        self.low <= other.low && other.high <= self.high
    }

    fn of_format(format: &str) -> Self {
        let known = INTEGERS.iter().find(|(name, ..)| *name == format);
        match known {
            Some((_, bits, true)) => Self {
                low: -(2_f64.powi(bits - 1)),
                high: 2_f64.powi(bits - 1) - 1.0,
            },
            Some((_, bits, false)) => Self {
                low: 0.0,
                high: 2_f64.powi(*bits) - 1.0,
            },
            None => Self {
                low: f64::NEG_INFINITY,
                high: f64::INFINITY,
            },
        }
    }
}

/// Which of two formats keeps more digits: those of floating point bound nothing else.
pub(super) fn precision(body: &Map<String, Value>) -> u8 {
    match format(body) {
        "float" => 1,
        _ => 2,
    }
}

/// `uint8`, `integer from 1`, `double to 10`: bounds are named where the format has others.
pub(super) fn describe(kind: &str, body: &Map<String, Value>) -> String {
    let format = format(body);
    let known = Range::of_format(format);
    let mut text = if format.is_empty() { kind } else { format }.to_owned();
    for (word, key, end) in [
        ("from", "minimum", known.low),
        ("to", "maximum", known.high),
    ] {
        let Some(value) = body.get(key) else {
            continue;
        };
        let is_known = bound(body, key).is_some_and(|bound| bound.total_cmp(&end).is_eq());
        if !is_known {
            text.extend([" ", word, " ", &value.to_string()]);
        }
    }
    text
}

fn format(body: &Map<String, Value>) -> &str {
    body.get("format")
        .and_then(Value::as_str)
        .unwrap_or_default()
}

fn bound(body: &Map<String, Value>, key: &str) -> Option<f64> {
    body.get(key).and_then(Value::as_f64)
}
