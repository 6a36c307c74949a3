//! The DSA-110 continuum imaging pipeline as durable tasks.

pub mod model;
pub mod science;
