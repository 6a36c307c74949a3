//! Examples of `absurd-sdk`, one idea a file: see `examples/`. Each starts a PostgreSQL of its
//! own, so `cargo run -p examples --example quickstart` is all it takes.
