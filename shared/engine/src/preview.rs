//! What RollbackStage would do, found by the decisions it takes, without storing any.

use domain::{
    ActionPreview, ActionRun, Execution, ExecutionId, ExpectedDuration, LookedUp, PipelineName, PipelineView,
    RollbackCause, RollbackPlan, StageIndex, StageName, Waiting, expect_duration, ineligible_because, preview_actions,
};

use crate::{
    EngineError, HasObjects, HasStore, StoredArtifact,
    commit::until_stored,
    definitions::load_declaration,
    edits::Edits,
    ports::{PageRequest, Store},
    rollback::{choose_target, find_stage, load_target, load_view, look_at_artifacts, looked_up, prepare, undone_by},
};

/// How many executions an expected duration is taken from: a page that is one request, and the recent past.
const LOOKED_AT_MAX: u32 = 50;
/// Runs read of what is live: a stage has at most 100 actions (spec 1.10), an execution a few retries.
const RUNS_READ_MAX: u32 = 1000;

/// What a rollback would do.
#[derive(Debug, Clone)]
pub struct RollbackPreview {
    /// Every reason why it would be refused; empty means it would start.
    pub reasons: Vec<String>,
    /// What it would bring back, absent where the automatic choice finds nothing.
    pub target: Option<TargetPreview>,
    /// What else it would do; absent where it would be refused.
    pub plan: Option<RollbackPlan>,
    /// Who waits before the stage.
    pub waiting: Vec<Waiting>,
    /// How long the stage is likely to take.
    pub expected: Option<ExpectedDuration>,
}

/// What would be brought back.
#[derive(Debug, Clone)]
pub struct TargetPreview {
    /// The execution.
    pub execution: Execution,
    /// Whether its success in the stage was taken back: a person may choose it all the same.
    pub is_revoked: bool,
    /// What would be undone.
    pub undone: Option<ExecutionId>,
    /// Artifacts that the stage reads.
    pub artifacts: Vec<StoredArtifact>,
    /// The stage's actions in order.
    pub actions: Vec<ActionPreview>,
}

/// Tells what a rollback by a person for `cause` would do with `target`, or with what the automatic choice would take.
/// Nothing is stored or started.
///
/// # Errors
/// Refusals `PipelineNotFoundException`, `StageNotFoundException`, `PipelineExecutionNotFoundException`.
pub async fn preview_rollback<W: HasStore + HasObjects>(
    world: &W,
    pipeline: &PipelineName,
    stage: &StageName,
    target: Option<ExecutionId>,
    cause: RollbackCause,
) -> Result<RollbackPreview, EngineError> {
    until_stored(async || {
        let view = load_view(world, pipeline).await?;
        let index = find_stage(&view, stage)?;
        let waiting = view.waiting_for(stage).cloned().collect();
        let past = world.store().list_executions(pipeline, PageRequest { limit: LOOKED_AT_MAX, after: None }).await?;
        let expected = expect_duration(stage, &past.items);
        let chosen = match target {
            Some(target) => Ok(load_target(world, &view, target).await?),
            None => Box::pin(choose(world, &view, index)).await?,
        };
        let execution = match chosen {
            Ok(execution) => execution,
            Err(why) => {
                return Ok(RollbackPreview { reasons: vec![why], target: None, plan: None, waiting, expected });
            }
        };
        // Boxed, since these futures together are too large for the stack of a thread.
        let target = Box::pin(look_at(world, &view, index, execution)).await?;
        let (reasons, plan) = Box::pin(decide(world, &view, index, &target, &cause)).await?;
        Ok(RollbackPreview { reasons, target: Some(target), plan, waiting, expected })
    })
    .await
}

/// What a rollback without a person's choice would bring back.
async fn choose<W: HasStore + HasObjects>(
    world: &W,
    view: &PipelineView,
    index: &StageIndex,
) -> Result<Result<Execution, String>, EngineError> {
    match domain::at_fault(&view.stage(&index.name)) {
        Some(undone) => choose_target(world, view, index, undone).await,
        None => Ok(Err(format!("no execution has entered stage {} yet.", index.name))),
    }
}

async fn look_at<W: HasStore + HasObjects>(
    world: &W,
    view: &PipelineView,
    index: &StageIndex,
    execution: Execution,
) -> Result<TargetPreview, EngineError> {
    let artifacts = look_at_artifacts(world, index, &execution).await?;
    let declaration = load_declaration(world, &view.index).await?;
    let live = live_runs(world, view, &index.name).await?;
    let stage = declaration.stage(&index.name);
    let actions = stage.map(|stage| preview_actions(stage, &execution, &live)).unwrap_or_default();
    let outcome = execution.stages.get(&index.name);
    Ok(TargetPreview {
        is_revoked: outcome.is_some_and(|outcome| outcome.revoked_by.is_some()),
        undone: undone_by(view, &index.name, execution.id),
        artifacts,
        actions,
        execution,
    })
}

/// Runs of the stage's actions by what is live, newest first.
async fn live_runs<W: HasStore>(
    world: &W,
    view: &PipelineView,
    stage: &StageName,
) -> Result<Vec<ActionRun>, EngineError> {
    let Some(live) = view.stage(stage).live else {
        return Ok(Vec::new());
    };
    let page = PageRequest { limit: RUNS_READ_MAX, after: None };
    Ok(world.store().list_action_runs(&view.index.name, Some(live.deployed_by), page).await?.items)
}

/// The decision that RollbackStage would take: its reasons against it, or its plan.
async fn decide<W: HasStore + HasObjects>(
    world: &W,
    view: &PipelineView,
    index: &StageIndex,
    target: &TargetPreview,
    cause: &RollbackCause,
) -> Result<(Vec<String>, Option<RollbackPlan>), EngineError> {
    let stage = &index.name;
    let changed =
        Edits::of(world, &view.index, index, &target.execution).await?.since(target.execution.pipeline_version);
    let known = LookedUp { skipped_by: view.stage(stage).skipped_by(), ..looked_up(changed, &target.artifacts) };
    let reasons = ineligible_because(&view.index, index, &target.execution, &known, cause.choice());
    let mut reasons: Vec<String> = reasons.iter().map(ToString::to_string).collect();
    match prepare(world, view, &target.execution, stage, target.undone, cause.clone()).await {
        Ok((id, changes)) if reasons.is_empty() => Ok((reasons, RollbackPlan::of(view, stage, id, changes))),
        Ok(_) => Ok((reasons, None)),
        Err(EngineError::Refused(refusal)) => {
            reasons.push(refusal.message);
            Ok((reasons, None))
        }
        Err(error) => Err(error),
    }
}
