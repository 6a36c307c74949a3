//! The tables and plots of docs/performance.md, made from what a run has measured and from
//! nothing else. The text around them is written by hand.

mod capacity;
mod costs;
mod latencies;
mod page;
mod peers;
mod svg;
mod targets;
mod time;

use std::{collections::BTreeMap, fs, path::Path};

use serde::{Deserialize, de::DeserializeOwned};

use crate::{
    error::Result,
    machine::Machine,
    measure::Percentiles,
    outcome::{Check, Cost, TopStatements},
    profile::Shares,
    table,
    workloads::WORKLOADS,
};

/// What the report reads of the file that `--json` writes.
#[derive(Debug, Deserialize)]
struct Measured {
    machine: Machine,
    scale: Scale,
    workloads: BTreeMap<String, Found>,
}

#[derive(Debug, Deserialize)]
struct Scale {
    name: String,
    rounds: usize,
}

/// What one workload has found, or why it has failed.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Found {
    error: Option<String>,
    checks: Vec<Check>,
    costs: BTreeMap<String, Cost>,
    latencies: BTreeMap<String, Percentiles>,
    statements: Option<TopStatements>,
    profile: Option<Shares>,
}

/// Replaces the marked parts of `performance.md` in this folder, and its plots.
pub(crate) fn refresh(file: &Path, peers: Option<&Path>, folder: &Path) -> Result {
    let measured: Measured = from_json(file)?;
    measured.check()?;
    let document = folder.join("performance.md");
    let mut text = read(&document)?;
    for (name, content) in [
        ("machine", measured.heading()),
        ("targets", table::target_table(measured.checks())),
        ("latencies", latencies::table(&measured)),
        ("costs", table::cost_table(measured.costs())),
        ("statements", time::statements(&measured)),
        ("profile", time::profile(&measured)),
        ("capacity", capacity::text(&measured)),
    ] {
        text = page::replaced(&text, name, &content)?;
    }
    if let Some(file) = peers {
        let peers: peers::Compared = from_json(file)?;
        text = page::replaced(&text, "peers", &peers.text())?;
    }
    let plots = folder.join("performance");
    fs::create_dir_all(&plots).map_err(|error| format!("{}: {error}", plots.display()))?;
    write(&plots.join("targets.svg"), &targets::plot(&measured))?;
    write(&plots.join("latencies.svg"), &latencies::plot(&measured))?;
    write(&plots.join("costs.svg"), &costs::plot(&measured))?;
    write(&document, &text)?;
    println!(
        "{} and its plots hold the numbers of {}",
        document.display(),
        file.display()
    );
    Ok(())
}

fn from_json<T: DeserializeOwned>(file: &Path) -> Result<T> {
    let read = serde_json::from_str(&read(file)?);
    read.map_err(|error| format!("{} is not what --json writes: {error}", file.display()).into())
}

impl Measured {
    /// A report of some workloads would leave the others' old numbers out unseen.
    fn check(&self) -> Result {
        let missing = |id: &&str| !self.workloads.contains_key(*id);
        let ids = WORKLOADS.iter().map(|workload| workload.id);
        let missing: Vec<&str> = ids.filter(missing).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let missing = missing.join(", ");
        Err(format!("{missing} was not measured; write the file without --only").into())
    }

    /// On what it was measured and how well, with what failed.
    fn heading(&self) -> String {
        let Scale { name, rounds } = &self.scale;
        let mut lines = vec![
            self.machine.lines(),
            format!("Scale `{name}`, {rounds} rounds."),
        ];
        if name != "full" {
            lines.push("**This is no full run: take its numbers for orientation.**".to_owned());
        }
        for (id, found) in self.found() {
            lines.extend(
                found
                    .error
                    .as_ref()
                    .map(|error| format!("**{id} failed: {error}**")),
            );
        }
        lines.join("\n\n")
    }

    /// What was found, in the order of the workloads.
    fn found(&self) -> impl Iterator<Item = (&'static str, &Found)> {
        let ids = WORKLOADS.iter().map(|workload| workload.id);
        ids.filter_map(|id| Some((id, self.workloads.get(id)?)))
    }

    fn checks(&self) -> impl Iterator<Item = (&str, &Check)> {
        self.found()
            .flat_map(|(id, found)| found.checks.iter().map(move |check| (id, check)))
    }

    fn costs(&self) -> impl Iterator<Item = (&str, &str, &Cost)> {
        self.found().flat_map(|(id, found)| {
            let costs = found.costs.iter();
            costs.map(move |(part, cost)| (id, part.as_str(), cost))
        })
    }

    fn latencies(&self) -> impl Iterator<Item = (&str, &str, &Percentiles)> {
        self.found().flat_map(|(id, found)| {
            let latencies = found.latencies.iter();
            latencies.map(move |(name, latency)| (id, name.as_str(), latency))
        })
    }

    /// The cost of a workload's part, unless that failed.
    fn cost(&self, id: &str, part: &str) -> Option<&Cost> {
        self.workloads.get(id)?.costs.get(part)
    }
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()).into())
}

fn write(path: &Path, text: &str) -> Result {
    fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()).into())
}
