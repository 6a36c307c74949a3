//! `pipeline-worker simulate`: writes an observation group that needs no telescope.

use std::path::PathBuf;

use super::WorkerError;
use crate::{
    io::{Simulation, write_catalogue},
    model::{CatalogueSource, Degrees, GroupId},
};

/// The catalogue's name in the folder of a simulated group.
pub const CATALOGUE: &str = "catalog.csv";

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
    #[arg(long, default_value_t = 60.0)]
    pub gain_phase: f64,
    /// Everything random follows from it.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// Writes the group, with the catalogue of its sky beside it as `catalog.csv`, and returns the
/// sources.
pub fn run(arguments: &SimulateArgs) -> Result<Vec<CatalogueSource>, WorkerError> {
    let simulation = Simulation {
        group: arguments.group,
        sources: arguments.sources,
        gain_phase: Degrees(arguments.gain_phase),
        seed: arguments.seed,
        ..Simulation::default()
    };
    simulation.write(&arguments.out)?;
    let sources = simulation.sources()?;
    let catalogue = arguments.out.join(CATALOGUE);
    write_catalogue(&catalogue, &sources).map_err(WorkerError::file(catalogue))?;
    Ok(sources)
}
