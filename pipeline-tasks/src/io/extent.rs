//! How much lies under a path, and when it last changed.

use std::{fs, io, path::Path};

use jiff::Timestamp;

/// A file, or a folder with all that is in it. Links count as themselves and are not followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// The sizes of all files.
    pub bytes: u64,
    /// The newest modification time of all files and folders.
    pub modified: Timestamp,
}

impl Extent {
    /// Looks at everything under a path. What goes away meanwhile is left out.
    pub fn of(path: &Path) -> io::Result<Self> {
        let top = fs::symlink_metadata(path)?;
        let mut extent = Self {
            bytes: 0,
            modified: Timestamp::MIN,
        };
        extent.add(&top)?;
        let mut folders = Vec::new();
        if top.is_dir() {
            folders.push(path.to_owned());
        }
        while let Some(folder) = folders.pop() {
            for entry in present(fs::read_dir(&folder))?.into_iter().flatten() {
                let entry = entry?;
                let Some(data) = present(entry.metadata())? else {
                    continue;
                };
                extent.add(&data)?;
                if data.is_dir() {
                    folders.push(entry.path());
                }
            }
        }
        Ok(extent)
    }

    fn add(&mut self, data: &fs::Metadata) -> io::Result<()> {
        if data.is_file() {
            self.bytes += data.len();
        }
        let modified = Timestamp::try_from(data.modified()?).map_err(io::Error::other)?;
        self.modified = self.modified.max(modified);
        Ok(())
    }
}

/// What is gone is none.
fn present<T>(looked: io::Result<T>) -> io::Result<Option<T>> {
    match looked {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs::File,
        time::{Duration, SystemTime},
    };

    use super::*;

    #[test]
    fn links_are_not_followed_and_the_newest_file_counts() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let (inside, outside) = (folder.path().join("a.ms"), folder.path().join("big"));
        fs::create_dir_all(inside.join("deep"))?;
        fs::write(&outside, [0; 1_000])?;
        fs::write(inside.join("deep/table"), [0; 10])?;
        std::os::unix::fs::symlink(&outside, inside.join("link"))?;
        let later = SystemTime::UNIX_EPOCH + Duration::from_secs(5_000_000_000);
        File::options()
            .write(true)
            .open(inside.join("deep/table"))?
            .set_modified(later)?;
        let extent = Extent::of(&inside)?;
        assert_eq!(extent.bytes, 10);
        assert_eq!(extent.modified.as_second(), 5_000_000_000);
        assert!(Extent::of(&folder.path().join("none")).is_err());
        Ok(())
    }
}
