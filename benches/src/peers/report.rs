//! The report on peers: a table, notes on each, and all of it as JSON.

use std::{collections::BTreeMap, fmt::Write as _};

use serde_json::{Map, Value, json};

use super::{
    FoundOf,
    list::Peer,
    order::Workload,
    results::{Found, Results},
};
use crate::table;

/// Stands where a peer can't do it.
const CANNOT: &str = "-";
/// Stands where a peer should have.
const FAILED: &str = "failed";

/// One number of a workload.
struct Column {
    workload: Workload,
    part: Part,
}

#[derive(Clone, Copy)]
enum Part {
    PerSecond,
    P50,
    P99,
}

impl Column {
    fn title(&self) -> String {
        let workload = self.workload;
        let unit = match (workload, self.part) {
            (Workload::W1 | Workload::W2, _) => "spawns/s",
            (Workload::W4, _) => "steps/s",
            (_, Part::PerSecond) => "tasks/s",
            (_, Part::P50) => "p50 ms",
            (_, Part::P99) => "p99 ms",
        };
        format!("{workload} {unit}")
    }

    fn number(&self, found: &Found) -> Option<f64> {
        match (self.part, found) {
            (Part::PerSecond, Found::PerSecond(spread)) => Some(spread.median),
            (Part::P50, Found::Latency { p50, .. }) => Some(p50.median),
            (Part::P99, Found::Latency { p99, .. }) => Some(p99.median),
            _ => None,
        }
    }
}

fn columns() -> Vec<Column> {
    let of = |workload: Workload| {
        let parts: &[Part] = match workload {
            Workload::W5 => &[Part::P50],
            Workload::W6 | Workload::W7 => &[Part::P50, Part::P99],
            _ => &[Part::PerSecond],
        };
        parts.iter().map(move |&part| Column { workload, part })
    };
    Workload::ALL.into_iter().flat_map(of).collect()
}

/// A row for each peer, with the medians of the rounds; the notes below have the numbers in
/// brackets.
pub(super) fn table(peers: &[&Peer], found: &FoundOf) -> String {
    let columns: Vec<Column> = columns()
        .into_iter()
        .filter(|column| {
            found
                .keys()
                .any(|(_, workload)| *workload == column.workload)
        })
        .collect();
    let mut header = vec![String::new()];
    header.extend(columns.iter().map(Column::title));
    let mut table = table::empty(&header);
    for (index, peer) in peers.iter().enumerate() {
        let mut row = vec![format!("{} [{}]", peer.name, index + 1)];
        row.extend(columns.iter().map(|column| cell(peer, column, found)));
        table.add_row(row);
    }
    table.to_string()
}

fn cell(peer: &Peer, column: &Column, found: &FoundOf) -> String {
    if !peer.can(column.workload) {
        return CANNOT.to_owned();
    }
    let found = found.get(&(peer.name, column.workload));
    let number = found.and_then(|found| column.number(found));
    number.map_or_else(|| FAILED.to_owned(), table::short)
}

/// What each peer is, what it does not do, and how it was tuned.
pub(super) fn notes(peers: &[&Peer], tunings: &BTreeMap<&'static str, Vec<String>>) -> String {
    let mut notes = String::new();
    for (index, peer) in peers.iter().enumerate() {
        let tuning = tunings.get(peer.name).map(|notes| notes.join("; "));
        let tuning = tuning.unwrap_or_else(|| "no settings".to_owned());
        // Writing to a string can't fail.
        let _ = writeln!(
            notes,
            "[{}] {}: {}{} Set: {tuning}.",
            index + 1,
            peer.title(),
            peer.note,
            peer.fewer()
        );
    }
    notes
}

/// All of it, for programs.
pub(super) fn json(peers: &[&Peer], found: &FoundOf, results: &Results) -> Value {
    let of_peer = |peer: &&Peer| {
        let mut workloads = Map::new();
        for workload in Workload::ALL {
            if let Some(found) = found.get(&(peer.name, workload)) {
                workloads.insert(workload.to_string(), json!(found));
            } else if let Some(why) = results.failure(peer, workload) {
                workloads.insert(workload.to_string(), json!({ "error": why }));
            }
        }
        let value = json!({
            "title": peer.title(),
            "note": peer.note,
            "set": results.tunings().get(peer.name),
            "one_task_in": peer.share,
            "workloads": workloads,
        });
        (peer.name.to_owned(), value)
    };
    Value::Object(peers.iter().map(of_peer).collect())
}

#[cfg(test)]
mod tests {
    use super::{super::list, *};
    use crate::measure::Spread;

    fn sample() -> (Vec<&'static Peer>, FoundOf) {
        let peers = list::chosen(&["ours".to_owned(), "graphile_worker".to_owned()]).unwrap();
        let rate = |median: f64| Found::PerSecond(Spread::of(vec![median]).unwrap());
        let found = FoundOf::from([
            (("ours", Workload::W3), rate(12_345.6)),
            (("ours", Workload::W4), rate(20_000.0)),
            (("graphile_worker", Workload::W3), rate(9_000.0)),
        ]);
        (peers, found)
    }

    #[test]
    fn a_table_has_a_row_for_each_peer() {
        let (peers, found) = sample();
        let table = table(&peers, &found);
        let row = |name: &str| -> Vec<String> {
            let line = table.lines().find(|line| line.contains(name)).unwrap();
            line.split('|').map(|cell| cell.trim().to_owned()).collect()
        };
        assert_eq!(row("W3")[2..4], ["W3 tasks/s", "W4 steps/s"]);
        assert_eq!(row("ours")[2..4], ["12346", "20000"]);
        assert_eq!(row("graphile_worker")[2..4], ["9000", CANNOT]);
    }

    #[test]
    fn what_could_be_done_and_was_not_is_said() {
        let (peers, mut found) = sample();
        found.remove(&("ours", Workload::W3));
        assert!(table(&peers, &found).contains(FAILED));
    }

    #[test]
    fn notes_say_what_a_peer_does_not_do() {
        let (peers, _) = sample();
        let tunings = BTreeMap::from([("graphile_worker", vec!["a local queue".to_owned()])]);
        let notes = notes(&peers, &tunings);
        assert!(notes.contains("[2] crate graphile_worker "), "{notes}");
        assert!(notes.contains("a local queue"), "{notes}");
    }

    #[test]
    fn the_report_for_programs_has_all_numbers() {
        let (peers, found) = sample();
        let json = json(&peers, &found, &Results::default());
        let median = &json["ours"]["workloads"]["W3"]["per_second"]["median"];
        assert!((median.as_f64().unwrap() - 12_345.6).abs() < 1e-9);
    }
}
