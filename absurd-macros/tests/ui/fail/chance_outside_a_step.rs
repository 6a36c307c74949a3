//! Random numbers and ids of this execution are not those of the next one.

use absurd_sdk::prelude::*;
use rand::rngs::OsRng;
use uuid::Uuid;

#[task]
async fn sampled(ctx: &mut Context, key: Option<Uuid>) -> TaskResult<Uuid> {
    let key = key.unwrap_or_else(Uuid::new_v4);
    let ids: Vec<Uuid> = (0..rand::random::<u8>()).map(|_| Uuid::now_v7()).collect();
    let (_, _) = (OsRng, rand::rng());
    ctx.step(format!("send {}", Uuid::new_v4()), || async {
        Ok::<_, TaskError>(ids)
    })
    .await?;
    Ok(key)
}

fn main() {}
