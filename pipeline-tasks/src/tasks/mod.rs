//! The pipeline's durable tasks.

mod journal;
mod params;
mod toolbox;

mod stages;

mod leftovers;
mod stage;
mod workflow;

mod process_group;
mod stage_tasks;

pub use journal::{Entry, Journal};
pub use params::{Inputs, Outputs, StageConfig, StageParams, StagePaths, StageResult};
pub use process_group::{Group, Product, STAGES, Source, process_group};
pub use stage::{
    CHAINS, QUICK_IMAGING_CHAIN, STANDARD_PIPELINE_CHAIN, Stage, TaskChain, UnknownStage,
};
pub use stage_tasks::{
    ChainParams, calibrate, calibration_apply, calibration_solve, catalog_setup, conversion,
    convert_uvh5_to_ms, flag, imaging, organize_files, run_chain, with_stage_tasks,
};
pub use toolbox::Toolbox;
