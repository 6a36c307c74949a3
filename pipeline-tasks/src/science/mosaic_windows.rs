//! Which observation groups make which mosaic: windows that slide over the groups of a night.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::model::{GroupId, Seconds};

/// How many groups a mosaic has, how many it shares with the one before, and how far apart
/// neighbours may be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WindowRules {
    size: usize,
    overlap: usize,
    largest_gap: Seconds,
}

/// Rules that make no windows.
#[derive(Clone, Copy, Debug, PartialEq, Error)]
#[error(
    "windows of {size} groups can't share {overlap} of them with gaps up to {} s: the size must \
     be greater than the overlap and the gap positive",
    largest_gap.0
)]
pub struct WindowRulesError {
    size: usize,
    overlap: usize,
    largest_gap: Seconds,
}

impl WindowRulesError {
    /// Whether another try with the same input must fail as well.
    pub fn is_permanent(&self) -> bool {
        true
    }
}

impl Default for WindowRules {
    /// The telescope's: ten groups (50 minutes), two of them shared; groups begin 309 seconds
    /// after each other, and six minutes are a gap.
    fn default() -> Self {
        Self {
            size: 10,
            overlap: 2,
            largest_gap: Seconds(360.0),
        }
    }
}

impl WindowRules {
    /// Windows of `size` groups, `overlap` of them shared with the window before; neighbours
    /// begin no more than `largest_gap` after each other.
    ///
    /// # Errors
    /// If a window would not get on: an overlap as large as the size, or no positive gap.
    pub fn new(
        size: usize,
        overlap: usize,
        largest_gap: Seconds,
    ) -> Result<Self, WindowRulesError> {
        if size > overlap && largest_gap.0 > 0.0 {
            Ok(Self {
                size,
                overlap,
                largest_gap,
            })
        } else {
            Err(WindowRulesError {
                size,
                overlap,
                largest_gap,
            })
        }
    }
}

/// The groups of one mosaic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Window {
    /// Its groups, in the order of time.
    pub groups: Vec<GroupId>,
    /// How many of them, the first ones, are the last ones of the window before as well: none in
    /// the first window and after a gap.
    pub shared: usize,
    /// Whether it has all the groups that a window has. One that has not ends at a gap or at the
    /// latest group; only the latter may still grow.
    pub complete: bool,
}

/// Slides a window over groups, which come in any order and may be repeated. Each group is in
/// some window; a window does not reach across a gap.
///
/// Later groups change no complete window; a group that arrives late changes those after it.
pub fn windows(groups: &[GroupId], rules: &WindowRules) -> Vec<Window> {
    let ordered: Vec<GroupId> = groups
        .iter()
        .copied()
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    let near = |a: &GroupId, b: &GroupId| {
        b.to_mjd().seconds() - a.to_mjd().seconds() <= rules.largest_gap.0
    };
    let unbroken = ordered.chunk_by(near);
    unbroken
        .flat_map(|run| windows_of_run(run, rules))
        .collect()
}

