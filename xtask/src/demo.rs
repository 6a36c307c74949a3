//! `cargo xtask demo`: one observation group from raw files to an image, with a worker
//! killed on the way. The steps live in `pipeline-worker demo`; here is what they need.

use crate::process::{Result, cargo, run};
use crate::setup;

/// Builds the programs of the demo and starts it; `exit` ends it after the timeline.
pub(crate) fn start(exit: bool) -> Result {
    setup::for_demo()?;
    run(cargo().args([
        "build",
        "--package",
        "pipeline-tasks",
        "--bin",
        "pipeline-worker",
    ]))?;
    run(cargo().args(["build", "--package", "absurd-cli", "--bin", "absurd"]))?;
    let mut demo = cargo();
    demo.args([
        "run",
        "--quiet",
        "--package",
        "pipeline-tasks",
        "--bin",
        "pipeline-worker",
    ]);
    demo.args(["--", "demo"]);
    if exit {
        demo.arg("--exit");
    }
    run(&mut demo)
}
