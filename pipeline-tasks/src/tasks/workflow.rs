//! Stages as steps: what a workflow is made of.

use absurd_sdk::{Context, TaskError, TaskResult};

use super::{
    journal::Journal,
    params::{Outputs, StageParams},
    stage::Stage,
    toolbox::Toolbox,
};

/// Runs stages one after the other, each as a checkpointed step that gets what those before it
/// have made. Steps note in the journal, if there is one, that they begin.
pub(super) async fn run_stages(
    ctx: &mut Context,
    tools: &Toolbox,
    mut params: StageParams,
    stages: &[Stage],
    journal: Option<&Journal>,
) -> TaskResult<StageParams> {
    let attempt = ctx.attempt();
    let reporter = ctx.reporter();
    for stage in stages {
        let step = stage.step();
        let (given, reporter) = (&params, &reporter);
        let made: Outputs = ctx
            .step(step, || async move {
                if let Some(journal) = journal {
                    journal.note(step, attempt)?;
                }
                let made = stage.run(tools, given, reporter).await?;
                Ok::<_, TaskError>(made)
            })
            .timeout(stage.timeout())
            .await?;
        params.outputs = params.outputs.and(made);
    }
    Ok(params)
}
