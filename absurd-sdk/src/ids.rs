//! Identities and names: checked once, where they enter.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Longest queue name in bytes: PostgreSQL keeps 63 bytes of an identifier and
/// the longest one derived from a queue is `r_<queue>_sai`.
pub const QUEUE_NAME_BYTES_MAX: usize = 57;

/// A name that cannot be used, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidName {
    /// The name is empty or only blanks.
    #[error("the {kind} name is empty; give it a name")]
    Empty {
        /// What was to be named: `queue`, `task`, `step`, `event`.
        kind: &'static str,
    },
    /// The queue's name does not fit the tables derived from it.
    #[error(
        "the queue name `{name}` has {} bytes, at most {QUEUE_NAME_BYTES_MAX} are possible; \
         choose a shorter one",
        name.len()
    )]
    TooLong {
        /// The refused name.
        name: String,
    },
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map($name)
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }
    };
}

id! {
    /// A task: one request for work, with all its attempts. A `UUIDv7`, so ids order by age.
    TaskId
}
id! {
    /// A run: one attempt at a task. It keeps its id while it sleeps and waits.
    RunId
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks the name and keeps it as given.
            pub fn new(name: impl AsRef<str>) -> Result<Self, InvalidName> {
                let name = name.as_ref();
                let check: fn(&'static str, &str) -> Result<(), InvalidName> = $check;
                check($kind, name)?;
                Ok(Self(name.into()))
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;

            fn from_str(name: &str) -> Result<Self, Self::Err> {
                Self::new(name)
            }
        }
    };
}

name! {
    /// A queue. Any text of 1 to 57 bytes.
    QueueName, "queue", check_queue
}
name! {
    /// A task's name, under which workers know its function.
    TaskName, "task", check_not_blank
}
name! {
    /// A step inside a task, unique by name and order of use.
    StepName, "step", check_not_blank
}
name! {
    /// An event, unique in its queue.
    EventName, "event", check_not_blank
}

fn check_not_blank(kind: &'static str, name: &str) -> Result<(), InvalidName> {
    if name.trim().is_empty() {
        return Err(InvalidName::Empty { kind });
    }
    Ok(())
}

fn check_queue(kind: &'static str, name: &str) -> Result<(), InvalidName> {
    if name.is_empty() {
        return Err(InvalidName::Empty { kind });
    }
    if name.len() > QUEUE_NAME_BYTES_MAX {
        return Err(InvalidName::TooLong {
            name: name.to_owned(),
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queue_names_are_measured_in_bytes() {
        assert!(QueueName::new("ä".repeat(28)).is_ok());
        let refused = QueueName::new("ä".repeat(29));
        assert!(matches!(refused, Err(InvalidName::TooLong { .. })));
        assert!(QueueName::new(" ").is_ok(), "blanks are a legal queue name");
    }

    #[test]
    fn blank_step_names_are_refused() {
        assert_eq!(
            StepName::new("\t "),
            Err(InvalidName::Empty { kind: "step" })
        );
    }
}
