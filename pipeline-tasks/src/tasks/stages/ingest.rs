//! From the correlator's files to a Measurement Set.

use std::path::{Path, PathBuf};

use absurd_sdk::{LogLevel, Reporter, TaskError, TaskResult};

use super::{finally, in_background};
use crate::{
    io::{PartName, Uvh5, convert, read_catalogue, read_vla_calibrators},
    model::{CatalogueSource, GroupId, ObservationGroup, SubbandFile, cluster},
    tasks::{
        params::{Inputs, Outputs, StageParams},
        toolbox::Toolbox,
    },
    tools::check_disk,
};

/// Declinations that a strip of the catalogue reaches beyond its middle: twice the radius of the
/// beam's first null.
const STRIP_DEGREES: f64 = 6.0;
/// Two entries this close are one source.
const SAME_SOURCE_ARCSECONDS: f64 = 5.0;

/// Makes the catalogue of the strip of sky that passes over the array, unless it is there.
pub(in crate::tasks) async fn catalog_setup(
    tools: &Toolbox,
    params: &StageParams,
) -> TaskResult<Outputs> {
    let files = observation(&params.inputs, tools)?;
    let tools = tools.clone();
    in_background(move || {
        let first = files.files().first().map(SubbandFile::path);
        let first = first.ok_or_else(|| TaskError::msg("the group has no files"))?;
        let header = Uvh5::open(first).map_err(TaskError::terminal)?;
        let declination = header.header().declination.ok_or_else(|| {
            let path = first.display();
            TaskError::terminal(TaskError::msg(format!("{path} says no declination")))
        })?;
        let catalogue = strip(&tools, files.id(), declination.to_degrees().0)?;
        Ok(Outputs {
            catalogue_path: Some(catalogue),
            ..Outputs::default()
        })
    })
    .await
}

/// The file of a strip. Its name says of what it was made, so that another catalogue makes
/// another file. Groups share it; it is made in the folder of one group, which also sweeps what a
/// killed worker leaves of it.
fn strip(tools: &Toolbox, group: GroupId, declination: f64) -> TaskResult<PathBuf> {
    let sources = sources(tools)?;
    let near = |source: &CatalogueSource| {
        (source.position.dec.to_degrees().0 - declination).abs() <= STRIP_DEGREES
    };
    let sources: Vec<CatalogueSource> = sources.into_iter().filter(near).collect();
    let text = serde_json::to_vec_pretty(&sources)?;
    let digest = uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, &text).simple();
    let folder = tools.catalogues();
    let name = format!("dec{declination:+05.1}_{digest}.json");
    let place = folder.join(&name);
    if !place.exists() {
        let own = tools.work(group);
        for folder in [&own, &folder] {
            std::fs::create_dir_all(folder)?;
        }
        let part = PartName::of(&own.join(name));
        std::fs::write(part.path(), text)?;
        part.put_in_place(&place)?;
    }
    Ok(place)
}

/// All catalogues that the worker was given, the one of the field first: where two have a
/// source, the first one counts.
fn sources(tools: &Toolbox) -> TaskResult<Vec<CatalogueSource>> {
    let mut sources = Vec::new();
    if let Some(path) = &tools.catalogue {
        sources = read_catalogue(path).map_err(TaskError::terminal)?;
    }
    if let Some(path) = &tools.vla_calibrators {
        let calibrators = read_vla_calibrators(path).map_err(TaskError::terminal)?;
        let known = sources.clone();
        sources.extend(calibrators.sources.into_iter().filter(|source| {
            let apart = |other: &CatalogueSource| {
                other.position.separation(source.position).to_arcseconds().0
            };
            known
                .iter()
                .all(|other| apart(other) > SAME_SOURCE_ARCSECONDS)
        }));
    }
    Ok(sources)
}

