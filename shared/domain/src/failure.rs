//! A stage failed: run it again, go back, or stop.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    ActionName, ActionStep, AlarmSnapshot, Changes, Execution, ExecutionId, ExecutionMode, ExecutionType, FailedGate,
    FailureConditions, Generation, Phase, PhaseEvent, PipelineView, Rejected, RetryMode, RetryTrigger, RollbackCause,
    RollbackOrder, RollbackOutcome, StageIndex, StageName, StageStatus, Success, action_groups,
    admission::{admit_into, asks_to_enter},
    changes::Board,
    gate::{self, is_outdated},
    kept_actions, remaining_groups, rollback,
};

/// What to do about a failed stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FailureDecision {
    /// Run it again, once.
    Retry(RetryMode),
    /// Go back to the last good execution.
    Rollback,
    /// Leave it failed, and why nothing more is done.
    Stop(String),
}

/// Decides what to do about a failed stage from what the stage declares (spec 4.1 and 5, design section 6).
///
/// A rollback never retries or rolls back by itself. A rejected approval deployed nothing, so it never rolls back.
/// `ROLLBACK` with a retry configuration retries once, then rolls back.
pub fn decide_failure(
    declared: Option<&FailureConditions>,
    execution: &Execution,
    stage: &StageName,
    approval_rejected: bool,
) -> FailureDecision {
    if matches!(execution.phase, Phase::Stopping { .. }) {
        return FailureDecision::Stop("A stop was asked for.".to_owned());
    }
    if execution.execution_type == ExecutionType::Rollback {
        return FailureDecision::Stop("A rollback does not retry or roll back by itself.".to_owned());
    }
    let Some(declared) = declared else {
        return FailureDecision::Stop("The stage declares no onFailure.".to_owned());
    };
    if approval_rejected {
        return FailureDecision::Stop("An approval was rejected; nothing was deployed.".to_owned());
    }
    let spent = execution.stages.get(stage).is_none_or(|outcome| outcome.auto_retried);
    let retry = declared.retry_configuration.as_ref().map(|retry| retry.retry_mode.unwrap_or(RetryMode::FailedActions));
    match (declared.result.as_deref(), retry) {
        (Some("RETRY"), mode) if !spent => FailureDecision::Retry(mode.unwrap_or(RetryMode::FailedActions)),
        (Some("ROLLBACK"), Some(mode)) if !spent => FailureDecision::Retry(mode),
        (Some("ROLLBACK"), _) => roll_back(execution),
        (Some("RETRY"), _) => FailureDecision::Stop("The automatic retry has failed too.".to_owned()),
        (Some(_) | None, _) => FailureDecision::Stop("The stage declares no automatic rollback.".to_owned()),
    }
}

/// What comes of a wish to roll back: nothing in an execution that began in PARALLEL mode, which an update may have
/// switched since. Whoever holds the stage now is not to lose it for that (spec 3.1, R8).
pub fn roll_back(execution: &Execution) -> FailureDecision {
    if execution.mode == ExecutionMode::Parallel {
        return FailureDecision::Stop("The execution runs in PARALLEL mode, which has no rollback.".to_owned());
    }
    FailureDecision::Rollback
}

/// A failed stage run, with what is needed to settle it.
#[derive(Debug, Clone)]
pub struct StageFailure<'a> {
    /// The execution.
    pub execution: ExecutionId,
    /// The stage.
    pub stage: &'a StageName,
    /// Generation the run acted under.
    pub generation: Generation,
    /// What failed, for people.
    pub summary: String,
    /// Actions of the stage that need not run again for what this run came to.
    pub succeeded: &'a [ActionName],
    /// What was decided.
    pub decision: FailureDecision,
    /// For a rollback: the target, or why there is none.
    pub target: Result<&'a Execution, String>,
    /// The alarm or the metrics of its success condition, where these failed it.
    pub gate: Option<FailedGate>,
    /// Successes in the stage newer than the target.
    pub newer: &'a [Success],
    /// Id for the rollback execution.
    pub rollback_id: ExecutionId,
    /// Alarms of the stage's watches, for whoever enters next.
    pub alarms: &'a BTreeMap<String, AlarmSnapshot>,
}

