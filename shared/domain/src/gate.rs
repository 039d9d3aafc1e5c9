//! The gate between stages: leaving one and entering the next is one decision, stored in one transaction, so an
//! execution is never in two places nor in none.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    ActionStep, AlarmSnapshot, AlarmState, Changes, Execution, ExecutionId, ExecutionMode, ExecutionStatus,
    ExecutionType, Generation, Live, MetricWatch, Occupant, Phase, PhaseEvent, PipelineIndex, PipelineView, Rejected,
    RollbackCause, StageIndex, StageName, StageStatus, Success, Watch, WatchPurpose,
    admission::{admit_into, enter, run_stage},
    changes::Board,
    inherited::observed_after,
};

/// An execution's state machine asks to go on.
#[derive(Debug, Clone)]
pub struct GateEvent<'a> {
    /// The execution.
    pub execution: ExecutionId,
    /// Step Functions task token to answer.
    pub token: &'a str,
    /// Name of the state machine execution that asks; unknown of one that an older version of the machine drives.
    pub machine: Option<&'a str>,
    /// The stage run that just ended, if one did.
    pub finished: Option<&'a StageReport>,
    /// Alarms of the watches of the stages concerned, by declared name.
    pub alarms: &'a BTreeMap<String, AlarmSnapshot>,
}

/// How a stage run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StageReport {
    /// The stage.
    pub stage: StageName,
    /// Generation the run acted under.
    pub generation: Generation,
    /// How it ended.
    pub status: StageResult,
}

/// How a stage run can end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum StageResult {
    /// All actions and conditions succeeded.
    Succeeded,
    /// An action or a condition failed.
    Failed,
    /// The entry condition skipped it.
    Skipped,
}

/// What an execution may do next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "next", rename_all_fields = "camelCase")]
pub enum GateAnswer {
    /// Run a stage.
    RunStage {
        /// Which.
        stage: StageName,
        /// Generation to act under.
        generation: Generation,
        /// Run of the stage in this execution, from 1.
        attempt: u32,
        /// Its actions: groups one after another, a group's actions in parallel.
        groups: Vec<Vec<ActionStep>>,
        /// How many actions of a group run at the same time; 0 is as many as Step Functions lets.
        #[serde(default)]
        actions_at_once: u32,
        /// Whether to evaluate the entry condition first.
        entry_condition: bool,
        /// Whether to evaluate the success condition at the end.
        success_condition: bool,
    },
    /// Nothing more.
    End {
        /// How the execution ended.
        status: ExecutionStatus,
    },
}

/// Decides what happens when an execution arrives at the gate.
///
/// `executions` must hold the execution itself and every execution waiting before the stages concerned.
///
/// # Errors
/// [`Rejected::Stale`] where `executions` lacks one that is needed (read again), [`Rejected::Illegal`] for an event
/// that cannot be.
pub fn pass_gate(
    view: &PipelineView,
    executions: &BTreeMap<ExecutionId, Execution>,
    event: &GateEvent<'_>,
    now: Timestamp,
) -> Result<Changes, Rejected> {
    let mut board = Board::new(view, executions, now);
    let execution = board.execution(event.execution)?;
    // A retry has handed the execution to another machine: what this one saw of it is over.
    if event.machine.is_some_and(|machine| machine != execution.machine_name()) {
        let status = execution.phase.status();
        board.answer(event.token, GateAnswer::End { status });
        return Ok(board.into_changes());
    }
    if let Some(report) = event.finished {
        leave(&mut board, event, report)?;
    }
    proceed(&mut board, event)?;
    Ok(board.into_changes())
}

