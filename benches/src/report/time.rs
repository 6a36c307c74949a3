//! Where the time goes: by statement, and by what the processors do.

use std::collections::BTreeSet;

use super::Measured;
use crate::{
    outcome::{TopStatement, TopStatements},
    profile::Shares,
    table,
};

/// The workloads whose targets are rates or steps in a row: there time is all.
const SHOWN: &[&str] = &["W1", "W2", "W3", "W4", "W5", "W8"];
/// What a statement does stands at its begin.
const LETTERS: usize = 76;

/// A row for each statement that took the most time, with its share of its workload's.
pub(super) fn statements(measured: &Measured) -> String {
    let mut table = table::empty(&["", "statement", "calls", "mean, ms", "of the time"]);
    for (id, found) in measured.found().filter(|(id, _)| SHOWN.contains(id)) {
        let Some(TopStatements { sent, inside }) = &found.statements else {
            continue;
        };
        let all: f64 = sent.iter().map(|statement| statement.total_ms).sum();
        for (is_sent, statement) in sent
            .iter()
            .take(2)
            .map(|sent| (true, sent))
            .chain(inside.iter().map(|inside| (false, inside)))
        {
            let TopStatement {
                text,
                calls,
                total_ms,
                mean_ms,
                ..
            } = statement;
            let text: String = text.chars().take(LETTERS).collect();
            let inside = if is_sent { "" } else { "· " };
            table.add_row([
                id.to_owned(),
                format!("{inside}`{}`", text.trim().replace(['|', '`'], " ")),
                calls.to_string(),
                table::short(*mean_ms),
                percent(total_ms / all),
            ]);
        }
    }
    table.to_string()
}

/// A row for each kind of work of the processors, with its share in each workload.
pub(super) fn profile(measured: &Measured) -> String {
    let profiles = || {
        let shown = measured.found().filter(|(id, _)| SHOWN.contains(id));
        shown.filter_map(|(id, found)| Some((id, found.profile.as_ref()?)))
    };
    let kinds: BTreeSet<&String> = profiles().flat_map(|(_, shares)| shares.keys()).collect();
    if kinds.is_empty() {
        return "This run has not sampled the processors (`--profile`).".to_owned();
    }
    let mut header = vec![""];
    header.extend(profiles().map(|(id, _)| id));
    let mut table = table::empty(&header);
    for kind in kinds {
        let mut row = vec![kind.clone()];
        let share = |shares: &Shares| shares.get(kind).copied();
        row.extend(profiles().map(|(_, shares)| share(shares).map_or_else(String::new, percent)));
        table.add_row(row);
    }
    table.to_string()
}

fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}
