//! From what lies in the folder and what was submitted to what is to be said and done. Nothing
//! here touches a disk or the database.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::{
    grouping::{Candidate, candidates, close_to},
    ledger::{Entry, Ledger, name},
    settings::{Partial, Settings},
    status::{BridgeStatus, CorruptFile, DuplicateFile, GroupState, GroupStatus, LateFile},
    survey::{Condition, Known, Survey, passed},
};
use crate::model::{GroupId, SubbandFile};

/// A group that can be submitted.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Order {
    pub(super) files: Vec<SubbandFile>,
    /// Names of files of the same observation that are left aside.
    pub(super) spare: BTreeSet<String>,
}

/// How things stand, and what can be submitted, earliest first.
pub(super) fn assess(
    survey: &Survey,
    ledger: &Ledger,
    settings: &Settings,
    now: Timestamp,
) -> (BridgeStatus, Vec<Order>) {
    let mut status = BridgeStatus {
        ignored: survey.ignored().cloned().collect(),
        ..BridgeStatus::default()
    };
    let mut submitted: BTreeMap<GroupId, Vec<(&Known, &Entry)>> = BTreeMap::new();
    let mut open = Vec::new();
    for known in survey.files() {
        match ledger.of(known.file.stamp()) {
            Some(entry) => submitted
                .entry(entry.group)
                .or_default()
                .push((known, entry)),
            None => open.push(known),
        }
    }
    open.sort_by_key(|known| known.file.stamp());
    status.submitted = submitted.len();
    for (known, entry) in submitted.into_values().flatten() {
        tell_submitted(&mut status, known, entry);
    }
    for known in &open {
        if let Condition::Corrupt(problem) = &known.condition {
            status.corrupt.push(CorruptFile {
                path: known.file.path().to_owned(),
                problem: problem.clone(),
            });
        }
    }
    let mut orders = Vec::new();
    for candidate in candidates(open.iter().copied()) {
        tell_open(&mut status, &candidate, settings, now);
        if candidate.is_ready() {
            orders.push(order(&candidate, &open));
        }
    }
    (status, orders)
}

/// A file of a submitted group is one of those that were submitted, or was left aside then, or
/// has come since.
fn tell_submitted(status: &mut BridgeStatus, known: &Known, entry: &Entry) {
    let path = known.file.path();
    let Some(name) = name(path).filter(|name| !entry.files.contains(name)) else {
        return;
    };
    let same_subband = |kept: &&String| {
        let kept = SubbandFile::parse(kept.as_str());
        kept.is_ok_and(|kept| kept.subband() == known.file.subband())
    };
    match entry.files.iter().find(same_subband) {
        Some(kept) if entry.spare.contains(&name) => status.duplicates.push(DuplicateFile {
            path: path.to_owned(),
            kept: path.with_file_name(kept),
        }),
        Some(_) => status.late.push(LateFile {
            path: path.to_owned(),
            group: entry.group,
        }),
        // The files of a task that somebody else spawned may not be known.
        None => {}
    }
}

fn tell_open(
    status: &mut BridgeStatus,
    candidate: &Candidate<'_>,
    settings: &Settings,
    now: Timestamp,
) {
    for (spare, kept) in &candidate.spare {
        status.duplicates.push(DuplicateFile {
            path: spare.file.path().to_owned(),
            kept: kept.file.path().to_owned(),
        });
    }
    let missing = candidate.missing();
    let overdue = passed(candidate.changed, now) >= settings.deadline;
    let state = match settings.partial {
        _ if candidate.is_ready() => GroupState::Ready,
        Partial::Refuse if overdue && !missing.is_empty() => GroupState::Refused,
        Partial::Refuse | Partial::Wait => GroupState::Collecting,
    };
    status.groups.push(GroupStatus {
        group: candidate.id,
        state,
        missing,
        growing: candidate.growing.iter().copied().collect(),
    });
}

/// `open` is ordered by stamp.
fn order(candidate: &Candidate<'_>, open: &[&Known]) -> Order {
    let chosen = candidate.chosen.values();
    let files: Vec<SubbandFile> = chosen.map(|known| known.file.clone()).collect();
    let close = close_to(candidate.id);
    let first = open.partition_point(|known| known.file.stamp() < *close.start());
    let near = open.iter().skip(first);
    let near = near.take_while(|known| close.contains(&known.file.stamp()));
    let spare = near.filter(|known| !files.contains(&known.file));
    Order {
        spare: spare.filter_map(|known| name(known.file.path())).collect(),
        files,
    }
}
