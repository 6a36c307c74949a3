//! What stages get and give: paths and small values, never data.
//!
//! Each stage reads what it needs from `inputs` and `outputs` and adds to `outputs`, so the stages
//! of a chain can be told one after the other what was made before.

use std::{collections::BTreeMap, path::PathBuf};

use absurd_sdk::{TaskError, TaskResult};
use jiff::civil::DateTime;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use serde_json::{Map, Value};

use crate::{
    io::{GainQuality, Tile},
    model::GroupId,
    science::Outcome,
    tools::ImagingTier,
};

/// Where an observation is to be found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Inputs {
    /// A folder of subband files, or one of an observation's files. The worker's input folder
    /// where it is absent; relative names are of that folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_path: Option<PathBuf>,
    /// The sixteen files, in any order, instead of a search.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub file_paths: Vec<PathBuf>,
    /// The observation that begins then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_id: Option<GroupId>,
    /// Observations that begin no earlier: UTC, without a zone.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub start_time: Option<DateTime>,
    /// Observations that begin no later: UTC, without a zone.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub end_time: Option<DateTime>,
}

/// What stages have made.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Outputs {
    /// The Measurement Set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ms_path: Option<PathBuf>,
    /// All Measurement Sets, where a conversion made several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ms_paths: Vec<PathBuf>,
    /// Calibration tables by their kind.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub calibration_tables: BTreeMap<String, PathBuf>,
    /// The same as a list.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub caltables: Vec<PathBuf>,
    /// How good the tables are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub calibration_quality: Option<GainQuality>,
    /// The catalogue of the field.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub catalogue_path: Option<PathBuf>,
    /// The image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_path: Option<PathBuf>,
    /// The image corrected for the dishes' beam, and its weights.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tile: Option<Tile>,
    /// What the checks of the image say, taken together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation: Option<Outcome>,
    /// The page about the image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub report_path: Option<PathBuf>,
    /// Sources against the catalogue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crossmatch_path: Option<PathBuf>,
    /// Flux densities of all sources of the field.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub photometry_path: Option<PathBuf>,
    /// The share of visibilities that are flagged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flagged: Option<f64>,
}

impl Outputs {
    /// These, and what a later stage made; where both have something the later one counts.
    pub fn and(self, later: Self) -> Self {
        Self {
            ms_path: later.ms_path.or(self.ms_path),
            ms_paths: either(later.ms_paths, self.ms_paths),
            calibration_tables: either(later.calibration_tables, self.calibration_tables),
            caltables: either(later.caltables, self.caltables),
            calibration_quality: later.calibration_quality.or(self.calibration_quality),
            catalogue_path: later.catalogue_path.or(self.catalogue_path),
            image_path: later.image_path.or(self.image_path),
            tile: later.tile.or(self.tile),
            validation: later.validation.or(self.validation),
            report_path: later.report_path.or(self.report_path),
            crossmatch_path: later.crossmatch_path.or(self.crossmatch_path),
            photometry_path: later.photometry_path.or(self.photometry_path),
            flagged: later.flagged.or(self.flagged),
        }
    }
}

fn either<T: Default + PartialEq>(later: T, earlier: T) -> T {
    if later == T::default() {
        earlier
    } else {
        later
    }
}

/// Settings of one task; what is absent is as the worker is configured.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StageConfig {
    /// Folders.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paths: Option<StagePaths>,
    /// How deep images are cleaned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub imaging_tier: Option<ImagingTier>,
    /// The antenna whose phases are zero, if it has data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference_antenna: Option<String>,
}

/// Folders of one task.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StagePaths {
    /// Where products go.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_dir: Option<PathBuf>,
}

/// Params of a stage: nested as `{config, inputs, outputs}`, or flat as `{"ms_path": ..}`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
pub struct StageParams {
    /// Settings.
    pub config: StageConfig,
    /// Where the observation is.
    pub inputs: Inputs,
    /// What has been made.
    pub outputs: Outputs,
}

