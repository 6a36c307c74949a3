//! The time of this execution is not the time of the next one.

use absurd_sdk::prelude::*;
use jiff::{Timestamp, Zoned};

#[task]
async fn deadline(ctx: &mut Context, until: Timestamp) -> TaskResult<bool> {
    let started = std::time::Instant::now();
    let measured = async { started.elapsed() < tokio::time::Instant::now().elapsed() };
    let late = until < Timestamp::now() || measured.await;
    ctx.step("log", || async { Ok::<_, TaskError>(Timestamp::now()) })
        .await?;
    println!("{late} at {}", Zoned::now());
    Ok(late)
}

fn main() {}
