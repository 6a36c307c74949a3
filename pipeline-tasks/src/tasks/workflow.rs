//! Stages as steps: what a workflow is made of.

use absurd_sdk::{Context, TaskError, TaskResult};

use super::{
    elsewhere::run_elsewhere,
    journal::Journal,
    params::{Outputs, StageParams},
    stage::Stage,
    toolbox::Toolbox,
};

/// Runs stages one after the other; each gets what those before it have made. A stage is a
/// checkpointed step here, or a task of another queue where the configuration says so.
pub(super) async fn run_stages(
    ctx: &mut Context,
    tools: &Toolbox,
    mut params: StageParams,
    stages: &[Stage],
    journal: Option<&Journal>,
) -> TaskResult<StageParams> {
    for stage in stages.iter().copied() {
        let made = match tools.queue_of(stage) {
            Some(queue) => run_elsewhere(ctx, tools, &params, stage, queue).await?,
            None => run_here(ctx, tools, &params, stage, journal).await?,
        };
        params.outputs = params.outputs.and(made);
    }
    Ok(params)
}

/// Runs a stage as a step, whatever the configuration says of it: a stage's own task does. The
/// step notes in the journal, if there is one, that it begins.
pub(super) async fn run_here(
    ctx: &mut Context,
    tools: &Toolbox,
    params: &StageParams,
    stage: Stage,
    journal: Option<&Journal>,
) -> TaskResult<Outputs> {
    let attempt = ctx.attempt();
    let reporter = ctx.reporter();
    let (step, reporter) = (stage.step(), &reporter);
    ctx.step(step, || async move {
        if let Some(journal) = journal {
            journal.note(step, attempt)?;
        }
        let made = stage.run(tools, params, reporter).await?;
        Ok::<_, TaskError>(made)
    })
    .timeout(stage.timeout())
    .await
}
