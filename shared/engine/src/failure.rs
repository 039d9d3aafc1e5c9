//! A stage failed: retry, go back, or leave it.

use contract::{ConditionKind, FailureInput, FailureOutput};
use domain::{
    ActionName, ActionRun, ActionStatus, Execution, FailureDecision, PipelineView, Rejected, StageFailure, StageIndex,
    StageOutcome, action_groups, decide_failure, remaining_groups, settle_failure,
};

use crate::{
    EngineError, HasAlarms, HasMachines, HasObjects, HasStore, alarms, commit,
    commit::{reread, until_stored},
    condition::failure_conditions,
    gate::load_waiting,
    ports::Store,
    rollback::choose_target,
};

/// Settles a failed stage run as one decision, and tells the stage's state machine what to do.
///
/// # Errors
/// [`EngineError::Contended`] and [`EngineError::Unavailable`] are worth a retry.
pub async fn evaluate_failure<W: HasStore + HasMachines + HasAlarms + HasObjects>(
    world: &W,
    input: &FailureInput,
) -> Result<FailureOutput, EngineError> {
    until_stored(async || {
        let view = world.store().load_pipeline(&input.pipeline).await?;
        let execution = world.store().load_execution(&input.pipeline, input.execution_id).await?;
        let (Some(view), Some(execution)) = (view, execution) else {
            return Ok(FailureOutput::End);
        };
        let Some((_, index)) = view.index.stage(&input.stage) else {
            return Ok(FailureOutput::End);
        };
        if !view.lets_act(&execution, &input.stage, input.generation) {
            // A rollback or a stop took the stage, or this failure has been settled: either way the run is over.
            return Ok(FailureOutput::End);
        }
        let Some(outcome) = execution.stages.get(&input.stage) else {
            return Ok(FailureOutput::End);
        };
        if outcome.attempt > input.attempt {
            return Ok(retried_before(index, outcome));
        }
        let runs = latest_runs(&view, input);
        let mut succeeded = succeeded(&runs);
        succeeded.extend(outcome.kept.iter().cloned());
        let decision = decide(world, input, index, &view, &execution, &runs).await?;
        let chosen = match decision {
            FailureDecision::Rollback => choose_target(world, &view, index, execution.id).await?,
            _ => Err(String::new()),
        };
        let alarms = alarms::snapshot(world, std::iter::once(index)).await;
        let mut executions = load_waiting(world, &view, std::iter::once(&input.stage)).await?;
        executions.insert(execution.id, execution);
        let failure = StageFailure {
            execution: input.execution_id,
            stage: &input.stage,
            generation: input.generation,
            summary: summary(&runs, input),
            succeeded: &succeeded,
            decision,
            target: chosen.as_ref().map_err(Clone::clone),
            newer: &[],
            rollback_id: world.new_execution_id(),
            alarms: &alarms,
        };
        let (answer, changes) = match settle_failure(&view, &executions, &failure, world.now()) {
            // Checked above on the same view: the run held the stage, so a row it needs was missing.
            Err(Rejected::Stale) => return Err(EngineError::Contended),
            other => other.map_err(reread)?,
        };
        commit(world, &input.pipeline, changes).await?;
        Ok(answer)
    })
    .await
}

/// What to do about the failure: what the condition that failed says, else what `onFailure` asks for.
async fn decide<W: HasAlarms>(
    world: &W,
    input: &FailureInput,
    index: &StageIndex,
    view: &PipelineView,
    execution: &Execution,
    runs: &[&ActionRun],
) -> Result<FailureDecision, EngineError> {
    if !view.lets_begin(execution) {
        return Ok(FailureDecision::Stop("Nothing more is begun in this execution.".to_owned()));
    }
    if input.condition == Some(ConditionKind::BeforeEntry) {
        return Ok(FailureDecision::Stop("The entry condition failed; nothing was deployed.".to_owned()));
    }
    if gate_wants_rollback(input, index) && execution.rollback.is_none() {
        return Ok(FailureDecision::Rollback);
    }
    let asked = match &index.on_failure {
        None => None,
        Some(declared) => match failure_conditions(world, declared, execution).await? {
            None => return Ok(FailureDecision::Stop("The onFailure condition is not met.".to_owned())),
            asked => asked,
        },
    };
    Ok(decide_failure(asked.as_ref(), execution, &index.name, approval_rejected(runs)))
}

/// A failed success condition with result ROLLBACK rolls back whatever `onFailure` says (spec 4.1).
fn gate_wants_rollback(input: &FailureInput, index: &StageIndex) -> bool {
    input.condition == Some(ConditionKind::OnSuccess) && index.success_result.as_deref() == Some("ROLLBACK")
}

/// The retry was stored, but its answer was lost: give it again.
fn retried_before(index: &StageIndex, outcome: &StageOutcome) -> FailureOutput {
    let groups = remaining_groups(action_groups(index), &outcome.kept);
    FailureOutput::Retry { attempt: outcome.attempt, groups }
}

fn latest_runs<'a>(view: &'a PipelineView, input: &FailureInput) -> Vec<&'a ActionRun> {
    let own = |run: &&ActionRun| {
        run.stage == input.stage && run.execution == input.execution_id && run.generation == input.generation
    };
    view.actions.iter().filter(own).collect()
}

fn succeeded(runs: &[&ActionRun]) -> Vec<ActionName> {
    runs.iter().filter(|run| run.status == ActionStatus::Succeeded).map(|run| run.action.clone()).collect()
}

fn approval_rejected(runs: &[&ActionRun]) -> bool {
    let rejected = |run: &&&ActionRun| {
        run.action_type.category == "Approval" && run.error_code.as_deref() == Some(crate::approvals::REJECTED)
    };
    let failed = runs.iter().filter(|run| run.status == ActionStatus::Failed);
    let (rejections, failures): (Vec<&&ActionRun>, Vec<&&ActionRun>) = failed.partition(rejected);
    !rejections.is_empty() && failures.is_empty()
}

fn summary(runs: &[&ActionRun], input: &FailureInput) -> String {
    if let Some(condition) = input.condition {
        return format!("The {condition:?} condition of stage {} failed.", input.stage);
    }
    let failed = runs.iter().filter(|run| run.status == ActionStatus::Failed);
    let texts: Vec<String> = failed
        .map(|run| {
            let reason = run.error_message.as_deref().unwrap_or("no reason given");
            format!("Action {} failed: {}.", run.action, reason.trim_end_matches('.'))
        })
        .collect();
    if texts.is_empty() { format!("Stage {} failed.", input.stage) } else { texts.join(" ") }
}
