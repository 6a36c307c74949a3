//! The plots of a report: where its sources lie against a catalogue, and how bright.

use super::{
    ImageReport,
    plot::{Axis, Plot, Point},
    text::number,
};
use crate::science::{FLUX_LIMITS, Match, OFFSET_LIMITS};

/// Farther from one than this, a flux ratio is drawn at the edge: one wild source must not
/// squeeze all the others.
const RATIO_MAX: f64 = 2.5;

/// Offsets, and flux ratios against flux and against distance from the centre.
pub(super) fn figures<'a>(report: &ImageReport<'a>) -> [Plot<'a>; 3] {
    let matches = &report.crossmatch.matches;
    [
        offsets(report),
        ratios("Flux ratio and flux", flux_axis(matches), matches, |pair| {
            1_000.0 * pair.expected.0
        }),
        ratios(
            "Flux ratio and distance from the centre",
            distance_axis(report),
            matches,
            |pair| distance(report, pair),
        ),
    ]
}

fn offsets<'a>(report: &ImageReport<'a>) -> Plot<'a> {
    let matches = &report.crossmatch.matches;
    let farthest = matches.iter().map(|pair| pair.separation.0);
    let reach = 1.2 * farthest.fold(OFFSET_LIMITS.0, f64::max);
    let axis = |label| Axis {
        label,
        low: -reach,
        high: reach,
        logarithmic: false,
    };
    let points = matches.iter().map(|pair| Point {
        x: pair.offset.ra.0,
        y: pair.offset.dec.0,
        words: format!(
            "{}: {:+.2} arcsec east, {:+.2} north",
            pair.listed.name, pair.offset.ra.0, pair.offset.dec.0
        ),
    });
    Plot {
        title: "Offsets from the catalogue",
        x: axis("east, arcsec"),
        y: axis("north, arcsec"),
        size: (420.0, 404.0),
        points: points.collect(),
        lines: Vec::new(),
        circles: vec![
            (OFFSET_LIMITS.0, "warning"),
            (OFFSET_LIMITS.1, "failure"),
            (report.match_radius.0, "no match beyond"),
        ],
    }
}

fn ratios<'a>(
    title: &'a str,
    x: Axis<'a>,
    matches: &[Match],
    place: impl Fn(&Match) -> f64,
) -> Plot<'a> {
    let points = matches.iter().filter_map(|pair| {
        let ratio = pair.flux_ratio()?;
        Some(Point {
            x: place(pair),
            y: ratio,
            words: format!(
                "{}: {} measured, {} mJy expected, ratio {ratio:.3}",
                pair.listed.name,
                number(1_000.0 * pair.measured.flux.0),
                number(1_000.0 * pair.expected.0),
            ),
        })
    });
    let points: Vec<_> = points.collect();
    let (warn, fail) = FLUX_LIMITS;
    let values = points.iter().map(|point| point.y);
    let low = values.clone().fold(1.0 - 1.5 * fail, f64::min);
    let high = values.fold(1.0 + 1.5 * fail, f64::max);
    Plot {
        title,
        x,
        y: Axis {
            label: "measured over expected",
            low: low.max(0.0),
            high: high.min(RATIO_MAX),
            logarithmic: false,
        },
        size: (420.0, 320.0),
        points,
        lines: vec![
            (1.0, ""),
            (1.0 - fail, "failure"),
            (1.0 - warn, "warning"),
            (1.0 + warn, "warning"),
            (1.0 + fail, "failure"),
        ],
        circles: Vec::new(),
    }
}

/// From the faintest source to the brightest.
fn flux_axis(matches: &[Match]) -> Axis<'static> {
    let fluxes = matches.iter().map(|pair| 1_000.0 * pair.expected.0);
    let fluxes = fluxes.filter(|flux| *flux > 0.0 && flux.is_finite());
    let low = fluxes.clone().fold(f64::INFINITY, f64::min);
    let high = fluxes.fold(0.0, f64::max);
    let (low, high) = if low <= high {
        (low, high)
    } else {
        (10.0, 100.0)
    };
    Axis {
        label: "expected, mJy",
        low: low / 1.3,
        high: high * 1.3,
        logarithmic: true,
    }
}

fn distance_axis(report: &ImageReport<'_>) -> Axis<'static> {
    let matches = report.crossmatch.matches.iter();
    let farthest = matches
        .map(|pair| distance(report, pair))
        .fold(0.1, f64::max);
    Axis {
        label: "from the centre, degrees",
        low: 0.0,
        high: 1.05 * farthest,
        logarithmic: false,
    }
}

fn distance(report: &ImageReport<'_>, pair: &Match) -> f64 {
    let angle = pair.listed.position.separation(report.centre);
    angle.to_degrees().0
}
