//! The policy by which a hold goes without a person: the next other content passes.

use crate::{
    ExecutionId, ExecutionType, GateEvent, OpenHold, Rejected, RollbackOutcome, StageIndex, StageName,
    admission::{admit_into, run_stage},
    changes::Board,
};

/// Whether the stage is held until other content comes, and nobody is inside.
pub(crate) fn awaits_other_content(board: &mut Board<'_>, name: &StageName) -> bool {
    let stage = board.stage(name);
    stage.occupant.is_none() && stage.inbound.hold.as_ref().is_some_and(|hold| hold.lifts_for_other_content)
}

/// Lets those in who came before the one that asks, and then this one, as far as they carry other content. Whether this
/// one went in among those that wait; its token is answered then.
pub(crate) fn went_in_as_other_content(
    board: &mut Board<'_>,
    event: &GateEvent<'_>,
    index: &StageIndex,
) -> Result<bool, Rejected> {
    let (id, name) = (event.execution, &index.name);
    admit_into(board, name, event.alarms)?;
    if awaits_other_content(board, name) {
        let_other_content_pass(board, id, name)?;
        admit_into(board, name, event.alarms)?;
    }
    if !board.stage(name).is_occupied_by(id) {
        return Ok(false);
    }
    let execution = board.execution(id)?.clone();
    let answer = run_stage(&execution, board.stage(name), index);
    board.answer(event.token, answer);
    Ok(true)
}

/// Lifts the hold on `name` where its rule says that other content than what was rolled back from may pass, and `id`
/// carries other content and could go in. What was rolled back from is stopped by itself, so nothing else needs the hold.
pub(crate) fn let_other_content_pass(board: &mut Board<'_>, id: ExecutionId, name: &StageName) -> Result<(), Rejected> {
    let now = board.now;
    if !awaits_other_content(board, name) {
        return Ok(());
    }
    let execution = board.execution(id)?;
    // Where nothing is known of what it carries, a person has to say that it is something else.
    let is_other = execution.revoked.is_none() && !execution.contents.is_empty();
    if !is_other || execution.execution_type != ExecutionType::Standard {
        return Ok(());
    }
    let stage = board.stage(name);
    let Some(held) = OpenHold::on(stage) else { return Ok(()) };
    stage.inbound = stage.inbound.released("lastgood", now);
    let comment = format!("Execution {id} carries other content, which HoldUntil OtherRevision lets pass.");
    let (rollback, about) = (held.hold.rollback, held.hold.about());
    board.record(about, "HoldReleased", Some(name), comment.clone());
    let outcome = RollbackOutcome::HoldReleased { rollback, comment };
    board.decide(name, &held.hold.cause.clone(), about, None, outcome);
    board.changes.holds_ended.push(held);
    Ok(())
}
