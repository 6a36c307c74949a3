//! One server for all test processes of this user: the first one starts it, and it ends by
//! itself when the last one is gone, however that one ended.
//!
//! Each process holds a shared lock on the file `users`. A supervisor, a small shell loop, tries
//! to take that lock for itself; when it gets it, nobody is left, and it stops the server.

use std::{
    fs::{self, File},
    path::Path,
    process::Stdio,
};

use crate::{
    error::TestError,
    programs::{as_server_user, cache_folder, give_to_server_user},
    server::{Durability, Place},
};

/// Takes: folder of the server, path of `pg_ctl`. The lock on `supervisor` keeps a second one
/// away; its descriptors are closed for the server's programs.
const SUPERVISOR: &str = r#"
exec 8>"$1/supervisor" 9>"$1/users"
flock --nonblock 8 || exit 0
until flock --nonblock 9; do sleep 2; done
"$2" stop --pgdata "$1/data" -w -m immediate 8>&- 9>&-
"#;

/// A use of the shared server: while this lives, the server does.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) place: Place,
    _users: File,
}

impl Shared {
    /// Joins the server's users, and starts it where it does not run.
    pub(crate) fn join() -> Result<Self, TestError> {
        let folder = cache_folder("absurd-test");
        fs::create_dir_all(&folder).map_err(TestError::file(&folder))?;
        give_to_server_user(&folder)?;
        // Waits while a supervisor stops the server.
        let users = open(&folder.join("users"))?;
        users.lock_shared().map_err(TestError::file(&folder))?;
        let starting = open(&folder.join("starting"))?;
        starting.lock().map_err(TestError::file(&folder))?;
        let running = Place::read(&folder)?.filter(Place::is_running);
        let place = if let Some(place) = running {
            place
        } else {
            // Nothing that an earlier run left is of value, and all of it may be half-made.
            let place = Place::create(&folder, Durability::Off)?;
            place.start()?;
            place
        };
        supervise(&place)?;
        Ok(Self {
            place,
            _users: users,
        })
    }
}

fn open(path: &Path) -> Result<File, TestError> {
    let file = File::options()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(path)
        .map_err(TestError::file(path))?;
    give_to_server_user(path)?;
    Ok(file)
}

/// Starts a supervisor, which ends at once if there is one.
fn supervise(place: &Place) -> Result<(), TestError> {
    let shell = Path::new("/bin/sh");
    as_server_user(shell)
        .args(["-c", SUPERVISOR, "absurd-test-supervisor"])
        .arg(&place.folder)
        .arg(place.programs.join("pg_ctl"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map(drop)
        .map_err(TestError::file(shell))
}
