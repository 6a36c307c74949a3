//! A program that lives no longer than the step that started it.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use rustix::{
    fs::statvfs,
    process::{Pid, Signal, kill_process_group},
};
use thiserror::Error;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    process::Command,
    time::timeout,
};

/// How much of the end of each of a program's outputs is kept.
const SAID_BYTES_MAX: usize = 4_000;

/// Why a program did not do its work.
#[derive(Debug, Error)]
pub enum ToolError {
    /// It could not be started.
    #[error("can't start `{program}`; install it (Debian: `apt-get install {program}`)")]
    Start {
        /// The program.
        program: &'static str,
        /// The system's reason.
        source: io::Error,
    },
    /// What it needs beside it can't be written.
    #[error("can't write {}", path.display())]
    File {
        /// The place.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// It ended with an error.
    #[error("`{program}` failed with {status}: {said}")]
    Failed {
        /// The program.
        program: &'static str,
        /// How it ended.
        status: ExitStatus,
        /// The end of what it said.
        said: String,
    },
    /// It took too long and was killed.
    #[error("`{program}` was killed after {limit:?}, the limit of ABSURD_TASK_TIMEOUT")]
    TookTooLong {
        /// The program.
        program: &'static str,
        /// How long it was let.
        limit: Duration,
    },
    /// It would fill the disk.
    #[error(
        "{}: {free} MB are free and {needed} MB are needed; make room, then retry the task",
        folder.display()
    )]
    DiskFull {
        /// A folder on the disk.
        folder: PathBuf,
        /// Megabytes that are free.
        free: u64,
        /// Megabytes that the work needs.
        needed: u64,
    },
    /// It would take more memory than there is.
    #[error(
        "{free} MB of memory are free and {needed} MB are needed; it is tried again, and goes \
         better with less at once (ABSURD_WORKER_CONCURRENCY)"
    )]
    MemoryShort {
        /// Megabytes that are free.
        free: u64,
        /// Megabytes that the work needs.
        needed: u64,
    },
}

impl ToolError {
    /// Whether another try must fail as well: a full disk stays full until somebody makes room.
    /// What took too long or was killed may do better next time.
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::DiskFull { .. } => true,
            Self::Failed { said, .. } => {
                let said = said.to_ascii_lowercase();
                said.contains("no space left on device") || said.contains("disk full")
            }
            Self::Start { .. }
            | Self::File { .. }
            | Self::TookTooLong { .. }
            | Self::MemoryShort { .. } => false,
        }
    }
}

const MEGA: u64 = 1_000_000;

/// Refuses work that needs more than is free on a folder's disk.
pub fn check_disk(folder: &Path, needed_bytes: u64) -> Result<(), ToolError> {
    let Ok(disk) = statvfs(folder) else {
        // What is wrong with the folder shows when it is used.
        return Ok(());
    };
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    if free >= needed_bytes {
        return Ok(());
    }
    Err(ToolError::DiskFull {
        folder: folder.to_owned(),
        free: free / MEGA,
        needed: needed_bytes.div_ceil(MEGA),
    })
}

/// Refuses work that needs more memory than is free: a program that the system kills in the middle
/// has cost more than one that begins later.
pub fn check_memory(needed_bytes: u64) -> Result<(), ToolError> {
    match free_memory() {
        Some(free) if free < needed_bytes => Err(ToolError::MemoryShort {
            free: free / MEGA,
            needed: needed_bytes.div_ceil(MEGA),
        }),
        // A system that says nothing doesn't keep anybody from trying.
        _ => Ok(()),
    }
}

/// What the kernel could give without swapping.
fn free_memory() -> Option<u64> {
    let told = fs::read_to_string("/proc/meminfo").ok()?;
    let available = told
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kilobytes: u64 = available.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kilobytes.saturating_mul(1_024))
}

/// A program about to run.
#[derive(Debug)]
pub struct Tool {
    /// Its name.
    pub program: &'static str,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// The folder it runs in.
    pub folder: PathBuf,
    /// After this time it is killed.
    pub limit: Duration,
}

