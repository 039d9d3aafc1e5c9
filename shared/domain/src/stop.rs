//! A person stops an execution (spec 6.1).

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::{
    AlarmSnapshot, Changes, Execution, ExecutionId, ExecutionMode, ExecutionStatus, Phase, PhaseEvent, PipelineView,
    Rejected, StageName, StageStatus, StopTrigger, admission::admit_into, changes::Board,
};

/// A stop that was asked for.
#[derive(Debug, Clone)]
pub struct StopOrder<'a> {
    /// The execution.
    pub execution: ExecutionId,
    /// Whether running actions are given up; else they are waited for.
    pub abandon: bool,
    /// Who asks, and why.
    pub trigger: StopTrigger,
    /// Alarms of the watches of the stage it is in, for whoever enters next.
    pub alarms: &'a BTreeMap<String, AlarmSnapshot>,
}

/// Why an execution cannot be stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotStoppable {
    /// It has ended.
    Ended(ExecutionStatus),
    /// It is being stopped, and its running actions are waited for.
    Stopping,
    /// An execution that is needed was not read: read again.
    Stale,
}

impl From<Rejected> for NotStoppable {
    fn from(_: Rejected) -> Self {
        Self::Stale
    }
}

/// Stops an execution: at once where nothing of it runs or what runs is abandoned, else when its running actions have
/// ended.
///
/// # Errors
/// Why it cannot be stopped; [`NotStoppable::Stale`] where `executions` lacks one that is needed.
pub fn stop_execution(
    view: &PipelineView,
    executions: &BTreeMap<ExecutionId, Execution>,
    order: &StopOrder<'_>,
    now: Timestamp,
) -> Result<Changes, NotStoppable> {
    let mut board = Board::new(view, executions, now);
    let execution = board.execution(order.execution)?;
    match &execution.phase {
        phase if phase.is_ended() => return Err(NotStoppable::Ended(phase.status())),
        Phase::Stopping { .. } if !order.abandon => return Err(NotStoppable::Stopping),
        // What was waited for is given up.
        Phase::Stopping { .. } => {}
        _ => execution.advance(&PhaseEvent::RequestStop, now)?,
    }
    execution.updated_at = now;
    let by = &order.trigger.by;
    // Who gives up a stop that waits may leave it to the first to say why.
    let first = execution.stop.take().and_then(|first| first.reason);
    let reason = order.trigger.reason.clone().or(first);
    execution.status_summary = Some(reason.clone().unwrap_or_else(|| format!("Stopped by {by}.")));
    execution.stop = Some(StopTrigger { by: by.clone(), reason: reason.clone() });
    let inside = match &execution.phase {
        Phase::Stopping { stage } => Some(stage.clone()),
        _ => None,
    };
    let how = if order.abandon { "abandons its actions" } else { "waits for its actions" };
    let why = reason.as_deref().unwrap_or("no reason given");
    board.record(order.execution, "StopRequested", inside.as_ref(), format!("{by} {how}: {why}"));
    match inside {
        None => stop_outside(&mut board, order)?,
        Some(stage) if order.abandon => abandon(&mut board, order, &stage)?,
        Some(stage) => show_stopping(&mut board, order.execution, &stage),
    }
    Ok(board.into_changes())
}

/// It waits, or has not asked for anything: nobody has to be waited for.
fn stop_outside(board: &mut Board<'_>, order: &StopOrder<'_>) -> Result<(), Rejected> {
    let (id, view) = (order.execution, board.view);
    board.dismiss(id, ExecutionStatus::Stopped);
    board.record(id, "ExecutionStopped", None, String::new());
    // A rollback holds its stage before its state machine has asked.
    let reserved = board.execution(id)?.rollback.as_ref().map(|rollback| rollback.stage.clone());
    let Some(stage) = reserved.filter(|stage| view.stage(stage).is_occupied_by(id)) else {
        return Ok(());
    };
    board.stage(&stage).release(StageStatus::Stopped);
    admit_into(board, &stage, order.alarms)
}

/// Takes the stage from it: whatever its actions still do comes too late.
fn abandon(board: &mut Board<'_>, order: &StopOrder<'_>, name: &StageName) -> Result<(), Rejected> {
    let (now, id) = (board.now, order.execution);
    let execution = board.execution(id)?;
    execution.advance(&PhaseEvent::Stop, now)?;
    let locks = execution.mode != ExecutionMode::Parallel;
    if let Some(outcome) = execution.stages.get_mut(name) {
        outcome.status = StageStatus::Stopped;
        outcome.left_at = Some(now);
    }
    board.record(id, "ExecutionStopped", Some(name), String::new());
    if locks && board.stage(name).is_occupied_by(id) {
        let stage = board.stage(name);
        // An action that is about to begin finds that it may not.
        stage.generation = stage.generation.next();
        stage.release(StageStatus::Stopped);
    }
    admit_into(board, name, order.alarms)?;
    board.abandon_runs(id)
}

fn show_stopping(board: &mut Board<'_>, id: ExecutionId, name: &StageName) {
    let stage = board.stage(name);
    if stage.is_occupied_by(id)
        && let Some(latest) = &mut stage.latest
    {
        latest.status = StageStatus::Stopping;
    }
}
