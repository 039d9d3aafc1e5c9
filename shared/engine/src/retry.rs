//! RetryStageExecution: a failed or stopped stage runs again in the same execution.

use std::collections::{BTreeMap, BTreeSet};

use domain::{
    ActionName, ActionRun, ConditionKind, Execution, ExecutionId, NotRetryable, PipelineName, PipelineView, RetryCause,
    RetryMode, RetryOrder, StageIndex, StageName, done_by_last_attempt, retry_stage,
};

use crate::{
    EngineError, HasAlarms, HasMachines, HasStore, alarms, commit,
    commit::until_stored,
    condition::load_run,
    loading::load_of,
    ports::{PageRequest, Store},
    revoked,
    rollback::{find_stage, load_view},
    slots::take_slot,
};

/// Runs read at a time: the most that a page of the store holds.
const READ_AT_ONCE: u32 = 1000;

/// Runs a stage again in `id`.
///
/// # Errors
/// Refusals `PipelineNotFoundException`, `StageNotFoundException`, `StageNotRetryableException`,
/// `NotLatestPipelineExecutionException`, `ConflictException`, `ConcurrentPipelineExecutionsLimitExceededException`.
pub async fn retry_stage_execution<W: HasStore + HasMachines + HasAlarms>(
    world: &W,
    pipeline: &PipelineName,
    stage: &StageName,
    id: ExecutionId,
    mode: RetryMode,
    caller: &str,
) -> Result<(), EngineError> {
    until_stored(async || {
        let view = load_view(world, pipeline).await?;
        let index = find_stage(&view, stage)?;
        let Some(mut execution) = load_of(world, &view, id).await? else {
            let message = format!("Pipeline '{pipeline}' has no execution '{id}' that could be retried.");
            return Err(EngineError::refused("StageNotRetryableException", message));
        };
        revoked::look_up(world, [&mut execution]).await?;
        let succeeded = done(world, &view, index, &execution).await?;
        let alarms = alarms::snapshot(world, std::iter::once(index)).await;
        let order = RetryOrder {
            cause: RetryCause::Asked,
            execution: id,
            stage,
            mode,
            succeeded: &succeeded,
            by: caller,
            alarms: &alarms,
        };
        let executions = BTreeMap::from([(id, execution)]);
        let mut changes = retry_stage(&view, &executions, &order, world.now())
            .map_err(|why| refuse(stage, id, &why, "StageNotRetryableException"))?;
        if let Some(execution) = changes.executions.get_mut(&id) {
            take_slot(world, &view.index, execution, &mut changes.slots).await?;
        }
        commit(world, pipeline, changes).await
    })
    .await
}

/// Actions of the stage that need not run again for what the execution's last attempt at it came to.
async fn done<W: HasStore>(
    world: &W,
    view: &PipelineView,
    index: &StageIndex,
    execution: &Execution,
) -> Result<Vec<ActionName>, EngineError> {
    let Some(outcome) = execution.stages.get(&index.name) else { return Ok(Vec::new()) };
    let runs = latest_runs(world, &execution.pipeline, &index.name, execution.id).await?;
    let gate = if index.has_entry_condition {
        load_run(world, view, execution, &index.name, ConditionKind::BeforeEntry).await?
    } else {
        None
    };
    let gate = gate.filter(|run| run.execution == execution.id);
    Ok(done_by_last_attempt(outcome, &runs, gate.as_ref()))
}

/// The latest run in the execution of each action of `stage`.
///
/// # Errors
/// [`EngineError::Unavailable`]: ask again.
pub(crate) async fn latest_runs<W: HasStore>(
    world: &W,
    pipeline: &PipelineName,
    stage: &StageName,
    id: ExecutionId,
) -> Result<Vec<ActionRun>, EngineError> {
    let (mut seen, mut latest, mut after) = (BTreeSet::new(), Vec::new(), None);
    loop {
        let page =
            world.store().list_action_runs(pipeline, Some(id), PageRequest { limit: READ_AT_ONCE, after }).await?;
        for run in page.items.into_iter().filter(|run| run.stage == *stage) {
            if seen.insert(run.action.clone()) {
                latest.push(run);
            }
        }
        after = page.next;
        if after.is_none() {
            return Ok(latest);
        }
    }
}

/// The refusal of a retry; `cannot` is the exception of what can never succeed.
pub(crate) fn refuse(stage: &StageName, id: ExecutionId, why: &NotRetryable, cannot: &'static str) -> EngineError {
    let exception = match why {
        NotRetryable::Stale => return EngineError::Contended,
        NotRetryable::Busy => "ConflictException",
        NotRetryable::NotLatest { .. } => "NotLatestPipelineExecutionException",
        NotRetryable::NeverEntered
        | NotRetryable::NotFailed(_)
        | NotRetryable::Outdated { .. }
        | NotRetryable::Revoked(_) => cannot,
    };
    EngineError::refused(exception, format!("Stage '{stage}' cannot be retried in execution '{id}'. {why}"))
}
