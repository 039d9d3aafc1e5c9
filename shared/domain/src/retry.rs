//! A person has a stage run again in the execution that failed or was stopped in it (spec 5).

use std::{collections::BTreeMap, fmt};

use jiff::Timestamp;

use crate::{
    ActionName, ActionRun, ActionStatus, AlarmSnapshot, Changes, ConditionAnswer, ConditionRun, Effect, Execution,
    ExecutionId, ExecutionMode, Occupant, PhaseEvent, PipelineView, Rejected, RetryMode, StageIndex, StageName,
    StageOutcome, StageStatus, action_groups,
    admission::watched_alarms,
    changes::Board,
    gate::is_outdated,
    kept_actions,
    revoked::{barred, demand_unrevoked},
};

/// What has a stage run again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryCause {
    /// RetryStageExecution.
    Asked,
    /// The condition that failed it was overridden: it goes on, which counts as no retry.
    Overridden,
}

/// A retry that was asked for.
#[derive(Debug, Clone)]
pub struct RetryOrder<'a> {
    /// Why.
    pub cause: RetryCause,
    /// The execution.
    pub execution: ExecutionId,
    /// The stage.
    pub stage: &'a StageName,
    /// What to run again.
    pub mode: RetryMode,
    /// Actions of the stage that need not run again for what its last attempt came to.
    pub succeeded: &'a [ActionName],
    /// Who asks: the caller's ARN.
    pub by: &'a str,
    /// Alarms of the stage's watches, as it is entered once more.
    pub alarms: &'a BTreeMap<String, AlarmSnapshot>,
}

/// Why a stage cannot be run again in an execution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotRetryable {
    /// It never entered the stage; it may have been stopped, superseded or cancelled before it.
    NeverEntered,
    /// The stage did not fail in it.
    NotFailed(StageStatus),
    /// It is in the stage, maybe by another retry.
    Busy,
    /// The pipeline was changed since.
    Outdated {
        /// Version the execution started in.
        started_in: u32,
        /// Current version.
        current: u32,
    },
    /// A later execution, or a rollback, entered the stage.
    NotLatest {
        /// Which.
        latest: ExecutionId,
    },
    /// What it carries was rolled back from since; why, and what to do.
    Revoked(String),
    /// A row that is needed was not read: read again.
    Stale,
}

impl fmt::Display for NotRetryable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NeverEntered => f.write_str("It never entered the stage. Start a new execution."),
            Self::NotFailed(status) => {
                write!(f, "The stage is {status} in it; only a failed or stopped one is retried.")
            }
            Self::Busy => f.write_str("The stage is in progress in it. Wait until that has ended."),
            Self::Outdated { started_in, current } => write!(
                f,
                "The pipeline was changed since: it started in version {started_in}, current is {current}. Start a new \
                 execution."
            ),
            Self::NotLatest { latest } => write!(f, "Execution {latest} has entered the stage since."),
            Self::Revoked(why) => f.write_str(why),
            Self::Stale => f.write_str("The pipeline is busy with other changes. Try again."),
        }
    }
}

impl From<Rejected> for NotRetryable {
    fn from(_: Rejected) -> Self {
        Self::Stale
    }
}

/// Actions of a stage that need not run again for what its last attempt came to: those that it kept, and those that
/// succeeded in it. What only an earlier attempt did was to be done anew, and so is everything where `gate`, the latest
/// look at the entry condition in this execution, has not let it in.
pub fn done_by_last_attempt(
    outcome: &StageOutcome,
    runs: &[ActionRun],
    gate: Option<&ConditionRun>,
) -> Vec<ActionName> {
    if gate.is_some_and(|gate| gate.answer() != ConditionAnswer::Proceed) {
        return Vec::new();
    }
    let succeeded =
        runs.iter().filter(|run| run.status == ActionStatus::Succeeded && run.is_of_attempt(outcome.attempt));
    outcome.kept.iter().chain(succeeded.map(|run| &run.action)).cloned().collect()
}

