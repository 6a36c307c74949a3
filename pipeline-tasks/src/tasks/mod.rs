//! The pipeline's durable tasks.

mod journal;
mod process_group;
mod toolbox;

pub use journal::{Entry, Journal};
pub use process_group::{Group, Product, Source, process_group};
pub use toolbox::Toolbox;
