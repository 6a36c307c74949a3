//! A task tells how far it is, and keeps what its programs print, without waiting for either.

use absurd_sdk::{LogLevel, prelude::*};

/// Images in three major cycles.
#[task(name = "image")]
async fn image(ctx: &mut Context, cycles: u32) -> TaskResult<()> {
    let reporter = ctx.reporter();
    ctx.step("clean", || async {
        for cycle in 1..=cycles {
            reporter.log(LogLevel::Info, format!("major cycle {cycle}"));
            let fraction = f64::from(cycle) / f64::from(cycles);
            reporter.progress(fraction, format!("cycle {cycle} of {cycles}"));
        }
        // Several lines at once, as a program prints them.
        reporter.log(LogLevel::Warn, "the residual has a stripe\nat 3 sigma");
        Ok::<_, TaskError>(())
    })
    .await?;
    reporter.log(LogLevel::Debug, "between two steps");
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let database = absurd_test::Database::start().await?;
    let client = database.client();
    let handle = client.spawn(image, 3).await?;
    Worker::builder(client).task(image).run_until_idle().await?;

    let task = client.get_task(handle.task_id()).await?;
    if let Some(progress) = task.and_then(|task| task.progress) {
        println!("{:.2}: {:?}", progress.fraction, progress.message);
    }
    for line in client.log_lines(handle.task_id(), None).await? {
        println!(
            "{:?} {} {}: {}",
            line.step, line.line, line.level, line.message
        );
    }
    let warnings = client.log_lines(handle.task_id(), Some("clean")).await?;
    println!("{} lines of step `clean`", warnings.len());
    Ok(())
}
