//! What lies where: the tree shows the architecture and nothing else.

use super::Finding;
use super::workspace::{File, Workspace};

const ROOT: &[&str] = &[
    ".cargo",
    ".ci",
    ".config",
    ".dockerignore",
    ".editorconfig",
    ".git",
    ".gitattributes",
    ".github",
    ".gitignore",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "STYLE.md",
    "absurd-cli",
    "absurd-macros",
    "absurd-sdk",
    "absurd-server",
    "absurd-test",
    "benches",
    "changes",
    "clippy.toml",
    "deny.toml",
    "docs",
    "examples",
    "measurement-set",
    "migrations",
    "ops",
    "pipeline-tasks",
    "rust-toolchain.toml",
    "rustfmt.toml",
    "tests",
    "xtask",
];
const DOCS: &[&str] = &[
    "cli.md",
    "config.md",
    "errors.md",
    "features.md",
    "ingest-policy.md",
    "operations.md",
    "performance.md",
    "pipeline-performance.md",
    "state-machine.md",
];
const DOC_FOLDERS: &[&str] = &["decisions", "guide", "runbooks"];
/// The crate that may hold `unsafe`, and so has a lint table of its own.
const OWN_LINTS: &str = "measurement-set/Cargo.toml";

/// The top folder holds what it is known to hold, or what git ignores.
pub(super) fn root_is_clean(workspace: &Workspace) -> Vec<Finding> {
    let ignored = workspace
        .file(".gitignore")
        .map(|file| file.text.as_str())
        .unwrap_or_default();
    let known = |name: &str| {
        let line = |line: &str| line.trim_matches('/') == name;
        ROOT.contains(&name) || name == "target" || ignored.lines().any(line)
    };
    let advice = "unknown in the top folder: move it, ignore it, or add it to tidy's ROOT list";
    let strangers = workspace.top.iter().filter(|name| !known(name));
    strangers
        .map(|name| Finding::new(name, 0, advice))
        .collect()
}

/// One lint table for all crates but one.
pub(super) fn lints_are_inherited(workspace: &Workspace) -> Vec<Finding> {
    let judge = |file: &File| {
        let [_, "Cargo.toml"] = file.parts()[..] else {
            return None;
        };
        let inherits = file.text.contains("[lints]\nworkspace = true");
        let own = file.path == OWN_LINTS && file.text.contains("[lints.");
        let advice = "add `[lints]` with `workspace = true`";
        (!inherits && !own).then(|| Finding::new(&file.path, 0, advice))
    };
    workspace.files.iter().filter_map(judge).collect()
}

/// Documents live in known places, so that nobody writes the same one twice.
pub(super) fn docs_have_their_place(workspace: &Workspace) -> Vec<Finding> {
    let stray = |file: &&File| file.is("md") && !has_place(&file.parts());
    let advice = "no place for a document: extend one in docs/, or write docs/decisions/NNNN-*.md";
    let files = workspace.files.iter().filter(stray);
    files
        .map(|file| Finding::new(&file.path, 0, advice))
        .collect()
}

fn has_place(parts: &[&str]) -> bool {
    match parts {
        // The top folder has its own list.
        [_] | [.., "README.md"] | ["changes", _] | [_, "src", ..] => true,
        ["docs", "decisions", name] => is_numbered(name),
        ["docs", name] => DOCS.contains(name),
        ["docs", folder, ..] => DOC_FOLDERS.contains(folder),
        _ => false,
    }
}

fn is_numbered(name: &str) -> bool {
    let number = name.split_once('-').map(|(number, _)| number);
    number.is_some_and(|number| number.len() == 4 && number.parse::<u16>().is_ok())
}

/// Every example is introduced by one line of examples/README.md.
pub(super) fn examples_are_listed(workspace: &Workspace) -> Vec<Finding> {
    let list = workspace
        .file("examples/README.md")
        .map(|file| file.text.as_str());
    let judge = |file: &File| {
        let name = example_name(&file.parts())?;
        let missing = !list.unwrap_or_default().contains(&name);
        let advice = format!("list `{name}` in examples/README.md with one line on its idea");
        missing.then(|| Finding::new(&file.path, 0, advice))
    };
    workspace.rust().filter_map(judge).collect()
}

fn example_name(parts: &[&str]) -> Option<String> {
    let name = match parts {
        ["examples", name] | ["examples", "examples", name] | ["examples", "src", "bin", name] => {
            name.strip_suffix(".rs")?
        }
        ["examples", "examples", name, "main.rs"] => name,
        _ => return None,
    };
    (name != "build").then(|| name.to_owned())
}

