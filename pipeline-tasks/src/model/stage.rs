//! The stages of the pipeline, by the names that everybody gives them.

use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// One stage: a task of its own, and a step of the workflows.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(try_from = "String", into = "&'static str")]
#[schemars(with = "String")]
pub enum Stage {
    /// Prepares the catalogue of the field.
    CatalogSetup,
    /// Makes a Measurement Set of sixteen subbands.
    Conversion,
    /// Flags interference.
    Flag,
    /// Solves for the antennas' gains.
    CalibrationSolve,
    /// Applies gains.
    CalibrationApply,
    /// Makes an image.
    Imaging,
    /// Checks an image against the catalogue and itself.
    Validation,
    /// Measures the flux densities of the field's sources.
    Photometry,
    /// Tells the catalogue's sources from new ones.
    Crossmatch,
    /// Moves a Measurement Set to its place in the archive.
    OrganizeFiles,
}

/// A stage that there is not.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("there is no stage `{name}`; there are {}", Stage::ALL.map(Stage::name).join(", "))]
pub struct UnknownStage {
    name: String,
}

impl Stage {
    /// All of them, in the order in which an observation goes through them.
    pub const ALL: [Self; 10] = [
        Self::CatalogSetup,
        Self::Conversion,
        Self::Flag,
        Self::CalibrationSolve,
        Self::CalibrationApply,
        Self::Imaging,
        Self::Validation,
        Self::Photometry,
        Self::Crossmatch,
        Self::OrganizeFiles,
    ];

    /// The name of its task.
    pub fn name(self) -> &'static str {
        match self {
            Self::CatalogSetup => "catalog-setup",
            Self::Conversion => "convert-uvh5-to-ms",
            Self::Flag => "flag",
            Self::CalibrationSolve => "calibration-solve",
            Self::CalibrationApply => "calibration-apply",
            Self::Imaging => "imaging",
            Self::Validation => "validation",
            Self::Photometry => "photometry",
            Self::Crossmatch => "crossmatch",
            Self::OrganizeFiles => "organize-files",
        }
    }

    /// Other names that the operators' documents give it.
    pub fn aliases(self) -> &'static [&'static str] {
        match self {
            Self::Conversion => &["conversion"],
            Self::CalibrationSolve => &["calibrate"],
            _ => &[],
        }
    }
}

impl FromStr for Stage {
    type Err = UnknownStage;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let known = |stage: &Self| stage.name() == name || stage.aliases().contains(&name);
        Self::ALL
            .into_iter()
            .find(known)
            .ok_or_else(|| UnknownStage {
                name: name.to_owned(),
            })
    }
}

impl TryFrom<String> for Stage {
    type Error = UnknownStage;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        name.parse()
    }
}

impl From<Stage> for &'static str {
    fn from(stage: Stage) -> Self {
        stage.name()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_are_found_by_each_of_their_names() -> Result<(), UnknownStage> {
        for stage in Stage::ALL {
            for name in [stage.name()].iter().chain(stage.aliases()) {
                assert_eq!(name.parse::<Stage>()?, stage);
            }
        }
        let unknown = "imagine".parse::<Stage>().err().unwrap().to_string();
        assert!(
            unknown.contains("imagine") && unknown.contains("imaging"),
            "{unknown}"
        );
        Ok(())
    }
}
