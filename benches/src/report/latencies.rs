//! Latencies as a table and as a plot: the middle, nine of ten, and all but one of a hundred.

use super::{
    Measured,
    svg::{Anchor, LogAxis, Plot, ROW, TOP},
};
use crate::{measure::Percentiles, table};

const AXIS: LogAxis = LogAxis {
    pixels: (300.0, 680.0),
    values: (0.01, 100.0),
};
const TICKS: [(f64, &str); 5] = [
    (0.01, "0.01 ms"),
    (0.1, "0.1"),
    (1.0, "1"),
    (10.0, "10"),
    (100.0, "100 ms"),
];

/// A row for each latency.
pub(super) fn table(measured: &Measured) -> String {
    let header = [
        "",
        "latency",
        "samples",
        "p50, ms",
        "p90, ms",
        "p99, ms",
        "longest, ms",
    ];
    let mut table = table::empty(&header);
    for (id, name, latency) in measured.latencies() {
        let Percentiles {
            count,
            p50,
            p90,
            p99,
            max,
        } = *latency;
        let mut row = vec![id.to_owned(), name.to_owned(), count.to_string()];
        row.extend([p50, p90, p99, max].map(table::short));
        table.add_row(row);
    }
    table.to_string()
}

/// The same without the longest.
pub(super) fn plot(measured: &Measured) -> String {
    let rows: Vec<_> = measured.latencies().collect();
    let bottom = rows.iter().fold(TOP, |y, _| y + ROW);
    let note = "Milliseconds, logarithmic. Dot: p50. Ring: p90. End of the line: p99.";
    let mut plot = Plot::new(bottom + 40.0, "Latencies", note);
    for (tick, label) in TICKS {
        let x = AXIS.at(tick);
        plot.line((x, TOP - 8.0), (x, bottom), "grid");
        plot.text((x, bottom + 18.0), Anchor::Middle, "small", label);
    }
    let mut y = TOP;
    for (id, name, latency) in rows {
        let (base, middle) = (y + 11.0, y + 7.0);
        let Percentiles { p50, p90, p99, .. } = *latency;
        let [x50, x90, x99] = [p50, p90, p99].map(|value| AXIS.at(value));
        plot.text((286.0, base), Anchor::End, "", &format!("{id} {name}"));
        plot.line((x50, middle), (x99, middle), "line-one");
        plot.line((x99, middle - 6.0), (x99, middle + 6.0), "line-one");
        plot.dot((x90, middle), "ring");
        plot.dot((x50, middle), "one");
        let said = [p50, p90, p99].map(table::short).join(" / ");
        plot.text((694.0, base), Anchor::Start, "note", &said);
        y += ROW;
    }
    plot.into_svg()
}
