//! What a run remembers: the replay cache and the names of its operations. No I/O.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt,
};

use serde_json::Value;

use crate::vault::is_sealed;

/// The checkpoints a run may see, how often each name was used so far, and which operations
/// they are expected at.
#[derive(Debug, Default)]
pub(crate) struct Checkpoints {
    stored: BTreeMap<String, Value>,
    used: HashMap<String, u32>,
    /// Concrete names so far.
    entered: HashSet<String>,
    /// The recorded operations by place: how many the function had begun when it reached each.
    path: BTreeMap<i32, String>,
    /// Operations begun so far.
    place: i32,
    /// Names since the beginning, while the function follows its recorded path.
    followed: Option<Vec<String>>,
}

impl Checkpoints {
    /// Adds what was stored, before the first operation.
    pub(crate) fn extend(&mut self, more: impl IntoIterator<Item = (String, Value, Option<i32>)>) {
        for (name, state, place) in more {
            self.path.extend(place.map(|place| (place, name.clone())));
            self.stored.insert(name, state);
        }
        self.followed = (!self.path.is_empty()).then(Vec::new);
    }

    /// The concrete name of the next use of `base`: `base`, `base#2`, `base#3`, and so on.
    /// Counting starts again with every execution, so names depend on the order of calls.
    pub(crate) fn next_name(&mut self, base: &str) -> String {
        let used = self.used.entry(base.to_owned()).or_default();
        *used += 1;
        let name = if *used == 1 {
            base.to_owned()
        } else {
            format!("{base}#{used}")
        };
        self.entered.insert(name.clone());
        name
    }

    /// The place of the next operation.
    ///
    /// While the function does again what is recorded, another operation than the recorded one
    /// is an error. Its first fresh operation ends that: from there on the path may be another,
    /// because something can have failed the last time.
    pub(crate) fn next_place(&mut self, name: &str) -> Result<i32, Nondeterminism> {
        self.place += 1;
        let Some(followed) = &mut self.followed else {
            return Ok(self.place);
        };
        followed.push(name.to_owned());
        if let Some(recorded) = self.path.get(&self.place)
            && recorded != name
        {
            return Err(Nondeterminism {
                recorded: self.path.clone(),
                followed: followed.clone(),
            });
        }
        if !self.stored.contains_key(name) {
            self.followed = None;
        }
        Ok(self.place)
    }

    /// Whether something is recorded that was not come to yet: the function has gone on from
    /// here before.
    pub(crate) fn has_more(&self) -> bool {
        self.stored.keys().any(|name| {
            let waits = name.strip_prefix(crate::names::TIMEOUT);
            !self.entered.contains(waits.unwrap_or(name))
        })
    }

    /// Stops comparing operations with the recorded ones.
    pub(crate) fn forget_path(&mut self) {
        self.followed = None;
    }

    /// The place of the operation under way.
    pub(crate) fn place(&self) -> i32 {
        self.place
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.stored.get(name)
    }

    /// Takes the states out that have to be opened first; they are to be put back.
    pub(crate) fn take_sealed(&mut self) -> Vec<(String, Value)> {
        let stored = self.stored.iter_mut();
        let sealed = stored.filter(|(_, state)| is_sealed(state));
        sealed
            .map(|(name, state)| (name.clone(), state.take()))
            .collect()
    }

    pub(crate) fn insert(&mut self, name: String, state: Value) {
        self.stored.insert(name, state);
    }

    /// Hands over all whose names begin so, to a branch.
    pub(crate) fn take_branch(&mut self, prefix: &str) -> Self {
        let mut taken = self.stored.split_off(prefix);
        let rest: Vec<String> = taken
            .range(prefix.to_owned()..)
            .map(|(name, _)| name)
            .skip_while(|name| name.starts_with(prefix))
            .take(1)
            .cloned()
            .collect();
        if let Some(first) = rest.first() {
            let mut after = taken.split_off(first);
            self.stored.append(&mut after);
        }
        // A wait's timeout stands under a name of its own.
        let timeouts = crate::names::timeout(prefix);
        let keys: Vec<String> = self
            .stored
            .range(timeouts.clone()..)
            .map(|(name, _)| name)
            .take_while(|name| name.starts_with(&timeouts))
            .cloned()
            .collect();
        for key in keys {
            taken.extend(self.stored.remove_entry(&key));
        }
        Self {
            stored: taken,
            ..Self::default()
        }
    }
}

