//! Executions that an action of another pipeline of this installation starts.

use domain::{ActionExecutionId, ActionStatus, ExecutionId, PipelineName, SourceRevisionOverride, Starter, Trigger};
use serde_json::json;

use crate::{
    EngineError, HasMachines, HasObjects, HasStore, StartRequest, Started, ports::Store, rollback::load_view,
    start::started_before, start_with_revisions,
};

/// Longest chain of executions that start each other. Each of them waits for the next, so people never mean many.
const CHAIN_MAX: usize = 10;

/// Which action says that it starts an execution.
#[derive(Debug, Clone)]
pub struct ActionClaim {
    /// Its pipeline.
    pub pipeline: PipelineName,
    /// Its execution.
    pub execution: ExecutionId,
    /// Its run.
    pub run: ActionExecutionId,
}

/// As [`start_with_revisions`], for an action of type CodePipeline. The table has to know it as running and as starting this
/// pipeline; what the claim says is believed no further. A pipeline that would wait for itself is not started.
///
/// # Errors
/// As [`start_with_revisions`]; refusal `ValidationException` also for an action that does not run, and for a loop.
pub async fn start_from_action<W: HasStore + HasMachines + HasObjects>(
    world: &W,
    request: &StartRequest,
    overrides: &[SourceRevisionOverride],
    claim: &ActionClaim,
) -> Result<Started, EngineError> {
    let view = load_view(world, &request.pipeline).await?;
    // Whoever repeats a start has to learn what it started, also when the action has ended meanwhile: to stop that.
    if let Some(started) = started_before(world, &view, request).await? {
        return Ok(started);
    }
    let (starter, role) = verified(world, &request.pipeline, claim).await?;
    look_for_loop(world, &request.pipeline, &starter).await?;
    let detail = json!({
        "PipelineName": starter.pipeline, "PipelineExecutionId": starter.execution, "ActionName": starter.action,
        "RoleArn": role,
    });
    let trigger =
        Trigger { trigger_detail: Some(detail.to_string()), starter: Some(starter), ..request.trigger.clone() };
    start_with_revisions(world, &StartRequest { trigger, ..request.clone() }, overrides).await
}

/// The action that a claim is about and its role, where it runs and starts `pipeline`.
async fn verified<W: HasStore>(
    world: &W,
    pipeline: &PipelineName,
    claim: &ActionClaim,
) -> Result<(Starter, String), EngineError> {
    let run = world.store().load_action_run(&claim.pipeline, claim.execution, claim.run).await?;
    let starts = |run: &domain::ActionRun| {
        run.status == ActionStatus::InProgress
            && (run.action_type.category.as_str(), run.action_type.provider.as_str()) == ("Invoke", "CodePipeline")
            && run.resolved_configuration.get("PipelineName").is_some_and(|name| *name == pipeline.as_str())
    };
    let Some(run) = run.filter(starts) else {
        let message = format!(
            "No running action of execution '{}' of pipeline '{}' starts pipeline '{pipeline}'.",
            claim.execution, claim.pipeline
        );
        return Err(EngineError::refused("ValidationException", message));
    };
    Ok((Starter { pipeline: run.pipeline, execution: run.execution, action: run.action }, run.role_arn))
}

/// Refuses a pipeline that one of those started which wait for it.
async fn look_for_loop<W: HasStore>(world: &W, pipeline: &PipelineName, starter: &Starter) -> Result<(), EngineError> {
    let mut chain = vec![pipeline.clone()];
    let mut next = Some(starter.clone());
    while let Some(at) = next {
        chain.push(at.pipeline.clone());
        let way = || {
            let names: Vec<&str> = chain.iter().rev().map(PipelineName::as_str).collect();
            names.join(" -> ")
        };
        if at.pipeline == *pipeline {
            let message = format!("Pipeline '{pipeline}' would wait for its own end: {}.", way());
            return Err(EngineError::refused("ValidationException", message));
        }
        if chain.len() > CHAIN_MAX {
            let message = format!("More than {CHAIN_MAX} pipelines start each other: {}.", way());
            return Err(EngineError::refused("ValidationException", message));
        }
        let execution = world.store().load_execution(&at.pipeline, at.execution).await?;
        next = execution.and_then(|execution| execution.trigger.starter);
    }
    Ok(())
}