/// Makes Measurement Sets of all observations that the inputs name.
pub(in crate::tasks) async fn conversion(
    tools: &Toolbox,
    params: &StageParams,
    reporter: &Reporter,
) -> TaskResult<Outputs> {
    let groups = observations(&params.inputs, tools)?;
    let folder = params
        .config
        .paths
        .as_ref()
        .and_then(|paths| paths.output_dir.clone());
    let mut ms_paths = Vec::new();
    let mut flagged = None;
    for group in groups {
        let id = group.id();
        let folder = folder.clone().unwrap_or_else(|| tools.work(id));
        let ms = folder.join(format!("{id}.ms"));
        let converted = in_background(move || {
            std::fs::create_dir_all(&folder)?;
            check_disk(&folder, size_of_set(&group)?).map_err(TaskError::terminal)?;
            convert(&group, &ms).map_err(|error| finally(error.is_permanent(), error))
        })
        .await?;
        let said = format!(
            "{}: {} rows, {} channels, {:.1} % flagged",
            converted.ms.display(),
            converted.rows,
            converted.channels,
            converted.flagged * 100.0
        );
        reporter.log(LogLevel::Info, said);
        flagged = Some(converted.flagged);
        ms_paths.push(converted.ms);
    }
    Ok(Outputs {
        ms_path: ms_paths.first().cloned(),
        ms_paths,
        flagged,
        ..Outputs::default()
    })
}

/// What a set, with its corrected data, takes on disk: some more than its raw files, twice.
fn size_of_set(group: &ObservationGroup) -> TaskResult<u64> {
    let mut bytes = 0;
    for file in group.files() {
        bytes += std::fs::metadata(file.path())?.len();
    }
    Ok(bytes * 3)
}

/// The one observation that the inputs name.
pub(in crate::tasks) fn observation(
    inputs: &Inputs,
    tools: &Toolbox,
) -> TaskResult<ObservationGroup> {
    let groups = observations(inputs, tools)?;
    let first = groups.into_iter().next();
    first.ok_or_else(|| TaskError::terminal(TaskError::msg("the inputs name no observation")))
}

/// All observations that the inputs name, earliest first. No file is opened.
pub(in crate::tasks) fn observations(
    inputs: &Inputs,
    tools: &Toolbox,
) -> TaskResult<Vec<ObservationGroup>> {
    if !inputs.file_paths.is_empty() {
        let files = inputs.file_paths.iter().map(|file| tools.incoming(file));
        let files = files.map(SubbandFile::parse).collect::<Result<Vec<_>, _>>();
        let files = files.map_err(TaskError::terminal)?;
        return Ok(vec![
            ObservationGroup::from_files(files).map_err(TaskError::terminal)?,
        ]);
    }
    let place = tools.incoming(inputs.input_path.as_deref().unwrap_or(Path::new("")));
    let (folder, wanted) = if place.is_dir() {
        (place, inputs.group_id)
    } else {
        let file = SubbandFile::parse(place.clone()).map_err(TaskError::terminal)?;
        let folder = place.parent().unwrap_or(Path::new(".")).to_owned();
        (folder, Some(file.stamp()))
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(&folder)? {
        // Other names are none of ours.
        files.extend(SubbandFile::parse(entry?.path()));
    }
    let mut found = Vec::new();
    for group in cluster(files) {
        let id = match &group {
            Ok(group) => Some(group.id()),
            Err(error) => error.group(),
        };
        if id.is_some_and(|id| is_wanted(id, wanted, inputs)) {
            found.push(group.map_err(TaskError::terminal)?);
        }
    }
    if found.is_empty() {
        let folder = folder.display();
        let none = format!("{folder} has no observation of the time that was asked for");
        return Err(TaskError::terminal(TaskError::msg(none)));
    }
    Ok(found)
}

/// Whether a group is one that was asked for: files of a group are stamped up to a minute after
/// its name.
fn is_wanted(id: GroupId, wanted: Option<GroupId>, inputs: &Inputs) -> bool {
    let start = id.start();
    let same = |wanted: GroupId| (0..=60).contains(&wanted.start().duration_since(start).as_secs());
    wanted.is_none_or(same)
        && inputs.start_time.is_none_or(|from| start >= from)
        && inputs.end_time.is_none_or(|until| start <= until)
}
