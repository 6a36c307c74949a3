//! `cargo xtask tidy`: the rules of STYLE.md that a program can check.
//!
//! A rule is one function from the files to its findings, and each finding says what to
//! do instead. A rule whose files do not exist finds nothing.

mod source;
mod workspace;

mod layout;
mod modules;
mod size;
mod sql;
mod words;

use std::fmt;

use crate::process::{self, Result};
use workspace::Workspace;

/// One place that breaks one rule.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    path: String,
    /// Counted from one; zero means the file as a whole.
    line: usize,
    advice: String,
}

impl Finding {
    fn new(path: &str, line: usize, advice: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            line,
            advice: advice.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.path, self.advice),
            line => write!(f, "{}:{line}: {}", self.path, self.advice),
        }
    }
}

type Rule = fn(&Workspace) -> Vec<Finding>;

const RULES: &[Rule] = &[
    size::files,
    size::functions,
    size::lines,
    modules::order,
    modules::rings,
    modules::declared,
    words::sqlx_stays_in_db,
    words::state_words_stay_in_state,
    words::banners,
    words::four_slashes,
    words::leftovers,
    words::ignored_doc_blocks,
    sql::refusals_are_listed,
    sql::migrations_are_numbered,
    layout::root_is_clean,
    layout::lints_are_inherited,
    layout::docs_have_their_place,
    layout::examples_are_listed,
    layout::quickstart_is_an_example,
    layout::compiler_messages_have_their_case,
];

/// Applies every rule to the workspace.
pub(crate) fn run() -> Result {
    let workspace = Workspace::read(&process::root())?;
    let mut findings: Vec<Finding> = RULES.iter().flat_map(|rule| rule(&workspace)).collect();
    findings.sort_by(|a, b| (&a.path, a.line).cmp(&(&b.path, b.line)));
    for finding in &findings {
        println!("{finding}");
    }
    if findings.is_empty() {
        println!(
            "{} files follow {} rules",
            workspace.files.len(),
            RULES.len()
        );
        return Ok(());
    }
    Err(format!("{} places to tidy", findings.len()))
}

/// Whether a rule finds something in a workspace of one file.
#[cfg(test)]
fn finds(rule: Rule, path: &str, text: &str) -> bool {
    !rule(&Workspace::of(&[(path, text)])).is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_names_place_and_remedy() {
        let place = Finding::new("a.rs", 7, "split it");
        assert_eq!(place.to_string(), "a.rs:7: split it");
        assert_eq!(
            Finding::new("a.rs", 0, "split it").to_string(),
            "a.rs: split it"
        );
    }
}
