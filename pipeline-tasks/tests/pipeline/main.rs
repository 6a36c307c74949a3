//! The pipeline on simulated and on foreign data.

mod bridge;
mod catalogues;
mod conversion;
mod crash;
mod demo;
mod housekeeping;
mod mosaic;
mod night;
mod reader;
mod registry;
mod science;
mod simulation;
mod stages;
mod tiles;
mod workflow;

use std::path::PathBuf;

type TestResult<T = ()> = Result<T, Box<dyn std::error::Error>>;

/// Data that our code did not write, beside the workspace; `None`, and said so, where it is
/// absent.
fn shared_data(name: &str) -> Option<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../shared/data")
        .join(name);
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: {} is not there", folder.display());
    None
}
