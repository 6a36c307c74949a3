//! Branches that race with each other end in another order on a replay.

use absurd_sdk::prelude::*;

async fn image(subband: u8) -> u8 {
    subband
}

#[task]
async fn imaged(_ctx: &mut Context) -> TaskResult<u8> {
    let (first, second) = tokio::join!(image(1), image(2));
    let third = tokio::spawn(image(3)).await?;
    let fourth = tokio::task::spawn_blocking(|| 4).await?;
    let fifth = tokio::select! {
        subband = image(5) => subband,
        subband = image(6) => subband,
    };
    Ok(first + second + third + fourth + fifth)
}

fn main() {}
