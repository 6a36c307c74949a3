//! `pipeline-worker simulate`: writes an observation group that needs no telescope.

use std::path::PathBuf;

use super::WorkerError;
use crate::{
    io::{PointSource, Simulation},
    model::{Degrees, GroupId},
};

/// What the command line says of the simulation.
#[derive(Debug, clap::Args)]
pub struct SimulateArgs {
    /// The folder for the sixteen files.
    #[arg(long)]
    pub out: PathBuf,
    /// The group's name: its time in UTC.
    #[arg(long, default_value = "2026-01-26T08:05:18")]
    pub group: GroupId,
    /// How many sources beside the bright one.
    #[arg(long, default_value_t = 6)]
    pub sources: usize,
    /// Scatter of the antennas' gain phases in degrees.
    #[arg(long, default_value_t = 2.0)]
    pub gain_phase: f64,
    /// Everything random follows from it.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// Writes the group and its truth, and returns the sources as the array sees them.
pub fn run(arguments: &SimulateArgs) -> Result<Vec<PointSource>, WorkerError> {
    let simulation = Simulation {
        group: arguments.group,
        sources: arguments.sources,
        gain_phase: Degrees(arguments.gain_phase),
        seed: arguments.seed,
        ..Simulation::default()
    };
    Ok(simulation.write(&arguments.out)?)
}