/// What the stage's state machine does after a failure was settled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "next", rename_all_fields = "camelCase")]
pub enum FailureAnswer {
    /// Run these actions.
    Retry {
        /// Run of the stage in this execution.
        attempt: u32,
        /// What to run.
        groups: Vec<Vec<ActionStep>>,
        /// Whether to evaluate the entry condition first; absent from answers of older versions.
        #[serde(default)]
        entry_condition: bool,
    },
    /// Somebody has to be asked for a rule of the `onFailure` condition: have that evaluated, and settle the failure
    /// then.
    Evaluate,
    /// End the stage run.
    End,
}

/// Settles a failed stage run: stores the retry, or the failure and the rollback that follows it, as one decision.
///
/// # Errors
/// [`Rejected::Stale`] where the run holds the stage no more, or an execution that is needed was not read.
pub fn settle_failure(
    view: &PipelineView,
    executions: &BTreeMap<ExecutionId, Execution>,
    failure: &StageFailure<'_>,
    now: Timestamp,
) -> Result<(FailureAnswer, Changes), Rejected> {
    let mut board = Board::new(view, executions, now);
    let execution = board.execution(failure.execution)?;
    if !view.lets_act(execution, failure.stage, failure.generation) {
        return Err(Rejected::Stale);
    }
    let stopping = matches!(execution.phase, Phase::Stopping { .. });
    let locks = execution.mode != ExecutionMode::Parallel;
    let index = view.index_of(execution).stage(failure.stage).map(|(_, index)| index);
    if !stopping && is_outdated(&view.index, execution) {
        gate::cancel(&mut board, failure.execution, failure.alarms)?;
        return Ok((FailureAnswer::End, board.into_changes()));
    }
    if let FailureDecision::Retry(mode) = failure.decision {
        let answer = retry(&mut board, failure, index, mode)?;
        return Ok((answer, board.into_changes()));
    }
    let why = match (&failure.decision, &failure.target) {
        (FailureDecision::Rollback, Ok(target)) => {
            format!("Rolling back to execution {}.", target.id)
        }
        (FailureDecision::Rollback, Err(why)) => format!("No rollback: {why}"),
        (FailureDecision::Stop(why), _) => why.clone(),
        (FailureDecision::Retry(_), _) => String::new(),
    };
    let execution = board.execution(failure.execution)?;
    execution.advance(&PhaseEvent::Fail, now)?;
    let status = if stopping { StageStatus::Stopped } else { StageStatus::Failed };
    if !stopping {
        execution.status_summary = Some(format!("{} {why}", failure.summary));
    }
    if let Some(outcome) = execution.stages.get_mut(failure.stage) {
        outcome.status = status;
        outcome.left_at = Some(now);
    }
    let event = format!("Stage{status}");
    board.record(failure.execution, &event, Some(failure.stage), format!("{} {why}", failure.summary));
    if locks {
        board.stage(failure.stage).release(status);
    }
    match (&failure.decision, &failure.target) {
        (FailureDecision::Rollback, Ok(target)) => rollback::begin(
            &mut board,
            &RollbackOrder {
                id: failure.rollback_id,
                stage: failure.stage,
                target,
                undone: Some(failure.execution),
                cause: RollbackCause::StageFailed { gate: failure.gate.clone() },
                newer: failure.newer,
                more_since: None,
            },
        )?,
        _ => {
            if let Some(reason) = declined(failure, index) {
                let (cause, undone) = (RollbackCause::StageFailed { gate: failure.gate.clone() }, failure.execution);
                let outcome = RollbackOutcome::Declined { reason };
                board.decide(failure.stage, &cause, undone, Some(undone), outcome);
            }
            admit_into(&mut board, failure.stage, failure.alarms)?;
        }
    }
    Ok((FailureAnswer::End, board.into_changes()))
}

