//! The pipeline's durable tasks.

use absurd_sdk::{Client, Worker, WorkerBuilder};

mod journal;
mod params;
mod toolbox;

mod stages;

mod elsewhere;
mod leftovers;
mod stage;
mod workflow;

mod housekeeping;
mod process_group;
mod record;
mod stage_tasks;
mod variability;

mod coordinated;
mod dsa110_pipeline;
mod mosaic;
mod mosaic_windows;
mod smoke;

pub use coordinated::{
    JobParams, KeyedParams, calibration_job, conversion_job, imaging_job, process_calibrator,
    process_target,
};
pub use dsa110_pipeline::{
    FieldCalibrator, PipelineOrder, PipelineRun, StageTiming, dsa110_pipeline,
};
pub use housekeeping::{HousekeepingInputs, HousekeepingParams, Housekept, housekeeping};
pub use journal::{Entry, Journal};
pub use mosaic::{
    BatchResult, MosaicOrder, PublishedMosaic, Transit, TransitBatch, TransitMosaic, TransitOrder,
    create_mosaic, mosaic_batch, mosaic_transit,
};
pub use mosaic_windows::{SubmittedWindow, SubmittedWindows, WindowsOrder, mosaic_windows};
pub use params::{Inputs, Outputs, StageConfig, StageParams, StagePaths, StageResult};
pub use process_group::{Group, Product, Source, process_group, steps};
pub use smoke::{ConnectionReport, Echo, test_connection, test_task};
pub use stage::{
    CALIBRATOR_CHAIN, CHAINS, QUICK_IMAGING_CHAIN, STANDARD_PIPELINE_CHAIN, Stage, TARGET_CHAIN,
    TaskChain, UnknownStage,
};
pub use stage_tasks::{
    ChainParams, calibrate, calibration_apply, calibration_solve, catalog_setup, conversion,
    convert_uvh5_to_ms, crossmatch, flag, imaging, organize_files, photometry, run_chain,
    validation, with_stage_tasks,
};
pub use stages::SourceFlux;
pub use toolbox::Toolbox;
pub use variability::{LightCurveOrder, LightCurves, SkyField, light_curves};

/// A worker that hosts all tasks of the pipeline.
pub fn pipeline_worker(client: &Client, tools: Toolbox) -> WorkerBuilder {
    with_stage_tasks(Worker::builder(client))
        .state(client.clone())
        .state(tools.with_client(client))
        .task(process_group)
        .task(dsa110_pipeline)
        .task(test_task)
        .task(test_connection)
        .task(run_chain)
        .task(conversion_job)
        .task(calibration_job)
        .task(imaging_job)
        .task(process_calibrator)
        .task(process_target)
        .task(housekeeping)
        .task(create_mosaic)
        .task(mosaic_transit)
        .task(mosaic_batch)
        .task(mosaic_windows)
        .task(light_curves)
}
