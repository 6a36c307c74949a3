//! Scatter plots as SVG, which a page holds without a picture file.

use std::fmt;

use super::text::Escaped;

const LEFT: f64 = 58.0;
const TOP: f64 = 12.0;
const BELOW: f64 = 46.0;
const RIGHT: f64 = 16.0;
/// About so many steps an axis is marked with.
const STEPS: f64 = 5.0;

/// A range of values along one side.
#[derive(Debug, Clone, Copy)]
pub(super) struct Axis<'a> {
    pub(super) label: &'a str,
    pub(super) low: f64,
    pub(super) high: f64,
    pub(super) logarithmic: bool,
}

impl Axis<'_> {
    /// Where a value lies, from zero to one; beyond the range is at its end.
    fn share(&self, value: f64) -> f64 {
        let share = if self.logarithmic {
            (value / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        };
        share.clamp(0.0, 1.0)
    }

    /// Round values to mark, each with its text.
    fn marks(&self) -> Vec<(f64, String)> {
        let all = if self.logarithmic {
            self.decades()
        } else {
            self.steps()
        };
        let within = all.into_iter();
        within
            .filter(|(value, _)| (self.low..=self.high).contains(value))
            .collect()
    }

    fn steps(&self) -> Vec<(f64, String)> {
        let rough = (self.high - self.low) / STEPS;
        let decade = rough.log10().floor();
        let unit = 10_f64.powf(decade);
        let step = [1.0, 2.0, 5.0, 10.0]
            .map(|factor| factor * unit)
            .into_iter()
            .find(|step| *step >= rough)
            .unwrap_or(10.0 * unit);
        let digits = digits_below_one(step);
        let first = (self.low / step).ceil();
        let numbers = (0..20_u32).map(|index| first + f64::from(index));
        numbers
            // Adding zero takes the sign off minus zero.
            .map(|number| number * step + 0.0)
            .map(|value| (value, format!("{value:.digits$}")))
            .collect()
    }

    fn decades(&self) -> Vec<(f64, String)> {
        let decades = self.low.log10().floor();
        let wide = (self.high / self.low).log10() > 2.0;
        let factors: &[f64] = if wide { &[1.0] } else { &[1.0, 2.0, 5.0] };
        let powers = (0..20_u32).map(|index| 10_f64.powf(decades + f64::from(index)));
        let values = powers.flat_map(|power| factors.iter().map(move |factor| factor * power));
        values
            .map(|value| {
                let digits = digits_below_one(value);
                (value, format!("{value:.digits$}"))
            })
            .collect()
    }
}

/// How many digits after the point a round value needs.
fn digits_below_one(value: f64) -> usize {
    // The small addition is for powers of ten that come out a little low.
    let digits = -(value.log10() + 1e-9).floor();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "held between zero and nine"
    )]
    let digits = digits.clamp(0.0, 9.0) as usize;
    digits
}

/// One mark of a plot.
#[derive(Debug)]
pub(super) struct Point {
    pub(super) x: f64,
    pub(super) y: f64,
    /// What a pointer over it shows.
    pub(super) words: String,
}

