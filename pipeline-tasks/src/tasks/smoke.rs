//! Smoke tests: whether tasks run at all, and whether a worker reaches what it needs.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use absurd_sdk::{
    Client,
    prelude::{Context, Deserialize, JsonSchema, Serialize, State, TaskError, TaskResult, task},
};
use serde_json::Value;
use thiserror::Error;

use super::{stages::in_background, toolbox::Toolbox};
use crate::tools::Tool;

/// The programs of the field that the stages start.
const PROGRAMS: [&str; 4] = ["aoflagger", "wsclean", "source-extractor", "SWarp"];
/// To say its version takes a program no longer.
const LIMIT: Duration = Duration::from_secs(30);

/// What `test-task` was given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Echo {
    /// The params, whatever they are.
    pub echo: Value,
    /// The queue that it went through.
    pub queue: String,
    /// The attempt that succeeded.
    pub attempt: i32,
}

/// Gives back what it gets.
#[task(name = "test-task", max_attempts = 1)]
pub async fn test_task(ctx: &mut Context, params: Value) -> TaskResult<Echo> {
    Ok(Echo {
        echo: params,
        queue: ctx.queue().to_string(),
        attempt: ctx.attempt(),
    })
}

/// What a worker reaches.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ConnectionReport {
    /// The database's version.
    pub postgresql: String,
    /// The versions of the programs of the field, in their own words.
    pub tools: BTreeMap<String, String>,
    /// Where the correlator's files arrive; it can be read.
    pub input_dir: PathBuf,
    /// Where products go; it can be written.
    pub output_dir: PathBuf,
}

/// What a worker lacks. Another try finds the same.
#[derive(Debug, Error)]
#[error("this worker lacks what it needs: {}", .0.join("; "))]
struct Lacking(Vec<String>);

/// Reaches for the database, the programs of the field and the folders, and fails with all that is
/// missing.
#[task(name = "test-connection", max_attempts = 1)]
pub async fn test_connection(
    ctx: &mut Context,
    _params: Value,
    tools: State<Toolbox>,
    client: State<Client>,
) -> TaskResult<ConnectionReport> {
    let task = ctx.task_id();
    ctx.step("probe", || async {
        let mut lacking = Vec::new();
        let postgresql = database_version(&client).await?;
        let versions = versions_of(&mut lacking).await;
        let (input_dir, output_dir) = (tools.input().to_owned(), tools.output().to_owned());
        let probe = output_dir.join(format!(".test-connection-{task}"));
        let input = input_dir.clone();
        let folders = in_background(move || Ok::<_, TaskError>(folders(&input, &probe))).await?;
        lacking.extend(folders);
        if !lacking.is_empty() {
            return Err(TaskError::terminal(Lacking(lacking)));
        }
        Ok(ConnectionReport {
            postgresql,
            tools: versions,
            input_dir,
            output_dir,
        })
    })
    .await
}

async fn database_version(client: &Client) -> TaskResult<String> {
    let connection = client.pool().acquire().await?;
    let number = connection.server_version_num();
    let number = number.ok_or_else(|| TaskError::msg("the database doesn't say its version"))?;
    // From version 10 on: the major version times ten thousand, and the minor one.
    Ok(format!("{}.{}", number / 10_000, number % 10_000))
}

/// What the programs say of themselves; those that can't be started are lacking.
async fn versions_of(lacking: &mut Vec<String>) -> BTreeMap<String, String> {
    let mut versions = BTreeMap::new();
    for program in PROGRAMS {
        let asked = Tool {
            program,
            arguments: vec!["--version".to_owned()],
            folder: std::env::temp_dir(),
            limit: LIMIT,
        };
        match asked.run().await {
            Ok(said) => drop(versions.insert(program.to_owned(), version_in(&said))),
            Err(error) => lacking.push(absurd_sdk::chain(&error)),
        }
    }
    versions
}

/// The first line with a number in it.
fn version_in(said: &str) -> String {
    let mut lines = said.lines().map(str::trim);
    let line = lines.find(|line| line.contains(char::is_numeric));
    line.unwrap_or("of no known version").to_owned()
}

/// What is wrong with the folders.
fn folders(input: &Path, probe: &Path) -> Vec<String> {
    let read = fs::read_dir(input).map(drop);
    let folder = probe.parent().unwrap_or(Path::new("."));
    let written = fs::create_dir_all(folder)
        .and_then(|()| fs::write(probe, "test-connection"))
        .and_then(|()| fs::remove_file(probe));
    let told = |what: &str, path: &Path, result: std::io::Result<()>| {
        let error = result.err()?;
        Some(format!("{what} {} can't be used: {error}", path.display()))
    };
    let input = told("PIPELINE_INPUT_DIR", input, read);
    let output = told("PIPELINE_OUTPUT_DIR", folder, written);
    input.into_iter().chain(output).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_stand_in_the_first_line_that_has_a_number() {
        let said = "\nWSClean version 3.1.0 (2022-04-01)\nThis software is free (GPL 3).";
        assert_eq!(version_in(said), "WSClean version 3.1.0 (2022-04-01)");
        assert_eq!(version_in("hm"), "of no known version");
    }

    #[test]
    fn folders_that_cannot_be_used_are_named() -> std::io::Result<()> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("file");
        fs::write(&file, "")?;
        let probe = folder.path().join("new/.probe");
        assert_eq!(folders(folder.path(), &probe), Vec::<String>::new());
        assert!(!probe.exists(), "it is gone again");
        let wrong = folders(&folder.path().join("none"), &file.join("new/.probe"));
        assert!(wrong[0].contains("PIPELINE_INPUT_DIR") && wrong[0].contains("none"));
        assert!(wrong[1].contains("PIPELINE_OUTPUT_DIR"), "{wrong:?}");
        Ok(())
    }
}
