//! What other libraries took for the same work, in the run that has measured all of them.

use std::{collections::BTreeMap, fmt::Write as _};

use serde::Deserialize;

use super::Scale;
use crate::{
    machine::Machine,
    measure::Spread,
    table::{empty, short},
};

/// Our own row, which comes first.
const OURS: &str = "ours";

/// What the report reads of the file that `--peers --json` writes.
#[derive(Debug, Deserialize)]
pub(super) struct Compared {
    machine: Machine,
    scale: Scale,
    peers: BTreeMap<String, Peer>,
}

#[derive(Debug, Deserialize)]
struct Peer {
    title: String,
    note: String,
    set: Option<Vec<String>>,
    one_task_in: usize,
    workloads: BTreeMap<String, Found>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Found {
    PerSecond(Spread),
    Latency { p50: Spread, p99: Spread },
    Error(String),
}

impl Compared {
    /// The table, and a line on each peer.
    pub(super) fn text(&self) -> String {
        let workloads: Vec<&String> = self
            .peers
            .get(OURS)
            .map(|ours| ours.workloads.keys().collect())
            .unwrap_or_default();
        let mut header = vec![String::new()];
        header.extend(workloads.iter().map(ToString::to_string));
        let mut table = empty(&header);
        for (name, peer) in self.in_order() {
            let mut row = vec![name.clone()];
            row.extend(workloads.iter().map(|id| cell(peer.workloads.get(*id))));
            table.add_row(row);
        }
        let mut text = format!(
            "{}\n\nScale `{}`, {} rounds.\n\n{table}\n\n",
            self.machine.lines(),
            self.scale.name,
            self.scale.rounds
        );
        for (name, peer) in self.in_order() {
            let set = peer.set.as_deref().unwrap_or_default().join("; ");
            let fewer = match peer.one_task_in {
                1 => String::new(),
                share => format!(" It got one in {share} of the tasks."),
            };
            // Writing to a string can't fail.
            let _ = writeln!(
                text,
                "- `{name}`: {}. {}{fewer} Set: {set}.{}",
                peer.title,
                peer.note,
                peer.failures()
            );
        }
        text.trim_end().to_owned()
    }

    fn in_order(&self) -> impl Iterator<Item = (&String, &Peer)> {
        let ours = self.peers.iter().filter(|(name, _)| *name == OURS);
        ours.chain(self.peers.iter().filter(|(name, _)| *name != OURS))
    }
}

impl Peer {
    fn failures(&self) -> String {
        let failures = self.workloads.iter().filter_map(|(id, found)| match found {
            Found::Error(why) => Some(format!(" {id} failed: {why}.")),
            _ => None,
        });
        failures.collect()
    }
}

/// A rate, or the middle latency and the one that a hundredth exceeds.
fn cell(found: Option<&Found>) -> String {
    match found {
        None => "-".to_owned(),
        Some(Found::PerSecond(rate)) => short(rate.median),
        Some(Found::Latency { p50, p99 }) => {
            format!("{}, {} ms", short(p50.median), short(p99.median))
        }
        Some(Found::Error(_)) => "failed".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_says_what_a_peer_did_or_could_not() {
        let read = |json: &str| serde_json::from_str::<Found>(json).unwrap();
        let spread = |median| format!("{{\"median\":{median},\"min\":1,\"max\":3,\"runs\":[]}}");
        let rate = read(&format!("{{\"per_second\":{}}}", spread(2000.0)));
        assert_eq!(cell(Some(&rate)), "2000");
        let json = format!(
            "{{\"latency\":{{\"p50\":{},\"p99\":{},\"all\":{{}}}}}}",
            spread(1.0),
            spread(2.5)
        );
        assert_eq!(cell(Some(&read(&json))), "1.00, 2.50 ms");
        assert_eq!(cell(Some(&read("{\"error\":\"it broke\"}"))), "failed");
        assert_eq!(cell(None), "-");
    }
}
