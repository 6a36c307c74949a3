//! Worker processes that share limits, while one of them is killed and the database restarts.

use std::process::{Child, Command};

use absurd_sdk::{DeadLetterFilter, Limit, LimitOn};
use absurd_test::{Database, Postgres, eventually};
use tests::{Visits, visitor};

use crate::support::TestResult;

const VISITORS: u32 = 60;
const AT_ONCE: u32 = 2;

/// Ends with its test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn a_fleet_keeps_limits_and_letters_through_kills_and_restarts() -> TestResult {
    let server = Postgres::private().await?;
    let database = Database::on(&server).await?;
    let client = database.client();
    let visits = Visits::of(client);
    visits.create().await?;
    client
        .set_limit(LimitOn::EachKey, Limit::concurrency(AT_ONCE))
        .await?;
    for number in 0..VISITORS {
        let place = if number % 2 == 0 { "east" } else { "west" };
        let params = (number, place.to_owned());
        let spawn = client.spawn(visitor, params).key(place);
        spawn.priority(i32::try_from(number % 3)?).await?;
    }
    // What the processes wait for: it is never done, so they work until they are ended.
    let never = client.spawn(visitor, (1, "nowhere".into())).delay("1h");
    let never = never.await?.task_id().to_string();
    let start = || -> TestResult<Process> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_test-worker"));
        let started = command.args([database.url(), &never]).spawn()?;
        Ok(Process(started))
    };
    let ended = async |at_least: i64| {
        eventually("more have ended", async || {
            let stats = client.queue_stats().await.ok().flatten();
            stats.is_some_and(|stats| stats.completed + stats.failed >= at_least)
        })
        .await
    };
    let (first, _second) = (start()?, start()?);
    ended(10).await?;
    drop(first);
    let _third = start()?;
    ended(20).await?;
    server.stop_immediately().await?;
    server.start().await?;
    ended(VISITORS.into()).await?;
    let most = visits.most_at_once().await?;
    assert!(most <= AT_ONCE.into(), "{most} at once");
    assert!(most > 0);
    let filter = DeadLetterFilter::default();
    let letters = client.dead_letters(&filter, None, 100).await?;
    let mut failed: Vec<_> = letters.iter().map(|letter| letter.task_id).collect();
    failed.sort();
    failed.dedup();
    assert_eq!(
        (failed.len(), letters.len()),
        (12, 12),
        "one for each failure"
    );
    assert!(letters.iter().all(|letter| letter.message == "never again"));
    Ok(())
}
