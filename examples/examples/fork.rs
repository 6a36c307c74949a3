//! A fork: a new task that takes over what an old one remembers, up to a step, and goes on from
//! there with other params.

use absurd_sdk::prelude::*;

/// How to image.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Imaging {
    file: String,
    robust: f64,
}

/// Converts, calibrates and images one file.
#[task(name = "process")]
async fn process(ctx: &mut Context, imaging: Imaging) -> TaskResult<String> {
    for stage in ["convert", "calibrate"] {
        let file = &imaging.file;
        ctx.step(stage, || async move {
            println!("  {stage} {file}");
            Ok::<_, TaskError>(())
        })
        .await?;
    }
    ctx.step("image", || async {
        let Imaging { file, robust } = &imaging;
        println!("  image {file}");
        Ok::<_, TaskError>(format!("{file} with robust {robust}"))
    })
    .await
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let database = absurd_test::Database::start().await?;
    let client = database.client();
    let work = || Worker::builder(client).task(process).run_until_idle();

    let imaging = Imaging {
        file: "a.uvh5".into(),
        robust: 0.5,
    };
    let task = client.spawn(process, imaging).await?;
    work().await?;
    println!("{}", task.result().await?);

    let other = serde_json::to_value(Imaging {
        file: "a.uvh5".into(),
        robust: -2.0,
    })?;
    let fork = client.fork(task.task_id()).from_step("image");
    let fork = fork.params(other).send().await?;
    work().await?;
    let image: String = client.result_of(fork.task_id).await?;
    println!("{image}");
    Ok(())
}