/// Why the stage does not go back, where it had to or declares that it would.
fn declined(failure: &StageFailure<'_>, index: Option<&StageIndex>) -> Option<String> {
    match (&failure.decision, &failure.target) {
        (FailureDecision::Rollback, Err(why)) => Some(why.clone()),
        (FailureDecision::Stop(why), _) => {
            let declared = index?.on_failure.as_ref()?.result.as_deref() == Some("ROLLBACK");
            declared.then(|| why.clone())
        }
        _ => None,
    }
}

/// The answer that has `index` run again in `execution`, whose row says what is kept.
pub fn run_again(execution: &Execution, index: &StageIndex) -> FailureAnswer {
    let outcome = execution.stages.get(&index.name);
    let kept = outcome.map_or(&[][..], |outcome| &outcome.kept);
    FailureAnswer::Retry {
        attempt: outcome.map_or(1, |outcome| outcome.attempt),
        groups: remaining_groups(action_groups(index), kept),
        entry_condition: asks_to_enter(execution, index),
    }
}

fn retry(
    board: &mut Board<'_>,
    failure: &StageFailure<'_>,
    index: Option<&StageIndex>,
    mode: RetryMode,
) -> Result<FailureAnswer, Rejected> {
    let index = index.ok_or(Rejected::Stale)?;
    let kept = match mode {
        RetryMode::AllActions => Vec::new(),
        RetryMode::FailedActions => kept_actions(&action_groups(index), failure.succeeded),
    };
    let now = board.now;
    let execution = board.execution(failure.execution)?;
    let mut attempt = 1;
    if let Some(outcome) = execution.stages.get_mut(failure.stage) {
        outcome.attempt += 1;
        outcome.retried_at = Some(now);
        outcome.auto_retried = true;
        outcome.kept = kept;
        attempt = outcome.attempt;
    }
    let answer = run_again(execution, index);
    let stage = board.stage(failure.stage);
    if let Some(latest) = stage.latest.as_mut().filter(|latest| latest.execution == failure.execution) {
        latest.auto_retries += 1;
        latest.latest_retry = Some(RetryTrigger::AutomatedStageRetry);
    }
    board.record(
        failure.execution,
        "StageRetried",
        Some(failure.stage),
        format!("{} Attempt {attempt}.", failure.summary),
    );
    Ok(answer)
}

/// Ends an execution whose state machine died: it fails, and what it held is free again.
///
/// # Errors
/// [`Rejected::Stale`] where `executions` lacks one that is needed; [`Rejected::AlreadyDone`] where it has ended.
pub fn close_dead(
    view: &PipelineView,
    executions: &BTreeMap<ExecutionId, Execution>,
    id: ExecutionId,
    why: &str,
    alarms: &BTreeMap<String, AlarmSnapshot>,
    now: Timestamp,
) -> Result<Changes, Rejected> {
    let mut board = Board::new(view, executions, now);
    let execution = board.execution(id)?;
    if execution.phase.is_ended() {
        return Err(Rejected::AlreadyDone);
    }
    let stopping = matches!(execution.phase, Phase::Stopping { .. });
    execution.advance(if stopping { &PhaseEvent::Stop } else { &PhaseEvent::Fail }, now)?;
    execution.status_summary = Some(why.to_owned());
    let status = if stopping { StageStatus::Stopped } else { StageStatus::Failed };
    for outcome in execution.stages.values_mut().filter(|outcome| outcome.status == StageStatus::InProgress) {
        outcome.status = status;
        outcome.left_at = Some(now);
    }
    board.record(id, "DriverLost", None, why.to_owned());
    let own = view.waiting.iter().filter(|waiting| waiting.execution == id).cloned();
    board.changes.waiting_removed.extend(own);
    let held =
        view.stages.values().filter(|stage| stage.occupant.as_ref().is_some_and(|inside| inside.execution == id));
    for stage in held {
        board.stage(&stage.name).release(status);
        admit_into(&mut board, &stage.name, alarms)?;
    }
    if matches!(board.execution(id)?.phase, Phase::Failed { stage: Some(_) } | Phase::Stopped) {
        board.abandon_runs(id)?;
    }
    Ok(board.into_changes())
}
