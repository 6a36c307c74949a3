//! Why a check of schemas fails.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use super::change::{Effect, SchemaChange};

/// Says what to do about differences: `accept` records them.
pub(super) const VARIABLE: &str = "ABSURD_SCHEMAS";

/// The schemas of a worker are not those that are recorded, or can't be compared.
///
/// Its `Debug` is its `Display`, because that is what a failing test prints.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum SchemaError {
    /// Code and recorded schemas differ.
    #[error("{}", report(folder, tasks))]
    Changed {
        /// Where the schemas are recorded.
        folder: PathBuf,
        /// The tasks that differ, by name.
        tasks: Vec<TaskChanges>,
    },
    /// A file or folder can't be used.
    #[error("can't use {}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A recorded schema can't be read.
    #[error(
        "{} is no record of a task's schemas; mend it, or write it anew by running the test \
         with {}=accept",
        path.display(),
        VARIABLE
    )]
    Record {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// Two tasks would be recorded in one file.
    #[error(
        "the tasks `{one}` and `{other}` would both be recorded in {}; rename one, or check \
         them as workers with folders of their own",
        path.display()
    )]
    SameFile {
        /// The file.
        path: PathBuf,
        /// A task.
        one: String,
        /// Another task.
        other: String,
    },
    /// The environment says something that can't be understood.
    #[error("{} is `{value}`; write `accept`, or leave it out", VARIABLE)]
    Variable {
        /// Its value.
        value: String,
    },
}

/// What is different about one task.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TaskChanges {
    /// Its name; for a task that is gone, the name of its file.
    pub task: String,
    /// Where it is or would be recorded.
    pub file: PathBuf,
    /// The differences.
    pub changes: Vec<SchemaChange>,
}

impl SchemaError {
    /// For `map_err` on what is done to a path.
    pub(super) fn file(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { path, source }
    }

    /// Whether accepting this harms what is stored, or those who read it.
    pub fn is_breaking(&self) -> bool {
        match self {
            Self::Changed { tasks, .. } => is_breaking(tasks),
            _ => false,
        }
    }
}

impl fmt::Debug for SchemaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&absurd_sdk::chain(self))
    }
}

fn is_breaking(tasks: &[TaskChanges]) -> bool {
    let mut changes = tasks.iter().flat_map(|task| &task.changes);
    changes.any(|change| change.effect == Effect::Breaking)
}

fn report(folder: &Path, tasks: &[TaskChanges]) -> String {
    let mut lines = vec![format!(
        "the schemas of these tasks are not those recorded in {}:",
        folder.display()
    )];
    for TaskChanges {
        task,
        file,
        changes,
    } in tasks
    {
        lines.push(format!("\n{task} ({})", file.display()));
        lines.extend(changes.iter().map(|change| format!("  {change}")));
    }
    let advice = if is_breaking(tasks) {
        "Breaking changes harm tasks that are queued, asleep or read by others: give the new \
         shape a task of another name, or be sure that none is left. Then accept:"
    } else {
        "All of it is compatible. Accept it:"
    };
    lines.push(format!(
        "\n{advice} run this test with {VARIABLE}=accept, and commit the files."
    ));
    lines.join("\n")
}
