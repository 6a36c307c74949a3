//! The program that hosts the pipeline's tasks.

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};
use pipeline_tasks::{
    config::Config,
    worker::{
        WorkerError, bridge, bridge::BridgeArgs, demo, host, night, night::NightArgs, simulate,
        simulate::SimulateArgs,
    },
};

/// Hosts the DSA-110 continuum imaging pipeline.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Execute the pipeline's tasks until SIGTERM or Ctrl-C.
    Worker {
        /// How long work stays claimed when this worker falls silent.
        #[arg(long, default_value = "30s")]
        lease: String,
    },
    /// Watch the incoming folder and submit each complete observation once.
    Bridge(BridgeArgs),
    /// Write a simulated observation group.
    Simulate(SimulateArgs),
    /// Process a simulated observation, kill a worker on the way, show that nothing is lost.
    Demo {
        /// End after the timeline.
        #[arg(long)]
        exit: bool,
        /// The folder for all of it; a new one for temporary files where it is absent.
        #[arg(long, env = "ABSURD_DEMO_FOLDER")]
        folder: Option<PathBuf>,
    },
    /// Process many simulated observations while workers are killed, and say what it took.
    #[command(hide = true)]
    Night(NightArgs),
}

#[tokio::main]
async fn main() -> ExitCode {
    let filter = tracing_subscriber::EnvFilter::try_from_env("ABSURD_LOG");
    let filter = filter.unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    match Box::pin(run(Arguments::parse().command)).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", absurd_sdk::chain(&error));
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> Result<(), WorkerError> {
    match command {
        Command::Worker { lease } => host::run(&Config::from_env()?, &lease).await,
        Command::Bridge(arguments) => bridge::run(&Config::from_env()?, &arguments).await,
        Command::Simulate(arguments) => {
            for source in simulate::run(&arguments)? {
                let (ra, dec) = (
                    source.position.ra.to_degrees(),
                    source.position.dec.to_degrees(),
                );
                println!("{:.5} {:+.5} {:.3} Jy", ra.0, dec.0, source.flux.0);
            }
            Ok(())
        }
        Command::Demo { exit, folder } => {
            let new = || std::env::temp_dir().join(format!("absurd-demo-{}", std::process::id()));
            demo::run(&folder.unwrap_or_else(new), exit).await
        }
        Command::Night(arguments) => night::run(&arguments).await,
    }
}
