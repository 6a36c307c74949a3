//! The `absurd` command: set up a database, look into queues, steer tasks.

mod args;
mod dead_letter;
mod error;
mod event;
mod limit;
mod migrate;
mod output;
mod queue;
mod schedule;
mod task;

use std::process::ExitCode;

use absurd_sdk::{Client, chain, config};
use absurd_test::Postgres;
use clap::Parser as _;

use self::{
    args::{Cli, Command},
    error::CliError,
    output::Output,
};

#[tokio::main]
async fn main() -> ExitCode {
    match run(Cli::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", chain(&error));
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> Result<(), CliError> {
    if let Command::Migrate(migrate) = &cli.command
        && migrate.dump
    {
        return migrate::dump();
    }
    let output = Output { json: cli.json };
    let mut builder = Client::builder();
    let mut personal = None;
    if let Some(url) = &cli.database_url {
        builder = builder.url(url);
    } else if !config::names_database() {
        let server = Postgres::personal().await?;
        builder = builder.url(server.url("postgres"));
        personal = Some(server);
    }
    let client = builder.connect().await?;
    if personal.is_some() {
        eprintln!("No database was named: using a private PostgreSQL in your cache folder.");
        client.migrate().await?;
    }
    match cli.command {
        Command::Migrate(_) => migrate::apply(&client, output).await,
        Command::Queue(command) => queue::run(&client, command, output).await,
        Command::Limit(command) => limit::run(&client, command, output).await,
        Command::Task(command) => task::run(&client, command, output).await,
        Command::DeadLetter(command) => dead_letter::run(&client, command, output).await,
        Command::Schedule(command) => schedule::run(&client, command, output).await,
        Command::Event(command) => event::run(&client, command, output).await,
    }
}