/// A replay has met another operation than the recorded one: the code was changed under a task
/// that had begun, or it decides by something that is not recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nondeterminism {
    recorded: BTreeMap<i32, String>,
    followed: Vec<String>,
}

/// How many operations before the first difference a message shows.
const SHOWN_BEFORE: usize = 3;

impl Nondeterminism {
    /// The recorded operation at the first difference.
    pub fn recorded(&self) -> Option<&str> {
        let place = i32::try_from(self.followed.len()).ok()?;
        self.recorded.get(&place).map(String::as_str)
    }

    /// The operation that the code has come to instead.
    pub fn found(&self) -> Option<&str> {
        self.followed.last().map(String::as_str)
    }
}

impl std::error::Error for Nondeterminism {}

impl fmt::Display for Nondeterminism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "the function does not do again what it did before; deploy the code that it began \
             with, or keep both ways apart with `ctx.patched`:",
        )?;
        let last = self.followed.len();
        for (index, name) in self.followed.iter().enumerate() {
            let place = index + 1;
            if place < last && place + SHOWN_BEFORE >= last {
                write!(f, "\n    {name}")?;
            }
        }
        if let Some(recorded) = self.recorded() {
            write!(f, "\n  - {recorded}")?;
        }
        if let Some(found) = self.found() {
            write!(f, "\n  + {found}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn recorded(names: &[&str]) -> Checkpoints {
        let mut checkpoints = Checkpoints::default();
        let stored = names.iter().zip(1..);
        checkpoints.extend(stored.map(|(name, place)| ((*name).into(), json!(1), Some(place))));
        checkpoints
    }

    fn walk(checkpoints: &mut Checkpoints, names: &[&str]) -> Result<(), Nondeterminism> {
        names
            .iter()
            .try_for_each(|name| checkpoints.next_place(name).map(drop))
    }

    #[test]
    fn names_are_counted_by_base() {
        let mut checkpoints = Checkpoints::default();
        let names = ["a", "b", "a", "a"].map(|base| checkpoints.next_name(base));
        assert_eq!(names, ["a", "b", "a#2", "a#3"]);
    }

    #[test]
    fn another_path_than_the_recorded_one_is_an_error_with_the_difference() {
        let cases: &[(&[&str], Option<&str>)] = &[
            (&["a", "b", "c"], None),
            (&["a", "b", "c", "d"], None),
            (&["a", "new", "b"], Some("\n    a\n  - b\n  + new")),
            (&["a", "c"], Some("\n    a\n  - b\n  + c")),
        ];
        for (path, difference) in cases {
            let walked = walk(&mut recorded(&["a", "b", "c"]), path);
            match difference {
                None => assert_eq!(walked, Ok(()), "{path:?}"),
                Some(difference) => {
                    let error = walked.expect_err("another path");
                    assert!(error.to_string().ends_with(difference), "{error}");
                }
            }
        }
    }

    #[test]
    fn a_gap_ends_the_comparison() {
        // `flaky` failed the first time and left nothing; then came `fallback`.
        let mut checkpoints = Checkpoints::default();
        checkpoints.extend([("fallback".into(), json!(1), Some(2))]);
        assert_eq!(walk(&mut checkpoints, &["flaky", "next"]), Ok(()));
    }

    #[test]
    fn what_is_left_says_that_the_function_has_been_further() {
        let mut checkpoints = recorded(&["a", "$timeout:b"]);
        assert!(checkpoints.has_more());
        checkpoints.next_name("a");
        assert!(checkpoints.has_more(), "it waited for b, in vain");
        checkpoints.next_name("b");
        assert!(!checkpoints.has_more());
    }

    #[test]
    fn a_branch_takes_its_own() {
        let names = ["a", "j/0/x", "j/0/y", "j/1/x", "$timeout:j/0/z", "k"];
        let mut all = Checkpoints::default();
        all.extend(names.map(|name| (name.into(), json!(1), None)));
        let branch = all.take_branch("j/0/");
        for name in ["j/0/x", "j/0/y", "$timeout:j/0/z"] {
            assert!(
                branch.get(name).is_some() && all.get(name).is_none(),
                "{name}"
            );
        }
        for name in ["a", "j/1/x", "k"] {
            assert!(
                branch.get(name).is_none() && all.get(name).is_some(),
                "{name}"
            );
        }
    }
}
