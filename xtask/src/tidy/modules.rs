//! Modules have one order, and no rings: a reader can start at the top.

use std::collections::{BTreeMap, BTreeSet};

use super::Finding;
use super::source::{is_word, line_of};
use super::workspace::{File, Workspace};

/// The crate whose `mod` lines are an order and not only a list.
const ORDERED: &str = "absurd-sdk";

type Edges = BTreeMap<String, BTreeSet<String>>;

/// One mention of a top-level module by another.
struct Mention<'a> {
    file: &'a File,
    line: usize,
    from: String,
    to: String,
}

/// In absurd-sdk a module imports only modules listed before it in lib.rs.
pub(super) fn order(workspace: &Workspace) -> Vec<Finding> {
    let Some(root) = workspace.file(&format!("{ORDERED}/src/lib.rs")) else {
        return Vec::new();
    };
    let listed = modules(&root.source.tested);
    let place = |name: &str| listed.iter().position(|module| module == name);
    let judge = |mention: Mention<'_>| {
        let advice = match (place(&mention.to), place(&mention.from)) {
            (Some(to), Some(from)) if to > from => format!(
                "`{}` stands after `{}` in lib.rs: move what is shared to an earlier module",
                mention.to, mention.from
            ),
            (None, Some(_)) => format!(
                "`crate::{0}` is no module: import `{0}` from the module that defines it",
                mention.to
            ),
            _ => return None,
        };
        Some(Finding::new(&mention.file.path, mention.line, advice))
    };
    mentions(workspace, ORDERED)
        .into_iter()
        .filter_map(judge)
        .collect()
}

/// In every crate the top-level modules import each other without a circle.
pub(super) fn rings(workspace: &Workspace) -> Vec<Finding> {
    let mut findings = Vec::new();
    for krate in crates(workspace) {
        let mut edges = Edges::new();
        let all = mentions(workspace, &krate);
        let known: BTreeSet<&str> = all.iter().map(|mention| mention.from.as_str()).collect();
        for mention in all
            .iter()
            .filter(|mention| known.contains(mention.to.as_str()))
        {
            edges
                .entry(mention.from.clone())
                .or_default()
                .insert(mention.to.clone());
        }
        if let Some(ring) = ring(&edges) {
            let advice = format!(
                "the modules {} form a ring: move what they share below them",
                ring.join(" -> ")
            );
            findings.push(Finding::new(&format!("{krate}/src"), 0, advice));
        }
    }
    findings
}

/// Every file beside a lib.rs, main.rs or mod.rs is a module of it.
pub(super) fn declared(workspace: &Workspace) -> Vec<Finding> {
    let mut declared: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for file in workspace.rust() {
        if let Some((folder, "lib.rs" | "main.rs" | "mod.rs")) = file.path.rsplit_once('/') {
            declared
                .entry(folder)
                .or_default()
                .extend(modules(&file.source.code));
        }
    }
    let judge = |file: &File| {
        let (folder, name) = file.path.rsplit_once('/')?;
        let (folder, name) = match name {
            "lib.rs" | "main.rs" => return None,
            "mod.rs" => folder.rsplit_once('/')?,
            _ => (folder, name.strip_suffix(".rs")?),
        };
        let missing = !declared.get(folder)?.iter().any(|module| module == name);
        let advice = format!("no `mod {name};` names this file: declare or delete it");
        missing.then(|| Finding::new(&file.path, 0, advice))
    };
    workspace.rust().filter_map(judge).collect()
}

fn crates(workspace: &Workspace) -> BTreeSet<String> {
    let folder = |file: &File| match file.parts().as_slice() {
        [krate, "src", "lib.rs" | "main.rs"] => Some((*krate).to_owned()),
        _ => None,
    };
    workspace.rust().filter_map(folder).collect()
}

fn mentions<'a>(workspace: &'a Workspace, krate: &str) -> Vec<Mention<'a>> {
    let mut all = Vec::new();
    for file in workspace.rust() {
        let Some((from, depth)) = own_module(file, krate) else {
            continue;
        };
        let code = &file.source.tested;
        for (at, to) in named(code, "crate::").into_iter().chain(above(code, depth)) {
            if to != from {
                all.push(Mention {
                    file,
                    line: line_of(code, at),
                    from: from.clone(),
                    to,
                });
            }
        }
    }
    all
}

/// The top-level module of a file, and how many `super::` lead out of it.
fn own_module(file: &File, krate: &str) -> Option<(String, usize)> {
    let parts = file.parts();
    let inside = parts.strip_prefix(&[krate, "src"])?;
    match inside {
        ["lib.rs" | "main.rs"] | ["bin", ..] | [] => None,
        [single] => Some((single.strip_suffix(".rs")?.to_owned(), 1)),
        [first, .., last] => {
            let depth = inside.len() - usize::from(*last == "mod.rs");
            Some(((*first).to_owned(), depth))
        }
    }
}

fn above(code: &str, depth: usize) -> Vec<(usize, String)> {
    let path = "super::".repeat(depth);
    let longer = |at: usize| code[at + path.len()..].starts_with("super::");
    let found = named(code, &path);
    found.into_iter().filter(|(at, _)| !longer(*at)).collect()
}

