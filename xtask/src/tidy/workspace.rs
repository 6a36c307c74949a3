//! The files that the rules look at.

use std::fs;
use std::path::Path;

use super::source::Source;
use crate::process::Result;

/// Folders that hold nothing written by hand.
const SKIPPED: &[&str] = &["target", ".git", "node_modules", "__pycache__"];
const READ: &[&str] = &[".rs", ".sql", ".md", ".toml", ".gitignore"];

/// Every file, with its text where a rule may want to read it.
pub(super) struct Workspace {
    pub(super) files: Vec<File>,
    /// Names in the top folder, folders included.
    pub(super) top: Vec<String>,
}

/// One file; `path` is relative and has forward slashes.
pub(super) struct File {
    pub(super) path: String,
    pub(super) text: String,
    /// The reading of a Rust file; empty for others.
    pub(super) source: Source,
}

impl File {
    fn new(path: String, text: String) -> Self {
        let mut file = Self {
            path,
            text,
            source: Source::default(),
        };
        if file.is("rs") {
            file.source = Source::read(&file.text);
        }
        file
    }

    pub(super) fn is(&self, extension: &str) -> bool {
        self.path
            .rsplit_once('.')
            .is_some_and(|(_, found)| found == extension)
    }

    /// The path's parts.
    pub(super) fn parts(&self) -> Vec<&str> {
        self.path.split('/').collect()
    }
}

impl Workspace {
    pub(super) fn read(root: &Path) -> Result<Self> {
        let mut workspace = Self {
            files: Vec::new(),
            top: Vec::new(),
        };
        workspace.visit(root, "")?;
        Ok(workspace)
    }

    fn visit(&mut self, folder: &Path, prefix: &str) -> Result {
        let failed = |error| format!("could not read {}: {error}", folder.display());
        for entry in fs::read_dir(folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if prefix.is_empty() {
                self.top.push(name.clone());
            }
            let kind = entry.file_type().map_err(failed)?;
            let path = format!("{prefix}{name}");
            if kind.is_dir() && !SKIPPED.contains(&name.as_str()) {
                self.visit(&entry.path(), &format!("{path}/"))?;
            } else if kind.is_file() {
                let read = READ.iter().any(|ending| name.ends_with(ending));
                let text = read.then(|| fs::read_to_string(entry.path())).transpose();
                let text = text.map_err(failed)?.unwrap_or_default();
                self.files.push(File::new(path, text));
            }
        }
        Ok(())
    }

    pub(super) fn rust(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|file| file.is("rs"))
    }

    pub(super) fn sql(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|file| file.is("sql"))
    }

    pub(super) fn file(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }

    /// A workspace made of samples.
    #[cfg(test)]
    pub(super) fn of(samples: &[(&str, &str)]) -> Self {
        let new = |(path, text): &(&str, &str)| File::new((*path).to_owned(), (*text).to_owned());
        let top = samples
            .iter()
            .filter_map(|(path, _)| path.split('/').next());
        Self {
            files: samples.iter().map(new).collect(),
            top: top.map(str::to_owned).collect(),
        }
    }
}