/// Ends the stage run that `report` tells of. A report by somebody who holds the stage no more, or a second one, changes
/// nothing.
fn leave(board: &mut Board<'_>, event: &GateEvent<'_>, report: &StageReport) -> Result<(), Rejected> {
    let (now, id, view) = (board.now, event.execution, board.view);
    let execution = board.execution(id)?;
    if !is_inside(execution, &report.stage) || !view.lets_act(execution, &report.stage, report.generation) {
        return Ok(());
    }
    let stopping = matches!(execution.phase, Phase::Stopping { .. });
    if report.status == StageResult::Failed && !stopping && is_outdated(&view.index, execution) {
        return cancel(board, id, event.alarms);
    }
    // The mode it started in tells whether it holds a lock: an update may have switched the pipeline's.
    let locks = execution.mode != ExecutionMode::Parallel;
    let status = match report.status {
        StageResult::Succeeded => StageStatus::Succeeded,
        StageResult::Failed if stopping => StageStatus::Stopped,
        StageResult::Failed => StageStatus::Failed,
        StageResult::Skipped => StageStatus::Skipped,
    };
    let execution = board.execution(id)?;
    if let Some(outcome) = execution.stages.get_mut(&report.stage) {
        outcome.status = status;
        outcome.left_at = Some(now);
    }
    if report.status == StageResult::Failed {
        execution.advance(&PhaseEvent::Fail, now)?;
        if !stopping {
            execution.status_summary = Some(format!("Stage {} failed.", report.stage));
        }
    }
    board.record(id, &format!("Stage{status}"), Some(&report.stage), String::new());
    if report.status == StageResult::Succeeded {
        remember_success(board, id, &report.stage)?;
    }
    if locks {
        // Whose work was all done when the stop took effect has succeeded in the stage, which shows as stopped.
        board.stage(&report.stage).release(if stopping { StageStatus::Stopped } else { status });
    }
    admit_into(board, &report.stage, event.alarms)
}

/// Makes a success what is live, a candidate for rollbacks, and the object of the stage's watches.
fn remember_success(board: &mut Board<'_>, id: ExecutionId, name: &StageName) -> Result<(), Rejected> {
    let now = board.now;
    let execution = board.execution(id)?.clone();
    let Some((_, stage_index)) = board.view.index.stage(name) else {
        return Ok(());
    };
    let stage = board.stage(name);
    // A PARALLEL execution in a pipeline that has locks by now passes through stages that others are inside.
    let entered = stage.occupant.clone().filter(|inside| inside.execution == id);
    let watched = entered.as_ref().filter(|_| !stage_index.watches.is_empty());
    let observed = observed_after(stage.live.as_ref(), &execution, watched, &stage_index.watches, now);
    stage.live = Some(Live { deployed_by: id, revision_of: execution.revision_of(), since: now, observed });
    let (generation, pipeline) = (stage.generation, stage.pipeline.clone());
    // A rollback is no target, and is never taken back by itself (design section 6). Whether it helps is observed.
    if execution.execution_type == ExecutionType::Rollback {
        if let Some(entered) = &entered {
            // An alarm that was green when the cure came has nothing to clear, and one without data only where it is what
            // the cure is for.
            let is_cause = |alarm: &AlarmSnapshot| {
                let cause = execution.rollback.as_ref().map(|of| &of.cause);
                matches!(cause, Some(RollbackCause::Alarm { alarm_arn, .. }) if *alarm_arn == alarm.arn)
            };
            let red = |alarm: &AlarmSnapshot| match alarm.state {
                AlarmState::Ok => false,
                AlarmState::Alarm | AlarmState::Suppressed => true,
                AlarmState::InsufficientData | AlarmState::Unreadable => is_cause(alarm),
            };
            observe(board, id, stage_index, entered, generation, WatchPurpose::Proof, red);
        }
        return Ok(());
    }
    let fingerprint = execution.stages.get(name).map(|outcome| outcome.fingerprint.clone()).unwrap_or_default();
    board.changes.successes.push(Success {
        pipeline: pipeline.clone(),
        stage: name.clone(),
        execution: id,
        at: now,
        fingerprint,
        pipeline_version: execution.pipeline_version,
        revoked_by: None,
        revoked_after: None,
        version: 0,
    });
    if stage_index.has_needs() && execution.mode != ExecutionMode::Parallel {
        board.keep_artifacts(name, id);
    }
    if let Some(entered) = &entered {
        observe(board, id, stage_index, entered, generation, WatchPurpose::Deploy, |_| true);
    }
    Ok(())
}

