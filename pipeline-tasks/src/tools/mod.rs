//! The field's own programs, run as children.

mod aoflagger;
mod process;
mod source_extractor;
mod swarp;
mod wsclean;

pub use aoflagger::flag_interference;
pub use process::{Tool, ToolError, check_disk, check_memory};
pub use source_extractor::{FindError, FoundSource, Search, find_sources};
pub use swarp::{Mosaic, MosaicError, mosaic};
pub use wsclean::{ImageError, ImageOrder, ImagePlan, ImagingTier, image};
