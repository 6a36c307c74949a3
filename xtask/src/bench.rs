//! `cargo xtask bench`: the benchmarks, built with optimisation in a profile of their own.

use crate::process::{Result, cargo, run};
use crate::setup;

/// Builds the benchmarks and starts them; they understand the words.
pub(crate) fn start(words: &[&str]) -> Result {
    setup::for_benches()?;
    let mut bench = cargo();
    bench.args(["run", "--quiet", "--profile", "bench-run"]);
    bench.args(["--package", "benches", "--bin", "bench", "--"]);
    run(bench.args(words))
}