/// Begins to observe those alarms of the stage's watches that `is_watched` names.
fn observe(
    board: &mut Board<'_>,
    id: ExecutionId,
    index: &StageIndex,
    entered: &Occupant,
    generation: Generation,
    purpose: WatchPurpose,
    is_watched: impl Fn(&AlarmSnapshot) -> bool,
) {
    let live = board.stage(&index.name).live.clone();
    let observed = live.map(|live| live.observed).unwrap_or_default();
    for rule in &index.watches {
        let Some(alarm) = entered.alarms.get(&rule.alarm).filter(|alarm| is_watched(alarm)) else {
            continue;
        };
        // Whether a rollback helped shows as its time is over, with whatever data there is.
        let (until, data_points) = match purpose {
            WatchPurpose::Deploy => (rule.over_at(board.now), rule.wants(board.now)),
            WatchPurpose::Proof => (rule.time_over_at(board.now), None),
        };
        board.changes.watches.push(Watch {
            alarm_arn: alarm.arn.clone(),
            pipeline: board.view.index.name.clone(),
            stage: index.name.clone(),
            execution: id,
            rule: rule.rule.clone(),
            from: entered.entered_at,
            until,
            data_points,
            metrics: rule.metrics.clone().map(|declared| MetricWatch { declared, since: board.now }),
            state_at_entry: alarm.state,
            purpose,
            shadow: rule.shadow,
            told: false,
            inherited: observed.iter().filter_map(|one| one.unclear(rule, entered.entered_at)).collect(),
            generation,
            version: 0,
        });
    }
}

/// What an execution does next.
enum Next<'a> {
    /// It is inside this stage: its token is answered again.
    Again(&'a StageIndex),
    /// It goes into this stage, or waits before it.
    Enter(&'a StageIndex),
    /// An update of the pipeline ends it.
    Cancel,
    /// A person's wish ends it.
    Stop,
    /// Every stage of its plan is done.
    Complete,
    /// It has ended.
    End,
}

fn next_step<'a>(view: &'a PipelineView, execution: &Execution) -> Next<'a> {
    let index = view.index_of(execution);
    let find = |stage: &StageName| index.stage(stage).map(|(_, stage)| stage);
    match &execution.phase {
        // The run inside goes on; an update or a stop take effect when it reports.
        Phase::Running { stage } | Phase::Stopping { stage } if is_inside(execution, stage) => {
            find(stage).map_or(Next::Cancel, Next::Again)
        }
        Phase::Stopping { .. } => Next::Stop,
        phase if phase.is_ended() => Next::End,
        _ if is_outdated(&view.index, execution) => Next::Cancel,
        Phase::Waiting { stage } => find(stage).map_or(Next::Cancel, Next::Enter),
        Phase::Running { stage } if execution.rollback.is_none() => match index.stage(stage) {
            Some((at, _)) => index.stages.get(at + 1).map_or(Next::Complete, Next::Enter),
            None => Next::Cancel,
        },
        Phase::Running { .. } => Next::Complete,
        _ => match &execution.rollback {
            Some(rollback) => find(&rollback.stage).map_or(Next::Cancel, Next::Enter),
            None => index.stages.first().map_or(Next::Cancel, Next::Enter),
        },
    }
}

/// Finds what the execution may do now, and answers its token, at once or by letting it wait.
fn proceed(board: &mut Board<'_>, event: &GateEvent<'_>) -> Result<(), Rejected> {
    let (now, id, view) = (board.now, event.execution, board.view);
    let execution = board.execution(id)?;
    match next_step(view, execution) {
        Next::Again(stage) => {
            let execution = execution.clone();
            let answer = run_stage(&execution, board.stage(&stage.name), stage);
            board.answer(event.token, answer);
            return Ok(());
        }
        Next::Enter(stage) if is_late(view, execution, event) => {
            debug_assert!(
                execution.phase == Phase::Waiting { stage: stage.name.clone() },
                "only who waits asked again"
            );
            return Ok(());
        }
        Next::Enter(stage) => return enter(board, event, stage),
        Next::Cancel => cancel(board, id, event.alarms)?,
        Next::Stop => {
            execution.advance(&PhaseEvent::Stop, now)?;
            board.record(id, "ExecutionStopped", None, String::new());
        }
        Next::Complete => {
            execution.advance(&PhaseEvent::Complete, now)?;
            board.record(id, "ExecutionSucceeded", None, String::new());
        }
        Next::End => {}
    }
    let status = board.execution(id)?.phase.status();
    board.answer(event.token, GateAnswer::End { status });
    Ok(())
}

fn is_inside(execution: &Execution, stage: &StageName) -> bool {
    execution.stages.get(stage).is_some_and(|outcome| outcome.status == StageStatus::InProgress)
}

