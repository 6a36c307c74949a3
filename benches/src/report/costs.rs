//! What one task or step costs the database, as bars.

use super::{
    Measured,
    svg::{Anchor, Plot, ROW, TOP},
};
use crate::outcome::Cost;

/// The workloads that keep everybody busy. Where tasks come one at a time, most of the cost is
/// that of waiting.
const BUSY: &[&str] = &["W1", "W2", "W3", "W4", "W9", "W10"];
/// The abscissae where the bars of both panels begin.
const WAL: f64 = 240.0;
const PROCESSOR: f64 = 560.0;
/// The longest bar.
const LONGEST: f64 = 190.0;

/// A row for each cost, with its log on the left and its processor time on the right.
pub(super) fn plot(measured: &Measured) -> String {
    let rows: Vec<(&str, &str, &Cost)> = measured
        .costs()
        .filter(|(id, _, _)| BUSY.contains(id))
        .collect();
    let top = TOP + 20.0;
    let bottom = rows.iter().fold(top, |y, _| y + ROW);
    let note = "For one task or step, in workloads that keep the database busy.";
    let mut plot = Plot::new(bottom + 16.0, "What one task or step costs", note);
    plot.text(
        (WAL, TOP + 4.0),
        Anchor::Start,
        "small",
        "write-ahead log, bytes",
    );
    plot.bar(PROCESSOR, PROCESSOR + 14.0, TOP - 7.0, "one");
    plot.text(
        (PROCESSOR + 20.0, TOP + 4.0),
        Anchor::Start,
        "small",
        "PostgreSQL, µs",
    );
    plot.bar(PROCESSOR + 124.0, PROCESSOR + 138.0, TOP - 7.0, "two");
    plot.text(
        (PROCESSOR + 144.0, TOP + 4.0),
        Anchor::Start,
        "small",
        "our process, µs",
    );
    let most = |number: fn(&Cost) -> f64| rows.iter().map(|row| number(row.2)).fold(1.0, f64::max);
    let (wal_most, processor_most) = (most(|cost| cost.wal_bytes), most(processor));
    let mut y = top;
    for (id, part, cost) in &rows {
        let base = y + 11.0;
        plot.text((WAL - 14.0, base), Anchor::End, "", &format!("{id} {part}"));
        let end = WAL + cost.wal_bytes / wal_most * LONGEST;
        plot.bar(WAL, end, y, "one");
        let wal = format!("{:.0}", cost.wal_bytes);
        plot.text((end + 8.0, base), Anchor::Start, "note", &wal);
        let ours = PROCESSOR + cost.postgres_cpu_us / processor_most * LONGEST;
        let end = PROCESSOR + processor(cost) / processor_most * LONGEST;
        plot.bar(PROCESSOR, ours, y, "one");
        plot.bar(ours, end, y, "two");
        let said = format!("{:.0} + {:.0}", cost.postgres_cpu_us, cost.our_cpu_us);
        plot.text((end + 8.0, base), Anchor::Start, "note", &said);
        y += ROW;
    }
    plot.into_svg()
}

fn processor(cost: &Cost) -> f64 {
    cost.postgres_cpu_us + cost.our_cpu_us
}
