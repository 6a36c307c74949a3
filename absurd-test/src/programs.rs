//! PostgreSQL's programs on this machine, and the user who may run them.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use rustix::process::geteuid;

use crate::error::TestError;

/// Debian and its kin keep one folder for each release here, outside of PATH.
const RELEASES: &str = "/usr/lib/postgresql";

/// The folder of `initdb`, `postgres` and `pg_ctl`: in PATH, or the newest release.
pub(crate) fn folder() -> Result<PathBuf, TestError> {
    let in_path = env::var_os("PATH").and_then(|path| {
        env::split_paths(&path)
            .map(|folder| std::fs::canonicalize(folder.join("pg_ctl")))
            .find_map(|program| program.ok()?.parent().map(Path::to_path_buf))
    });
    let mut found: Vec<PathBuf> = in_path.into_iter().collect();
    let releases = std::fs::read_dir(RELEASES).into_iter().flatten().flatten();
    let mut releases: Vec<(u32, PathBuf)> = releases
        .filter_map(|entry| {
            let release = entry.file_name().to_str()?.parse().ok()?;
            Some((release, entry.path().join("bin")))
        })
        .collect();
    releases.sort();
    found.extend(releases.into_iter().rev().map(|(_, folder)| folder));
    let complete = |folder: &PathBuf| {
        ["initdb", "postgres", "pg_ctl"]
            .iter()
            .all(|program| folder.join(program).is_file())
    };
    found
        .into_iter()
        .find(complete)
        .ok_or(TestError::NoPostgres)
}

/// Whether another user has to run the server: PostgreSQL refuses to be run by root.
fn is_root() -> bool {
    geteuid().is_root()
}

/// The user who runs the server when we are root.
fn server_user() -> &'static str {
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    if users.lines().any(|line| line.starts_with("postgres:")) {
        "postgres"
    } else {
        "nobody"
    }
}

/// A command that runs as the server's user.
pub(crate) fn as_server_user(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    let user = server_user();
    command
        .arg(format!("--reuid={user}"))
        .arg(format!("--regid={}", group_of(user)))
        .arg("--clear-groups")
        .arg(program)
        .current_dir("/");
    command
}

fn group_of(user: &str) -> String {
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let line = users
        .lines()
        .find(|line| line.split(':').next() == Some(user));
    let group = line.and_then(|line| line.split(':').nth(3));
    group.unwrap_or("65534").to_owned()
}

/// Gives a folder or file to the server's user.
pub(crate) fn give_to_server_user(path: &Path) -> Result<(), TestError> {
    if !is_root() {
        return Ok(());
    }
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let line = users
        .lines()
        .find(|line| line.split(':').next() == Some(server_user()));
    let ids = line.and_then(|line| {
        let mut fields = line.split(':').skip(2);
        let user = fields.next()?.parse().ok()?;
        let group = fields.next()?.parse().ok()?;
        Some((user, group))
    });
    let (user, group) = ids.unwrap_or((65534, 65534));
    std::os::unix::fs::chown(path, Some(user), Some(group)).map_err(TestError::file(path))
}

/// Runs a program to its end; what it said is in the error if it fails.
pub(crate) fn run(program: &'static str, command: &mut Command) -> Result<(), TestError> {
    let failed = |said: String| TestError::Program { program, said };
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    Err(failed(String::from_utf8_lossy(&said).trim().to_owned()))
}

/// A folder for what can be made again, which the server's user can reach.
#[expect(
    clippy::disallowed_methods,
    reason = "where a user keeps caches is a matter of the environment"
)]
pub(crate) fn cache_folder(name: &str) -> PathBuf {
    let caches = if let Ok(cache) = env::var("XDG_CACHE_HOME") {
        PathBuf::from(cache)
    } else if is_root() {
        // The home of root is closed to the server's user.
        PathBuf::from("/var/cache")
    } else {
        let home = env::var("HOME").map(|home| Path::new(&home).join(".cache"));
        home.unwrap_or_else(|_| env::temp_dir())
    };
    caches.join(name)
}
