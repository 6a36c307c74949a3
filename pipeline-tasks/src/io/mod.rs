//! Files: UVH5 in, Measurement Sets and FITS images out, and simulated observations.

mod apply;
mod calibrate;
mod calibration_error;
mod catalogue;
mod convert;
mod extent;
mod fits;
mod fits_write;
mod gain_table;
mod part;
mod report;
mod set_info;
mod simulate;
mod simulated_effects;
mod simulated_header;
mod simulated_sky;
mod single;
mod tile;
mod uvh5;

pub use apply::apply;
pub use calibrate::{GainQuality, REFERENCE_ANTENNAS, SolveSettings, flag_unusable, solve};
pub use calibration_error::CalibrationError;
pub use catalogue::{
    CatalogueError, VlaCalibrators, read_catalogue, read_vla_calibrators, write_catalogue,
};
pub use convert::{ConvertError, Converted, convert};
pub use extent::Extent;
pub use fits::{FitsError, FitsImage, read_plane};
pub use fits_write::{Card, CardValue, write_plane};
pub use gain_table::{GainTable, GainTableError};
pub(crate) use part::{PartName, sweep_parts, write_whole};
pub use report::{ImageReport, ReportError};
pub use set_info::{RowsOfTime, SetError, SetInfo};
pub use simulate::{Simulation, SimulationError};
pub use simulated_effects::{Effects, Interference};
pub use simulated_sky::PointSource;
pub use tile::{BEAM_POWER_MIN, Tile, TileError, observed_beam, write_tile};
pub use uvh5::{Antenna, Header, Integration, Uvh5, Uvh5Error};
