//! `bench`: what the engine costs, measured against what the same PostgreSQL can do.
//!
//! Each workload has a database of its own and, where its target is a ratio, a limit: the same
//! rows written with plain SQL through the same driver, in the same database, in turns with the
//! engine. Nothing here decides that a target is met but the numbers.

// The order of these lines is a reading order: a module imports only from modules above it.
mod error;
mod scale;

mod measure;
mod proc;
mod profile;

mod outcome;

mod machine;
mod server;

mod meter;

mod tasks;
mod worker;

mod limits;

mod workloads;

mod table;

mod peers;
mod report;

use std::{collections::BTreeMap, fs, path::PathBuf, process::ExitCode};

use absurd_sdk::chain;
use clap::{Parser, Subcommand, ValueEnum};
use serde_json::{Value, json};
use tokio::time::Instant;

use self::{
    error::Result,
    outcome::Outcome,
    profile::Profiler,
    scale::Scale,
    server::Server,
    workloads::{WORKLOADS, Workload},
};

/// Measures the engine against what the same PostgreSQL can do with plain SQL.
#[derive(Debug, Parser)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
struct Cli {
    /// Fewer rounds and samples; W9 holds its snapshot for seconds instead of ten minutes.
    #[arg(long)]
    quick: bool,
    /// Tiny sizes on a server that writes nothing to disk: shows that all runs, not how fast.
    #[arg(long)]
    smoke: bool,
    /// Only these workloads, for example `W3,W4`.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Writes all that was measured to this file.
    #[arg(long)]
    json: Option<PathBuf>,
    /// One more round of each workload, in which `perf` says where the processors' time goes.
    #[arg(long, conflicts_with = "peers")]
    profile: bool,
    /// W1 to W7 on what the registries offer, beside our engine, instead of against the limit.
    #[arg(long)]
    peers: bool,
    /// Only these peers, for example `dbos-py,pg-boss`; ours comes along.
    #[arg(long, value_delimiter = ',', requires = "peers")]
    peer: Vec<String>,
    #[command(subcommand)]
    part: Option<Part>,
}

/// What else there is, and what the benchmark starts itself for.
#[derive(Debug, Subcommand)]
enum Part {
    /// A worker in a process of its own.
    #[command(hide = true)]
    Worker {
        /// What it is to do, as JSON.
        order: String,
    },
    /// Makes the tables and plots of performance.md from what `--json` has written.
    Report {
        /// The file that `--json` has written, of all workloads.
        file: PathBuf,
        /// The file that `--peers --json` has written; without it their table stays as it is.
        #[arg(long)]
        peers: Option<PathBuf>,
        /// The folder that holds performance.md.
        #[arg(long, default_value = "docs")]
        out: PathBuf,
    },
    /// Our engine as one of the peers.
    #[command(hide = true)]
    Peer {
        /// How it hears of tasks.
        manner: Manner,
        /// What it is to do, as JSON.
        order: String,
    },
}

/// How a worker hears of tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Manner {
    /// The schema notifies.
    Notified,
    /// It asks.
    Polling,
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match &cli.part {
        Some(Part::Worker { order }) => worker::serve(order).await.map(|()| true),
        Some(Part::Report { file, peers, out }) => {
            report::refresh(file, peers.as_deref(), out).map(|()| true)
        }
        Some(Part::Peer { manner, order }) => {
            let is_polling = *manner == Manner::Polling;
            peers::serve(is_polling, order).await.map(|()| true)
        }
        None if cli.peers => compare(&cli).await,
        None => run(&cli).await,
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {}", chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

/// Runs the workloads and reports; false when one of them failed.
async fn run(cli: &Cli) -> Result<bool> {
    let chosen = chosen(&cli.only)?;
    let scale = Scale::of(cli.quick, cli.smoke);
    let profiler = cli.profile.then(Profiler::new).transpose()?;
    let server = Server::start(&scale, profiler).await?;
    let machine = machine::describe(&server).await?;
    println!("{}", table::heading(&machine, &scale));
    let mut reports = BTreeMap::new();
    let mut outcomes = Vec::new();
    let mut failed = Vec::new();
    for workload in chosen {
        let begun = Instant::now();
        eprint!("{}: {} ..", workload.id, workload.title);
        // Boxed: a workload's future is large.
        match Box::pin(measured(workload, &server, &scale)).await {
            Ok(outcome) => {
                reports.insert(workload.id, serde_json::to_value(&outcome)?);
                outcomes.push((workload, outcome));
            }
            Err(error) => {
                let error = chain(error.as_ref());
                reports.insert(workload.id, json!({ "error": error }));
                failed.push(format!("{} failed: {error}", workload.id));
            }
        }
        eprintln!(" {:.1} s", begun.elapsed().as_secs_f64());
    }
    println!("{}", table::targets(&outcomes));
    println!("\n{}", table::costs(&outcomes));
    for failure in &failed {
        println!("{failure}");
    }
    if let Some(path) = &cli.json {
        let report = json!({ "machine": machine, "scale": scale, "workloads": reports });
        write(path, &report)?;
    }
    Ok(failed.is_empty())
}

/// Runs the peers and reports; false when one of them failed.
async fn compare(cli: &Cli) -> Result<bool> {
    let workloads = peers::chosen_workloads(&cli.only)?;
    let chosen = peers::chosen_peers(&cli.peer)?;
    let scale = Scale::of(cli.quick, cli.smoke);
    let server = Server::start(&scale, None).await?;
    let machine = machine::describe(&server).await?;
    println!("{}", table::heading(&machine, &scale));
    let (all_well, found) = peers::run(&server, &scale, &chosen, &workloads).await?;
    if let Some(path) = &cli.json {
        write(
            path,
            &json!({ "machine": machine, "scale": scale, "peers": found }),
        )?;
    }
    Ok(all_well)
}

/// One workload, with what PostgreSQL says of its statements, and `perf` of the processors.
async fn measured(workload: &Workload, server: &Server, scale: &Scale) -> Result<Outcome> {
    server.forget_statements().await?;
    let mut outcome = workload.run(server, scale).await?;
    outcome.statements = server.top_statements().await?;
    outcome.profile = server.profiler().map(Profiler::take).transpose()?.flatten();
    Ok(outcome)
}

/// The workloads that were asked for, all of them where none was named.
fn chosen(only: &[String]) -> Result<Vec<&'static Workload>> {
    for name in only {
        if !WORKLOADS.iter().any(|workload| workload.is(name)) {
            return Err(format!("there is no workload `{name}`; write for example W3,W4").into());
        }
    }
    let wanted =
        |workload: &&Workload| only.is_empty() || only.iter().any(|name| workload.is(name));
    Ok(WORKLOADS.iter().filter(wanted).collect())
}

fn write(path: &PathBuf, report: &Value) -> Result {
    let text = serde_json::to_string_pretty(report)?;
    fs::write(path, text + "\n").map_err(|error| format!("{}: {error}", path.display()).into())
}
