//! Which files make one observation, decided by their stamps alone. Nothing here touches a disk.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
};

use jiff::{SignedDuration, Timestamp};

use super::survey::{Condition, Known};
use crate::model::{GroupId, SUBBANDS_PER_GROUP, SubbandIndex};

/// How far apart the stamps of one observation lie at most; the limit of
/// [`crate::model::ObservationGroup`] as well.
const SPREAD: SignedDuration = SignedDuration::from_secs(60);

/// Files of one observation that has not been submitted.
#[derive(Debug)]
pub(super) struct Candidate<'k> {
    /// Its earliest stamp so far.
    pub(super) id: GroupId,
    /// The file of each subband that would be used.
    pub(super) chosen: BTreeMap<SubbandIndex, &'k Known>,
    /// Usable files that are left aside, each with the one that is used.
    pub(super) spare: Vec<(&'k Known, &'k Known)>,
    /// Subbands with a file that is still growing; a better copy may be on its way.
    pub(super) growing: BTreeSet<SubbandIndex>,
    /// When the last of its files changed.
    pub(super) changed: Timestamp,
}

impl Candidate<'_> {
    /// Subbands without a file that is usable or may become it.
    pub(super) fn missing(&self) -> Vec<SubbandIndex> {
        let there = |subband| self.chosen.contains_key(&subband) || self.growing.contains(&subband);
        let all = (0_u8..16).map(SubbandIndex);
        all.filter(|subband| !there(*subband)).collect()
    }

    /// Whether it can be submitted.
    pub(super) fn is_ready(&self) -> bool {
        self.growing.is_empty() && self.chosen.len() == SUBBANDS_PER_GROUP
    }
}

/// Sorts files into observations, earliest first.
///
/// An observation is a minute in which files were stamped. Where a stray file shortly before it
/// makes several minutes possible, the one with most subbands wins, then the earliest: so a second
/// copy with an earlier stamp can't tear a whole observation apart.
pub(super) fn candidates<'k>(files: impl IntoIterator<Item = &'k Known>) -> Vec<Candidate<'k>> {
    let mut files: Vec<&Known> = files.into_iter().collect();
    files.sort_by_key(|known| known.file.stamp());
    let mut found = Vec::new();
    let mut rest = files.as_slice();
    while let Some(first) = rest.first() {
        let starts = rest.partition_point(|known| within(first, known));
        let window = |start: usize| {
            let from = rest.get(start).unwrap_or(first);
            start..rest.partition_point(|known| within(from, known))
        };
        // `max_by_key` takes the last of equals, so that the search goes backwards.
        let best = (0..starts)
            .rev()
            .map(window)
            .max_by_key(|window| subbands(rest.get(window.clone()).unwrap_or_default()));
        let best = best.unwrap_or(0..starts);
        let (strays, minute) = rest.split_at(best.start);
        let (minute, later) = minute.split_at(best.len());
        let (spare, others) = strays
            .iter()
            .partition::<Vec<&Known>, _>(|stray| usable_in(minute, stray.file.subband()));
        if !others.is_empty() {
            found.push(candidate(first, &others, &[]));
        }
        found.push(candidate(first, minute, &spare));
        rest = later;
    }
    found
}

fn within(first: &Known, other: &Known) -> bool {
    let (first, other) = (first.file.start(), other.file.start());
    other.duration_since(first) <= SPREAD
}

/// Stamps that may belong to the same observation as this one.
pub(super) fn close_to(stamp: GroupId) -> RangeInclusive<GroupId> {
    let start = stamp.start();
    let (first, last) = (start.saturating_sub(SPREAD), start.saturating_add(SPREAD));
    GroupId::from(first)..=GroupId::from(last)
}

/// How many subbands these files hold or may come to hold.
fn subbands(files: &[&Known]) -> usize {
    let sound = files.iter().filter(|known| !is_corrupt(known));
    let subbands: BTreeSet<_> = sound.map(|known| known.file.subband()).collect();
    subbands.len()
}

fn is_corrupt(known: &Known) -> bool {
    matches!(known.condition, Condition::Corrupt(_))
}

fn is_usable(known: &Known) -> bool {
    known.condition == Condition::Usable
}

fn usable_in(minute: &[&Known], subband: SubbandIndex) -> bool {
    let mut minute = minute.iter();
    minute.any(|known| is_usable(known) && known.file.subband() == subband)
}

