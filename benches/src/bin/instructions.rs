//! Counts the instructions of the work that each claim, step and write costs in our process.
//!
//! Valgrind's callgrind counts the same work in two lengths; their difference holds no start-up.
//! A count doesn't depend on how busy the machine is, so a regression shows without timing:
//! `tests/instructions.rs` holds the counts against recorded ones.

use std::{
    collections::BTreeMap,
    env,
    process::{Command, ExitCode},
};

use absurd_sdk::{TaskResult, chain, pure};
use benches::{Claim, fresh_steps, payload};
use clap::{Parser, Subcommand};

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Prints, as JSON, how many instructions one unit of each work takes in this build.
#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    part: Option<Part>,
}

/// What the program starts itself for.
#[derive(Debug, Subcommand)]
enum Part {
    /// The work itself, for valgrind to look at.
    #[command(hide = true)]
    Work {
        /// Its name.
        name: String,
        /// How many rounds of it.
        rounds: usize,
    },
}

/// A piece of work of a fixed size.
struct Work {
    /// What one unit of it is.
    each: &'static str,
    /// Units of one round.
    units: usize,
    /// Does so many rounds of so many units, and says how many units were done.
    run: fn(usize, usize) -> TaskResult<usize>,
}

const WORKS: &[Work] = &[
    Work {
        each: "replayed step",
        units: 1000,
        run: |rounds, steps| {
            let claim = Claim::of(steps)?;
            (0..rounds).map(|_| claim.replay()).sum()
        },
    },
    Work {
        each: "fresh step",
        units: 1000,
        run: |rounds, steps| (0..rounds).map(|_| fresh_steps(steps)).sum(),
    },
    Work {
        each: "write of a batch",
        units: 256,
        run: |rounds, writes| {
            let state = payload();
            (0..rounds).map(|_| pure::batch(writes, &state)).sum()
        },
    },
];

fn main() -> ExitCode {
    let done = match Cli::parse().part {
        None => print(),
        Some(Part::Work { name, rounds }) => work(&name, rounds),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

fn print() -> Result {
    let counts: Result<BTreeMap<&str, u64>> = WORKS
        .iter()
        .map(|work| Ok((work.each, of_one_unit(work)?)))
        .collect();
    println!("{}", serde_json::to_string_pretty(&counts?)?);
    Ok(())
}

fn of_one_unit(work: &Work) -> Result<u64> {
    let (short, long) = (counted(work, 1)?, counted(work, 2)?);
    let more = long
        .checked_sub(short)
        .filter(|more| *more > 0)
        .ok_or_else(|| format!("{}: twice the work took no more instructions", work.each))?;
    Ok(more / u64::try_from(work.units)?)
}

/// Instructions of this whole program when it does so many rounds.
fn counted(work: &Work, rounds: usize) -> Result<u64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(env::current_exe()?)
        .args(["work", work.each, &rounds.to_string()])
        .output()
        .map_err(|error| format!("valgrind can't be started ({error}); install it"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("valgrind ended with {}:\n{said}", output.status).into());
    }
    let total = total(&said).ok_or_else(|| format!("valgrind gave no count:\n{said}"))?;
    Ok(total)
}

/// The number of a line like `==12== Collected : 1234567`.
fn total(said: &str) -> Option<u64> {
    let line = said.lines().find(|line| line.contains("Collected :"))?;
    line.split_whitespace().last()?.parse().ok()
}

fn work(name: &str, rounds: usize) -> Result {
    let known = WORKS.iter().find(|work| work.each == name);
    let work = known.ok_or_else(|| format!("there is no work `{name}`"))?;
    let done = (work.run)(rounds, work.units).map_err(|error| error.to_string())?;
    if done != rounds * work.units {
        return Err(format!("{name}: {done} units were done in {rounds} rounds").into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_work_does_what_it_says() {
        for work in WORKS {
            super::work(work.each, 2).unwrap();
        }
    }

    #[test]
    fn valgrind_says_how_many() {
        let said = "==12== Events    : Ir\n==12== Collected : 1234567\n==12==\n";
        assert_eq!(total(said), Some(1_234_567));
        assert_eq!(total("==12== nothing"), None);
    }
}
