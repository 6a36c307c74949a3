//! The check of schemas, with a real worker.

use absurd_sdk::prelude::{Context, Deserialize, JsonSchema, Serialize, TaskResult, Worker, task};
use absurd_test::{Database, Effect, SchemaError, check_schemas};

type TestResult = Result<(), Box<dyn std::error::Error>>;

/// The records; `ABSURD_SCHEMAS=accept` and the first test write them.
const RECORDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/schemas");

/// What to copy.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct Files {
    files: Vec<File>,
    limit: Option<u32>,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct File {
    name: String,
    #[serde(default)]
    size_bytes: u64,
}

#[task(name = "files/copy")]
async fn copy(_ctx: &mut Context, files: Files) -> TaskResult<u64> {
    Ok(files.files.iter().map(|file| file.size_bytes).sum())
}

#[task]
async fn greet(_ctx: &mut Context, name: String) -> TaskResult<String> {
    Ok(format!("Hello, {name}"))
}

mod next {
    use super::*;

    #[derive(Debug, Serialize, Deserialize, JsonSchema)]
    pub(super) struct Files {
        files: Vec<File>,
        limit: Option<u64>,
    }

    #[derive(Debug, Serialize, Deserialize, JsonSchema)]
    struct File {
        name: u64,
        size_bytes: u64,
        owner: Option<String>,
    }

    #[task(name = "files/copy")]
    pub(super) async fn copy(_ctx: &mut Context, files: Files) -> TaskResult<u64> {
        Ok(files.files.iter().map(|file| file.size_bytes).sum())
    }
}

#[tokio::test]
async fn schemas_are_those_recorded() -> TestResult {
    let database = Database::start().await?;
    let worker = Worker::builder(database.client()).task(copy).task(greet);
    check_schemas(&worker.build()?, RECORDS)?;
    Ok(())
}

#[tokio::test]
async fn changes_are_named_with_their_paths() -> TestResult {
    let database = Database::start().await?;
    let worker = Worker::builder(database.client())
        .task(next::copy)
        .build()?;
    let folder = tempfile::tempdir()?;
    for entry in std::fs::read_dir(RECORDS)? {
        // A copy, which may be written when differences are accepted.
        let entry = entry?;
        std::fs::copy(entry.path(), folder.path().join(entry.file_name()))?;
    }
    let Err(SchemaError::Changed { tasks, .. }) = check_schemas(&worker, folder.path()) else {
        return Err("the schemas differ".into());
    };
    let changes = tasks.iter().flat_map(|task| &task.changes);
    let found: Vec<(Effect, &str)> = changes
        .map(|change| (change.effect, change.path.as_str()))
        .collect();
    let expected = [
        (Effect::Breaking, "params.files[].name"),
        (Effect::Compatible, "params.files[].owner"),
        (Effect::Breaking, "params.files[].size_bytes"),
        (Effect::Compatible, "params.limit"),
        // `greet` is gone.
        (Effect::Breaking, ""),
    ];
    assert_eq!(found, expected);
    Ok(())
}
