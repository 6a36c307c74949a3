//! Results appear whole or not at all: they are made under another name and renamed.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use rustix::{
    fs::{CWD, RenameFlags, renameat_with},
    io::Errno,
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

    /// The same for what others change in its place later on. What was made there after this part
    /// was begun belongs to a successor and stays: the worker that runs this has lost its task.
    pub(crate) fn put_in_place_of_older(self, place: &Path) -> io::Result<()> {
        let made = fs::metadata(place).and_then(|place| place.modified());
        let made = made.ok().and_then(|made| Timestamp::try_from(made).ok());
        let begun = begun(&self.0.to_string_lossy());
        if made.is_some_and(|made| begun.is_some_and(|begun| made > begun)) {
            return Err(io::Error::other("another worker has made it meanwhile"));
        }
        self.put_in_place(place)
    }

    /// Renames the finished part; what was in the place before is replaced. There is no moment
    /// without anything in the place, and a part that somebody has swept away replaces nothing.
    pub(crate) fn put_in_place(self, place: &Path) -> io::Result<()> {
        match renameat_with(CWD, &self.0, CWD, place, RenameFlags::EXCHANGE) {
            // What was there has the part's name now, and goes with it.
            Ok(()) => Ok(()),
            Err(Errno::NOENT) => fs::rename(&self.0, place),
            Err(_) => {
                // A file system that can't exchange.
                fs::symlink_metadata(&self.0)?;
                remove(place)?;
                fs::rename(&self.0, place)
            }
        }
    }
}

/// Writes a file that appears whole or not at all.
pub(crate) fn write_whole(place: &Path, content: impl AsRef<[u8]>) -> io::Result<()> {
    let part = PartName::of(place);
    fs::write(part.path(), content)?;
    part.put_in_place(place)
}

/// Removes the parts of a folder whose names begin like `of` and that were begun before a moment:
/// a process that is killed leaves its own. Returns how many there were; a folder that is not
/// there has none.
pub(crate) fn sweep_parts(folder: &Path, of: &str, before: Timestamp) -> io::Result<usize> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        entries => entries?,
    };
    let mut swept = 0;
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let of_it = name
            .strip_prefix('.')
            .is_some_and(|name| name.starts_with(of));
        if of_it && begun(&name).is_some_and(|begun| begun < before) {
            remove(&entry.path())?;
            swept += 1;
        }
    }
    Ok(swept)
}

/// When a part was begun: its identifier says so.
fn begun(name: &str) -> Option<Timestamp> {
    let (_, id) = name.strip_suffix(".part")?.rsplit_once('.')?;
    let (seconds, nanoseconds) = Uuid::try_parse(id).ok()?.get_timestamp()?.to_unix();
    let nanoseconds = i32::try_from(nanoseconds).ok()?;
    Timestamp::new(i64::try_from(seconds).ok()?, nanoseconds).ok()
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

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    #[test]
    fn files_and_folders_are_replaced() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let place = folder.path().join("table");
        for content in ["first", "second"] {
            let part = PartName::of(&place);
            fs::create_dir(part.path())?;
            fs::write(part.path().join("column"), content)?;
            part.put_in_place(&place)?;
            assert_eq!(fs::read_to_string(place.join("column"))?, content);
            assert_eq!(fs::read_dir(folder.path())?.count(), 1);
        }
        Ok(())
    }

    #[test]
    fn a_part_that_is_gone_replaces_nothing() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let place = folder.path().join("image");
        fs::write(&place, "of another worker")?;
        let swept = PartName::of(&place);
        assert!(swept.put_in_place(&place).is_err());
        assert_eq!(fs::read_to_string(&place)?, "of another worker");
        Ok(())
    }

    #[test]
    fn what_a_successor_made_stays() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let place = folder.path().join("a.ms");
        let write = |part: &Path, content: &str| {
            fs::create_dir(part)?;
            fs::write(part.join("column"), content)
        };
        let (stale, successor) = (PartName::of(&place), PartName::of(&place));
        write(stale.path(), "stale")?;
        write(successor.path(), "successor")?;
        let later = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1 << 33);
        fs::File::open(successor.path())?.set_modified(later)?;
        successor.put_in_place_of_older(&place)?;
        let refused = stale.put_in_place_of_older(&place).err().unwrap();
        assert!(refused.to_string().contains("another worker"), "{refused}");
        assert_eq!(fs::read_to_string(place.join("column"))?, "successor");

        let long_ago = std::time::SystemTime::UNIX_EPOCH;
        fs::File::open(&place)?.set_modified(long_ago)?;
        let again = PartName::of(&place);
        write(again.path(), "again")?;
        again.put_in_place_of_older(&place)?;
        assert_eq!(fs::read_to_string(place.join("column"))?, "again");
        Ok(())
    }

    #[test]
    fn only_older_parts_of_the_name_are_swept() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let (ours, other) = (folder.path().join("a.fits"), folder.path().join("b.fits"));
        let parts = [PartName::of(&ours), PartName::of(&other)];
        for part in &parts {
            fs::write(part.path(), "half")?;
        }
        for kept in [".a.part", ".a.fits", "a.fits"] {
            fs::write(folder.path().join(kept), "not ours to remove")?;
        }
        let minute = SignedDuration::from_mins(1);
        let begun = begun(&parts[0].path().to_string_lossy());
        let now = begun.unwrap();
        assert_eq!(sweep_parts(folder.path(), "a", now - minute)?, 0);
        assert_eq!(sweep_parts(folder.path(), "a", now + minute)?, 1);
        assert!(!parts[0].path().exists() && parts[1].path().exists());
        assert_eq!(sweep_parts(&folder.path().join("none"), "", now)?, 0);
        Ok(())
    }
}
