//! `cargo xtask test`: every check, in the order in which they are cheap.

use std::env;
use std::process::Command;
use std::time::Instant;

use crate::process::{self, Result, cargo};
use crate::setup::{self, Tools};
use crate::tidy;

/// How a warning of the compiler counts outside clippy.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Strictness {
    /// A warning is printed.
    Local,
    /// A warning is an error, and tools know that nobody watches.
    Ci,
}

type Check = (&'static str, fn(&Runner) -> Result);

const CHECKS: &[Check] = &[
    ("format", |runner| {
        runner.cargo(&["fmt", "--all", "--check"])
    }),
    ("tidy", |_| tidy::run()),
    ("clippy", |runner| {
        runner.cargo(&[
            "clippy",
            "--workspace",
            "--all-targets",
            "--keep-going",
            "--",
            "-D",
            "warnings",
        ])
    }),
    ("tests", |runner| {
        runner.cargo(&["nextest", "run", "--workspace"])
    }),
    ("doc tests", |runner| {
        runner.cargo(&["test", "--doc", "--workspace"])
    }),
    ("documentation", Runner::documentation),
    ("dependencies", Runner::dependencies),
];

struct Runner {
    tools: Tools,
    strictness: Strictness,
}

/// Runs all checks even when one fails, so that one round shows everything.
pub(crate) fn run(strictness: Strictness) -> Result {
    let start = Instant::now();
    heading("setup");
    let tools = match setup::for_tests() {
        Ok(tools) => tools,
        Err(message) => {
            println!("\nsetup failed, nothing was checked: {message}\n");
            println!("{}", closing_line(0, 1));
            return Err(String::new());
        }
    };
    println!("done in {}", elapsed(start));

    let runner = Runner { tools, strictness };
    let mut failed = Vec::new();
    for (name, check) in CHECKS {
        let start = Instant::now();
        heading(name);
        if let Err(message) = check(&runner) {
            println!("FAILED after {}: {message}", elapsed(start));
            failed.push(*name);
        } else {
            println!("passed in {}", elapsed(start));
        }
    }

    heading(&format!("result after {}", elapsed(start)));
    for name in &failed {
        println!("failed: {name}");
    }
    println!(
        "{}",
        closing_line(CHECKS.len() - failed.len(), failed.len())
    );
    if failed.is_empty() {
        Ok(())
    } else {
        Err(String::new())
    }
}

impl Runner {
    fn cargo(&self, words: &[&str]) -> Result {
        process::run(self.command().args(words))
    }

    fn command(&self) -> Command {
        let mut command = self.tools.give(cargo());
        if self.strictness == Strictness::Ci {
            command.env("CI", "true").env("RUSTFLAGS", "-D warnings");
        }
        command
    }

    fn documentation(&self) -> Result {
        let mut doc = self.command();
        doc.env("RUSTDOCFLAGS", "-D warnings")
            .args(["doc", "--no-deps", "--workspace"]);
        process::run(&mut doc)
    }

    /// Licences, banned crates and sources need only `Cargo.lock`. The advisories need a
    /// database from the network, so they are asked for by whoever has it.
    fn dependencies(&self) -> Result {
        let mut deny = self.command();
        deny.args([
            "deny",
            "--log-level",
            "error",
            "check",
            "licenses",
            "bans",
            "sources",
        ]);
        if env::var_os("ABSURD_DENY_ADVISORIES").is_some() {
            deny.arg("advisories");
        } else {
            println!("advisories are not checked: set ABSURD_DENY_ADVISORIES=1 to fetch them");
        }
        process::run(&mut deny)
    }
}

fn heading(name: &str) {
    println!("\n== {name}");
}

fn elapsed(start: Instant) -> String {
    format!("{:.1} s", start.elapsed().as_secs_f64())
}

fn closing_line(passed: usize, failed: usize) -> String {
    format!("{passed} passed, {failed} failed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closes_with_a_line_that_programs_can_read() {
        assert_eq!(closing_line(7, 0), "7 passed, 0 failed");
    }

    #[test]
    fn cheap_checks_come_first() {
        let names: Vec<&str> = CHECKS.iter().map(|(name, _)| *name).collect();
        assert_eq!(names[..3], ["format", "tidy", "clippy"]);
    }
}
