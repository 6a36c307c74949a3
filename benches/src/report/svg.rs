//! Plots as SVG: a title, a note on what is plotted, and marks on a card of its own colour, so that
//! they are legible on light and dark pages. Lengths are in pixels, colours are classes.

use std::fmt::Write as _;

/// Width of all plots: that of a page's text.
pub(super) const WIDTH: f64 = 860.0;
/// Room for the title and the note.
pub(super) const TOP: f64 = 84.0;
/// From one row of marks to the next.
pub(super) const ROW: f64 = 24.0;

const STYLE: &str = "\
text{font:13px system-ui,-apple-system,'Segoe UI',sans-serif;fill:#1f2328}\
.title{font-size:17px;font-weight:600}.note{fill:#59636e}.small{font-size:11px;fill:#59636e}\
.card{fill:#fff;stroke:#d1d9e0}.grid{stroke:#d1d9e0}.base{stroke:#59636e}\
.one{fill:#2563a8}.two{fill:#c2571a}.line-one{stroke:#2563a8;stroke-width:3}\
.ring{fill:#fff;stroke:#2563a8;stroke-width:2}\
@media(prefers-color-scheme:dark){\
text{fill:#f0f6fc}.note,.small{fill:#9198a1}.card{fill:#0d1117;stroke:#3d444d}\
.grid{stroke:#3d444d}.base{stroke:#9198a1}.one{fill:#6cb6ff}.two{fill:#f0883e}\
.line-one{stroke:#6cb6ff}.ring{fill:#0d1117;stroke:#6cb6ff}}";

/// Which end of a text stands at its place.
#[derive(Debug, Clone, Copy)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// A plot under way.
#[derive(Debug)]
pub(super) struct Plot {
    height: f64,
    title: &'static str,
    marks: String,
}

impl Plot {
    /// A plot that is so high, with its title and what is plotted in which unit.
    pub(super) fn new(height: f64, title: &'static str, note: &str) -> Self {
        let mut plot = Self {
            height,
            title,
            marks: String::new(),
        };
        plot.text((20.0, 32.0), Anchor::Start, "title", title);
        plot.text((20.0, 54.0), Anchor::Start, "note", note);
        plot
    }

    /// One line of text; `at` is the end of its base line that the anchor names.
    pub(super) fn text(&mut self, at: (f64, f64), anchor: Anchor, class: &str, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let (x, y) = at;
        let text = escaped(text);
        self.mark(&format!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" \
             class=\"{class}\">{text}</text>"
        ));
    }

    /// A bar from one abscissa to another, in either order.
    pub(super) fn bar(&mut self, from: f64, to: f64, y: f64, class: &str) {
        let (left, width) = (from.min(to), (to - from).abs());
        self.mark(&format!(
            "<rect x=\"{left:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"14\" rx=\"2\" \
             class=\"{class}\"/>"
        ));
    }

    /// A straight line.
    pub(super) fn line(&mut self, from: (f64, f64), to: (f64, f64), class: &str) {
        let ((x1, y1), (x2, y2)) = (from, to);
        self.mark(&format!(
            "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" class=\"{class}\"/>"
        ));
    }

    /// A small circle.
    pub(super) fn dot(&mut self, at: (f64, f64), class: &str) {
        let (x, y) = at;
        self.mark(&format!(
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"5\" class=\"{class}\"/>"
        ));
    }

    /// The file's text.
    pub(super) fn into_svg(self) -> String {
        let Self {
            height,
            title,
            marks,
        } = self;
        let (width, inner_width, inner_height) = (WIDTH, WIDTH - 2.0, height - 2.0);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
             width=\"{width}\" height=\"{height}\" role=\"img\">\n<title>{title}</title>\n\
             <style>{STYLE}</style>\n<rect x=\"1\" y=\"1\" width=\"{inner_width}\" \
             height=\"{inner_height}\" rx=\"8\" class=\"card\"/>\n{marks}</svg>\n"
        )
    }

    fn mark(&mut self, mark: &str) {
        // Writing to a string can't fail.
        let _ = writeln!(self.marks, "{mark}");
    }
}

/// An axis whose steps are factors.
#[derive(Debug, Clone, Copy)]
pub(super) struct LogAxis {
    /// The abscissae of its ends.
    pub(super) pixels: (f64, f64),
    /// The values there; positive.
    pub(super) values: (f64, f64),
}

impl LogAxis {
    /// Where a value stands; values beyond an end stand at it.
    pub(super) fn at(&self, value: f64) -> f64 {
        let ((left, right), (low, high)) = (self.pixels, self.values);
        let part = (value.clamp(low, high) / low).ln() / (high / low).ln();
        left + part * (right - left)
    }
}

fn escaped(text: &str) -> String {
    let text = text.replace('&', "&amp;");
    text.replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_holds_what_is_beyond_its_ends() {
        let axis = LogAxis {
            pixels: (0.0, 100.0),
            values: (0.1, 10.0),
        };
        for (value, pixel) in [(1.0, 50.0), (10.0, 100.0), (99.0, 100.0), (0.0, 0.0)] {
            assert!((axis.at(value) - pixel).abs() < 1e-9, "{value}");
        }
    }

    #[test]
    fn text_is_no_markup() {
        assert_eq!(escaped("a < b & c"), "a &lt; b &amp; c");
    }
}
