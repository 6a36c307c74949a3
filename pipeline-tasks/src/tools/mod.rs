//! The field's own programs, run as children.

mod process;
mod wsclean;

pub use process::{Tool, ToolError};
pub use wsclean::{ImageError, ImagePlan, image};
