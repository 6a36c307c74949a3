//! Inside a step everything may differ: a replay reads what it returned.

use std::time::{Duration, Instant, SystemTime};

use absurd_sdk::prelude::*;
use uuid::Uuid;

#[task]
async fn fetched(ctx: &mut Context, wait: u64) -> TaskResult<Uuid> {
    let late = ctx.now().await?.as_second() > 0;
    let own = ctx.uuid();
    let id = ctx
        .step("fetch", || async move {
            let begun = Instant::now();
            let pause = tokio::time::sleep(Duration::from_millis(wait));
            let ((), id) = tokio::join!(pause, async { Uuid::new_v4() });
            println!("{:?} {}", begun.elapsed(), rand::random::<u8>());
            tokio::spawn(async {}).await?;
            Ok::<_, TaskError>(id)
        })
        .await?;
    let at = ctx.step("clock", {
        let shift = Duration::from_secs(wait);
        move || async move { Ok::<_, TaskError>(SystemTime::now() + shift) }
    });
    println!("{:?}", at.await?);
    Ok(if late { id } else { own })
}

pub(crate) fn main() {
    let _ = fetched;
}
