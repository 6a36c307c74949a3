//! How far each target is met, as bars to both sides of it.

use super::{
    Measured,
    svg::{Anchor, LogAxis, Plot, ROW, TOP},
};
use crate::{
    outcome::{Check, Target},
    table,
};

const AXIS: LogAxis = LogAxis {
    pixels: (300.0, 680.0),
    values: (0.125, 8.0),
};
const TICKS: [(f64, &str); 7] = [
    (0.125, "1/8"),
    (0.25, "1/4"),
    (0.5, "1/2"),
    (1.0, "1"),
    (2.0, "2"),
    (4.0, "4"),
    (8.0, "8"),
];

/// A row for each check.
pub(super) fn plot(measured: &Measured) -> String {
    let rows: Vec<(&str, &Check)> = measured.checks().collect();
    let bottom = rows.iter().fold(TOP, |y, _| y + ROW);
    let note = "How many times as good as its target, logarithmic. Blue: met. Orange: not met.";
    let mut plot = Plot::new(bottom + 40.0, "Targets", note);
    for (tick, label) in TICKS {
        let x = AXIS.at(tick);
        plot.line((x, TOP - 8.0), (x, bottom), "grid");
        plot.text((x, bottom + 18.0), Anchor::Middle, "small", label);
    }
    let mut y = TOP;
    for (id, check) in rows {
        let base = y + 11.0;
        let class = if check.met { "one" } else { "two" };
        let name = format!("{id} {}", check.what);
        plot.text((286.0, base), Anchor::End, "", &name);
        plot.bar(AXIS.at(1.0), AXIS.at(goodness(check)), y, class);
        plot.text((694.0, base), Anchor::Start, "note", &said(check));
        y += ROW;
    }
    plot.line((AXIS.at(1.0), TOP - 8.0), (AXIS.at(1.0), bottom), "base");
    plot.into_svg()
}

/// What is held against the target.
fn value(check: &Check) -> f64 {
    check.ratio.unwrap_or(check.measured.median)
}

/// Above one where the target is met.
fn goodness(check: &Check) -> f64 {
    match check.target {
        Target::AtLeast(target) => value(check) / target,
        Target::AtMost(target) | Target::Below(target) => target / value(check),
    }
}

/// The value with its unit, and the target.
fn said(check: &Check) -> String {
    let unit = match check.ratio {
        Some(_) => "",
        None => &format!(" {}", check.unit),
    };
    let number = match check.ratio {
        Some(ratio) => format!("{ratio:.2}"),
        None => table::short(check.measured.median),
    };
    format!("{number}{unit}, target {}", table::target(check.target))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Spread;

    #[test]
    fn better_is_more_whichever_way_the_target_looks() {
        let of = |target| {
            let measured = Spread::of(vec![2.0]).unwrap();
            goodness(&Check::absolute("a", "ms", measured, target))
        };
        assert!((of(Target::AtLeast(4.0)) - 0.5).abs() < 1e-9);
        assert!((of(Target::AtMost(4.0)) - 2.0).abs() < 1e-9);
        assert!((of(Target::Below(1.0)) - 0.5).abs() < 1e-9);
    }
}