/// What README shows first is part of a program that the tests run.
pub(super) fn quickstart_is_an_example(workspace: &Workspace) -> Vec<Finding> {
    let is_quickstart =
        |file: &&File| example_name(&file.parts()).is_some_and(|name| name == "quickstart");
    let (Some(readme), Some(example)) = (
        workspace.file("README.md"),
        workspace.rust().find(is_quickstart),
    ) else {
        return Vec::new();
    };
    let shown = readme
        .text
        .split("```rust\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next());
    let copied = shown.is_none_or(|shown| example.text.contains(shown.trim()));
    let advice = format!(
        "its first Rust block differs from {}: copy it from there",
        example.path
    );
    if copied {
        Vec::new()
    } else {
        vec![Finding::new("README.md", 0, advice)]
    }
}

/// A recorded compiler message belongs to a case.
pub(super) fn compiler_messages_have_their_case(workspace: &Workspace) -> Vec<Finding> {
    let judge = |file: &File| {
        let case = format!("{}.rs", file.path.strip_suffix(".stderr")?);
        let dead = workspace.file(&case).is_none();
        dead.then(|| Finding::new(&file.path, 0, "its case is gone: delete it too"))
    };
    workspace.files.iter().filter_map(judge).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::finds;

    #[test]
    fn strangers_in_the_top_folder_are_found() {
        assert!(finds(root_is_clean, "notes.txt", ""));
        assert!(finds(root_is_clean, "PLAN.md", ""));
        assert!(!finds(root_is_clean, "README.md", ""));
        let ignored = [(".gitignore", "/local\n"), ("local", "")];
        assert!(root_is_clean(&Workspace::of(&ignored)).is_empty());
    }

    #[test]
    fn a_crate_without_lints_is_found() {
        assert!(finds(
            lints_are_inherited,
            "a/Cargo.toml",
            "[package]\nname = \"a\"\n"
        ));
        assert!(!finds(
            lints_are_inherited,
            "a/Cargo.toml",
            "[lints]\nworkspace = true\n"
        ));
        assert!(!finds(lints_are_inherited, "Cargo.toml", "[workspace]\n"));
        assert!(!finds(lints_are_inherited, OWN_LINTS, "[lints.rust]\n"));
        assert!(finds(lints_are_inherited, OWN_LINTS, "[package]\n"));
    }

    #[test]
    fn stray_documents_are_found() {
        for path in [
            "docs/ideas.md",
            "absurd-sdk/NOTES.md",
            "docs/decisions/retry.md",
        ] {
            assert!(finds(docs_have_their_place, path, ""), "{path}");
        }
        for path in [
            "docs/errors.md",
            "benches/README.md",
            "absurd-sdk/src/lib.md",
        ] {
            assert!(!finds(docs_have_their_place, path, ""), "{path}");
        }
        assert!(!finds(
            docs_have_their_place,
            "docs/decisions/0002-retry-crate.md",
            ""
        ));
    }

    #[test]
    fn an_example_is_listed() {
        let example = ("examples/examples/sleep.rs", "");
        let listed = ("examples/README.md", "- `sleep`: a task that waits");
        assert!(examples_are_listed(&Workspace::of(&[example, listed])).is_empty());
        assert!(finds(examples_are_listed, example.0, ""));
        assert!(!finds(examples_are_listed, "examples/src/lib.rs", ""));
    }

    #[test]
    fn a_quickstart_of_its_own_is_found() {
        let readme = ("README.md", "# A\n\n```rust\nuse a;\n```\n");
        let found = |example| {
            let samples = [readme, ("examples/examples/quickstart.rs", example)];
            quickstart_is_an_example(&Workspace::of(&samples)).len()
        };
        assert_eq!(found("//! First.\nuse a;\nfn main() {}"), 0);
        assert_eq!(found("use b;"), 1);
        assert!(!finds(quickstart_is_an_example, readme.0, readme.1));
    }

    #[test]
    fn a_message_without_its_case_is_found() {
        let message = ("a/tests/ui/fail/two_params.stderr", "");
        let case = ("a/tests/ui/fail/two_params.rs", "");
        assert!(compiler_messages_have_their_case(&Workspace::of(&[message, case])).is_empty());
        assert!(finds(compiler_messages_have_their_case, message.0, ""));
    }
}
