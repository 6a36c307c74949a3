//! Words and numbers as a page shows them.

use std::fmt;

use crate::model::{Degrees, SkyPosition};

/// A text of any origin, harmless in a page and in an attribute.
pub(super) struct Escaped<'a>(pub(super) &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for letter in self.0.chars() {
            match letter {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                // Other control letters are not allowed in HTML, however they are written.
                letter if letter.is_control() && !letter.is_whitespace() => {
                    f.write_str("\u{fffd}")?;
                }
                letter => write!(f, "{letter}")?,
            }
        }
        Ok(())
    }
}

/// A position in hours and degrees, minutes and seconds, to a tenth of an arcsecond.
pub(super) struct Sexagesimal(pub(super) SkyPosition);

impl fmt::Display for Sexagesimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Degrees(ra) = self.0.ra.wrapped().to_degrees();
        let Degrees(dec) = self.0.dec.to_degrees();
        // Rounded before it is taken apart, so that no 60 seconds can come out.
        let time = (ra / 15.0 * 360_000.0).round() % 8_640_000.0;
        let arc = (dec.abs() * 36_000.0).round();
        let sign = if dec < 0.0 { '\u{2212}' } else { '+' };
        write!(
            f,
            "{:02.0}:{:02.0}:{:05.2} {sign}{:02.0}:{:02.0}:{:04.1}",
            (time / 360_000.0).floor(),
            (time / 6_000.0).floor() % 60.0,
            time % 6_000.0 / 100.0,
            (arc / 36_000.0).floor(),
            (arc / 600.0).floor() % 60.0,
            arc % 600.0 / 10.0,
        )
    }
}

/// A number with as many digits as its size deserves.
pub(super) fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// A small angle with its sign, to a hundredth; what rounds to zero has no minus.
pub(super) fn signed(value: f64) -> String {
    format!("{:+.2}", (value * 100.0).round() / 100.0 + 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_harmless() {
        let text = Escaped("<b a=\"1\" b='2'>&\u{7}\n").to_string();
        assert_eq!(
            text,
            "&lt;b a=&quot;1&quot; b=&#39;2&#39;&gt;&amp;\u{fffd}\n"
        );
    }

    #[test]
    fn positions_never_have_sixty_seconds() {
        let show = |ra, dec| Sexagesimal(SkyPosition::from_degrees(ra, dec)).to_string();
        assert_eq!(show(128.728_767, 55.572_52), "08:34:54.90 +55:34:21.1");
        assert_eq!(
            show(359.999_999_9, -0.004_166_6),
            "00:00:00.00 \u{2212}00:00:15.0"
        );
        assert_eq!(show(15.0, 59.999_999_9), "01:00:00.00 +60:00:00.0");
    }

    #[test]
    fn numbers_keep_three_digits() {
        let shown = [812.3, 81.23, 8.123, 0.812_3, -0.081_2].map(number);
        assert_eq!(shown, ["812", "81.2", "8.12", "0.812", "-0.081"]);
        let shown = [-0.004, -0.006, 1.2].map(signed);
        assert_eq!(shown, ["+0.00", "-0.01", "+1.20"]);
    }
}
