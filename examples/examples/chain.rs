//! A chain: tasks in a row, each given what the one before returned. The next one exists in the
//! moment in which its predecessor completes.

use absurd_sdk::{TaskFilter, prelude::*};

/// Converts raw files into one table, and says how many rows it has.
#[task(name = "convert")]
async fn convert(_ctx: &mut Context, files: Vec<String>) -> TaskResult<u64> {
    println!("converting {} files", files.len());
    Ok(100 * u64::try_from(files.len())?)
}

/// Images a table.
#[task(name = "image")]
async fn image(_ctx: &mut Context, rows: u64) -> TaskResult<String> {
    println!("imaging {rows} rows");
    Ok("image.fits".into())
}

/// Publishes an image.
#[task(name = "publish")]
async fn publish(_ctx: &mut Context, image: String) -> TaskResult<()> {
    println!("publishing {image}");
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let database = absurd_test::Database::start().await?;
    let client = database.client();

    // It compiles because each task takes what the one before returns.
    client
        .chain("night", convert)
        .then(image)
        .with(|options| options.priority = Some(5))
        .then(publish)
        .spawn(vec!["a.uvh5".into(), "b.uvh5".into()])
        .await?;

    let work = || {
        Worker::builder(client)
            .task(convert)
            .task(image)
            .task(publish)
    };
    for _ in 0..3 {
        let tasks = client.list_tasks(&TaskFilter::default(), None, 10).await?;
        println!("{} in the queue", tasks.len());
        work().run_batch().await?;
    }
    Ok(())
}
