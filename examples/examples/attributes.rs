//! Tasks are found by attributes, which are given with the spawn or set by the task.

use absurd_sdk::{TaskFilter, prelude::*};
use serde_json::{Map, json};

/// Images a field and says what came of it.
#[task(name = "image")]
async fn image(ctx: &mut Context, field: String) -> TaskResult<()> {
    let sources = field.len();
    ctx.set_attribute("sources", sources).await?;
    ctx.set_attribute("quality", if sources > 5 { "good" } else { "poor" })
        .await
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let database = absurd_test::Database::start().await?;
    let client = database.client();
    for (field, band) in [("3C 48", "L"), ("3C 147", "L"), ("3C 286", "C")] {
        let spawn = client.spawn(image, field.into());
        spawn
            .attribute("field", field)
            .attribute("band", band)
            .await?;
    }
    Worker::builder(client).task(image).run_until_idle().await?;

    // All of these must hold.
    let filter = TaskFilter {
        attributes: Map::from_iter([
            ("band".into(), json!("L")),
            ("quality".into(), json!("good")),
        ]),
        ..TaskFilter::default()
    };
    for task in client.list_tasks(&filter, None, 10).await? {
        println!("{}", json!(task.attributes));
    }
    Ok(())
}
