//! Integration tests: the whole system against a real PostgreSQL.

mod absurdctl;
mod adoption;
mod bad_input;
mod catalogue;
mod chains;
mod client;
mod contract;
mod crash;
mod examples;
mod interop;
mod lifecycle;
mod limits;
mod locks;
mod outage;
mod plans;
mod queueing;
mod schedules;
mod support;
mod trips;
mod waits;
mod worker;
