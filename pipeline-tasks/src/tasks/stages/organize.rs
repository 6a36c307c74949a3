//! Where sets stay.

use std::{fs, path::Path};

use absurd_sdk::{TaskError, TaskResult};

use super::in_background;
use crate::{
    model::GroupId,
    tasks::{
        params::{Outputs, StageParams},
        toolbox::Toolbox,
    },
};

/// Moves Measurement Sets to `ms/science/<date>/`. One that is there already stays there.
pub(in crate::tasks) async fn organize_files(
    tools: &Toolbox,
    params: &StageParams,
) -> TaskResult<Outputs> {
    let mut sets = params.outputs.ms_paths.clone();
    if sets.is_empty() {
        sets.extend(params.outputs.ms_path.clone());
    }
    if sets.is_empty() {
        let missing = "this task needs Measurement Sets: give `outputs.ms_path` or `ms_paths`";
        return Err(TaskError::terminal(TaskError::msg(missing)));
    }
    let archive = tools.sets();
    in_background(move || {
        let mut ms_paths = Vec::new();
        for set in &sets {
            ms_paths.push(organize(set, &archive)?);
        }
        Ok(Outputs {
            ms_path: ms_paths.first().cloned(),
            ms_paths,
            ..Outputs::default()
        })
    })
    .await
}

fn organize(set: &Path, archive: &Path) -> TaskResult<std::path::PathBuf> {
    let name = set.file_name().unwrap_or_default();
    let id: GroupId = set
        .file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .parse()
        .map_err(TaskError::terminal)?;
    let day = archive.join("science").join(id.start().date().to_string());
    let place = day.join(name);
    if place.exists() {
        // Moved by an earlier attempt, or there from the start.
        return Ok(place);
    }
    if !set.exists() {
        let gone = format!("{} is not there", set.display());
        return Err(TaskError::terminal(TaskError::msg(gone)));
    }
    fs::create_dir_all(&day)?;
    fs::rename(set, &place)?;
    Ok(place)
}
