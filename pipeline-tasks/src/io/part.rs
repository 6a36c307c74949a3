//! Results appear whole or not at all: they are made under another name and renamed.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use uuid::Uuid;

/// A place for something half-made, beside where it is to be, and gone with this value. Its name
/// is its own: a worker that lost its lease may still be making the same thing.
#[derive(Debug)]
pub(crate) struct PartName(PathBuf);

impl PartName {
    pub(crate) fn of(place: &Path) -> Self {
        let name = place.file_name().unwrap_or_default().to_string_lossy();
        let id = Uuid::now_v7().simple();
        Self(place.with_file_name(format!(".{name}.{id}.part")))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Renames the finished part; what was in the place before is replaced.
    pub(crate) fn put_in_place(self, place: &Path) -> io::Result<()> {
        remove(place)?;
        fs::rename(&self.0, place)
    }
}

impl Drop for PartName {
    fn drop(&mut self) {
        // After the rename there is nothing; a part that stays is in nobody's way.
        let _ = remove(&self.0);
    }
}

/// Removes a file or a folder; nothing is fine.
fn remove(path: &Path) -> io::Result<()> {
    let removed = if path.is_dir() {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
