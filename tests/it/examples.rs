//! Every example runs and prints what it promises.

use std::{fs, path::Path};

use crate::support::{TestResult, cargo};

#[test]
fn every_example_prints_what_it_promises() -> TestResult {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let mut compared = 0;
    for file in fs::read_dir(examples.join("examples"))? {
        let path = file?.path();
        let name = path.file_stem().ok_or("no name")?.to_string_lossy();
        let expected = examples.join("expected").join(format!("{name}.txt"));
        let expected = fs::read_to_string(&expected)
            .map_err(|error| format!("{}: {error}", expected.display()))?;
        // Built by the same cargo as this test, with the same profile: nothing is built twice.
        let run = cargo()
            .args([
                "run",
                "--quiet",
                "--package",
                "examples",
                "--example",
                &name,
            ])
            .output()?;
        let said = String::from_utf8_lossy(&run.stderr);
        assert!(run.status.success(), "{name}: {said}");
        assert_eq!(
            String::from_utf8_lossy(&run.stdout),
            expected,
            "{name}\n{said}"
        );
        compared += 1;
    }
    assert!(compared >= 29, "only {compared} examples were found");
    Ok(())
}
