//! What fits on a screen can be read: limits on files, functions and lines.

use super::Finding;
use super::source::{block_end, is_word, line_of};
use super::workspace::{File, Workspace};

const FILE_LINES: usize = 400;
const FUNCTION_LINES: usize = 70;
const LINE_COLUMNS: usize = 100;

/// Files of at most 400 code lines; blanks, comments and inline tests do not count.
pub(super) fn files(workspace: &Workspace) -> Vec<Finding> {
    let judge = |file: &File| {
        let lines = file
            .source
            .tested
            .lines()
            .filter(|line| !line.trim().is_empty())
            .count();
        let advice = format!("{lines} code lines, the limit is {FILE_LINES}: split by subject");
        (lines > FILE_LINES).then(|| Finding::new(&file.path, 0, advice))
    };
    workspace.rust().filter_map(judge).collect()
}

/// Functions of at most 70 lines, from `fn` to the closing brace.
pub(super) fn functions(workspace: &Workspace) -> Vec<Finding> {
    workspace.rust().flat_map(long_functions).collect()
}

fn long_functions(file: &File) -> Vec<Finding> {
    let code = &file.source.code;
    let judge = |at: usize| {
        let open = body(code, at)?;
        let lines = code[at..block_end(code, open)].lines().count();
        let advice = format!(
            "a function of {lines} lines, the limit is {FUNCTION_LINES}: \
             name its parts and make them functions"
        );
        (lines > FUNCTION_LINES).then(|| Finding::new(&file.path, line_of(code, at), advice))
    };
    code.match_indices("fn ")
        .filter_map(|(at, _)| judge(at))
        .collect()
}

/// The brace that opens the body of the function whose `fn` stands at `at`.
fn body(code: &str, at: usize) -> Option<usize> {
    let named = code[at + 3..].starts_with(is_word);
    if !named || code[..at].ends_with(is_word) {
        return None;
    }
    let mut depth = 0_i32;
    for (offset, c) in code[at..].char_indices() {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth -= 1,
            '{' if depth == 0 => return Some(at + offset),
            ';' if depth == 0 => return None,
            _ => {}
        }
    }
    None
}

/// Lines of at most 100 columns, in Rust and in SQL.
pub(super) fn lines(workspace: &Workspace) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in workspace.rust().chain(workspace.sql()) {
        for (index, line) in file.text.lines().enumerate() {
            let columns = line.chars().count();
            if columns > LINE_COLUMNS {
                let advice = format!("{columns} columns, the limit is {LINE_COLUMNS}: break it");
                findings.push(Finding::new(&file.path, index + 1, advice));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::finds;

    #[test]
    fn a_file_ends_at_its_limit() {
        let lines = |count: usize| "use a;\n".repeat(count) + "// why\n\n";
        assert!(!finds(files, "a.rs", &lines(FILE_LINES)));
        assert!(finds(files, "a.rs", &lines(FILE_LINES + 1)));
        let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", lines(FILE_LINES));
        assert!(!finds(files, "a.rs", &(lines(10) + &tests)));
    }

    #[test]
    fn a_function_ends_at_its_limit() {
        let function = |lines: usize| format!("fn a(b: [u8; 4]) {{\n{}}}\n", "b;\n".repeat(lines));
        assert!(!finds(functions, "a.rs", &function(FUNCTION_LINES - 2)));
        assert!(finds(functions, "a.rs", &function(FUNCTION_LINES - 1)));
        let signature = format!("trait A {{ fn a();\n{} }}", "\n".repeat(FUNCTION_LINES));
        assert!(!finds(functions, "a.rs", &signature));
    }

    #[test]
    fn a_line_ends_at_its_limit() {
        assert!(!finds(lines, "a.sql", &"é".repeat(LINE_COLUMNS)));
        assert!(finds(lines, "a.sql", &"x".repeat(LINE_COLUMNS + 1)));
        assert!(!finds(lines, "a.md", &"x".repeat(LINE_COLUMNS + 1)));
    }
}
