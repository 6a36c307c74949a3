//! What is spawned has to be a task.

use absurd_sdk::{Client, Error, prelude::*};

async fn plain(_ctx: &mut Context, n: u8) -> TaskResult<u8> {
    Ok(n)
}

async fn spawned(client: &Client) -> Result<(), Error> {
    client.spawn(plain, 1).await?;
    Ok(())
}

fn main() {}