/// Whether this is a late delivery of what the execution asked before an earlier stage. Nobody waits for its token any
/// more, so it must not take the place of the token that is waited for.
fn is_late(view: &PipelineView, execution: &Execution, event: &GateEvent<'_>) -> bool {
    let Phase::Waiting { stage } = &execution.phase else {
        return false;
    };
    let index = view.index_of(execution);
    // In which order the stages were, nobody knows any more.
    if execution.pipeline_version != index.pipeline_version {
        return false;
    }
    let before = index.stage(stage).and_then(|(at, _)| index.stages.get(at.checked_sub(1)?));
    event.finished.map(|report| &report.stage) != before.map(|stage| &stage.name)
}

/// Whether an update of the pipeline ends the execution (spec 1.7 and 2.3): all but PARALLEL ones, which go on by the
/// version that they began in whatever mode the pipeline is switched to, and rollbacks whose stage does what it did when
/// they began.
pub(crate) fn is_outdated(index: &PipelineIndex, execution: &Execution) -> bool {
    if execution.pipeline_version == index.pipeline_version || execution.mode == ExecutionMode::Parallel {
        return false;
    }
    let Some(of) = &execution.rollback else { return true };
    let Some((_, stage)) = index.stage(&of.stage) else { return true };
    // Rows of older versions know it once they have entered the stage.
    let entered = || execution.stages.get(&of.stage).map(|outcome| &outcome.fingerprint);
    of.fingerprint.as_ref().or_else(entered).is_some_and(|began| *began != stage.fingerprint)
}

/// Ends an execution that waits and that an update of the pipeline has outdated (spec 1.7): at once, since nothing of
/// it runs.
///
/// # Errors
/// [`Rejected::Stale`] where `executions` lacks one that is needed; [`Rejected::AlreadyDone`] where it waits no more or
/// is as new as the pipeline.
pub fn cancel_outdated(
    view: &PipelineView,
    executions: &BTreeMap<ExecutionId, Execution>,
    id: ExecutionId,
    alarms: &BTreeMap<String, AlarmSnapshot>,
    now: Timestamp,
) -> Result<Changes, Rejected> {
    let mut board = Board::new(view, executions, now);
    let execution = board.execution(id)?;
    if !matches!(execution.phase, Phase::Waiting { .. }) || !is_outdated(&view.index, execution) {
        return Err(Rejected::AlreadyDone);
    }
    cancel(&mut board, id, alarms)?;
    Ok(board.into_changes())
}

/// Ends an execution that holds no stage, and tells its state machine where it waits.
pub(crate) fn cancel_because(board: &mut Board<'_>, id: ExecutionId, why: String) -> Result<(), Rejected> {
    let now = board.now;
    let execution = board.execution(id)?;
    execution.advance(&PhaseEvent::Cancel, now)?;
    execution.status_summary = Some(why.clone());
    board.dismiss(id, ExecutionStatus::Cancelled);
    board.record(id, "ExecutionCancelled", None, why);
    Ok(())
}

/// Ends an execution because of an update of the pipeline, and frees what it held (spec 1.7). Whatever it has begun there
/// and nobody has ended is given up.
pub(crate) fn cancel(
    board: &mut Board<'_>,
    id: ExecutionId,
    alarms: &BTreeMap<String, AlarmSnapshot>,
) -> Result<(), Rejected> {
    let (now, version) = (board.now, board.view.index.pipeline_version);
    let execution = board.execution(id)?;
    let inside = match &execution.phase {
        Phase::Running { stage } | Phase::Stopping { stage } if is_inside(execution, stage) => Some(stage.clone()),
        Phase::Starting => execution.rollback.as_ref().map(|rollback| rollback.stage.clone()),
        _ => None,
    };
    let why = format!("The pipeline was updated to version {version} while this execution ran.");
    cancel_because(board, id, why)?;
    let Some(stage) = inside else { return Ok(()) };
    if let Some(outcome) = board.execution(id)?.stages.get_mut(&stage) {
        outcome.status = StageStatus::Cancelled;
        outcome.left_at = Some(now);
    }
    if board.stage(&stage).is_occupied_by(id) {
        board.stage(&stage).release(StageStatus::Cancelled);
        admit_into(board, &stage, alarms)?;
    }
    board.abandon_runs(id)
}
