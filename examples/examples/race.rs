//! Whatever comes first: an event or a time, one event or another. And all of several.

use absurd_sdk::prelude::*;

/// Waits for a calibration until dawn, for the weather good or bad, and for both polarisations.
#[task(name = "observe")]
async fn observe(ctx: &mut Context, night: String) -> TaskResult<String> {
    let calibration = format!("{night}: calibration");
    let sky = ctx
        .race(
            "calibration or dawn",
            (
                |mut branch: Context| async move {
                    let table: String = branch.await_event(calibration).await?;
                    Ok(format!("calibrated with {table}"))
                },
                |mut branch: Context| async move {
                    branch.sleep_for("dawn", "8h").await?;
                    Ok("not calibrated".to_owned())
                },
            ),
        )
        .await?;

    let weather = ["clear", "rain"].map(|kind| format!("{night}: {kind}"));
    let (first, wind): (String, u32) = ctx.await_any_event("weather", weather).await?;

    let files = ["x", "y"].map(|file| format!("{night}: {file}"));
    let files: Vec<String> = ctx.await_all_events(files).await?;
    Ok(format!("{sky}; {first}, wind {wind} m/s; {files:?}"))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let database = absurd_test::Database::start().await?;
    let clock = database.clock("2026-11-01T20:00:00Z".parse()?).await?;
    let client = database.client();
    let worker = || Worker::builder(client).task(observe);

    // Nobody emits the calibration of Monday: it becomes dawn.
    let monday = client.spawn(observe, "monday".into()).await?;
    clock.run_to_end(worker).await?;
    let tuesday = client.spawn(observe, "tuesday".into()).await?;
    let table = "bandpass.tbl";
    client.emit_event("tuesday: calibration", table).await?;
    worker().run_until_idle().await?;

    client.emit_event("monday: rain", &9).await?;
    client.emit_event("tuesday: clear", &2).await?;
    worker().run_until_idle().await?;
    // Too late: which event was first is kept.
    client.emit_event("tuesday: rain", &30).await?;

    for file in ["monday: y", "monday: x", "tuesday: x", "tuesday: y"] {
        client.emit_event(file, &format!("{file}.uvh5")).await?;
        worker().run_until_idle().await?;
    }
    println!("{}", monday.result().await?);
    println!("{}", tuesday.result().await?);
    Ok(())
}