/// A scatter of points.
#[derive(Debug)]
pub(super) struct Plot<'a> {
    pub(super) title: &'a str,
    pub(super) x: Axis<'a>,
    pub(super) y: Axis<'a>,
    /// Width and height of the whole.
    pub(super) size: (f64, f64),
    pub(super) points: Vec<Point>,
    /// Values of y with a line across, each with a word; without one it is what should be.
    pub(super) lines: Vec<(f64, &'a str)>,
    /// Circles about zero, each with a word; their radii are in units of both axes.
    pub(super) circles: Vec<(f64, &'a str)>,
}

impl Plot<'_> {
    fn place_x(&self, value: f64) -> f64 {
        LEFT + self.x.share(value) * (self.size.0 - LEFT - RIGHT)
    }

    fn place_y(&self, value: f64) -> f64 {
        self.size.1 - BELOW - self.y.share(value) * (self.size.1 - TOP - BELOW)
    }

    fn frame(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (right, bottom) = (self.size.0 - RIGHT, self.size.1 - BELOW);
        for (value, text) in self.x.marks() {
            let x = self.place_x(value);
            let under = bottom + 17.0;
            writeln!(
                f,
                "<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{bottom}\"/>\
                 <text class=\"tick\" x=\"{x:.1}\" y=\"{under}\">{text}</text>"
            )?;
        }
        for (value, text) in self.y.marks() {
            let y = self.place_y(value);
            let (before, under) = (LEFT - 8.0, y + 4.0);
            writeln!(
                f,
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
                 <text class=\"tick left\" x=\"{before}\" y=\"{under:.1}\">{text}</text>"
            )?;
        }
        let middle = (f64::midpoint(LEFT, right), f64::midpoint(TOP, bottom));
        writeln!(
            f,
            "<text class=\"label\" x=\"{:.1}\" y=\"{:.1}\">{}</text>\
             <text class=\"label\" transform=\"translate(14 {:.1}) rotate(-90)\">{}</text>",
            middle.0,
            self.size.1 - 8.0,
            Escaped(self.x.label),
            middle.1,
            Escaped(self.y.label),
        )
    }

    fn limits(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let right = self.size.0 - RIGHT;
        for (value, word) in &self.lines {
            let class = if word.is_empty() { "aim" } else { "limit" };
            let y = self.place_y(*value);
            let above = y - 4.0;
            writeln!(
                f,
                "<line class=\"{class}\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
                 <text class=\"tick left\" x=\"{right}\" y=\"{above:.1}\">{}</text>",
                Escaped(word),
            )?;
        }
        let (x, y) = (self.place_x(0.0), self.place_y(0.0));
        let inside = self.circles.iter();
        for (radius, word) in inside.filter(|(radius, _)| *radius <= self.x.high) {
            let drawn = self.place_x(*radius) - x;
            writeln!(
                f,
                "<circle class=\"limit\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{drawn:.1}\"/>\
                 <text class=\"tick\" x=\"{x:.1}\" y=\"{:.1}\">{}</text>",
                y - drawn - 4.0,
                Escaped(word),
            )?;
        }
        Ok(())
    }
}

impl fmt::Display for Plot<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (width, height) = self.size;
        writeln!(
            f,
            "<figure><figcaption>{title}</figcaption>\
             <svg viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{title}\">",
            title = Escaped(self.title),
        )?;
        self.frame(f)?;
        self.limits(f)?;
        for point in &self.points {
            writeln!(
                f,
                "<circle class=\"point\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"4\">\
                 <title>{}</title></circle>",
                self.place_x(point.x),
                self.place_y(point.y),
                Escaped(&point.words),
            )?;
        }
        writeln!(f, "</svg></figure>")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(low: f64, high: f64, logarithmic: bool) -> Axis<'static> {
        Axis {
            label: "x",
            low,
            high,
            logarithmic,
        }
    }

    fn texts(axis: Axis<'_>) -> Vec<String> {
        axis.marks().into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn axes_are_marked_with_round_numbers() {
        assert_eq!(texts(axis(-3.0, 3.0, false)), ["-2", "0", "2"],);
        assert_eq!(texts(axis(0.68, 1.33, false)), ["0.8", "1.0", "1.2"],);
        assert_eq!(texts(axis(0.08, 0.6, true)), ["0.1", "0.2", "0.5"]);
        assert_eq!(texts(axis(0.008, 20.0, true)), ["0.01", "0.1", "1", "10"]);
    }

    #[test]
    fn points_stand_where_they_belong() {
        let plot = Plot {
            title: "A & B",
            x: axis(-10.0, 10.0, false),
            y: axis(0.1, 10.0, true),
            size: (LEFT + RIGHT + 100.0, TOP + BELOW + 100.0),
            points: vec![
                Point {
                    x: 0.0,
                    y: 1.0,
                    words: "<S>".into(),
                },
                Point {
                    x: 50.0,
                    y: 0.001,
                    words: "far".into(),
                },
            ],
            lines: vec![(1.0, ""), (10.0, "limit")],
            circles: vec![(5.0, "inside"), (20.0, "outside")],
        };
        let svg = plot.to_string();
        assert!(
            svg.contains("cx=\"108.0\" cy=\"62.0\" r=\"4\"><title>&lt;S&gt;"),
            "{svg}"
        );
        // Beyond the axes: in the corner at the lower right.
        assert!(svg.contains("cx=\"158.0\" cy=\"112.0\""), "{svg}");
        assert!(
            svg.contains("r=\"25.0\"") && svg.contains("inside"),
            "{svg}"
        );
        assert!(svg.contains("y=\"8.0\">limit</text>"), "{svg}");
        assert!(
            !svg.contains("outside") && svg.contains("A &amp; B"),
            "{svg}"
        );
    }
}
