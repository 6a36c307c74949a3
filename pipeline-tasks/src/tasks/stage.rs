//! The stages of the pipeline and the chains that they form.

use std::{str::FromStr, time::Duration};

use absurd_sdk::{Reporter, TaskResult};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{
    params::{Outputs, StageParams},
    stages,
    toolbox::Toolbox,
};

/// One stage: a task of its own, and a step of the workflows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
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

    /// The name of its step in a workflow.
    pub fn step(self) -> &'static str {
        match self {
            Self::CatalogSetup => "catalog_setup",
            Self::Conversion => "convert",
            Self::Flag => "flag",
            Self::CalibrationSolve => "calibrate_solve",
            Self::CalibrationApply => "calibrate_apply",
            Self::Imaging => "image",
            Self::Validation => "validate",
            Self::Photometry => "photometry",
            Self::Crossmatch => "crossmatch",
            Self::OrganizeFiles => "organize_files",
        }
    }

    /// How long it may take: the upper ends of the operations guide.
    pub fn timeout(self) -> Duration {
        Duration::from_mins(match self {
            Self::CatalogSetup | Self::Validation | Self::Crossmatch | Self::OrganizeFiles => 5,
            Self::Photometry => 10,
            Self::Conversion => 15,
            Self::Flag | Self::CalibrationSolve | Self::CalibrationApply => 60,
            Self::Imaging => 30,
        })
    }

    /// Does its work. It can be killed at any moment and done again: products appear whole or
    /// not at all, and what is written into a Measurement Set only follows from its data.
    pub async fn run(
        self,
        tools: &Toolbox,
        params: &StageParams,
        reporter: &Reporter,
    ) -> TaskResult<Outputs> {
        match self {
            Self::CatalogSetup => stages::catalog_setup(tools, params).await,
            Self::Conversion => stages::conversion(tools, params, reporter).await,
            Self::Flag => stages::flag(tools, params, reporter).await,
            Self::CalibrationSolve => stages::calibration_solve(tools, params).await,
            Self::CalibrationApply => stages::calibration_apply(tools, params).await,
            Self::Imaging => stages::imaging(tools, params, reporter).await,
            Self::Validation => stages::validation(tools, params, reporter).await,
            Self::Photometry => stages::photometry(tools, params).await,
            Self::Crossmatch => stages::crossmatching(tools, params, reporter).await,
            Self::OrganizeFiles => stages::organize_files(tools, params).await,
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

/// Stages, one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskChain {
    /// Its name.
    pub name: &'static str,
    /// Its stages in their order.
    pub stages: &'static [Stage],
}

/// From raw files to a validated image and its sources.
pub const STANDARD_PIPELINE_CHAIN: TaskChain = TaskChain {
    name: "standard-pipeline",
    stages: &[
        Stage::Conversion,
        Stage::Flag,
        Stage::CalibrationSolve,
        Stage::CalibrationApply,
        Stage::Imaging,
        Stage::Validation,
        Stage::Photometry,
        Stage::Crossmatch,
    ],
};

/// An image by tables that are there.
pub const QUICK_IMAGING_CHAIN: TaskChain = TaskChain {
    name: "quick-imaging",
    stages: &[
        Stage::Conversion,
        Stage::Flag,
        Stage::CalibrationApply,
        Stage::Imaging,
    ],
};

/// Tables of a calibrator, and an image that shows whether they are good.
pub const CALIBRATOR_CHAIN: TaskChain = TaskChain {
    name: "calibrator",
    stages: &[
        Stage::Conversion,
        Stage::Flag,
        Stage::CalibrationSolve,
        Stage::CalibrationApply,
        Stage::Imaging,
        Stage::Validation,
    ],
};

/// The sources of a field, by a calibrator's tables.
pub const TARGET_CHAIN: TaskChain = TaskChain {
    name: "target",
    stages: &[
        Stage::Conversion,
        Stage::Flag,
        Stage::CalibrationApply,
        Stage::Imaging,
        Stage::Photometry,
        Stage::Crossmatch,
    ],
};

/// All chains.
pub const CHAINS: [TaskChain; 4] = [
    STANDARD_PIPELINE_CHAIN,
    QUICK_IMAGING_CHAIN,
    CALIBRATOR_CHAIN,
    TARGET_CHAIN,
];

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
