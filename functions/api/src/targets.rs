//! What deploy actions deployed to.

use domain::PipelineName;
use engine::{
    HasStore,
    ports::{PageRequest, Store},
};
use protocol::{
    ErrorCode,
    wire::targets::{ListDeployActionExecutionTargetsInput, ListDeployActionExecutionTargetsOutput},
};

use crate::failure::Failure;

/// How many of a pipeline's newest runs are looked through for an id: one request, whatever the history's length.
const LOOKED_AT_MAX: u32 = 1000;
/// Pipelines looked through where none is named: all that an account may have (spec 1.10).
const PIPELINES_MAX: u32 = 1000;

/// ListDeployActionExecutionTargets. No provider that runs here deploys to targets of its own, as EC2's instances are,
/// so the list of an action that exists is empty.
pub(crate) async fn list<W: HasStore>(
    world: &W,
    input: ListDeployActionExecutionTargetsInput,
) -> Result<ListDeployActionExecutionTargetsOutput, Failure> {
    let id = &input.action_execution_id;
    let found = match &input.pipeline_name {
        Some(pipeline) => {
            let found = has_run(world, pipeline, id).await?;
            if !found {
                engine::load_view(world, pipeline).await?;
            }
            found
        }
        None => is_of_any(world, id).await?,
    };
    if !found {
        let message = format!("There is no action execution '{id}' among the newest {LOOKED_AT_MAX} of the pipeline.");
        return Err(Failure::refused(ErrorCode::ActionExecutionNotFoundException, message));
    }
    Ok(ListDeployActionExecutionTargetsOutput { targets: Some(Vec::new()), next_token: None })
}

async fn is_of_any<W: HasStore>(world: &W, id: &str) -> Result<bool, Failure> {
    let pipelines = world.store().list_pipelines(PageRequest { limit: PIPELINES_MAX, after: None }).await?;
    for pipeline in pipelines.items {
        if has_run(world, &pipeline.name, id).await? {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn has_run<W: HasStore>(world: &W, pipeline: &PipelineName, id: &str) -> Result<bool, Failure> {
    let request = PageRequest { limit: LOOKED_AT_MAX, after: None };
    let runs = world.store().list_action_runs(pipeline, None, request).await?;
    Ok(runs.items.iter().any(|run| run.id.to_string() == *id))
}
