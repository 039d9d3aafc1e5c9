//! What deploy actions deployed to.

use domain::PipelineName;
use engine::{
    HasStore,
    ports::{PageRequest, Store},
};
use futures::{StreamExt, TryStreamExt, stream};
use protocol::{
    ErrorCode,
    wire::targets::{ListDeployActionExecutionTargetsInput, ListDeployActionExecutionTargetsOutput},
};

use crate::failure::Failure;

/// How many of a pipeline's newest runs are looked through for an id: one request, whatever the history's length.
const LOOKED_AT_MAX: u32 = 1000;
/// Pipelines looked through where none is named, which CodePipeline allows: all that an account may have (spec 1.10).
const PIPELINES_MAX: u32 = 1000;
/// How many of each one's newest runs are looked through then, and in how many pipelines at once: an id does not tell its
/// pipeline, and API Gateway waits for 30 seconds.
const LOOKED_AT_OF_EACH: u32 = 20;
const READS_PARALLEL_MAX: usize = 20;

/// ListDeployActionExecutionTargets. No provider that runs here deploys to targets of its own, as EC2's instances are,
/// so the list of an action that exists is empty.
pub(crate) async fn list<W: HasStore>(
    world: &W,
    input: ListDeployActionExecutionTargetsInput,
) -> Result<ListDeployActionExecutionTargetsOutput, Failure> {
    let id = &input.action_execution_id;
    let (found, among) = match &input.pipeline_name {
        Some(pipeline) => {
            let found = has_run(world, pipeline, id, LOOKED_AT_MAX).await?;
            if !found {
                engine::load_view(world, pipeline).await?;
            }
            (found, format!("the newest {LOOKED_AT_MAX} of the pipeline."))
        }
        None => {
            let among = format!("the newest {LOOKED_AT_OF_EACH} of each pipeline. Name the pipeline to look further.");
            (is_of_any(world, id).await?, among)
        }
    };
    if !found {
        let message = format!("There is no action execution '{id}' among {among}");
        return Err(Failure::refused(ErrorCode::ActionExecutionNotFoundException, message));
    }
    Ok(ListDeployActionExecutionTargetsOutput { targets: Some(Vec::new()), next_token: None })
}

async fn is_of_any<W: HasStore>(world: &W, id: &str) -> Result<bool, Failure> {
    let pipelines = world.store().list_pipelines(PageRequest { limit: PIPELINES_MAX, after: None }).await?;
    let looks = stream::iter(pipelines.items)
        .map(async |pipeline| has_run(world, &pipeline.name, id, LOOKED_AT_OF_EACH).await)
        .buffer_unordered(READS_PARALLEL_MAX);
    looks.try_any(async |found| found).await
}

/// Whether `id` is among the newest `limit` runs of the pipeline.
async fn has_run<W: HasStore>(world: &W, pipeline: &PipelineName, id: &str, limit: u32) -> Result<bool, Failure> {
    let request = PageRequest { limit, after: None };
    let runs = world.store().list_action_runs(pipeline, None, request).await?;
    Ok(runs.items.iter().any(|run| run.id.to_string() == *id))
}