/// Puts the execution into the stage again, under a new generation and driven by a new state machine execution: the one
/// that saw it fail is over, or will find out that it is.
///
/// The way into the stage may be closed: it is entered again, not anew.
///
/// # Errors
/// Why it cannot; [`NotRetryable::Stale`] where `executions` lacks the execution.
pub fn retry_stage(
    view: &PipelineView,
    executions: &BTreeMap<ExecutionId, Execution>,
    order: &RetryOrder<'_>,
    now: Timestamp,
) -> Result<Changes, NotRetryable> {
    let mut board = Board::new(view, executions, now);
    let (id, name) = (order.execution, order.stage);
    let Some((_, index)) = view.index.stage(name) else {
        return Err(NotRetryable::NeverEntered);
    };
    let execution = board.execution(id)?;
    check(view, execution, index)?;
    if let Some(revoked) = barred(&view.index, execution, name) {
        return Err(NotRetryable::Revoked(revoked.why(name)));
    }
    demand_unrevoked(&mut board, id, name)?;
    let execution = board.execution(id)?;
    execution.advance(&PhaseEvent::Retry(name.clone()), now).map_err(|_| NotRetryable::Busy)?;
    execution.attempt += 1;
    execution.status_summary = None;
    execution.stop = None;
    let (locks, execution_type) = (execution.mode != ExecutionMode::Parallel, execution.execution_type);
    let start =
        Effect::StartMachine { pipeline: execution.pipeline.clone(), execution: id, name: execution.machine_name() };
    if let Some(outcome) = execution.stages.get_mut(name) {
        outcome.status = StageStatus::InProgress;
        outcome.left_at = None;
        outcome.attempt += 1;
        if order.cause == RetryCause::Asked {
            outcome.retried_at = Some(now);
        }
        outcome.kept = match order.mode {
            RetryMode::FailedActions => kept_actions(&action_groups(index), order.succeeded),
            RetryMode::AllActions => Vec::new(),
        };
    }
    if locks {
        let alarms = watched_alarms(index, order.alarms);
        board.stage(name).give_again_to(Occupant { execution: id, execution_type, entered_at: now, alarms });
    }
    if order.cause == RetryCause::Asked {
        if locks {
            board.stage(name).count_manual_retry();
        }
        board.record(id, "StageRetried", Some(name), format!("{} asks for {}.", order.by, order.mode));
    }
    board.changes.effects.push(start);
    Ok(board.into_changes())
}

fn check(view: &PipelineView, execution: &Execution, index: &StageIndex) -> Result<(), NotRetryable> {
    let Some(outcome) = execution.stages.get(&index.name) else {
        return Err(NotRetryable::NeverEntered);
    };
    match outcome.status {
        StageStatus::Failed | StageStatus::Stopped => {}
        StageStatus::InProgress | StageStatus::Stopping => return Err(NotRetryable::Busy),
        status => return Err(NotRetryable::NotFailed(status)),
    }
    // PARALLEL pipelines have no latest execution, and nobody ever takes a place.
    if execution.mode != ExecutionMode::Parallel {
        let stage = view.stage(&index.name);
        let latest = stage.occupant.map(|inside| inside.execution).or(stage.latest.map(|latest| latest.execution));
        if let Some(latest) = latest.filter(|latest| *latest != execution.id) {
            return Err(NotRetryable::NotLatest { latest });
        }
    }
    if is_outdated(&view.index, execution) || is_changed(outcome, index) {
        let (started_in, current) = (execution.pipeline_version, view.index.pipeline_version);
        return Err(NotRetryable::Outdated { started_in, current });
    }
    Ok(())
}

/// Whether the stage has become another one under an execution that an update does not end: a rollback, or a PARALLEL
/// one.
fn is_changed(outcome: &StageOutcome, index: &StageIndex) -> bool {
    outcome.fingerprint != index.fingerprint
}
