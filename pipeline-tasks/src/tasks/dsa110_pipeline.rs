//! `dsa110-pipeline`: one observation from one of its files to its products, by the operators' own
//! name for it.

use std::{collections::BTreeMap, path::PathBuf};

use absurd_sdk::{
    CheckpointRecord, Client, TaskId,
    prelude::{Context, Deserialize, JsonSchema, Serialize, State, TaskError, TaskResult, task},
};
use jiff::Timestamp;
use serde::{Deserializer, de::Error as _};
use serde_json::{Map, Value};
use thiserror::Error;

use super::{
    params::{Inputs, Outputs, StageConfig},
    process_group::{Group, process, steps},
    stage::Stage,
    stages::{in_background, observation},
    toolbox::Toolbox,
};
use crate::{
    io::{Uvh5, read_catalogue, read_vla_calibrators},
    model::{CatalogueSource, Degrees, ObservationGroup, Seconds, SkyPosition, SubbandFile},
    science::{AveragedBeam, DSA_110_DISH, Site, Sky},
};

/// A calibrator is in the field where the beam has this share of its power: so far an image
/// reaches.
const BEAM_POWER_LEAST: f64 = 0.25;

/// Which observation to process, flat or under `inputs`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct PipelineOrder {
    /// One of the observation's sixteen files; the others lie beside it.
    pub input_path: PathBuf,
    /// The calibrator that must be in the field, by its name in a catalogue: `0834+555`.
    pub calibrator: String,
    /// Where products go; the worker's own folder where it is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_dir: Option<PathBuf>,
    /// Settings.
    pub config: StageConfig,
}

impl<'de> Deserialize<'de> for PipelineOrder {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Flat {
            input_path: PathBuf,
            calibrator: String,
            #[serde(default)]
            output_dir: Option<PathBuf>,
            #[serde(default)]
            config: Option<StageConfig>,
        }
        let mut given = Map::deserialize(deserializer)?;
        if let Some(Value::Object(inputs)) = given.remove("inputs") {
            given.extend(inputs);
        }
        let flat: Flat = serde_json::from_value(Value::Object(given)).map_err(D::Error::custom)?;
        Ok(Self {
            input_path: flat.input_path,
            calibrator: flat.calibrator,
            output_dir: flat.output_dir,
            config: flat.config.unwrap_or_default(),
        })
    }
}

/// What became of an observation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PipelineRun {
    /// The task.
    #[schemars(with = "String")]
    pub job_id: TaskId,
    /// When its first attempt began.
    #[schemars(with = "String")]
    pub started_at: Timestamp,
    /// The calibrator in its field.
    pub calibrator: FieldCalibrator,
    /// All that the stages have made.
    pub outputs: Outputs,
    /// How long each step took, by its name.
    pub stage_results: BTreeMap<String, StageTiming>,
}

/// A calibrator in a field.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FieldCalibrator {
    /// Its name.
    pub name: String,
    /// Where it is, ICRS.
    pub position: SkyPosition,
    /// How far it is from where the dishes looked in the middle of the observation.
    pub from_centre: Degrees,
    /// The share of their beam's power with which they saw it, averaged over the observation.
    pub beam: f64,
}

/// How long a step took.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StageTiming {
    /// From the end of the step before to its own: killed workers and waits are part of it.
    pub duration: Seconds,
}

/// Why an order can't be carried out. None of these goes away by itself.
#[derive(Debug, Error)]
enum OrderError {
    /// Nobody knows where the calibrator is.
    #[error(
        "no catalogue has a calibrator `{0}`; set PIPELINE_VLA_CALIBRATORS, or give a name of \
         PIPELINE_CATALOGUE"
    )]
    UnknownCalibrator(String),
    /// It is somewhere else.
    #[error(
        "calibrator `{name}` is not in the field: it is {:.1} degrees from the middle, where the \
         beam has {:.3} of its power; give one for which that is {BEAM_POWER_LEAST}",
        from_centre.0, beam
    )]
    OutOfField {
        name: String,
        from_centre: Degrees,
        beam: f64,
    },
    /// A file doesn't say where the dishes looked.
    #[error("{} says no declination or no time; use a file of the correlator", .0.display())]
    NoPointing(PathBuf),
}

