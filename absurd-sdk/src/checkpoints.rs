//! What a run remembers: the replay cache and the names of its operations. No I/O.

use std::collections::HashMap;

use serde_json::Value;

/// The checkpoints a run may see, and how often each name was used so far.
#[derive(Debug, Default)]
pub(crate) struct Checkpoints {
    stored: HashMap<String, Value>,
    used: HashMap<String, u32>,
}

impl Checkpoints {
    pub(crate) fn new(stored: HashMap<String, Value>) -> Self {
        Self {
            stored,
            used: HashMap::new(),
        }
    }

    /// The concrete name of the next use of `base`: `base`, `base#2`, `base#3`, and so on.
    /// Counting starts again with every execution, so names depend on the order of calls.
    pub(crate) fn next_name(&mut self, base: &str) -> String {
        let used = self.used.entry(base.to_owned()).or_default();
        *used += 1;
        if *used == 1 {
            base.to_owned()
        } else {
            format!("{base}#{used}")
        }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.stored.get(name)
    }

    pub(crate) fn insert(&mut self, name: String, state: Value) {
        self.stored.insert(name, state);
    }

    pub(crate) fn extend(&mut self, more: impl IntoIterator<Item = (String, Value)>) {
        self.stored.extend(more);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_counted_by_base() {
        let mut checkpoints = Checkpoints::default();
        let names = ["a", "b", "a", "a"].map(|base| checkpoints.next_name(base));
        assert_eq!(names, ["a", "b", "a#2", "a#3"]);
    }
}
