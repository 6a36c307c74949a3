//! Each stage as a task of its own, and chains of them.

use absurd_sdk::{
    WorkerBuilder,
    prelude::{Context, Deserialize, JsonSchema, Serialize, State, TaskError, TaskResult, task},
};

use super::{
    leftovers::sweep_stages,
    params::{StageParams, StageResult},
    stage::{CHAINS, Stage, TaskChain},
    toolbox::Toolbox,
    workflow::{run_here, run_stages},
};

/// A stage is one step of its task: its result survives a worker that dies while it hands it in.
/// What a killed attempt has left half-made goes before the next one begins.
async fn one_stage(
    ctx: &mut Context,
    tools: &Toolbox,
    params: StageParams,
    stage: Stage,
) -> TaskResult<StageResult> {
    sweep_stages(tools, &params, ctx.attempt()).await?;
    let made = run_here(ctx, tools, &params, stage, None).await?;
    Ok(StageResult {
        outputs: params.outputs.and(made),
    })
}

macro_rules! stage_tasks {
    ($($(#[$doc:meta])* $function:ident = $name:tt runs $stage:ident;)*) => {
        $(
            $(#[$doc])*
            #[task(name = $name, retry = exponential("5s", max = "5m"))]
            pub async fn $function(
                ctx: &mut Context,
                params: StageParams,
                tools: State<Toolbox>,
            ) -> TaskResult<StageResult> {
                one_stage(ctx, &tools, params, Stage::$stage).await
            }
        )*

        /// Adds the tasks of all stages to a worker.
        pub fn with_stage_tasks(worker: WorkerBuilder) -> WorkerBuilder {
            worker$(.task($function))*
        }
    };
}

stage_tasks! {
    /// Prepares the catalogue of an observation's strip of sky.
    catalog_setup = "catalog-setup" runs CatalogSetup;
    /// Converts observations into Measurement Sets.
    convert_uvh5_to_ms = "convert-uvh5-to-ms" runs Conversion;
    /// The same, by the name that chains give it.
    conversion = "conversion" runs Conversion;
    /// Flags interference in a Measurement Set.
    flag = "flag" runs Flag;
    /// Solves for a Measurement Set's gains.
    calibration_solve = "calibration-solve" runs CalibrationSolve;
    /// The same, by its short name.
    calibrate = "calibrate" runs CalibrationSolve;
    /// Applies gains to a Measurement Set.
    calibration_apply = "calibration-apply" runs CalibrationApply;
    /// Images a Measurement Set.
    imaging = "imaging" runs Imaging;
    /// Checks an image.
    validation = "validation" runs Validation;
    /// Measures the sources of an image.
    photometry = "photometry" runs Photometry;
    /// Holds the sources of an image against the catalogue.
    crossmatch = "crossmatch" runs Crossmatch;
    /// Moves Measurement Sets to the archive.
    organize_files = "organize-files" runs OrganizeFiles;
}

/// A chain by its name, or stages in an order of one's own.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ChainParams {
    /// The name of a chain: `standard-pipeline`, `quick-imaging`, ...
    pub chain: Option<String>,
    /// Or its stages.
    pub stages: Vec<Stage>,
    /// What the first stage gets.
    pub params: StageParams,
}

/// Runs a chain of stages as one workflow: each is a step, and what it made is told to the next.
#[task(name = "run-chain", retry = exponential("5s", max = "5m"))]
pub async fn run_chain(
    ctx: &mut Context,
    order: ChainParams,
    tools: State<Toolbox>,
) -> TaskResult<StageResult> {
    let stages = stages_of(&order)?;
    sweep_stages(&tools, &order.params, ctx.attempt()).await?;
    let params = run_stages(ctx, &tools, order.params, &stages, None).await?;
    Ok(StageResult {
        outputs: params.outputs,
    })
}

fn stages_of(order: &ChainParams) -> TaskResult<Vec<Stage>> {
    let known = |chain: &TaskChain| Some(chain.name) == order.chain.as_deref();
    match (&order.chain, order.stages.is_empty()) {
        (None, false) => Ok(order.stages.clone()),
        (Some(name), true) => {
            let chain = CHAINS.into_iter().find(known).ok_or_else(|| {
                let names = CHAINS.map(|chain| chain.name).join(", ");
                let unknown = format!("there is no chain `{name}`; there are {names}");
                TaskError::terminal(TaskError::msg(unknown))
            })?;
            Ok(chain.stages.to_vec())
        }
        _ => {
            let both = "give the name of a chain, or stages, and not both";
            Err(TaskError::terminal(TaskError::msg(both)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_has_a_name_or_stages() -> TaskResult<()> {
        let named = |name: &str| ChainParams {
            chain: Some(name.into()),
            ..ChainParams::default()
        };
        assert_eq!(
            stages_of(&named("quick-imaging"))?.last(),
            Some(&Stage::Imaging)
        );
        let unknown = stages_of(&named("quick")).err().unwrap();
        assert!(unknown.is_terminal() && unknown.to_string().contains("standard-pipeline"));
        let both = ChainParams {
            stages: vec![Stage::Imaging],
            ..named("quick-imaging")
        };
        assert!(stages_of(&both).is_err() && stages_of(&ChainParams::default()).is_err());
        Ok(())
    }
}
