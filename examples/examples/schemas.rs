//! The schemas of a worker's tasks are recorded in files; a change that breaks stored data is told.

use std::{env, path::Path, process::Command};

use absurd_sdk::{Client, prelude::*};
use absurd_test::check_schemas;

mod yesterday {
    use absurd_sdk::prelude::*;

    #[derive(Serialize, Deserialize, JsonSchema)]
    pub(super) struct Group {
        files: Vec<String>,
    }

    #[task(name = "convert")]
    pub(super) async fn convert(_ctx: &mut Context, group: Group) -> TaskResult<usize> {
        Ok(group.files.len())
    }
}

mod today {
    use absurd_sdk::prelude::*;

    #[derive(Serialize, Deserialize, JsonSchema)]
    pub(super) struct Group {
        files: Vec<String>,
        /// Tasks that are queued don't have it.
        field: String,
        limit: Option<u32>,
    }

    #[task(name = "convert")]
    pub(super) async fn convert(_ctx: &mut Context, group: Group) -> TaskResult<usize> {
        println!("{} {:?}", group.field, group.limit);
        Ok(group.files.len())
    }
}

/// What a developer does once: `ABSURD_SCHEMAS=accept cargo test`. Here the example calls itself.
fn accept(folder: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let done = Command::new(env::current_exe()?)
        .arg(folder)
        .env("ABSURD_SCHEMAS", "accept")
        .status()?;
    done.success().then_some(()).ok_or("not accepted".into())
}

fn yesterdays(client: &Client) -> Result<Worker, absurd_sdk::Error> {
    Worker::builder(client).task(yesterday::convert).build()
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let database = absurd_test::Database::start().await?;
    let client = database.client();
    if let Some(folder) = env::args().nth(1) {
        return Ok(check_schemas(&yesterdays(client)?, folder)?);
    }
    let folder = tempfile::tempdir()?;
    accept(folder.path())?;
    check_schemas(&yesterdays(client)?, folder.path())?;
    println!("the schemas are as recorded");

    let worker = Worker::builder(client).task(today::convert).build()?;
    if let Err(error) = check_schemas(&worker, folder.path()) {
        let error = error.to_string();
        let changes = error.lines().filter(|line| line.starts_with("  "));
        changes.for_each(|change| println!("{change}"));
    }
    Ok(())
}
