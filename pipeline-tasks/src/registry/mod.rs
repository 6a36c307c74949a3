//! The registry of products, in schema `pipeline` of the engine's own database: what was made, of
//! what, and where it is now.
//!
//! Every `record_*` takes a connection and may be repeated, so that it can stand inside
//! `Context::transaction`: a product and the checkpoint of the step that made it are one commit.

mod error;
mod install;
mod product;

mod archive;
mod caltable;
mod changes;
mod mosaic;
mod mosaic_windows;
mod photometry;
mod provenance;
mod variability;

pub use archive::{Archived, archive_tasks};
pub use caltable::{CalTable, CalTableRecord, caltables_valid_at, record_caltable};
pub use changes::{mark_deleted, move_product};
pub use error::RegistryError;
pub use install::install;
pub use mosaic::{MosaicBuild, groups_of_mosaic, record_mosaic};
pub(crate) use mosaic_windows::window_name;
pub use mosaic_windows::{
    FinishedGroup, claim_windows, finished_groups, is_window_submitted, record_window,
};
pub use photometry::{Measurement, light_curve, light_curves, measured_sources, record_photometry};
pub use product::{
    Product, ProductId, ProductKind, ProductRecord, ProductState, image_of_group,
    products_of_group, record_product,
};
pub use provenance::{InputFile, Provenance};
pub use sqlx::PgConnection;
pub use variability::{SourceVariability, record_variability};
