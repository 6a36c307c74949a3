//! Other durable executions and queues in Rust, measured by the harness in `benches`.
//!
//! `peers <peer> <order>`: one module for each peer.

mod shared;

mod apalis;
mod duroxide;
mod graphile_worker;
mod restate;
mod underway;

use std::{env, process::ExitCode};

use shared::{Order, Result};

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        // Libraries leave threads and tasks behind that nobody waits for.
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result {
    let words: Vec<String> = env::args().skip(1).collect();
    let [peer, order] = words.as_slice() else {
        return Err("usage: peers <peer> <order>".into());
    };
    let order: Order = serde_json::from_str(order)?;
    match peer.as_str() {
        "apalis" => apalis::run(&order).await,
        "duroxide" => duroxide::run(&order).await,
        "graphile_worker" => graphile_worker::run(&order).await,
        "restate" => restate::run(&order).await,
        "underway" => underway::run(&order).await,
        _ => Err(format!("no peer is called {peer}").into()),
    }
}
