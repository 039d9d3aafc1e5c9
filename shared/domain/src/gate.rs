//! The gate between stages: leaving one and entering the next is one decision, stored in one transaction, so an
//! execution is never in two places nor in none.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    ActionStep, AlarmSnapshot, Changes, Execution, ExecutionId, ExecutionMode, ExecutionStatus, ExecutionType,
    Generation, Live, Occupant, Phase, PhaseEvent, PipelineView, Rejected, StageIndex, StageName, StageOutcome,
    StageStatus, Success, Waiting, Watch, action_groups, changes::Board,
};

/// An execution's state machine asks to go on.
#[derive(Debug, Clone)]
pub struct GateEvent<'a> {
    /// The execution.
    pub execution: ExecutionId,
    /// Step Functions task token to answer.
    pub token: &'a str,
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
    if let Some(report) = event.finished {
        leave(&mut board, event, report)?;
    }
    proceed(&mut board, event)?;
    Ok(board.into_changes())
}

/// Ends the stage run that `report` tells of. A report by somebody who holds the stage no more changes nothing.
fn leave(board: &mut Board<'_>, event: &GateEvent<'_>, report: &StageReport) -> Result<(), Rejected> {
    let (now, id) = (board.now, event.execution);
    let parallel = board.view.index.mode == ExecutionMode::Parallel;
    if !parallel && !board.stage(&report.stage).is_held_by(id, report.generation) {
        return Ok(());
    }
    let status = match report.status {
        StageResult::Succeeded => StageStatus::Succeeded,
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
        execution.status_summary = Some(format!("Stage {} failed.", report.stage));
    }
    board.record(id, &format!("Stage{status}"), Some(&report.stage), String::new());
    if report.status == StageResult::Succeeded {
        remember_success(board, id, &report.stage)?;
    }
    if !parallel {
        board.stage(&report.stage).release(status);
        admit_into(board, &report.stage, event.alarms)?;
    }
    Ok(())
}

/// Makes a success what is live, a candidate for rollbacks, and the object of the stage's watches.
fn remember_success(board: &mut Board<'_>, id: ExecutionId, name: &StageName) -> Result<(), Rejected> {
    let now = board.now;
    let execution = board.execution(id)?.clone();
    let Some((_, stage_index)) = board.view.index.stage(name) else { return Ok(()) };
    let stage = board.stage(name);
    stage.live = Some(Live { deployed_by: id, revision_of: execution.revision_of(), since: now });
    let (generation, pipeline) = (stage.generation, stage.pipeline.clone());
    let entered = stage.occupant.clone();
    // A rollback is neither a target nor watched: it never rolls back by itself (design section 6).
    if execution.execution_type == ExecutionType::Rollback {
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
        version: 0,
    });
    let Some(entered) = entered else { return Ok(()) };
    for rule in &stage_index.watches {
        let Some(alarm) = entered.alarms.get(&rule.alarm) else { continue };
        board.changes.watches.push(Watch {
            alarm_arn: alarm.arn.clone(),
            pipeline: pipeline.clone(),
            stage: name.clone(),
            execution: id,
            rule: rule.rule.clone(),
            from: entered.entered_at,
            until: now + jiff::SignedDuration::from_mins(i64::from(rule.minutes)),
            state_at_entry: alarm.state,
            generation,
            version: 0,
        });
    }
    Ok(())
}

/// Finds what the execution may do now, and answers its token, at once or by letting it wait.
fn proceed(board: &mut Board<'_>, event: &GateEvent<'_>) -> Result<(), Rejected> {
    let (now, id) = (board.now, event.execution);
    let view = board.view;
    let execution = board.execution(id)?;
    let outdated = execution.pipeline_version != view.index.pipeline_version
        && execution.execution_type == ExecutionType::Standard
        && view.index.mode != ExecutionMode::Parallel;
    if outdated && !execution.phase.is_ended() {
        return cancel_outdated(board, event);
    }
    let next = match &execution.phase {
        Phase::Starting => match &execution.rollback {
            Some(rollback) => view.index.stage(&rollback.stage).map(|(_, stage)| stage),
            None => view.index.stages.first(),
        },
        Phase::Waiting { stage } => view.index.stage(stage).map(|(_, stage)| stage),
        Phase::Running { stage } if is_inside(execution, stage) => {
            let answer = run_stage(view, execution, &view.stage(stage), view.index.stage(stage).map(|(_, index)| index));
            board.answer(event.token, answer);
            return Ok(());
        }
        Phase::Running { .. } if execution.rollback.is_some() => None,
        Phase::Running { stage } => view.index.stage(stage).and_then(|(at, _)| view.index.stages.get(at + 1)),
        Phase::Stopping { .. } => {
            execution.advance(&PhaseEvent::Stop, now)?;
            None
        }
        _ => None,
    };
    match next {
        Some(stage) => enter(board, event, stage),
        None => {
            let execution = board.execution(id)?;
            if matches!(execution.phase, Phase::Running { .. }) {
                execution.advance(&PhaseEvent::Complete, now)?;
                board.record(id, "ExecutionSucceeded", None, String::new());
            }
            let status = board.execution(id)?.phase.status();
            board.answer(event.token, GateAnswer::End { status });
            Ok(())
        }
    }
}

