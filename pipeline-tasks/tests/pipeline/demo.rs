//! The demonstration itself: a worker is killed between two steps, another one finishes, and
//! every simulated source is on the image.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    path::Path,
    process::{Command, Stdio},
};

use absurd_test::eventually;
use rustix::process::{Pid, Signal, kill_process};

use crate::TestResult;

#[test]
fn the_demo_ends_with_an_image_that_the_field_accepts() -> TestResult {
    let folder = tempfile::tempdir()?;
    let demo = Command::new(env!("CARGO_BIN_EXE_pipeline-worker"))
        .args(["demo", "--exit", "--folder"])
        .arg(folder.path().join("demo"))
        .output()?;
    let said = String::from_utf8_lossy(&demo.stdout).into_owned();
    let errors = String::from_utf8_lossy(&demo.stderr);
    assert!(demo.status.success(), "{said}\n{errors}");
    assert!(said.contains("No completed step ran twice."), "{said}");
    let image = said
        .lines()
        .find_map(|line| line.strip_prefix("The image is "));
    let image = image.ok_or("no image")?;
    let verified = Command::new("fitsverify").args(["-q", image]).output()?;
    let verdict = String::from_utf8_lossy(&verified.stdout);
    assert!(verified.status.success(), "{verdict}");
    Ok(())
}

#[tokio::test]
async fn a_demo_that_is_told_to_stop_leaves_nothing_running() -> TestResult {
    let folder = tempfile::tempdir()?;
    let mut demo = Command::new(env!("CARGO_BIN_EXE_pipeline-worker"))
        .args(["demo", "--folder"])
        .arg(folder.path().join("demo"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut said = BufReader::new(demo.stdout.take().ok_or("no output")?).lines();
    let started = said.find(|line| {
        line.as_ref()
            .map_or(true, |line| line.starts_with("Started worker"))
    });
    started.ok_or("no worker was started")??;
    // The demonstration, its database and its worker.
    assert!(processes_about(folder.path())?.len() >= 3);
    let id = Pid::from_child(&demo);
    kill_process(id, Signal::TERM)?;
    let ended = demo.wait()?;
    let mut errors = String::new();
    demo.stderr
        .take()
        .ok_or("no errors")?
        .read_to_string(&mut errors)?;
    assert!(
        !ended.success() && errors.contains("stopped by a signal"),
        "{errors}"
    );
    eventually("all that it has started has ended", async || {
        processes_about(folder.path()).is_ok_and(|left| left.is_empty())
    })
    .await?;
    Ok(())
}

/// The command lines of processes that were told of a folder, by their arguments or environment.
fn processes_about(folder: &Path) -> TestResult<Vec<String>> {
    let folder = folder.display().to_string();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let process = entry?.path();
        // Those that are no processes, or have ended meanwhile, have neither.
        let read = |name| fs::read(process.join(name)).unwrap_or_default();
        let (line, environment) = (read("cmdline"), read("environ"));
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        let environment = String::from_utf8_lossy(&environment);
        if line.contains(&folder) || environment.contains(&folder) {
            found.push(line);
        }
    }
    Ok(found)
}
