//! The field's own programs, run as children.

mod aoflagger;
mod process;
mod wsclean;

pub use aoflagger::flag_interference;
pub use process::{Tool, ToolError, check_disk};
pub use wsclean::{ImageError, ImageOrder, ImagePlan, ImagingTier, image};