fn is_inside(execution: &Execution, stage: &StageName) -> bool {
    execution.stages.get(stage).is_some_and(|outcome| outcome.status == StageStatus::InProgress)
}

/// An update of the pipeline cancels executions of older versions once their running actions are done (spec 1.7).
fn cancel_outdated(board: &mut Board<'_>, event: &GateEvent<'_>) -> Result<(), Rejected> {
    let (now, id) = (board.now, event.execution);
    let version = board.view.index.pipeline_version;
    let own: Vec<Waiting> = board.view.waiting.iter().filter(|waiting| waiting.execution == id).cloned().collect();
    let execution = board.execution(id)?;
    let inside = match &execution.phase {
        Phase::Running { stage } | Phase::Stopping { stage } if is_inside(execution, stage) => Some(stage.clone()),
        _ => None,
    };
    execution.advance(&PhaseEvent::Cancel, now)?;
    execution.status_summary = Some(format!("The pipeline was updated to version {version} while this execution ran."));
    if let Some(stage) = inside {
        if let Some(outcome) = execution.stages.get_mut(&stage) {
            outcome.status = StageStatus::Cancelled;
            outcome.left_at = Some(now);
        }
        if board.stage(&stage).occupant.as_ref().is_some_and(|inside| inside.execution == id) {
            board.stage(&stage).release(StageStatus::Cancelled);
            admit_into(board, &stage, event.alarms)?;
        }
    }
    board.changes.waiting_removed.extend(own);
    board.record(id, "ExecutionCancelled", None, format!("The pipeline is at version {version}."));
    board.answer(event.token, GateAnswer::End { status: ExecutionStatus::Cancelled });
    Ok(())
}

/// Enters `index`, or waits before it.
fn enter(board: &mut Board<'_>, event: &GateEvent<'_>, index: &StageIndex) -> Result<(), Rejected> {
    let id = event.execution;
    let mode = board.view.index.mode;
    let reserved = board.stage(&index.name).occupant.as_ref().is_some_and(|inside| inside.execution == id);
    let others: Vec<Waiting> = board.waiting(&index.name).into_iter().filter(|w| w.execution != id).collect();
    let own: Vec<Waiting> = board.waiting(&index.name).into_iter().filter(|w| w.execution == id).collect();
    let ahead = others.iter().any(|other| own.iter().all(|own| other.arrival < own.arrival));
    let stage = board.stage(&index.name);
    let free = stage.inbound.enabled
        && (mode == ExecutionMode::Parallel
            || stage.occupant.is_none() && (mode == ExecutionMode::Superseded || !ahead));
    if reserved || free {
        board.changes.waiting_removed.extend(own);
        take(board, id, index, event.alarms)?;
        let (state, execution) = (board.stage(&index.name).clone(), board.execution(id)?.clone());
        let answer = run_stage(board.view, &execution, &state, Some(index));
        board.answer(event.token, answer);
        return Ok(());
    }
    wait(board, event, index, &others, own)
}

/// Puts the execution into the stage.
fn take(
    board: &mut Board<'_>,
    id: ExecutionId,
    index: &StageIndex,
    alarms: &BTreeMap<String, AlarmSnapshot>,
) -> Result<(), Rejected> {
    let (now, mode) = (board.now, board.view.index.mode);
    let execution = board.execution(id)?;
    execution.advance(&PhaseEvent::Enter(index.name.clone()), now)?;
    execution.stages.insert(
        index.name.clone(),
        StageOutcome {
            status: StageStatus::InProgress,
            fingerprint: index.fingerprint.clone(),
            entered_at: now,
            left_at: None,
            revoked_by: None,
        },
    );
    let execution_type = execution.execution_type;
    let stage = board.stage(&index.name);
    let reserved = stage.occupant.as_ref().is_some_and(|inside| inside.execution == id);
    if mode != ExecutionMode::Parallel && !reserved {
        let watched = |alarm: &String| index.watches.iter().any(|rule| rule.alarm == *alarm);
        stage.give_to(Occupant {
            execution: id,
            execution_type,
            entered_at: now,
            attempt: 1,
            auto_retried: false,
            alarms: alarms.iter().filter(|(name, _)| watched(name)).map(|(n, a)| (n.clone(), a.clone())).collect(),
        });
    }
    board.record(id, "StageEntered", Some(&index.name), String::new());
    Ok(())
}

