//! Words that have one home, and words that have none.

use super::Finding;
use super::source::line_of;
use super::workspace::{File, Workspace};

/// The six states of a task, as the database spells them.
const STATES: &[&str] = &[
    "pending",
    "running",
    "sleeping",
    "completed",
    "failed",
    "cancelled",
];
const STATE_HOME: &str = "absurd-sdk/src/state.rs";
const SQLX_CRATES: &[&str] = &["absurd-sdk/src/", "pipeline-tasks/src/"];
const SQLX_HOMES: &[&str] = &[
    "absurd-sdk/src/db/",
    "absurd-sdk/src/migrate.rs",
    "absurd-sdk/src/lib.rs",
    "pipeline-tasks/src/registry/",
];
const LEFTOVERS: &[&str] = &["TODO", "FIXME", "XXX"];

/// SQL is spoken in one folder of absurd-sdk, and in one of the pipeline.
pub(super) fn sqlx_stays_in_db(workspace: &Workspace) -> Vec<Finding> {
    let outside = |file: &&File| {
        let under = |folder: &&str| file.path.starts_with(*folder);
        SQLX_CRATES.iter().any(under) && !SQLX_HOMES.iter().any(under)
    };
    let places = |file: &File| {
        let advice = "`sqlx::` belongs in db/, migrate.rs or registry/: add a call there, use that";
        code_places(file, "sqlx::", advice)
    };
    workspace.rust().filter(outside).flat_map(places).collect()
}

fn code_places(file: &File, pattern: &str, advice: &str) -> Vec<Finding> {
    let code = &file.source.tested;
    let place = |(at, _): (usize, &str)| Finding::new(&file.path, line_of(code, at), advice);
    code.match_indices(pattern).map(place).collect()
}

/// The engine's crates know states as an enum; only one file knows the words.
pub(super) fn state_words_stay_in_state(workspace: &Workspace) -> Vec<Finding> {
    let engine = |file: &&File| {
        let parts = file.parts();
        let in_source =
            matches!(parts.as_slice(), [krate, "src", ..] if krate.starts_with("absurd-"));
        in_source && file.path != STATE_HOME
    };
    let mut findings = Vec::new();
    for file in workspace.rust().filter(engine) {
        for (line, text) in &file.source.strings {
            if names_a_state(text) && file.source.is_tested(*line) {
                let advice = "a state's word belongs in state.rs: use TaskState or RunState";
                findings.push(Finding::new(&file.path, *line, advice));
            }
        }
    }
    findings
}

/// Whether a string is a state's word, or holds one quoted for SQL.
fn names_a_state(text: &str) -> bool {
    STATES
        .iter()
        .any(|state| text == *state || text.contains(&format!("'{state}'")))
}

/// Comments are sentences, not decoration.
pub(super) fn banners(workspace: &Workspace) -> Vec<Finding> {
    let advice = "a banner comment: write a sentence, or make the part a module of its own";
    comment_places(workspace, is_banner, advice)
}

/// Four slashes are no documentation.
pub(super) fn four_slashes(workspace: &Workspace) -> Vec<Finding> {
    let advice = "four slashes are neither doc nor comment: use three or two";
    comment_places(workspace, |text| text.starts_with("////"), advice)
}

/// What was meant to go before the commit.
pub(super) fn leftovers(workspace: &Workspace) -> Vec<Finding> {
    let advice = "a note to self: do it now, or open an issue and say why the code is as it is";
    let mut findings = comment_places(workspace, has_leftover, advice);
    for file in workspace.rust() {
        findings.extend(code_places(
            file,
            "dbg!(",
            "remove dbg!, or use tracing::debug!",
        ));
    }
    findings
}

fn has_leftover(text: &str) -> bool {
    text.split(|c: char| !c.is_alphanumeric())
        .any(|word| LEFTOVERS.contains(&word))
}

fn is_banner(text: &str) -> bool {
    let is_doc = text.starts_with("///") || text.starts_with("//!");
    let marker = if is_doc { 3 } else { 2 };
    let text = text.get(marker..).unwrap_or_default().trim();
    let rule = |c: &char| "-=*~_+/".contains(*c) || (*c == '#' && !is_doc);
    let leading = text.chars().take_while(rule).count();
    let trailing = text.chars().rev().take_while(rule).count();
    leading >= 3 && (leading == text.chars().count() || trailing >= 3)
}

/// Findings for the comments of Rust and SQL files that a test picks.
fn comment_places(
    workspace: &Workspace,
    picks: impl Fn(&str) -> bool,
    advice: &str,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in workspace.rust() {
        let comments = file.source.comments.iter();
        let picked = comments.filter(|(_, text)| picks(text));
        findings.extend(picked.map(|(line, _)| Finding::new(&file.path, *line, advice)));
    }
    for file in workspace.sql() {
        for (index, line) in file.text.lines().enumerate() {
            let comment = line.find("--").map(|at| &line[at..]);
            if comment.is_some_and(&picks) {
                findings.push(Finding::new(&file.path, index + 1, advice));
            }
        }
    }
    findings
}