fn windows_of_run(run: &[GroupId], rules: &WindowRules) -> Vec<Window> {
    let step = rules.size - rules.overlap;
    let has_own = |start: &usize| *start == 0 || start + rules.overlap < run.len();
    let starts = (0..run.len()).step_by(step).take_while(has_own);
    starts
        .map(|start| {
            let groups = run.iter().skip(start).take(rules.size);
            let groups: Vec<GroupId> = groups.copied().collect();
            Window {
                shared: if start == 0 { 0 } else { rules.overlap },
                complete: groups.len() == rules.size,
                groups,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, civil::date};
    use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};

    use super::*;

    /// Groups that begin at these seconds of a night.
    fn night(starts: impl IntoIterator<Item = i64>) -> Vec<GroupId> {
        let evening = date(2026, 1, 26).at(3, 0, 0, 0);
        let starts = starts.into_iter();
        starts
            .map(|s| GroupId::from(evening.saturating_add(SignedDuration::from_secs(s))))
            .collect()
    }

    /// Sizes of the windows, what they share, and whether they are complete.
    fn shape(windows: &[Window]) -> Vec<(usize, usize, bool)> {
        let shape = |window: &Window| (window.groups.len(), window.shared, window.complete);
        windows.iter().map(shape).collect()
    }

    #[test]
    fn the_first_window_has_no_partner() {
        let groups = night((0..18).map(|n| 309 * n));
        let found = windows(&groups, &WindowRules::default());
        assert_eq!(shape(&found), [(10, 0, true), (10, 2, true)]);
        assert_eq!(found[0].groups[8..], found[1].groups[..2]);
    }

    #[test]
    fn what_is_left_over_is_an_incomplete_window() {
        let groups = night((0..19).map(|n| 309 * n));
        let found = windows(&groups, &WindowRules::default());
        assert_eq!(shape(&found)[2], (3, 2, false));
        assert!(windows(&[], &WindowRules::default()).is_empty());
        let one = windows(&groups[..1], &WindowRules::default());
        assert_eq!(shape(&one), [(1, 0, false)]);
    }

    #[test]
    fn a_gap_begins_anew() {
        let before = (0..11).map(|n| 309 * n);
        let after = (0..10).map(|n| 7_200 + 309 * n);
        let found = windows(&night(before.chain(after)), &WindowRules::default());
        assert_eq!(shape(&found), [(10, 0, true), (3, 2, false), (10, 0, true)]);
    }

    #[test]
    fn rules_that_stand_still_are_refused() {
        let error = WindowRules::new(2, 2, Seconds(360.0)).unwrap_err();
        assert!(error.is_permanent() && error.to_string().contains("greater than the overlap"));
        assert!(WindowRules::new(2, 0, Seconds(f64::NAN)).is_err());
    }

    #[test]
    fn whatever_the_night_each_group_has_its_place() {
        let mut random = StdRng::seed_from_u64(110);
        for _ in 0..300 {
            let size = random.random_range(1..12);
            let overlap = random.random_range(0..size);
            let rules = WindowRules::new(size, overlap, Seconds(360.0)).unwrap();
            let mut start = 0;
            let starts = (0..random.random_range(0..60)).map(|_| {
                let gap = random.random_bool(0.1);
                start += if gap { 900 } else { 309 };
                start
            });
            let ordered = night(starts.collect::<Vec<_>>());
            let found = windows(&ordered, &rules);

            let mut listed_anyhow = [&ordered[..], &ordered[..ordered.len() / 2]].concat();
            listed_anyhow.shuffle(&mut random);
            assert_eq!(
                windows(&listed_anyhow, &rules),
                found,
                "order and repeats don't matter"
            );

            let own = found
                .iter()
                .flat_map(|window| &window.groups[window.shared..]);
            assert_eq!(
                own.copied().collect::<Vec<_>>(),
                ordered,
                "each is new in one window"
            );
            for window in &found {
                assert!(window.groups.len() <= size && window.groups.len() > window.shared);
                assert_eq!(window.complete, window.groups.len() == size);
                let close = window
                    .groups
                    .windows(2)
                    .all(|pair| pair[1].to_mjd().seconds() - pair[0].to_mjd().seconds() < 361.0);
                assert!(close, "no window reaches across a gap");
            }
            for pair in found.windows(2).filter(|pair| pair[1].shared > 0) {
                let last = &pair[0].groups[pair[0].groups.len() - overlap..];
                assert_eq!(
                    last,
                    &pair[1].groups[..overlap],
                    "what is shared is the same"
                );
                assert!(pair[0].complete, "only a complete window has a successor");
            }
            let earlier = windows(&ordered[..ordered.len() * 2 / 3], &rules);
            for window in earlier.iter().filter(|window| window.complete) {
                assert!(
                    found.contains(window),
                    "later groups change no complete window"
                );
            }
        }
    }
}
