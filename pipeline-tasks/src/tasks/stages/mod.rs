//! What each stage does.

mod calibration;
mod image;
mod ingest;
mod measure;
mod organize;

use absurd_sdk::{TaskError, TaskResult};

pub(super) use calibration::{VALID_HOURS, calibration_apply, calibration_solve, flag};
pub(super) use image::imaging;
pub(super) use ingest::{catalog_setup, conversion, observation, observations};
pub use measure::SourceFlux;
pub(super) use measure::{crossmatching, photometry, tile_of_group, validation, write_json};
pub(super) use organize::organize_files;

/// Runs what computes or waits for disks where that holds up no other task.
pub(super) async fn in_background<T: Send + 'static>(
    work: impl FnOnce() -> TaskResult<T> + Send + 'static,
) -> TaskResult<T> {
    tokio::task::spawn_blocking(work).await?
}

/// An error that is final if `permanent`.
pub(super) fn finally(permanent: bool, error: impl Into<TaskError>) -> TaskError {
    if permanent {
        TaskError::terminal(error)
    } else {
        error.into()
    }
}
