//! A light reading of Rust: which characters are code, which are comments and which are
//! the insides of strings. Enough for the rules, and no parser to compile.

/// A Rust file, taken apart.
#[derive(Default)]
pub(super) struct Source {
    /// The text with comments and the insides of strings blanked, lines kept.
    pub(super) code: String,
    /// The same without inline test modules.
    pub(super) tested: String,
    /// Each comment with the line it starts on.
    pub(super) comments: Vec<(usize, String)>,
    /// The inside of each string with the line it starts on.
    pub(super) strings: Vec<(usize, String)>,
}

impl Source {
    pub(super) fn read(text: &str) -> Self {
        let mut reader = Reader {
            rest: text,
            line: 1,
            source: Self::default(),
        };
        while !reader.rest.is_empty() {
            reader.step();
        }
        let mut source = reader.source;
        source.tested = without_tests(&source.code);
        source
    }

    /// Whether a line lies outside the inline tests.
    pub(super) fn is_tested(&self, line: usize) -> bool {
        let blank = |text: &str| {
            text.lines()
                .nth(line - 1)
                .is_none_or(|line| line.trim().is_empty())
        };
        !blank(&self.tested) || blank(&self.code)
    }
}

struct Reader<'a> {
    rest: &'a str,
    line: usize,
    source: Source,
}

impl Reader<'_> {
    fn step(&mut self) {
        let rest = self.rest;
        if rest.starts_with("//") {
            let end = rest.find('\n').unwrap_or(rest.len());
            self.comment(end);
        } else if rest.starts_with("/*") {
            self.comment(block_comment(rest));
        } else if let Some((open, close)) = self.starts_word().then(|| raw_string(rest)).flatten() {
            let end = rest[open..].find(&close).map_or(rest.len(), |at| open + at);
            self.string(open, end, close.len());
        } else if rest.starts_with('"') {
            self.string(1, string_end(rest), 1);
        } else if let Some(end) = char_literal(rest) {
            self.blank(end);
        } else {
            let length = rest.chars().next().map_or(0, char::len_utf8);
            self.keep(length);
        }
    }

    /// Whether no identifier runs into what follows, as in `var"` of a macro.
    fn starts_word(&self) -> bool {
        !self.source.code.ends_with(is_word)
    }

    fn comment(&mut self, end: usize) {
        let text = self.rest[..end].to_owned();
        self.source.comments.push((self.line, text));
        self.blank(end);
    }

    fn string(&mut self, open: usize, end: usize, close: usize) {
        self.source
            .strings
            .push((self.line, self.rest[open..end].to_owned()));
        self.keep(open);
        self.blank(end - open);
        self.keep(close.min(self.rest.len()));
    }

    fn keep(&mut self, length: usize) {
        let (now, rest) = self.rest.split_at(length);
        self.source.code.push_str(now);
        self.line += now.matches('\n').count();
        self.rest = rest;
    }

    fn blank(&mut self, length: usize) {
        let (now, rest) = self.rest.split_at(length);
        self.source
            .code
            .extend(now.chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        self.line += now.matches('\n').count();
        self.rest = rest;
    }
}

pub(super) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn block_comment(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < text.len() {
        if text[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if text[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// The length of the opening and the closing mark of a raw string.
fn raw_string(text: &str) -> Option<(usize, String)> {
    let prefix = ["r", "br", "cr"].into_iter().find(|prefix| {
        text.strip_prefix(prefix)
            .is_some_and(|rest| rest.trim_start_matches('#').starts_with('"'))
    })?;
    let hashes = text[prefix.len()..]
        .chars()
        .take_while(|c| *c == '#')
        .count();
    Some((
        prefix.len() + hashes + 1,
        format!("\"{}", "#".repeat(hashes)),
    ))
}

fn string_end(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at,
            _ => {}
        }
    }
    text.len()
}

/// The length of a character literal; `None` for lifetimes and everything else.
fn char_literal(text: &str) -> Option<usize> {
    let inside = text.strip_prefix('\'')?;
    if let Some(escape) = inside.strip_prefix('\\') {
        let first = escape.chars().next()?.len_utf8();
        return escape[first..].find('\'').map(|at| 2 + first + at + 1);
    }
    let first = inside.chars().next()?.len_utf8();
    inside[first..].starts_with('\'').then_some(first + 2)
}

/// The position after the brace that closes the one at `open`.
pub(super) fn block_end(code: &str, open: usize) -> usize {
    let mut depth = 0_usize;
    for (at, c) in code[open..].char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth <= 1 => return open + at + 1,
            '}' => depth -= 1,
            _ => {}
        }
    }
    code.len()
}

/// The line of a position, counted from one.
pub(super) fn line_of(code: &str, at: usize) -> usize {
    code[..at].matches('\n').count() + 1
}

fn without_tests(code: &str) -> String {
    const MARK: &str = "#[cfg(test)]";
    let mut kept = String::with_capacity(code.len());
    let mut rest = code;
    while let Some(at) = rest.find(MARK) {
        let item = &rest[at + MARK.len()..];
        let end = match (item.find('{'), item.find(';')) {
            (Some(brace), semicolon) if semicolon.is_none_or(|found| brace < found) => {
                block_end(item, brace)
            }
            (_, Some(semicolon)) => semicolon + 1,
            _ => item.len(),
        };
        let end = at + MARK.len() + end;
        kept.push_str(&rest[..at]);
        kept.extend(
            rest[at..end]
                .chars()
                .map(|c| if c == '\n' { '\n' } else { ' ' }),
        );
        rest = &rest[end..];
    }
    kept.push_str(rest);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_comments_and_strings_and_keeps_lines() {
        let source = Source::read("let a = \"x // y\"; // z\nlet b = 'c'; /* d\n e */ f");
        assert_eq!(source.code.lines().count(), 3);
        assert!(source.code.contains("let a ="));
        assert!(!source.code.contains(['x', 'z', 'd']));
        assert_eq!(source.strings, [(1, "x // y".to_owned())]);
        assert_eq!(
            source.comments,
            [(1, "// z".to_owned()), (2, "/* d\n e */".to_owned())]
        );
        assert!(source.code.ends_with(" f"));
    }

    #[test]
    fn knows_raw_strings_escapes_and_lifetimes() {
        let source =
            Source::read(r##"f(r#"a "b" {"#, "c\"{", '{', '\'', '\u{7b}', b'{'); g::<'a>()"##);
        assert!(!source.code.contains('{'), "{}", source.code);
        assert!(source.code.contains("g::<'a>()"));
        assert_eq!(source.strings[0].1, "a \"b\" {");
        assert_eq!(source.strings[1].1, "c\\\"{");
    }

    #[test]
    fn leaves_inline_tests_out() {
        let source =
            Source::read("fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\nfn c() {}");
        assert!(!source.tested.contains("fn b"));
        assert!(source.tested.contains("fn c"));
        assert!(source.is_tested(1) && !source.is_tested(4) && source.is_tested(6));
    }

    #[test]
    fn a_test_module_in_its_own_file_ends_at_the_semicolon() {
        let source = Source::read("#[cfg(test)]\nmod tests;\nfn a() { }");
        assert!(source.tested.contains("fn a"));
    }
}