/// One observation from the files of its minute, and strays of which it has better ones.
fn candidate<'k>(first: &Known, minute: &[&'k Known], strays: &[&'k Known]) -> Candidate<'k> {
    let mut chosen: BTreeMap<SubbandIndex, &'k Known> = BTreeMap::new();
    for known in minute.iter().copied().filter(|known| is_usable(known)) {
        let kept = chosen.entry(known.file.subband()).or_insert(known);
        if rank(known) > rank(kept) {
            *kept = known;
        }
    }
    let all = minute.iter().chain(strays).copied();
    let spare = all.clone().filter(|known| is_usable(known));
    let spare = spare.filter_map(|known| {
        let kept = *chosen.get(&known.file.subband())?;
        (kept.file != known.file).then_some((known, kept))
    });
    let growing = minute
        .iter()
        .filter(|known| known.condition == Condition::Growing)
        .map(|known| known.file.subband())
        .collect();
    // The id that the group would have. One of which every file is corrupt needs a name as well.
    let sound = minute.iter().filter(|known| !is_corrupt(known));
    let used = sound.filter(|known| {
        let kept = chosen.get(&known.file.subband());
        kept.is_none_or(|kept| kept.file == known.file)
    });
    let id = used.map(|known| known.file.stamp()).min();
    Candidate {
        id: id.unwrap_or_else(|| first.file.stamp()),
        spare: spare.collect(),
        growing,
        changed: all.map(|known| known.changed).max().unwrap_or_default(),
        chosen,
    }
}

/// Of two files of a subband the larger is kept, then the newer; paths decide at last, so that
/// two bridges choose alike.
fn rank(known: &Known) -> impl Ord + use<'_> {
    (
        known.version.bytes,
        known.version.modified,
        known.file.path(),
    )
}

#[cfg(test)]
mod tests {
    use jiff::ToSpan as _;

    use super::*;
    use crate::{
        bridge::survey::Version,
        model::{ObservationGroup, SubbandFile},
    };

    fn start() -> GroupId {
        GroupId::from(jiff::civil::date(2026, 1, 26).at(8, 5, 18, 0))
    }

    fn later(seconds: i64) -> GroupId {
        GroupId::from(start().start() + seconds.seconds())
    }

    /// A file of a subband, stamped that many seconds after the start.
    fn known(subband: u8, seconds: i64, condition: Condition) -> Known {
        let path = format!("/incoming/{}_sb{subband:02}.hdf5", later(seconds));
        Known {
            file: SubbandFile::parse(path).expect("a subband's name"),
            version: Version {
                bytes: 100,
                modified: Timestamp::UNIX_EPOCH,
                attributes_changed: Timestamp::UNIX_EPOCH,
            },
            condition,
            changed: Timestamp::UNIX_EPOCH,
            seen: Timestamp::UNIX_EPOCH,
        }
    }

    fn usable(subband: u8, seconds: i64) -> Known {
        known(subband, seconds, Condition::Usable)
    }

    #[test]
    fn an_observation_is_as_wide_as_the_model_says() {
        for width in [60, 61] {
            let files: Vec<Known> = (0..16)
                .map(|subband| usable(subband, if subband == 7 { width } else { 0 }))
                .collect();
            let found = candidates(&files);
            let group =
                ObservationGroup::from_files(files.iter().map(|k| k.file.clone()).collect());
            assert_eq!(found.len() == 1, group.is_ok(), "{width}");
            assert_eq!(found[0].is_ready(), group.is_ok(), "{width}");
            assert_eq!(close_to(start()).contains(&later(width)), width == 60);
            assert_eq!(close_to(start()).contains(&later(-width)), width == 60);
        }
    }

    #[test]
    fn a_stray_file_tears_no_observation_apart() {
        let mut files: Vec<Known> = (0..16).map(|n| usable(n, 4 * i64::from(n))).collect();
        files.push(usable(9, -40));
        files.push(known(3, -50, Condition::Corrupt("it is short".into())));
        files.reverse();
        let found = candidates(&files);
        let [group] = &found[..] else {
            panic!("{found:?}");
        };
        assert!(group.is_ready());
        assert_eq!(group.id, start());
        let [(spare, kept)] = group.spare[..] else {
            panic!("{:?}", group.spare);
        };
        assert_eq!(
            (spare.file.stamp(), kept.file.stamp()),
            (later(-40), later(36))
        );
    }

    #[test]
    fn a_stray_file_that_nobody_replaces_is_told_apart() {
        let mut files: Vec<Known> = (1..16).map(|n| usable(n, 4 * i64::from(n))).collect();
        files.push(usable(0, -30));
        let found = candidates(&files);
        let missing: Vec<usize> = found.iter().map(|group| group.missing().len()).collect();
        assert_eq!(missing, [15, 1]);
        assert!(!found.iter().any(Candidate::is_ready));
    }

    #[test]
    fn a_second_file_is_awaited_while_it_grows() {
        let mut files: Vec<Known> = (0..16).map(|n| usable(n, 0)).collect();
        files.push(known(4, 9, Condition::Growing));
        assert!(!candidates(&files)[0].is_ready());
        assert!(candidates(&files)[0].missing().is_empty());
        files.push(known(5, 9, Condition::Corrupt("it is short".into())));
        files[16].condition = Condition::Usable;
        assert!(candidates(&files)[0].is_ready());
    }

    #[test]
    fn observations_of_corrupt_files_have_a_name() {
        let files = [known(4, 9, Condition::Corrupt("it is short".into()))];
        let found = candidates(&files);
        assert_eq!((found[0].id, found[0].missing().len()), (later(9), 16));
    }
}
