//! Migrations: every refusal has a listed code, and the numbers have no gap.

use std::collections::BTreeMap;

use super::Finding;
use super::source::{is_word, line_of};
use super::workspace::{File, Workspace};

/// Where each code stands: one list for programs, one for people.
const LISTS: &[&str] = &["absurd-sdk/src/db/sqlstate.rs", "docs/errors.md"];
/// The code of a `raise` that names none.
const UNNAMED: &str = "P0001";
/// Levels of `raise` that refuse nothing.
const MESSAGES: &[&str] = &["debug", "log", "info", "notice", "warning"];

/// Each SQLSTATE that a migration raises is known to the SDK and explained to people.
pub(super) fn refusals_are_listed(workspace: &Workspace) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in workspace
        .sql()
        .filter(|file| file.path.starts_with("migrations/"))
    {
        for (line, code) in raised(&file.text) {
            for list in LISTS.iter().filter_map(|path| workspace.file(path)) {
                if !list.text.contains(&code) {
                    let advice = format!("raises {code}: list it in {}", list.path);
                    findings.push(Finding::new(&file.path, line, advice));
                }
            }
        }
    }
    findings
}

/// The lines and codes of all `raise` statements.
fn raised(text: &str) -> Vec<(usize, String)> {
    let code = without_comments(text);
    let lower = code.to_lowercase();
    let mut all = Vec::new();
    for (at, _) in lower.match_indices("raise") {
        let starts = !lower[..at].ends_with(is_word);
        let after = &lower[at + "raise".len()..];
        if !starts || !after.starts_with([' ', '\n']) {
            continue;
        }
        let words = &code[at..at + statement_end(&code[at..])];
        if !refuses(after) {
            continue;
        }
        all.push((
            line_of(&code, at),
            errcode(words).unwrap_or_else(|| UNNAMED.to_owned()),
        ));
    }
    all
}

/// Whether what follows `raise` raises an error of its own.
fn refuses(after: &str) -> bool {
    let after = after.trim_start();
    let level: String = after.chars().take_while(|c| is_word(*c)).collect();
    !after.starts_with(';') && !MESSAGES.contains(&level.as_str())
}

fn without_comments(text: &str) -> String {
    let line = |line: &str| line.find("--").map_or(line, |at| &line[..at]).to_owned();
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// The semicolon that ends a statement, outside quotes.
fn statement_end(statement: &str) -> usize {
    let mut quoted = false;
    for (at, c) in statement.char_indices() {
        match c {
            '\'' => quoted = !quoted,
            ';' if !quoted => return at,
            _ => {}
        }
    }
    statement.len()
}

/// The quoted text after `errcode` or `sqlstate`.
fn errcode(statement: &str) -> Option<String> {
    let lower = statement.to_lowercase();
    let at = lower.find("errcode").or_else(|| lower.find("sqlstate"))?;
    statement[at..].split('\'').nth(1).map(str::to_owned)
}

/// Numbered files start at 0001 and leave nothing out.
pub(super) fn migrations_are_numbered(workspace: &Workspace) -> Vec<Finding> {
    let mut numbers: BTreeMap<usize, &File> = BTreeMap::new();
    let mut findings = Vec::new();
    for file in workspace.sql() {
        let ["migrations", name] = file.parts()[..] else {
            continue;
        };
        let number = name.split_once('_').filter(|(number, _)| number.len() == 4);
        let Some(number) = number.and_then(|(number, _)| number.parse().ok()) else {
            findings.push(Finding::new(&file.path, 0, "name it like 0001_subject.sql"));
            continue;
        };
        if numbers.insert(number, file).is_some() {
            findings.push(Finding::new(
                &file.path,
                0,
                "this number is taken: use the next one",
            ));
        }
    }
    for (expected, (number, file)) in (1..).zip(&numbers) {
        if *number != expected {
            let advice = format!("number {expected:04} is missing before it: renumber");
            findings.push(Finding::new(&file.path, 0, advice));
            break;
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(text: &str) -> Vec<String> {
        raised(text).into_iter().map(|(_, code)| code).collect()
    }

    #[test]
    fn reads_the_codes_of_refusals() {
        let named = "raise exception 'no; queue %', name\n    using errcode = 'AB002';";
        assert_eq!(codes(named), ["AB002"]);
        assert_eq!(codes("RAISE SQLSTATE 'AB001';"), ["AB001"]);
        assert_eq!(codes("raise exception 'no queue';"), [UNNAMED]);
        assert!(codes("raise; raise notice 'hello'; -- raise exception").is_empty());
        assert!(codes("select raised, praise from t;").is_empty());
    }

    #[test]
    fn a_code_stands_in_both_lists() {
        let sql = (
            "migrations/functions/a.sql",
            "raise exception 'a' using errcode = 'AB009';",
        );
        let rust = ("absurd-sdk/src/db/sqlstate.rs", "\"AB009\"");
        let found = |samples: &[(&str, &str)]| refusals_are_listed(&Workspace::of(samples)).len();
        assert_eq!(found(&[sql, rust, ("docs/errors.md", "## AB009")]), 0);
        assert_eq!(found(&[sql, rust, ("docs/errors.md", "## AB001")]), 1);
        assert_eq!(found(&[sql]), 0);
    }

    #[test]
    fn numbers_have_no_gap() {
        let found = |names: &[&str]| {
            let paths: Vec<String> = names
                .iter()
                .map(|name| format!("migrations/{name}.sql"))
                .collect();
            let samples: Vec<(&str, &str)> = paths.iter().map(|path| (path.as_str(), "")).collect();
            migrations_are_numbered(&Workspace::of(&samples)).len()
        };
        assert_eq!(found(&["0001_a", "0002_b", "functions/c"]), 0);
        assert_eq!(found(&["0001_a", "0003_b"]), 1);
        assert_eq!(found(&["0001_a", "0001_b"]), 1);
        assert_eq!(found(&["first"]), 1);
    }
}
