//! The peers' versions, from the lists that install them.

/// What each registry is asked for.
const PINS: [&str; 3] = [
    include_str!("../../peers/python/requirements.txt"),
    include_str!("../../peers/node/package.json"),
    include_str!("../../peers/rust/Cargo.toml"),
];

/// The version of a package in one of the lists; nothing where it isn't in them.
pub(super) fn version(language: usize, package: &str) -> Option<&'static str> {
    pinned(PINS.get(language)?, package)
}

/// The first number behind a package's name, whatever stands between them.
fn pinned<'a>(list: &'a str, package: &str) -> Option<&'a str> {
    let line = list.lines().find_map(|line| {
        let rest = line.trim().trim_start_matches('"').strip_prefix(package)?;
        let ends = rest.starts_with(['=', ' ', '"', '[']);
        ends.then_some(rest)
    })?;
    let from = line.find(|c: char| c.is_ascii_digit())?;
    let version = &line[from..];
    let to = version.find(|c: char| !c.is_ascii_digit() && c != '.');
    Some(&version[..to.unwrap_or(version.len())])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_each_list() {
        assert_eq!(pinned("a-b==1.2.3\na==4.5", "a"), Some("4.5"));
        assert_eq!(pinned("psycopg[binary]==3.3.9", "psycopg"), Some("3.3.9"));
        assert_eq!(pinned("    \"@a/b\": \"1.2.3\",", "@a/b"), Some("1.2.3"));
        assert_eq!(pinned("a = { version = \"=0.9.1\" }", "a"), Some("0.9.1"));
        assert_eq!(pinned("a = \"=0.9.1\"", "b"), None);
    }
}
