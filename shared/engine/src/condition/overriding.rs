//! A person lets a stage go on whatever its condition says (spec 4.2).

use std::collections::BTreeMap;

use domain::{
    Changes, ConditionKind, ConditionRun, ConditionStatus, Execution, ExecutionId, ExecutionMode, Override,
    PipelineName, PipelineView, Record, RetryCause, RetryMode, RetryOrder, StageIndex, StageName, Tokens,
    check_overridable, retry_stage,
};

use super::{By, changes, load_run, open::renewed_rules};
use crate::{
    EngineError, HasAlarms, HasMachines, HasStore, alarms, commit,
    commit::until_stored,
    loading::{load_earlier, load_of},
    retry, revoked,
    rollback::{find_stage, load_view},
    slots::take_slot,
};

/// OverrideStageCondition: the condition is Overridden, its running rules are Abandoned, and the stage goes on at once.
/// Where the condition has failed the stage, the execution goes into it again: into its actions after an entry
/// condition, out of it after a success condition.
///
/// # Errors
/// Refusals `PipelineNotFoundException`, `StageNotFoundException`, `NotLatestPipelineExecutionException`,
/// `ConditionNotOverridableException`, `ConflictException`, `ConcurrentPipelineExecutionsLimitExceededException`.
pub async fn override_condition<W: HasStore + HasMachines + HasAlarms>(
    world: &W,
    pipeline: &PipelineName,
    stage: &StageName,
    execution: ExecutionId,
    kind: ConditionKind,
    caller: &str,
) -> Result<(), EngineError> {
    until_stored(async || {
        let mut view = load_view(world, pipeline).await?;
        find_stage(&view, stage)?;
        let execution = match load_of(world, &view, execution).await? {
            Some(found) if is_latest(&view, stage, &found) => found,
            _ => return Err(not_latest(stage, execution)),
        };
        load_earlier(world, &mut view, [&execution]).await?;
        let Some((_, index)) = view.index_of(&execution).stage(stage) else {
            return Err(not_latest(stage, execution.id));
        };
        let run = load_run(world, &view, &execution, stage, kind).await?;
        let run = run.filter(|run| run.execution == execution.id);
        let how = check_overridable(index.condition(kind), run.as_ref()).map_err(not_overridable)?;
        let run = run.ok_or_else(|| not_overridable("The condition is not being evaluated.".to_owned()))?;
        let mut changes = match how {
            Override::EndWait => end_wait(world, &view, &execution, run, caller).await?,
            Override::Resume => resume(world, &view, index, execution, run, caller).await?,
        };
        changes.records.extend(changes.conditions.iter().map(|run| record(run, caller)).collect::<Vec<_>>());
        commit(world, pipeline, changes).await
    })
    .await
}

/// In PARALLEL mode every execution that entered the stage is the latest of its own.
fn is_latest(view: &PipelineView, stage: &StageName, execution: &Execution) -> bool {
    if execution.mode == ExecutionMode::Parallel {
        return execution.stages.contains_key(stage);
    }
    view.stage(stage).latest.is_some_and(|latest| latest.execution == execution.id)
}

async fn end_wait<W: HasStore>(
    world: &W,
    view: &PipelineView,
    execution: &Execution,
    before: ConditionRun,
    caller: &str,
) -> Result<Changes, EngineError> {
    let mut run = before.clone();
    if !view.lets_act(execution, &run.stage, run.generation) || !view.lets_begin(execution) {
        return Err(not_overridable("The execution is being stopped, or has ended.".to_owned()));
    }
    run.end(ConditionStatus::Overridden, &why(caller), Some(caller), world.now());
    let rules = renewed_rules(world, &run).await?;
    changes(world, Some(&before), run, rules, By::Other).await
}

/// The stage is run again as far as the condition stood in the way, and the condition's row says from there on that it
/// holds nobody up.
async fn resume<W: HasStore + HasAlarms>(
    world: &W,
    view: &PipelineView,
    index: &StageIndex,
    mut execution: Execution,
    mut run: ConditionRun,
    caller: &str,
) -> Result<Changes, EngineError> {
    let id = execution.id;
    if !run.is_of_last_attempt(&execution, &view.stage(&run.stage)) {
        let why = "The stage was retried or stopped since the condition was looked at: it is not what holds it up.";
        return Err(not_overridable(why.to_owned()));
    }
    // A success condition is looked at after every action succeeded: none of them runs again.
    let (mode, succeeded) = match run.kind {
        ConditionKind::OnSuccess => {
            (RetryMode::FailedActions, index.actions.iter().map(|action| action.name.clone()).collect())
        }
        ConditionKind::BeforeEntry | ConditionKind::OnFailure => (RetryMode::AllActions, Vec::new()),
    };
    revoked::look_up(world, [&mut execution]).await?;
    let alarms = alarms::snapshot(world, std::iter::once(index)).await;
    let order = RetryOrder {
        cause: RetryCause::Overridden,
        execution: id,
        stage: &index.name,
        mode,
        succeeded: &succeeded,
        by: caller,
        alarms: &alarms,
    };
    let executions = BTreeMap::from([(id, execution)]);
    let mut changes = retry_stage(view, &executions, &order, world.now())
        .map_err(|why| retry::refuse(&index.name, id, &why, "ConditionNotOverridableException"))?;
    if let Some(resumed) = changes.executions.get_mut(&id) {
        take_slot(world, &view.index, resumed, &mut changes.slots).await?;
        let stage = changes.stages.get(&index.name).cloned().unwrap_or_else(|| view.stage(&index.name));
        run.generation = resumed.generation_in(&stage);
        run.attempt = resumed.stages.get(&index.name).map_or(run.attempt, |outcome| outcome.attempt);
    }
    run.token = Tokens::none();
    run.end(ConditionStatus::Overridden, &why(caller), Some(caller), world.now());
    changes.conditions.push(run);
    Ok(changes)
}

fn why(caller: &str) -> String {
    format!("Overridden by {caller}.")
}

fn record(run: &ConditionRun, caller: &str) -> Record {
    Record {
        execution: run.execution,
        at: run.changed_at,
        event: "ConditionOverridden".to_owned(),
        stage: Some(run.stage.clone()),
        detail: format!("The {} condition was overridden by {caller}.", run.kind.as_str()),
        evidence: None,
    }
}

fn not_latest(stage: &StageName, execution: ExecutionId) -> EngineError {
    let message = format!("Execution '{execution}' is not the latest one in stage '{stage}'.");
    EngineError::refused("NotLatestPipelineExecutionException", message)
}

fn not_overridable(why: String) -> EngineError {
    EngineError::refused("ConditionNotOverridableException", why)
}
