//! `cargo xtask bench`: the benchmarks, built with optimisation in a profile of their own.

use crate::process::{Result, cargo, run};
use crate::setup;

/// Builds the benchmarks and starts them; they understand the words. With `--pure` first, those of
/// the parts that need no database.
pub(crate) fn start(words: &[&str]) -> Result {
    if let ["--pure", words @ ..] = words {
        return pure(words);
    }
    if words.contains(&"--peers") {
        setup::for_peers()?;
    } else {
        setup::for_benches(words.contains(&"--profile"))?;
    }
    let mut bench = cargo();
    bench.args(["run", "--quiet", "--profile", "bench-run"]);
    bench.args(["--package", "benches", "--bin", "bench", "--"]);
    run(bench.args(words))
}

/// Criterion's benchmarks; it understands the words.
fn pure(words: &[&str]) -> Result {
    let mut bench = cargo();
    bench.args(["bench", "--quiet", "--profile", "bench-run"]);
    bench.args(["--package", "benches", "--bench", "pure", "--"]);
    run(bench.args(words))
}