/// The names that follow a path, braces included: `crate::{a, b::{c, d}}` gives a and b.
fn named(code: &str, path: &str) -> Vec<(usize, String)> {
    let mut all = Vec::new();
    for (at, _) in code.match_indices(path) {
        let before = &code[..at];
        if before.ends_with(is_word) || before.ends_with(['$', ':']) {
            continue;
        }
        let after = &code[at + path.len()..];
        let names = match after.strip_prefix('{') {
            Some(group) => first_names(group),
            None => vec![word(after)],
        };
        all.extend(
            names
                .into_iter()
                .filter(|name| !name.is_empty())
                .map(|name| (at, name)),
        );
    }
    all
}

fn first_names(group: &str) -> Vec<String> {
    let mut names = vec![word(group)];
    let mut depth = 0_usize;
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => names.push(word(&group[at + 1..])),
            _ => {}
        }
    }
    names
}

fn word(text: &str) -> String {
    text.trim_start()
        .chars()
        .take_while(|c| is_word(*c))
        .collect()
}

/// The modules that a file declares, in order.
fn modules(code: &str) -> Vec<String> {
    let after_mod = |line: &str| {
        let line = line.trim_start();
        let line = line.strip_prefix("pub").map_or(line, |rest| {
            rest.strip_prefix("(crate)")
                .or(rest.strip_prefix("(super)"))
                .unwrap_or(rest)
        });
        line.trim_start().strip_prefix("mod ").map(word)
    };
    code.lines().filter_map(after_mod).collect()
}

/// A circle in a graph, first module repeated at the end.
fn ring(edges: &Edges) -> Option<Vec<String>> {
    edges
        .keys()
        .find_map(|start| walk(edges, start, &mut vec![start.clone()]))
}

fn walk(edges: &Edges, start: &str, way: &mut Vec<String>) -> Option<Vec<String>> {
    let last = way.last()?.clone();
    for next in edges.get(&last).into_iter().flatten() {
        if next == start {
            way.push(next.clone());
            return Some(way.clone());
        }
        if !way.contains(next) {
            way.push(next.clone());
            if let Some(ring) = walk(edges, start, way) {
                return Some(ring);
            }
            way.pop();
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIB: (&str, &str) = (
        "absurd-sdk/src/lib.rs",
        "mod ids;\npub mod db;\nmod client;\n",
    );

    fn order_finds(path: &str, text: &str) -> bool {
        !order(&Workspace::of(&[LIB, (path, text)])).is_empty()
    }

    #[test]
    fn imports_go_backwards() {
        assert!(!order_finds(
            "absurd-sdk/src/client/spawn.rs",
            "use crate::{db::Db, ids};"
        ));
        assert!(!order_finds(
            "absurd-sdk/src/client/spawn.rs",
            "use crate::client::Client;"
        ));
        assert!(order_finds("absurd-sdk/src/ids.rs", "use crate::db::Db;"));
        assert!(order_finds(
            "absurd-sdk/src/ids.rs",
            "use crate::{ids::Id, db::{Db, Row}};"
        ));
        assert!(order_finds(
            "absurd-sdk/src/ids.rs",
            "fn a() { crate::client::b() }"
        ));
    }

    #[test]
    fn super_is_no_way_around_the_order() {
        assert!(order_finds("absurd-sdk/src/ids.rs", "use super::db::Db;"));
        assert!(order_finds(
            "absurd-sdk/src/db/rows.rs",
            "use super::super::client::Client;"
        ));
        assert!(!order_finds(
            "absurd-sdk/src/db/rows.rs",
            "use super::calls::Call;"
        ));
    }

    #[test]
    fn a_re_export_is_no_module() {
        assert!(order_finds(
            "absurd-sdk/src/client/mod.rs",
            "use crate::Error;"
        ));
        assert!(!order_finds(
            "absurd-sdk/src/client/mod.rs",
            "macro_rules! a { () => { $crate::Error } }"
        ));
    }

    #[test]
    fn rings_are_found_in_any_crate() {
        let files = |b: &str| {
            let b = b.to_owned();
            let samples = [
                ("cli/src/main.rs", "mod a; mod b; mod c;"),
                ("cli/src/a.rs", "use crate::b::B;"),
                ("cli/src/b/mod.rs", b.as_str()),
                ("cli/src/c.rs", "use crate::{a, b};"),
            ];
            rings(&Workspace::of(&samples))
        };
        assert!(files("use std::fmt;").is_empty());
        let found = files("use crate::c::C;");
        assert!(found[0].advice.contains("a -> b -> c -> a"), "{}", found[0]);
        assert!(files("#[cfg(test)] mod tests { use crate::c::C; }").is_empty());
    }

    #[test]
    fn an_undeclared_file_is_dead() {
        let samples = [
            ("tests/tests/it/main.rs", "mod spawn;\nmod crash;\n"),
            ("tests/tests/it/spawn.rs", ""),
            ("tests/tests/it/crash/mod.rs", "pub(crate) mod table;"),
            ("tests/tests/it/crash/table.rs", ""),
        ];
        assert!(declared(&Workspace::of(&samples)).is_empty());
        let dead = [samples[0], ("tests/tests/it/sleep.rs", "")];
        assert_eq!(declared(&Workspace::of(&dead)).len(), 1);
        let dead = [samples[2], ("tests/tests/it/crash/old.rs", "")];
        assert_eq!(declared(&Workspace::of(&dead)).len(), 1);
    }
}