/// Processes the observation that a file belongs to, as `process-group` does, after a look whether
/// its calibrator is in the field.
#[task(name = "dsa110-pipeline", retry = exponential("2s", max = "5m"))]
pub async fn dsa110_pipeline(
    ctx: &mut Context,
    order: PipelineOrder,
    tools: State<Toolbox>,
    client: State<Client>,
) -> TaskResult<PipelineRun> {
    let mut tools = Toolbox::clone(&tools);
    if let Some(output) = order.output_dir {
        tools = tools.with_output(output);
    }
    let job_id = ctx.task_id();
    let now = ctx.now().await?;
    let started_at: Timestamp = ctx
        .step("workflow_init", || async { Ok::<_, TaskError>(now) })
        .await?;
    let inputs = Inputs {
        input_path: Some(order.input_path),
        ..Inputs::default()
    };
    let group: ObservationGroup = ctx
        .step("find_group", || async { observation(&inputs, &tools) })
        .await?;
    let calibrator: FieldCalibrator = ctx
        .step("find_calibrator", || async {
            let (tools, group) = (tools.clone(), group.clone());
            let name = order.calibrator.clone();
            in_background(move || in_field(&tools, &group, name)).await
        })
        .await?;
    let files = group.files().iter().map(|file| file.path().to_owned());
    let files = Group {
        file_paths: files.collect(),
        config: order.config,
    };
    let product = process(ctx, &tools, files).await?;
    let stage_results = ctx
        .step("workflow_complete", || async {
            let kept = client.list_checkpoints(job_id, None, u16::MAX).await?;
            Ok::<_, TaskError>(timings(kept))
        })
        .await?;
    Ok(PipelineRun {
        job_id,
        started_at,
        calibrator,
        outputs: product.outputs,
        stage_results,
    })
}

/// Looks up a calibrator, and refuses it where the dishes hardly saw it.
fn in_field(
    tools: &Toolbox,
    group: &ObservationGroup,
    name: String,
) -> TaskResult<FieldCalibrator> {
    let Some(position) = position_of(tools, &name)? else {
        return Err(TaskError::terminal(OrderError::UnknownCalibrator(name)));
    };
    let first = group.files().first().map(SubbandFile::path);
    let first = first.ok_or_else(|| TaskError::msg("the group has no files"))?;
    let file = Uvh5::open(first).map_err(TaskError::terminal)?;
    let header = file.header();
    let site = Site::new(header.latitude, header.longitude, header.altitude);
    let site = site.map_err(TaskError::terminal)?;
    let unsaid = || TaskError::terminal(OrderError::NoPointing(first.to_owned()));
    let declination = header.declination.ok_or_else(unsaid)?;
    let looked = |time| Sky::at(time, &site).meridian_position(declination);
    let pointings: Vec<SkyPosition> = header.times.iter().copied().map(looked).collect();
    let centre = pointings.get(pointings.len() / 2).ok_or_else(unsaid)?;
    let beam = AveragedBeam::new(&pointings, &header.frequencies, DSA_110_DISH);
    let beam = beam.map_err(TaskError::terminal)?.power(position);
    let from_centre = centre.separation(position).to_degrees();
    if beam < BEAM_POWER_LEAST {
        return Err(TaskError::terminal(OrderError::OutOfField {
            name,
            from_centre,
            beam,
        }));
    }
    Ok(FieldCalibrator {
        name,
        position,
        from_centre,
        beam,
    })
}

