//! The night in miniature, at its smallest: three observations, one kill, one crash of the
//! database.

use std::{fs, process::Command};

use serde_json::Value;

use crate::TestResult;

#[test]
fn a_small_night_survives_a_kill_and_a_crash() -> TestResult {
    let folder = tempfile::tempdir()?;
    let out = folder.path().join("report.md");
    let night = Command::new(env!("CARGO_BIN_EXE_pipeline-worker"))
        .args(["night", "--groups", "3", "--antennas", "5"])
        .args(["--arrive-every", "500ms", "--kill-every", "4s"])
        .args(["--kills-max", "1", "--mosaic-wait", "40s", "--folder"])
        .arg(folder.path().join("night"))
        .arg("--out")
        .arg(&out)
        .output()?;
    let said = String::from_utf8_lossy(&night.stdout);
    let errors = String::from_utf8_lossy(&night.stderr);
    assert!(night.status.success(), "{said}\n{errors}");
    let facts = fs::read(folder.path().join("night/night.json"))?;
    let facts: Value = serde_json::from_slice(&facts)?;
    let count = |name: &str| facts["disturbances"][name].as_u64().unwrap_or_default();
    assert!(count("kills") == 1 && count("restarts") == 1, "{facts}");
    for step in ["convert", "flag", "calibrate_solve", "image", "register"] {
        let took = facts["steps_s"][step].as_array().ok_or("no times")?;
        assert_eq!(took.len(), 3, "{step}");
    }
    let images = fs::read_dir(folder.path().join("night/output/images"))?;
    assert_eq!(images.count(), 6, "an image and a record of each");
    assert_eq!(facts["mosaics"]["count"], 1, "{facts}");
    assert!(facts["memory_bytes"]["wsclean"].is_u64(), "{facts}");
    assert!(fs::read_to_string(out)?.contains("| image |"));
    Ok(())
}