impl<'de> Deserialize<'de> for StageParams {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut flat = Map::deserialize(deserializer)?;
        let mut take = |name: &str| match flat.remove(name) {
            None | Some(Value::Null) => Ok(Map::new()),
            Some(Value::Object(part)) => Ok(part),
            Some(other) => Err(D::Error::custom(format!("`{name}` is no object: {other}"))),
        };
        let config = Value::Object(take("config")?);
        let (mut inputs, mut outputs) = (take("inputs")?, take("outputs")?);
        for (name, value) in flat {
            if !value.is_null() {
                inputs.insert(name.clone(), value.clone());
                outputs.insert(name, value);
            }
        }
        let part = |error: serde_json::Error| D::Error::custom(error);
        Ok(Self {
            config: serde_json::from_value(config).map_err(part)?,
            inputs: serde_json::from_value(Value::Object(inputs)).map_err(part)?,
            outputs: serde_json::from_value(Value::Object(outputs)).map_err(part)?,
        })
    }
}

/// What a stage, or a chain of them, has made.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StageResult {
    /// All that there is now.
    pub outputs: Outputs,
}

impl StageParams {
    /// The Measurement Set that a stage works on.
    pub fn ms(&self) -> TaskResult<PathBuf> {
        let outputs = &self.outputs;
        let ms = outputs
            .ms_path
            .clone()
            .or_else(|| outputs.ms_paths.first().cloned());
        existing(ms, "ms_path", "a Measurement Set")
    }

    /// The image that a stage works on.
    pub fn image(&self) -> TaskResult<PathBuf> {
        existing(self.outputs.image_path.clone(), "image_path", "an image")
    }
}

/// A path that was given and where something is. A file that is missing will not come by itself.
fn existing(path: Option<PathBuf>, name: &str, what: &str) -> TaskResult<PathBuf> {
    let Some(path) = path else {
        let missing = format!("this task needs {what}: give `outputs.{name}`");
        return Err(TaskError::terminal(TaskError::msg(missing)));
    };
    if path.exists() {
        return Ok(path);
    }
    let gone = format!("{name} {} is not there", path.display());
    Err(TaskError::terminal(TaskError::msg(gone)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn params_are_read_nested_and_flat() -> Result<(), serde_json::Error> {
        let ms = PathBuf::from("/stage/urgent.ms");
        for params in [
            json!({"ms_path": ms}),
            json!({"config": null, "outputs": {"ms_path": ms}}),
        ] {
            let read: StageParams = serde_json::from_value(params)?;
            assert_eq!(read.outputs.ms_path, Some(ms.clone()));
        }
        let documented = json!({
            "config": {"paths": {"output_dir": "/stage/dsa110-contimg/ms"}},
            "inputs": {
                "input_path": "/data/incoming",
                "start_time": "2025-11-25T12:00:00",
                "end_time": "2025-11-25T12:05:00",
            },
        });
        let read: StageParams = serde_json::from_value(documented.clone())?;
        assert_eq!(serde_json::to_value(&read)?["inputs"], documented["inputs"]);
        Ok(())
    }

    #[test]
    fn what_is_written_is_read_again() -> Result<(), serde_json::Error> {
        let params = StageParams {
            outputs: Outputs {
                ms_path: Some("a.ms".into()),
                caltables: vec!["a.h5".into()],
                ..Outputs::default()
            },
            ..StageParams::default()
        };
        let again: StageParams = serde_json::from_value(serde_json::to_value(&params)?)?;
        assert_eq!(again, params);
        Ok(())
    }

    #[test]
    fn a_setting_that_nobody_knows_is_refused() {
        let read = serde_json::from_value::<StageParams>(json!({"config": {"imsize": 1}}));
        let refused = read
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default();
        assert!(refused.contains("imsize"), "{refused}");
    }

    #[test]
    fn what_is_missing_is_named() {
        let missing = StageParams::default().ms().err().unwrap().to_string();
        assert!(missing.contains("outputs.ms_path"), "{missing}");
    }
}
