//! Test kit for durable tasks: a private PostgreSQL, a database per test, a clock that can be moved, crashes on demand.
