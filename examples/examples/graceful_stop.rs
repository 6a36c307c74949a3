//! A deploy is not a failure: a worker that is told to stop hands its work back at once, and
//! the next one goes on after the last completed step, in the same attempt.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use absurd_sdk::prelude::*;
use tokio::sync::Notify;

/// What the task and main tell each other.
#[derive(Clone, Default)]
struct Deploy {
    imaging: Arc<Notify>,
    done: Arc<AtomicBool>,
}

/// A short step, then one that takes longer than the first worker lives.
#[task(name = "long-image")]
async fn long_image(ctx: &mut Context, deploy: State<Deploy>) -> TaskResult<String> {
    ctx.step("convert", || async {
        println!("converting");
        Ok::<_, TaskError>(())
    })
    .await?;
    ctx.step("image", || async {
        println!("imaging");
        deploy.imaging.notify_one();
        if !deploy.done.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        Ok::<_, TaskError>(())
    })
    .await?;
    Ok(format!("done in attempt {}", ctx.attempt()))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let database = absurd_test::Database::start().await?;
    let client = database.client();
    let handle = client.spawn(long_image, ()).await?;
    let deploy = Deploy::default();
    let worker = || {
        let worker = Worker::builder(client).task(long_image);
        worker.state(deploy.clone()).start()
    };

    let old = worker()?;
    deploy.imaging.notified().await;
    old.stop().await?;
    println!("the old worker is gone");

    deploy.done.store(true, Ordering::SeqCst);
    let new = worker()?;
    println!("{}", handle.result().await?);
    new.stop().await?;
    Ok(())
}
