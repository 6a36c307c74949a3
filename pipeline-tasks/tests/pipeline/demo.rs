//! The demonstration itself: a worker is killed between two steps, another one finishes, and
//! every simulated source is on the image.

use std::process::Command;

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
