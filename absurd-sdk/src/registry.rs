//! Which function runs which task. Mistakes show when the worker is built.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    error::Error,
    handler::{Handler, States, TaskHandler},
    ids::TaskName,
    task::TaskSchema,
};

/// Task functions by name.
#[derive(Default)]
pub(crate) struct Registry {
    handlers: BTreeMap<&'static str, Handler>,
    duplicate: Option<&'static str>,
}

impl Registry {
    pub(crate) fn add<T: TaskHandler>(&mut self) {
        if self.handlers.insert(T::NAME, Handler::of::<T>()).is_some() {
            self.duplicate.get_or_insert(T::NAME);
        }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Handler> {
        self.handlers.get(name)
    }

    /// The names of all tasks.
    pub(crate) fn names(&self) -> BTreeSet<&'static str> {
        self.handlers.keys().copied().collect()
    }

    /// The schemas of all tasks, by name.
    pub(crate) fn schemas(&self) -> BTreeMap<&'static str, TaskSchema> {
        self.handlers
            .iter()
            .map(|(name, handler)| (*name, (handler.schema)()))
            .collect()
    }

    /// Refuses two tasks of one name, names that can't be used, and missing state.
    pub(crate) fn check(&self, states: &States) -> Result<(), Error> {
        if let Some(name) = self.duplicate {
            let problem = format!("two tasks are named `{name}`; give one another name");
            return Err(Error::Worker(problem));
        }
        for handler in self.handlers.values() {
            TaskName::new(handler.name)?;
            if let Some(key) = handler.required_states.iter().find(|key| !states.has(key)) {
                let problem = format!(
                    "task `{}` needs a state of type `{}`; add `.state(..)` to the worker",
                    handler.name,
                    key.name(),
                );
                return Err(Error::Worker(problem));
            }
        }
        Ok(())
    }
}
