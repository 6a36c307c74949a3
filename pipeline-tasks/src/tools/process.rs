//! A program that lives no longer than the step that started it.

use std::{io, path::PathBuf, process::Stdio, time::Duration};

use rustix::process::{Pid, Signal, kill_process_group};
use thiserror::Error;
use tokio::{process::Command, time::timeout};

/// How much of what a program said is kept for its error.
const SAID_BYTES_MAX: usize = 2_000;

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
    /// It ended with an error.
    #[error("`{program}` failed with {status}: {said}")]
    Failed {
        /// The program.
        program: &'static str,
        /// How it ended.
        status: std::process::ExitStatus,
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
    /// Runs the program to its end. If the future is dropped before, or this process dies, the
    /// program and all that it started are killed.
    pub async fn run(self) -> Result<(), ToolError> {
        let program = self.program;
        // The kernel kills the child with its parent: nobody else would after a SIGKILL.
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", program])
            .args(&self.arguments)
            .current_dir(&self.folder)
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|source| ToolError::Start { program, source })?;
        let _group = KillGroup(child.id());
        let ended = timeout(self.limit, child.wait_with_output()).await;
        let output = ended
            .map_err(|_| ToolError::TookTooLong {
                program,
                limit: self.limit,
            })?
            .map_err(|source| ToolError::Start { program, source })?;
        if output.status.success() {
            return Ok(());
        }
        let said = [output.stdout, output.stderr].concat();
        let from = said.len().saturating_sub(SAID_BYTES_MAX);
        Err(ToolError::Failed {
            program,
            status: output.status,
            said: String::from_utf8_lossy(&said[from..]).trim().to_owned(),
        })
    }
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
        let failed = shell("echo out; echo no space left >&2; exit 3")
            .run()
            .await;
        let said = failed
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default();
        assert!(
            said.contains("`sh` failed") && said.contains("no space left"),
            "{said}"
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
}
