//! Tasks by the clock: a cron pattern in a time zone, with rules for ticks that come too soon
//! or were missed.

use absurd_sdk::{CatchUp, Overlap, Scheduler, prelude::*};

/// Calibrates the array for the day.
#[task(name = "calibrate")]
async fn calibrate(ctx: &mut Context, array: String) -> TaskResult<()> {
    let tick = ctx.headers()["scheduled-at"].as_str().unwrap_or_default();
    println!("  {array} is calibrated for {tick}");
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let database = absurd_test::Database::start().await?;
    let clock = database.clock("2026-10-31T12:00:00Z".parse()?).await?;
    let client = database.client();
    let scheduler = Scheduler::new(client);
    let work = || Worker::builder(client).task(calibrate).run_until_idle();

    client
        .schedule(
            "daily calibration",
            "0 6 * * *",
            calibrate,
            "DSA-110".into(),
        )
        .time_zone("America/Los_Angeles")
        .overlap(Overlap::Skip)
        .catch_up(CatchUp::Latest)
        .await?;

    // Six o'clock in California is one hour later by UTC when summer time has ended.
    for now in ["2026-10-31T13:00:00Z", "2026-11-01T14:00:00Z"] {
        clock.set(now.parse()?).await?;
        println!("{now}: {} tick", scheduler.fire_due().await?);
        println!("{now}: {} more", scheduler.fire_due().await?);
        work().await?;
    }

    // Nobody worked on the second: the third is left out.
    for now in ["2026-11-02T14:00:00Z", "2026-11-03T14:00:00Z"] {
        clock.set(now.parse()?).await?;
        scheduler.fire_due().await?;
    }
    println!("after two days without a worker:");
    work().await?;

    clock.set("2026-11-06T20:00:00Z".parse()?).await?;
    println!(
        "after three days without a scheduler: {} tick",
        scheduler.fire_due().await?
    );
    work().await?;

    let (from, until) = ("2026-11-03T00:00:00Z", "2026-11-06T00:00:00Z");
    for _ in 0..2 {
        let name = "daily calibration";
        let missed = client
            .backfill_schedule(name, from.parse()?, until.parse()?)
            .await?;
        println!("{missed} ticks are made up for");
    }
    Ok(())
}
