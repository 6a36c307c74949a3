//! All workloads run, in tiny sizes.

use std::{fs, path::Path, process::Command};

use serde_json::Value;

const WORKLOADS: [&str; 10] = ["W1", "W2", "W3", "W4", "W5", "W6", "W7", "W8", "W9", "W10"];

fn bench(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bench"));
    command.args(words);
    command
}

#[test]
fn every_workload_measures_something() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bench.json");
    let output = bench(&["--quick", "--smoke", "--json"])
        .arg(&file)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{complained}");
    let mut report: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!(report["scale"]["name"], "smoke");
    for workload in WORKLOADS {
        assert!(said.contains(&format!("| {workload} ")), "{said}");
        let found = &report["workloads"][workload];
        let checks = found["checks"].as_array().unwrap();
        assert!(!checks.is_empty(), "{workload}");
        for check in checks {
            let median = check["measured"]["median"].as_f64().unwrap();
            assert!(median >= 0.0, "{workload}: {check}");
        }
        for cost in found["costs"].as_object().unwrap().values() {
            assert!(
                cost["wal_bytes"].as_f64().unwrap() > 0.0,
                "{workload}: {cost}"
            );
            assert!(
                cost["commits"].as_f64().unwrap() > 0.0,
                "{workload}: {cost}"
            );
            assert!(
                cost["statements"].as_f64().unwrap() > 0.0,
                "{workload}: {cost}"
            );
        }
    }
    // The report is made of this file, into a copy of the document.
    let document = folder.path().join("performance.md");
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/performance.md");
    fs::copy(docs, &document).unwrap();
    let mut refresh = bench(&["report"]);
    refresh.arg(&file).arg("--out").arg(folder.path());
    assert!(refresh.status().unwrap().success());
    let text = fs::read_to_string(&document).unwrap();
    assert!(text.contains("Scale `smoke`"), "{text}");
    for plot in ["targets", "latencies", "costs"] {
        let plot = folder.path().join(format!("performance/{plot}.svg"));
        assert!(fs::read_to_string(plot).unwrap().contains("W1 "));
    }
    report["workloads"].as_object_mut().unwrap().remove("W2");
    fs::write(&file, report.to_string()).unwrap();
    let refused = refresh.output().unwrap();
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("W2"));
}

#[test]
fn an_unknown_workload_is_refused() {
    let output = bench(&["--only", "W3,W99"]).output().unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("W99"));
}
