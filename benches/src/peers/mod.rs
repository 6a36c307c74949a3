//! `bench --peers`: the same workloads on what the registries offer, beside our engine.
//!
//! Each peer is a program of its own in `benches/peers`, in the language of its library, and ours
//! is one of them. All get the same order ([`order`]) and answer in the same lines; times are
//! taken where the work is done, everything else is reckoned here. A peer has a database of its
//! own for each workload and round, on the same server as all others, and its rows are counted
//! afterwards.

// The order of these lines is a reading order: a module imports only from modules above it.
mod order;
mod ours;

mod list;
mod pins;

mod arena;
mod program;
mod results;

mod report;

use std::collections::BTreeMap;

use serde_json::Value;
use tokio::time::Instant;

use crate::{error::Result, scale::Scale, server::Server};

pub(crate) use self::{list::Peer, order::Workload, ours::serve};
pub(crate) use self::{list::chosen as chosen_peers, order::chosen as chosen_workloads};
use self::{
    order::Order,
    program::{Answer, Program},
    results::{Found, Results},
};

/// Runs each workload on each peer, in turns, and prints one table; false where something failed.
pub(crate) async fn run(
    server: &Server,
    scale: &Scale,
    peers: &[&'static Peer],
    workloads: &[Workload],
) -> Result<(bool, Value)> {
    let mut results = Results::default();
    for workload in workloads {
        let able: Vec<_> = peers.iter().filter(|peer| peer.can(*workload)).collect();
        for round in 0..scale.rounds {
            // Each round begins with another one: nobody always follows the same peer.
            let first = round * able.len() / scale.rounds;
            for peer in able.iter().cycle().skip(first).take(able.len()) {
                if results.has_failed(peer, *workload) {
                    continue;
                }
                let begun = Instant::now();
                eprint!("{workload}, round {}: {} ..", round + 1, peer.name);
                // Boxed: a round's future is large.
                let answer = Box::pin(one_round(server, scale, peer, *workload)).await;
                let how = if answer.is_ok() { "" } else { ", failed" };
                results.add(peer, *workload, answer);
                eprintln!(" {:.1} s{how}", begun.elapsed().as_secs_f64());
            }
        }
    }
    let found = results.found()?;
    println!("{}", report::table(peers, &found));
    println!("\n{}", report::notes(peers, results.tunings()));
    for failure in results.failures() {
        println!("{failure}");
    }
    let value = report::json(peers, &found, &results);
    Ok((results.failures().next().is_none(), value))
}

/// One workload, once, in a database of its own.
async fn one_round(
    server: &Server,
    scale: &Scale,
    peer: &Peer,
    workload: Workload,
) -> Result<Answer> {
    let order = Order::new(workload, scale, peer.share);
    let arena = arena::prepare(server, peer, &order).await?;
    let order = Order {
        url: arena.url().to_owned(),
        unfinished: peer.checks.map(|checks| checks.unfinished.to_owned()),
        ..order
    };
    let mut program = Program::start(peer, &order).await?;
    arena::settle(server, &arena).await?;
    program.go().await?;
    let answer = program.answer().await?;
    program.ended().await?;
    answer.check(&order)?;
    if let Some(checks) = &peer.checks {
        arena::check(&arena, checks, &order).await?;
    }
    Ok(answer)
}

type FoundOf = BTreeMap<(&'static str, Workload), Found>;
