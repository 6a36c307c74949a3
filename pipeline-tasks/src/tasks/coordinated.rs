//! Stages that wait for each other by events: tasks of their own on any worker, and targets that
//! are imaged with a calibrator's tables.

use std::{collections::BTreeMap, path::PathBuf};

use absurd_sdk::prelude::{
    Context, Deserialize, JsonSchema, Serialize, State, TaskError, TaskResult, task,
};

use super::{
    leftovers::sweep_stages,
    params::{Outputs, StageParams, StageResult},
    stage::Stage,
    toolbox::Toolbox,
    workflow::run_stages,
};

/// How long a task waits for what another one makes, where its params don't say.
const PATIENCE_SECONDS: u64 = 2 * 3_600;

/// A part of a job that is spread over tasks.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct JobParams {
    /// The job's name: part of the events' names.
    pub job_id: String,
    /// What the first stage gets.
    #[serde(default)]
    pub params: StageParams,
    /// How long to wait for the part before.
    #[serde(default = "patience")]
    pub timeout_sec: u64,
}

fn patience() -> u64 {
    PATIENCE_SECONDS
}

/// The payload of `conversion.completed:<job>`.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct ConversionCompleted {
    ms_paths: Vec<PathBuf>,
    context: StageParams,
}

/// The payload of `calibration.completed:<job>` and `caltables.ready:<key>`.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct CalibrationCompleted {
    cal_tables: BTreeMap<String, PathBuf>,
    context: StageParams,
}

impl From<StageParams> for CalibrationCompleted {
    fn from(context: StageParams) -> Self {
        Self {
            cal_tables: context.outputs.calibration_tables.clone(),
            context,
        }
    }
}

/// Converts and flags, then says `conversion.completed:<job>`.
#[task(name = "conversion-job", retry = exponential("5s", max = "5m"))]
pub async fn conversion_job(
    ctx: &mut Context,
    job: JobParams,
    tools: State<Toolbox>,
) -> TaskResult<StageResult> {
    sweep_stages(&tools, &job.params, ctx.attempt()).await?;
    let stages = [Stage::CatalogSetup, Stage::Conversion, Stage::Flag];
    let context = run_stages(ctx, &tools, job.params, &stages, None).await?;
    let outputs = context.outputs.clone();
    let payload = ConversionCompleted {
        ms_paths: outputs.ms_paths.clone(),
        context,
    };
    ctx.emit_event(format!("conversion.completed:{}", job.job_id), &payload)
        .await?;
    Ok(StageResult { outputs })
}

/// Waits for the conversion, solves, then says `calibration.completed:<job>`.
#[task(name = "calibration-job", retry = exponential("10s", max = "5m"))]
pub async fn calibration_job(
    ctx: &mut Context,
    job: JobParams,
    tools: State<Toolbox>,
) -> TaskResult<StageResult> {
    let event = format!("conversion.completed:{}", job.job_id);
    let converted: ConversionCompleted = awaited(ctx, event, job.timeout_sec).await?;
    sweep_stages(&tools, &converted.context, ctx.attempt()).await?;
    let stages = [Stage::CalibrationSolve];
    let context = run_stages(ctx, &tools, converted.context, &stages, None).await?;
    let outputs = context.outputs.clone();
    let event = format!("calibration.completed:{}", job.job_id);
    ctx.emit_event(event, &CalibrationCompleted::from(context))
        .await?;
    Ok(StageResult { outputs })
}

/// Waits for the calibration, then images and measures.
#[task(name = "imaging-job", retry = exponential("10s", max = "5m"))]
pub async fn imaging_job(
    ctx: &mut Context,
    job: JobParams,
    tools: State<Toolbox>,
) -> TaskResult<StageResult> {
    let event = format!("calibration.completed:{}", job.job_id);
    let solved: CalibrationCompleted = awaited(ctx, event, job.timeout_sec).await?;
    sweep_stages(&tools, &solved.context, ctx.attempt()).await?;
    let stages = [
        Stage::CalibrationApply,
        Stage::Imaging,
        Stage::Validation,
        Stage::Photometry,
        Stage::Crossmatch,
    ];
    let context = run_stages(ctx, &tools, solved.context, &stages, None).await?;
    Ok(StageResult {
        outputs: context.outputs,
    })
}

/// A group whose tables others use, or that uses another's.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct KeyedParams {
    /// What calibrator and targets have in common, such as the night.
    pub calibration_key: String,
    /// The observation.
    #[serde(default)]
    pub params: StageParams,
    /// How long a target waits for the calibrator.
    #[serde(default = "patience")]
    pub timeout_sec: u64,
}

/// Processes a calibrator; as soon as its tables are there, `caltables.ready:<key>` tells the
/// targets.
#[task(name = "process-calibrator", retry = exponential("5s", max = "5m"))]
pub async fn process_calibrator(
    ctx: &mut Context,
    order: KeyedParams,
    tools: State<Toolbox>,
) -> TaskResult<StageResult> {
    sweep_stages(&tools, &order.params, ctx.attempt()).await?;
    let before = [
        Stage::CatalogSetup,
        Stage::Conversion,
        Stage::Flag,
        Stage::CalibrationSolve,
    ];
    let context = run_stages(ctx, &tools, order.params, &before, None).await?;
    let event = format!("caltables.ready:{}", order.calibration_key);
    ctx.emit_event(event, &CalibrationCompleted::from(context.clone()))
        .await?;
    let after = [Stage::CalibrationApply, Stage::Imaging, Stage::Validation];
    let context = run_stages(ctx, &tools, context, &after, None).await?;
    Ok(StageResult {
        outputs: context.outputs,
    })
}

/// Processes a target: converts and flags at once, then waits, holding no worker, for the tables of
/// its calibrator.
#[task(name = "process-target", retry = exponential("5s", max = "5m"))]
pub async fn process_target(
    ctx: &mut Context,
    order: KeyedParams,
    tools: State<Toolbox>,
) -> TaskResult<StageResult> {
    sweep_stages(&tools, &order.params, ctx.attempt()).await?;
    let before = [Stage::CatalogSetup, Stage::Conversion, Stage::Flag];
    let mut context = run_stages(ctx, &tools, order.params, &before, None).await?;
    let event = format!("caltables.ready:{}", order.calibration_key);
    let solved: CalibrationCompleted = awaited(ctx, event, order.timeout_sec).await?;
    context.outputs = context.outputs.and(Outputs {
        caltables: solved.cal_tables.values().cloned().collect(),
        calibration_tables: solved.cal_tables,
        ..Outputs::default()
    });
    let after = [
        Stage::CalibrationApply,
        Stage::Imaging,
        Stage::Photometry,
        Stage::Crossmatch,
    ];
    let context = run_stages(ctx, &tools, context, &after, None).await?;
    Ok(StageResult {
        outputs: context.outputs,
    })
}

/// Waits for an event. What doesn't come in time is a failure for good: the deadline is over.
async fn awaited<T: Serialize + serde::de::DeserializeOwned + Send>(
    ctx: &mut Context,
    event: String,
    seconds: u64,
) -> TaskResult<T> {
    let waited = ctx
        .await_event::<T>(event.clone())
        .timeout(std::time::Duration::from_secs(seconds))
        .await;
    waited.map_err(|error| {
        if !error.is_timeout() {
            return error;
        }
        let late = format!("`{event}` did not come within {seconds} s");
        TaskError::terminal(TaskError::msg(late))
    })
}