/// Where a calibrator is, by the list of calibrators or the catalogue of the field.
fn position_of(tools: &Toolbox, name: &str) -> TaskResult<Option<SkyPosition>> {
    let plain = |name: &str| name.strip_prefix('J').unwrap_or(name).to_owned();
    let wanted = plain(name);
    let find = |sources: Vec<CatalogueSource>| {
        let mut sources = sources.into_iter();
        let found = sources.find(|source| plain(&source.name) == wanted);
        found.map(|source| source.position)
    };
    if let Some(path) = &tools.vla_calibrators {
        let list = read_vla_calibrators(path).map_err(TaskError::terminal)?;
        if let Some(position) = find(list.sources) {
            return Ok(Some(position));
        }
    }
    let Some(path) = &tools.catalogue else {
        return Ok(None);
    };
    Ok(find(read_catalogue(path).map_err(TaskError::terminal)?))
}

/// How long the steps took, by the moments at which they were remembered. A stage elsewhere is
/// remembered as a spawn and a wait, and lasts until that ends.
fn timings(mut kept: Vec<CheckpointRecord>) -> BTreeMap<String, StageTiming> {
    kept.sort_by_key(|kept| kept.updated_at);
    let known = steps();
    let mut elsewhere = None;
    let mut before = None;
    let mut timings = BTreeMap::new();
    for kept in kept {
        let name = kept.checkpoint_name.as_str();
        if let Some(task) = name.strip_prefix("$spawn:") {
            let task = task.split('#').next().unwrap_or(task);
            elsewhere = task.parse().ok().map(Stage::step);
            continue;
        }
        let step = if name.starts_with("$awaitTaskResult:") {
            elsewhere.take()
        } else {
            known.iter().copied().find(|step| *step == name)
        };
        if let (Some(step), Some(before)) = (step, before) {
            let duration = kept.updated_at.duration_since(before).as_secs_f64();
            let duration = Seconds(duration);
            timings.insert(step.to_owned(), StageTiming { duration });
        }
        before = Some(kept.updated_at);
    }
    timings
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use super::*;

    #[test]
    fn orders_are_read_nested_and_flat() -> Result<(), serde_json::Error> {
        let inputs = json!({
            "input_path": "/data/incoming/a_sb00.hdf5",
            "calibrator": "0834+555",
            "output_dir": "/stage",
        });
        let flat: PipelineOrder = from_value(inputs.clone())?;
        let nested: PipelineOrder = from_value(json!({"config": null, "inputs": inputs}))?;
        for order in [&flat, &nested] {
            assert_eq!(order.calibrator, "0834+555");
            assert_eq!(order.output_dir.as_deref(), Some("/stage".as_ref()));
        }
        let again: PipelineOrder = from_value(serde_json::to_value(&flat)?)?;
        assert_eq!(again.input_path, flat.input_path);
        assert!(from_value::<PipelineOrder>(json!({"calibrator": "0834+555"})).is_err());
        Ok(())
    }

    #[test]
    fn steps_last_from_the_end_of_the_one_before() -> Result<(), serde_json::Error> {
        let kept = |name: &str, second: u32| {
            json!({
                "checkpoint_name": name,
                "state": null,
                "owner_run_id": null,
                "updated_at": format!("2026-01-26T08:00:{second:02}Z"),
                "place": null,
            })
        };
        let kept: Vec<CheckpointRecord> = from_value(json!([
            kept("$awaitTaskResult:019b", 40),
            kept("convert", 15),
            kept("find_calibrator", 3),
            kept("setup", 5),
            kept("workflow_init", 1),
            kept("$spawn:imaging", 16),
        ]))?;
        let timings = timings(kept);
        let seconds: Vec<_> = timings
            .iter()
            .map(|(name, t)| (name.as_str(), t.duration.0))
            .collect();
        assert_eq!(
            seconds,
            [("convert", 10.0), ("image", 25.0), ("setup", 2.0)]
        );
        Ok(())
    }
}