impl Tool {
    /// Runs the program to its end, and returns the end of what it said. If the future is dropped
    /// before, or this process dies, the program and all that it started are killed.
    pub async fn run(self) -> Result<String, ToolError> {
        let program = self.program;
        let start = |source| ToolError::Start { program, source };
        // The kernel kills the child with its parent: nobody else would after a SIGKILL.
        let mut child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", program])
            .args(&self.arguments)
            .current_dir(&self.folder)
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(start)?;
        let _group = KillGroup(child.id());
        let (out, err) = (child.stdout.take(), child.stderr.take());
        let work = async { tokio::join!(child.wait(), end_of(out), end_of(err)) };
        let ended = timeout(self.limit, work).await;
        let (status, out, err) = ended.map_err(|_| ToolError::TookTooLong {
            program,
            limit: self.limit,
        })?;
        let status = status.map_err(start)?;
        let said = [out.map_err(start)?, err.map_err(start)?].concat();
        let said = String::from_utf8_lossy(&said).trim().to_owned();
        if status.success() {
            return Ok(said);
        }
        Err(ToolError::Failed {
            program,
            status,
            said,
        })
    }
}

/// Reads an output to its end, and keeps the last of it: a program may say gigabytes.
async fn end_of(output: Option<impl AsyncRead + Unpin>) -> io::Result<Vec<u8>> {
    let mut kept = Vec::new();
    let Some(mut output) = output else {
        return Ok(kept);
    };
    while output.read_buf(&mut kept).await? > 0 {
        if kept.len() > 2 * SAID_BYTES_MAX {
            kept.drain(..kept.len() - SAID_BYTES_MAX);
        }
    }
    kept.drain(..kept.len().saturating_sub(SAID_BYTES_MAX));
    Ok(kept)
}

/// Kills a process group when it goes out of scope.
struct KillGroup(Option<u32>);

impl Drop for KillGroup {
    fn drop(&mut self) {
        let id = self.0.and_then(|id| i32::try_from(id).ok());
        if let Some(group) = id.and_then(Pid::from_raw) {
            // Gone already, in the ordinary case.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Tool {
        Tool {
            program: "sh",
            arguments: vec!["-c".into(), script.into()],
            folder: std::env::temp_dir(),
            limit: Duration::from_mins(1),
        }
    }

    #[tokio::test]
    async fn a_failure_says_what_the_program_said() {
        let failed = shell("echo out; echo No space left on device >&2; exit 3")
            .run()
            .await;
        let failed = failed.err().unwrap();
        let said = failed.to_string();
        assert!(
            said.contains("`sh` failed") && said.contains("No space left"),
            "{said}"
        );
        assert!(failed.is_permanent());
        let other = shell("exit 3").run().await.err().unwrap();
        assert!(!other.is_permanent());
    }

    #[tokio::test]
    async fn of_much_output_the_end_is_kept() {
        let said = shell("yes | head -c 1000000; echo end")
            .run()
            .await
            .unwrap();
        assert!(
            said.ends_with("end") && said.len() <= SAID_BYTES_MAX,
            "{}",
            said.len()
        );
    }

    #[tokio::test]
    async fn a_program_that_takes_too_long_is_killed_with_its_children() {
        let mut tool = shell("sleep 300 & sleep 300");
        tool.limit = Duration::from_millis(50);
        let late = tool.run().await;
        assert!(
            matches!(late, Err(ToolError::TookTooLong { .. })),
            "{late:?}"
        );
    }

    #[tokio::test]
    async fn a_missing_program_is_named() {
        let mut tool = shell("");
        tool.program = "no-such-imager";
        let missing = tool.run().await.err().map(|error| error.to_string());
        let missing = missing.unwrap_or_default();
        assert!(missing.contains("no-such-imager"), "{missing}");
    }

    #[test]
    fn a_full_disk_is_noticed_before_the_work() {
        let folder = std::env::temp_dir();
        assert!(check_disk(&folder, 1).is_ok());
        assert!(check_memory(1).is_ok());
        let short = check_memory(u64::MAX).err().unwrap();
        assert!(!short.is_permanent(), "others will let go of theirs");
        let full = check_disk(&folder, u64::MAX).err().unwrap();
        assert!(
            full.is_permanent() && full.to_string().contains("make room"),
            "{full}"
        );
    }
}
