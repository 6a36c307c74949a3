//! The absurd command.

fn main() {}
