//! Lengths of time, read while the task is compiled.

use std::time::Duration;

use syn::{Expr, ExprLit, Lit};

/// Units from the longest to the shortest, in milliseconds.
const UNITS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// The length of time that a string literal holds.
pub(crate) fn read(value: &Expr) -> syn::Result<Duration> {
    let Expr::Lit(ExprLit {
        lit: Lit::Str(text),
        ..
    }) = value
    else {
        let message = "a length of time is a string; write for example \"250ms\", \"90s\", \"15m\"";
        return Err(syn::Error::new_spanned(value, message));
    };
    parse(&text.value()).ok_or_else(|| {
        let message = format!(
            "`{}` is no length of time; write for example \"250ms\", \"90s\", \"15m\" \
             or \"1h 30m\"",
            text.value()
        );
        syn::Error::new_spanned(text, message)
    })
}

/// Whole numbers with their units, from the longest unit to the shortest, each once.
fn parse(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut units = UNITS.iter();
    let mut millis = 0_u64;
    loop {
        let (number, after) = split_where(rest, |c| !c.is_ascii_digit());
        let (word, after) = split_where(after, |c| !c.is_ascii_alphabetic());
        // The iterator goes on where it stopped, so a unit can neither repeat nor come late.
        let (_, length) = units.find(|(unit, _)| *unit == word)?;
        millis = millis.checked_add(number.parse::<u64>().ok()?.checked_mul(*length)?)?;
        rest = after.trim_start();
        if rest.is_empty() {
            return Some(Duration::from_millis(millis));
        }
    }
}

fn split_where(text: &str, end: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(end).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_with_units_add_up() {
        let cases = [
            ("250ms", 250),
            ("2s", 2_000),
            ("5m", 300_000),
            ("1h30m", 5_400_000),
            (" 1h 30m ", 5_400_000),
            ("1m5s250ms", 65_250),
            ("0s", 0),
        ];
        for (text, millis) in cases {
            assert_eq!(parse(text), Some(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        let cases = [
            "",
            " ",
            "5",
            "s",
            "soon",
            "-5s",
            "1.5s",
            "30m1h",
            "1s1s",
            "5 s",
            "1d",
            "5S",
            "1h,30m",
            "99999999999999999999s",
            "9999999999999999h",
            "1hä",
        ];
        for text in cases {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