/// Makes the execution wait. In SUPERSEDED mode there is one place, and a newer arrival takes it (spec 2.3).
fn wait(
    board: &mut Board<'_>,
    event: &GateEvent<'_>,
    index: &StageIndex,
    others: &[Waiting],
    own: Vec<Waiting>,
) -> Result<(), Rejected> {
    let (now, id) = (board.now, event.execution);
    if board.view.index.mode == ExecutionMode::Superseded {
        for older in others {
            let execution = board.execution(older.execution)?;
            execution.advance(&PhaseEvent::Supersede, now)?;
            execution.status_summary = Some(format!("Execution {id} took its place before stage {}.", index.name));
            board.record(older.execution, "ExecutionSuperseded", Some(&index.name), format!("Superseded by {id}."));
            board.answer(&older.token, GateAnswer::End { status: ExecutionStatus::Superseded });
        }
        board.changes.waiting_removed.extend(others.iter().cloned());
    }
    let stage = board.stage(&index.name);
    let arrival = match own.first() {
        // It asks again with a new token and keeps its place.
        Some(own) => own.arrival,
        None => {
            stage.arrivals += 1;
            stage.arrivals
        }
    };
    let pipeline = stage.pipeline.clone();
    let why = match (&stage.inbound.enabled, &stage.occupant) {
        (false, _) => "the inbound transition is disabled".to_owned(),
        (true, Some(inside)) => format!("execution {} is inside", inside.execution),
        (true, None) => "others are before it".to_owned(),
    };
    if own.is_empty() {
        board.execution(id)?.advance(&PhaseEvent::Wait(index.name.clone()), now)?;
        board.record(id, "Waiting", Some(&index.name), why);
    }
    let since = own.first().map_or(now, |own| own.since);
    board.changes.waiting_removed.extend(own);
    board.changes.waiting_added.push(Waiting {
        pipeline,
        stage: index.name.clone(),
        arrival,
        execution: id,
        token: event.token.to_owned(),
        since,
    });
    Ok(())
}

/// Lets the first waiting execution into `name` if the stage is free and open. Returns the changes of that alone.
///
/// # Errors
/// [`Rejected::Stale`] where `executions` lacks the waiting one (read again).
pub fn admit_waiting(
    view: &PipelineView,
    executions: &BTreeMap<ExecutionId, Execution>,
    name: &StageName,
    alarms: &BTreeMap<String, AlarmSnapshot>,
    now: Timestamp,
) -> Result<Changes, Rejected> {
    let mut board = Board::new(view, executions, now);
    admit_into(&mut board, name, alarms)?;
    Ok(board.into_changes())
}

pub(crate) fn admit_into(
    board: &mut Board<'_>,
    name: &StageName,
    alarms: &BTreeMap<String, AlarmSnapshot>,
) -> Result<(), Rejected> {
    let view = board.view;
    let Some((_, index)) = view.index.stage(name) else { return Ok(()) };
    let stage = board.stage(name);
    let open = stage.inbound.enabled && stage.occupant.is_none();
    let Some(first) = open.then(|| board.waiting(name).into_iter().next()).flatten() else { return Ok(()) };
    take(board, first.execution, index, alarms)?;
    let (state, execution) = (board.stage(name).clone(), board.execution(first.execution)?.clone());
    let answer = run_stage(view, &execution, &state, Some(index));
    board.answer(&first.token, answer);
    board.changes.waiting_removed.push(first);
    Ok(())
}

/// The answer that lets `execution` run the stage it is in. A rollback skips gates that would block the cure.
fn run_stage(
    view: &PipelineView,
    execution: &Execution,
    stage: &crate::StageState,
    index: Option<&StageIndex>,
) -> GateAnswer {
    let Some(index) = index else { return GateAnswer::End { status: execution.phase.status() } };
    let standard = execution.execution_type == ExecutionType::Standard;
    debug_assert!(view.index.stage(&index.name).is_some(), "the index entry is of this pipeline");
    GateAnswer::RunStage {
        stage: index.name.clone(),
        generation: stage.generation,
        attempt: stage.occupant.as_ref().map_or(1, |inside| inside.attempt),
        groups: action_groups(index),
        entry_condition: standard && index.has_entry_condition,
        success_condition: standard && index.has_success_condition,
    }
}
