//! What the stages of the pipeline do, and the chains that they form.

use std::time::Duration;

use absurd_sdk::{Reporter, TaskResult};

use super::{
    params::{Outputs, StageParams},
    stages,
    toolbox::Toolbox,
};
pub use crate::model::{Stage, UnknownStage};

impl Stage {
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
