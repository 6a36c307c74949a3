//! Integration tests: the whole system against a real PostgreSQL.

mod absurdctl;
mod adoption;
mod bad_input;
mod branches;
mod catalogue;
mod chains;
mod client;
mod contract;
mod crash;
mod dead_letters;
mod examples;
mod families;
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
