//! The DSA-110 continuum imaging pipeline as durable tasks.
//!
//! From the bottom up: `model` (what things are), `science` (arithmetic), `io` (files), `tools`
//! (programs of the field), `registry` (products in the database), `tasks` (durable workflows),
//! `bridge` (submits what arrives), `worker` (the program that hosts them).

pub mod config;
pub mod model;
pub mod science;

pub mod io;
pub mod tools;

pub mod registry;

pub mod tasks;

pub mod bridge;

pub mod worker;
