//! A task that has failed for good leaves a dead letter: what failed, where, and what was tried.
//! When the cause is mended it is tried again, and the letter is resolved.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use absurd_sdk::{DeadLetterFilter, Redrive, prelude::*};

/// Whether there is room on the disk.
#[derive(Clone, Default)]
struct Disk(Arc<AtomicBool>);

/// Converts a file, then writes an image.
#[task(name = "image", max_attempts = 2)]
async fn image(ctx: &mut Context, file: String, disk: State<Disk>) -> TaskResult<String> {
    ctx.step("convert", || async {
        println!("converting {file}");
        Ok::<_, TaskError>(())
    })
    .await?;
    ctx.step("write", || async {
        if !disk.0.load(Ordering::SeqCst) {
            return Err(TaskError::msg("no space left on device"));
        }
        Ok(format!("an image of {file}"))
    })
    .await
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let database = absurd_test::Database::start().await?;
    let client = database.client();
    let disk = Disk::default();
    let work = || {
        let worker = Worker::builder(client).task(image).state(disk.clone());
        worker.run_until_idle()
    };
    let handle = client.spawn(image, "a.uvh5".into()).await?;
    work().await?;

    let filter = DeadLetterFilter {
        step: Some("write".into()),
        ..DeadLetterFilter::default()
    };
    let letters = client.dead_letters(&filter, None, 10).await?;
    for letter in &letters {
        println!("{:?} failed: {}", letter.step, letter.message);
        println!("{} attempts; {:?}", letter.attempts.len(), letter.state);
    }

    disk.0.store(true, Ordering::SeqCst);
    for letter in &letters {
        let how = Redrive::in_place().actor("ada").note("there is a new disk");
        client.retry_dead_letter(letter.dead_letter_id, how).await?;
    }
    work().await?;
    println!("{}", handle.result().await?);
    for letter in client.dead_letters(&filter, None, 10).await? {
        println!("{:?}", letter.state);
        for act in client.dead_letter_audit(letter.dead_letter_id).await? {
            println!("{}: {}, {:?}", act.actor, act.action, act.note);
        }
    }
    Ok(())
}
