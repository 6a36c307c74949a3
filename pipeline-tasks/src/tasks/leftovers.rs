//! What killed workers leave half-made.
//!
//! Parts carry the moment at which they were begun, so an attempt removes what was begun before
//! itself and never what a later attempt makes: a worker that lost its lease without noticing, and
//! wakes up, can't harm its successor. The other way round, a successor takes the stale worker's
//! parts away. That one's step then fails, or its part can't be put in place and what is there
//! stays; the engine takes no result from it in any case. Nor does it put its Measurement Set in
//! the place of one that was made after it began its own.

use std::path::{Path, PathBuf};

use absurd_sdk::{TaskResult, prelude::TaskError};
use jiff::Timestamp;

use super::{
    params::StageParams,
    stages::{in_background, observations},
    toolbox::Toolbox,
};
use crate::{io::sweep_parts, model::GroupId};

/// The clock that also names parts: the database's is none for them.
pub(super) fn now() -> Timestamp {
    #[expect(
        clippy::disallowed_methods,
        reason = "parts are named by the time of this machine, not by that of the database"
    )]
    Timestamp::now()
}

/// Where parts lie, how their names begin, and before which moment they were begun.
type Place = (PathBuf, String, Timestamp);

/// Removes a group's parts that were begun before a moment. Parts that stay are in nobody's way,
/// so no failure of this is one of the task.
pub(super) async fn sweep(tools: &Toolbox, group: GroupId, before: Timestamp) -> TaskResult<()> {
    sweep_places(of_group(tools, group, before).into()).await
}

/// Removes what an earlier attempt of a mosaic's task left of it.
pub(super) async fn sweep_mosaic(tools: &Toolbox, image: &Path, attempt: i32) -> TaskResult<()> {
    if attempt == 1 {
        return Ok(());
    }
    sweep_places(vec![of_file(tools.mosaics(), image, now())]).await
}

/// Removes what an earlier attempt of a task left of the observations that its stages work on.
///
/// A first attempt has nothing to remove: other stages may be at work on the same observation, as
/// tasks of their own, and would lose what they are making.
pub(super) async fn sweep_stages(
    tools: &Toolbox,
    params: &StageParams,
    attempt: i32,
) -> TaskResult<()> {
    if attempt == 1 {
        return Ok(());
    }
    let before = now();
    let mut places = Vec::new();
    let outputs = &params.outputs;
    let files = outputs.ms_path.iter().chain(&outputs.ms_paths);
    for file in files.chain(&outputs.image_path) {
        let folder = file.parent().unwrap_or(Path::new("")).to_owned();
        places.push(of_file(folder, file, before));
        places.push(of_file(tools.caltables(), file, before));
    }
    if places.is_empty() {
        // The stages begin with raw files. What is wrong with them is for the stages to say.
        let (inputs, found) = (params.inputs.clone(), tools.clone());
        let groups = in_background(move || Ok(observations(&inputs, &found).unwrap_or_default()));
        let paths = params.config.paths.as_ref();
        let elsewhere = paths.and_then(|paths| paths.output_dir.as_ref());
        for group in groups.await? {
            places.extend(of_group(tools, group.id(), before));
            let folder = elsewhere.map(|folder| (folder.clone(), name_of(group.id()), before));
            places.extend(folder);
        }
    }
    sweep_places(places).await
}

fn name_of(group: GroupId) -> String {
    format!("{group}.")
}

fn of_group(tools: &Toolbox, group: GroupId, before: Timestamp) -> [Place; 3] {
    let name = name_of(group);
    [
        (tools.work(group), String::new(), before),
        (tools.caltables(), name.clone(), before),
        (tools.products(), name, before),
    ]
}

/// What is made of a file has its name with other endings.
fn of_file(folder: PathBuf, file: &Path, before: Timestamp) -> Place {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    (folder, format!("{stem}."), before)
}

async fn sweep_places(places: Vec<Place>) -> TaskResult<()> {
    in_background(move || {
        for (folder, name, before) in places {
            match sweep_parts(&folder, &name, before) {
                Ok(0) => {}
                Ok(parts) => tracing::info!(parts, folder = %folder.display(), "swept leftovers"),
                Err(error) => {
                    tracing::warn!(%error, folder = %folder.display(), "leftovers stay");
                }
            }
        }
        Ok::<_, TaskError>(())
    })
    .await
}
