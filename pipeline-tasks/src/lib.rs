//! The DSA-110 continuum imaging pipeline as durable tasks.
