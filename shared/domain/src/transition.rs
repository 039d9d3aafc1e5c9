//! Opening and closing the way into a stage (spec 2.3).

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::{
    AlarmSnapshot, Changes, Execution, ExecutionId, Hold, OpenHold, PipelineView, Rejected, RollbackCause,
    RollbackOutcome, StageName, TransitionState, admission::admit_into, changes::Board, gate::cancel_because, rollback,
};

/// What is noted of a hold that ends because its transition was enabled.
const ENABLED: &str = "The transition was enabled.";
/// Who waits for longer before a disabled transition does not go on when it is enabled (spec 2.3).
pub const CLOSED_MAX: SignedDuration = SignedDuration::from_hours(30 * 24);

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
    let inbound = board.stage(stage).inbound.clone();
    let open = if inbound.enabled { inbound } else { TransitionState::opened(by, now) };
    change(board, stage, open, by, ENABLED, alarms)
}

/// Lifts a rollback's hold, and with it opens the transition as [`enable_transition`] does, unless a person has disabled it
/// besides: that stays as it was.
///
/// # Errors
/// [`Rejected::AlreadyDone`] where the stage is not held; [`Rejected::Stale`] as for [`enable_transition`].
pub fn release_hold(
    view: &PipelineView,
    executions: &BTreeMap<ExecutionId, Execution>,
    stage: &StageName,
    by: &str,
    comment: &str,
    alarms: &BTreeMap<String, AlarmSnapshot>,
    now: Timestamp,
) -> Result<Changes, Rejected> {
    let held = view.stage(stage).inbound;
    if held.hold.is_none() {
        return Err(Rejected::AlreadyDone);
    }
    change(Board::new(view, executions, now), stage, held.released(by, now), by, comment, alarms)
}

/// Executions that began to wait before `stage` more than [`CLOSED_MAX`] ago, where its transition has been disabled for
/// as long: work so old is not resumed (spec 2.3).
pub fn expired_before(view: &PipelineView, stage: &StageName, now: Timestamp) -> Vec<ExecutionId> {
    let inbound = view.stage(stage).inbound;
    let is_long_ago = |at: Timestamp| now.duration_since(at) > CLOSED_MAX;
    if !inbound.disabled_since().is_some_and(is_long_ago) {
        return Vec::new();
    }
    view.waiting_for(stage).filter(|waiting| is_long_ago(waiting.since)).map(|waiting| waiting.execution).collect()
}

/// Ends one of [`expired_before`].
///
/// # Errors
/// [`Rejected::Stale`] where `executions` lacks it (read again); [`Rejected::AlreadyDone`] where it is none of them.
pub fn end_expired(
    view: &PipelineView,
    executions: &BTreeMap<ExecutionId, Execution>,
    stage: &StageName,
    id: ExecutionId,
    now: Timestamp,
) -> Result<Changes, Rejected> {
    if !expired_before(view, stage, now).contains(&id) {
        return Err(Rejected::AlreadyDone);
    }
    let mut board = Board::new(view, executions, now);
    let days = CLOSED_MAX.as_hours() / 24;
    let why =
        format!("It waited before stage {stage}, whose inbound transition was disabled for more than {days} days.");
    cancel_because(&mut board, id, why)?;
    Ok(board.into_changes())
}

/// Lets the way into `stage` be as `inbound` says, which is without a hold.
fn change(
    mut board: Board<'_>,
    stage: &StageName,
    inbound: TransitionState,
    by: &str,
    comment: &str,
    alarms: &BTreeMap<String, AlarmSnapshot>,
) -> Result<Changes, Rejected> {
    let held = OpenHold::on(board.stage(stage));
    board.stage(stage).inbound = inbound;
    if let Some(held) = held {
        let (rollback, about) = (held.hold.rollback, held.hold.about());
        board.record(about, "HoldReleased", Some(stage), format!("By {by}: {comment}"));
        let cause = RollbackCause::by(by);
        let outcome = RollbackOutcome::HoldReleased { rollback, comment: comment.to_owned() };
        board.decide(stage, &cause, about, None, outcome);
        board.changes.holds_ended.push(held);
    }
    admit_into(&mut board, stage, alarms)?;
    Ok(board.into_changes())
}

/// Closes the way into `stage` while a person is asked whether `suspect` is to be taken back because of `cause`: what
/// waits would hide what the alarm is about. A rollback's hold stays one. Who lifts the hold says that it is not.
pub fn hold_for_question(
    view: &PipelineView,
    stage: &StageName,
    suspect: ExecutionId,
    cause: &RollbackCause,
    reason: &str,
    now: Timestamp,
) -> Changes {
    let executions = BTreeMap::new();
    let mut board = Board::new(view, &executions, now);
    let inbound = &mut board.stage(stage).inbound;
    if inbound.hold.is_none() {
        let reason = rollback::transition_text(&format!(
            "Held because of {}: is execution {suspect} to be rolled back? Roll it back or release the hold.",
            rollback::said(cause)
        ));
        let hold = Hold {
            rollback: None,
            target: None,
            suspect: Some(suspect),
            cause: cause.clone(),
            lifts_for_other_content: false,
            since: now,
        };
        *inbound = inbound.held(hold, reason, now);
        let held = OpenHold::on(board.stage(stage));
        board.changes.holds.extend(held);
    }
    board.record(suspect, "RollbackAsked", Some(stage), reason.to_owned());
    let outcome = RollbackOutcome::Asked { reason: reason.to_owned() };
    board.decide(stage, cause, suspect, Some(suspect), outcome);
    board.into_changes()
}

/// Makes executions wait before `stage`. A rollback's hold stays one.
pub fn disable_transition(view: &PipelineView, stage: &StageName, by: &str, reason: &str, now: Timestamp) -> Changes {
    let executions = BTreeMap::new();
    let mut board = Board::new(view, &executions, now);
    let inbound = &mut board.stage(stage).inbound;
    *inbound = inbound.closed(by, reason, now);
    let held = OpenHold::on(board.stage(stage));
    board.changes.holds.extend(held);
    board.into_changes()
}
