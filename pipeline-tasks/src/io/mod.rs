//! Files: UVH5 in, Measurement Sets and FITS images out, and simulated observations.

mod catalogue;
mod convert;
mod fits;
mod gain_table;
mod part;
mod report;
mod simulate;
mod simulated_sky;
mod uvh5;

pub use catalogue::{CatalogueError, VlaCalibrators, read_catalogue, read_vla_calibrators};
pub use convert::{ConvertError, Converted, convert};
pub use fits::{FitsError, FitsImage};
pub use gain_table::{GainTable, GainTableError};
pub(crate) use part::PartName;
pub use report::{ImageReport, ReportError};
pub use simulate::{Simulation, SimulationError};
pub use simulated_sky::PointSource;
pub use uvh5::{Antenna, Header, Integration, Uvh5, Uvh5Error};
