//! A sleep that is not the context's holds a worker, and is slept again on a replay.

use std::{thread, time::Duration};

use absurd_sdk::prelude::*;

#[task]
async fn patient(ctx: &mut Context) -> TaskResult<()> {
    tokio::time::sleep(Duration::from_secs(1)).await;
    thread::sleep(Duration::from_secs(1));
    ctx.sleep_for("pause", "1s").await
}

fn main() {}