/// An example that is never compiled is wrong sooner or later.
pub(super) fn ignored_doc_blocks(workspace: &Workspace) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in &workspace.files {
        let in_source = file.is("md") && file.path.contains("/src/");
        if !in_source && !file.is("rs") {
            continue;
        }
        for (index, line) in file.text.lines().enumerate() {
            if is_ignored_block(line, in_source) {
                let advice = "an ignored doc block: use `no_run`, or hide its setup behind `# `";
                findings.push(Finding::new(&file.path, index + 1, advice));
            }
        }
    }
    findings
}

fn is_ignored_block(line: &str, is_markdown: bool) -> bool {
    let line = line.trim_start();
    let doc = line
        .strip_prefix("///")
        .or_else(|| line.strip_prefix("//!"));
    let text = if is_markdown { Some(line) } else { doc };
    let fence = text.and_then(|text| text.trim_start().strip_prefix("```"));
    fence.is_some_and(|info| {
        info.split([',', ' '])
            .any(|word| word.starts_with("ignore"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::finds;

    #[test]
    fn sqlx_has_its_home() {
        let text = "use sqlx::PgPool;";
        assert!(finds(
            sqlx_stays_in_db,
            "absurd-sdk/src/worker/claim.rs",
            text
        ));
        assert!(!finds(
            sqlx_stays_in_db,
            "absurd-sdk/src/worker/claim.rs",
            "// sqlx::PgPool"
        ));
        assert!(!finds(sqlx_stays_in_db, "absurd-sdk/src/db/calls.rs", text));
        assert!(!finds(sqlx_stays_in_db, "absurd-sdk/src/lib.rs", text));
        assert!(!finds(
            sqlx_stays_in_db,
            "absurd-test/src/database.rs",
            text
        ));
        let (task, registry) = ("tasks/stage.rs", "registry/product.rs");
        assert!(finds(
            sqlx_stays_in_db,
            &format!("pipeline-tasks/src/{task}"),
            text
        ));
        assert!(!finds(
            sqlx_stays_in_db,
            &format!("pipeline-tasks/src/{registry}"),
            text
        ));
    }

    #[test]
    fn states_have_their_home() {
        let rule = state_words_stay_in_state;
        let path = "absurd-sdk/src/worker/report.rs";
        assert!(finds(rule, path, r#"if state == "failed" {}"#));
        assert!(finds(rule, path, r#"f("where state = 'pending'")"#));
        assert!(!finds(rule, path, r#"f("the task failed")"#));
        assert!(!finds(
            rule,
            path,
            "#[cfg(test)]\nmod tests {\n    const A: &str = \"failed\";\n}"
        ));
        assert!(!finds(rule, STATE_HOME, r#"const A: &str = "failed";"#));
        assert!(!finds(
            rule,
            "pipeline-tasks/src/a.rs",
            r#"const A: &str = "failed";"#
        ));
    }

    #[test]
    fn decoration_is_found() {
        for text in [
            "// ------",
            "// ==== values ====",
            "/// *****",
            "// ### a ###",
        ] {
            assert!(finds(banners, "a.rs", text), "{text}");
        }
        for text in [
            "// a - b",
            "/// ### Heading",
            "//! | a |---|",
            "let a = \"// -----\";",
        ] {
            assert!(!finds(banners, "a.rs", text), "{text}");
        }
        assert!(finds(banners, "a.sql", "-- -----"));
        assert!(finds(banners, "a.sql", "----------"));
        assert!(!finds(banners, "a.sql", "select 1 -- one"));
    }

    #[test]
    fn four_slashes_are_found() {
        assert!(finds(four_slashes, "a.rs", "//// almost a doc"));
        assert!(!finds(four_slashes, "a.rs", "/// a doc"));
    }

    #[test]
    fn leftovers_are_found() {
        assert!(finds(leftovers, "a.rs", "// TODO: later"));
        assert!(finds(leftovers, "a.sql", "-- FIXME"));
        assert!(finds(leftovers, "a.rs", "fn a() { dbg!(b); }"));
        assert!(!finds(
            leftovers,
            "a.rs",
            "let a = \"TODO\"; // nothing to do"
        ));
    }

    #[test]
    fn blocks_that_never_compile_are_found() {
        assert!(finds(ignored_doc_blocks, "a.rs", "/// ```ignore"));
        assert!(finds(ignored_doc_blocks, "a/src/lib.md", "```rust,ignore"));
        assert!(!finds(ignored_doc_blocks, "a.rs", "/// ```no_run"));
        assert!(!finds(ignored_doc_blocks, "docs/errors.md", "```ignore"));
    }
}
