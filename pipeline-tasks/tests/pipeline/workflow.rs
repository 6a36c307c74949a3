//! Bad input: the task fails with one clear error, and the worker goes on.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};

use absurd_sdk::{Worker, WorkerBuilder};
use absurd_test::Database;
use pipeline_tasks::{
    io::Simulation,
    tasks::{Group, Toolbox, process_group},
};

use crate::{TestResult, config};

fn files_in(folder: &Path) -> TestResult<Vec<PathBuf>> {
    let files = fs::read_dir(folder)?.flatten().map(|entry| entry.path());
    Ok(files.collect())
}

fn worker(database: &Database, output: &Path) -> WorkerBuilder {
    let config = config(output, output);
    Worker::builder(database.client())
        .task(process_group)
        .state(Toolbox::of(&config))
}

#[tokio::test]
async fn unusable_files_fail_the_task_for_good_and_say_which() -> TestResult {
    let database = Database::start().await?;
    let client = database.client();
    let folder = tempfile::tempdir()?;
    let small = Simulation {
        antennas: 3,
        integrations: 1,
        ..Simulation::default()
    };
    let mut cases = Vec::new();
    for (case, expected) in [
        ("empty", "the file is empty"),
        ("truncated", "copy it again"),
        ("missing", "lacks sb05"),
        ("misnamed", "a subband file is called like"),
    ] {
        let files = folder.path().join(case);
        small.write(&files)?;
        let victim = files.join(format!("{}_sb05.hdf5", small.group));
        match case {
            "empty" => drop(File::create(&victim)?),
            "truncated" => File::options().write(true).open(&victim)?.set_len(2_000)?,
            "missing" => fs::remove_file(&victim)?,
            _ => fs::rename(&victim, files.join("sb05.h5"))?,
        }
        // Relative names are those of the worker's input folder.
        let files = files_in(&files)?.into_iter().map(|file| {
            let relative = file.strip_prefix(folder.path());
            relative.map_or(file.clone(), Path::to_owned)
        });
        let group = Group::from(files.collect::<Vec<_>>());
        cases.push((client.spawn(process_group, group).await?, expected));
    }
    let executed = worker(&database, folder.path()).run_until_idle().await?;
    assert_eq!(executed, cases.len(), "no case is tried twice");
    for (handle, expected) in cases {
        let failure = handle
            .result()
            .snapshot()
            .await?
            .failure
            .ok_or("no failure")?;
        assert!(failure.message.contains(expected), "{failure}");
    }
    Ok(())
}
