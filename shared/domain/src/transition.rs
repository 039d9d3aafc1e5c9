//! Opening and closing the way into a stage (spec 2.3).

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::{
    AlarmSnapshot, Changes, Execution, ExecutionId, PipelineView, Rejected, StageName, TransitionState,
    admission::admit_into, changes::Board,
};

/// Lets executions into `stage` again, lifts a rollback's hold, and admits the first that waits.
///
/// # Errors
/// [`Rejected::Stale`] where `executions` lacks the one that waits (read again).
pub fn enable_transition(
    view: &PipelineView,
    executions: &BTreeMap<ExecutionId, Execution>,
    stage: &StageName,
    by: &str,
    alarms: &BTreeMap<String, AlarmSnapshot>,
    now: Timestamp,
) -> Result<Changes, Rejected> {
    let mut board = Board::new(view, executions, now);
    let inbound = &mut board.stage(stage).inbound;
    if !inbound.enabled {
        *inbound = TransitionState {
            enabled: true,
            changed_by: Some(by.to_owned()),
            changed_at: Some(now),
            disabled_reason: None,
            hold: None,
        };
    }
    admit_into(&mut board, stage, alarms)?;
    Ok(board.into_changes())
}

/// Makes executions wait before `stage`. A rollback's hold stays one.
pub fn disable_transition(view: &PipelineView, stage: &StageName, by: &str, reason: &str, now: Timestamp) -> Changes {
    let executions = BTreeMap::new();
    let mut board = Board::new(view, &executions, now);
    let inbound = &mut board.stage(stage).inbound;
    *inbound = TransitionState {
        enabled: false,
        changed_by: Some(by.to_owned()),
        changed_at: Some(now),
        disabled_reason: Some(reason.to_owned()),
        hold: inbound.hold.clone(),
    };
    board.into_changes()
}
