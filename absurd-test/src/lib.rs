//! Tests against a real PostgreSQL, without Docker and without a server of one's own.
//!
//! ```no_run
//! use absurd_test::Database;
//!
//! # async fn test() -> Result<(), Box<dyn std::error::Error>> {
//! let database = Database::start().await?;
//! let client = database.client();
//! client.spawn_by_name("greet", "Ada".into()).await?;
//! # Ok(())
//! # }
//! ```
//!
//! The first test of a run starts a private server in a cache folder, from the PostgreSQL that
//! the machine has; the last one's end stops it. Each test gets a database of its own, copied
//! from a template that holds the schema and a queue named `default`. `ABSURD_TEST_DATABASE_URL`
//! names a server to use instead; its user must be allowed to create databases.
//!
//! - [`Database`]: a database for one test.
//! - [`Clock`]: stops the engine's clock and moves it.
//! - [`Recorder`]: which statements were sent, in which order.
//! - [`Kill`]: ends the process at a statement, as a crash would.
//! - [`crash_matrix`]: runs a task once for each statement, and kills its worker there.
//! - [`Replay`]: runs a function against a recorded history, without a database.
//! - [`check_schemas`]: breaking changes of params and outputs fail a test.
//! - [`Postgres::private`]: a server that a test may kill.

mod clock;
mod database;
mod error;
mod observe;
mod programs;
mod replay;
mod schemas;
mod server;
mod shared;
mod wait;

mod crash;

pub use self::{
    clock::Clock,
    crash::crash_matrix,
    database::Database,
    error::TestError,
    observe::{Kill, Recorder},
    replay::{Replay, ReplayError, Replayed},
    schemas::{Effect, SchemaChange, SchemaCheck, SchemaError, TaskChanges, check_schemas},
    server::{Durability, Postgres},
    wait::eventually,
};
