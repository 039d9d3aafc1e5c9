//! At the gate: who carries revoked content is stopped, and whoever is behind comes up.

use super::barred;
use crate::{
    Effect, ExecutionId, ExecutionStatus, PhaseEvent, Rejected, StageName, StopTrigger, Waiting, changes::Board,
};

/// Most that wait and are turned away by one decision: each takes about seven of the hundred writes of a transaction.
const TURNED_AWAY_MAX: usize = 8;

/// Ends an execution that carries revoked content before stage `name`, where it would go in now. Whether it did.
pub(crate) fn turn_away(board: &mut Board<'_>, id: ExecutionId, name: &StageName) -> Result<bool, Rejected> {
    let (now, view) = (board.now, board.view);
    let execution = board.execution(id)?;
    let Some(revoked) = barred(&view.index, execution, name).cloned() else {
        return Ok(false);
    };
    execution.advance(&PhaseEvent::RequestStop, now)?;
    if !execution.phase.is_ended() {
        execution.advance(&PhaseEvent::Stop, now)?;
    }
    let why = revoked.why(name);
    execution.status_summary = Some(why.clone());
    execution.stop = Some(StopTrigger { by: "lastgood".to_owned(), reason: Some(revoked.why_in_short()) });
    board.dismiss(id, ExecutionStatus::Stopped);
    board.record(id, "RevokedContentStopped", Some(name), why);
    Ok(true)
}

/// Looks at those who wait, in their order, as long as one of them could go in.
#[derive(Default)]
pub(crate) struct Door {
    turned_away: usize,
}

/// What came of a look at one who waits.
pub(crate) enum Look {
    /// Its content is not revoked.
    Passes,
    /// It was ended.
    TurnedAway,
    /// So many were turned away that this one and those behind it are for another decision.
    Later,
}

impl Door {
    /// Ends the one who waits where it carries revoked content.
    pub(crate) fn look(&mut self, board: &mut Board<'_>, waiting: &Waiting) -> Result<Look, Rejected> {
        let (id, name, view) = (waiting.execution, &waiting.stage, board.view);
        if barred(&view.index, board.execution(id)?, name).is_none() {
            return Ok(Look::Passes);
        }
        if self.turned_away == TURNED_AWAY_MAX {
            self.leave_to_later(board, waiting);
            return Ok(Look::Later);
        }
        self.turned_away += 1;
        turn_away(board, id, name)?;
        Ok(Look::TurnedAway)
    }

    /// Where somebody was turned away, nobody else comes to let in who is behind and was not read.
    pub(crate) fn leave_to_later(&self, board: &mut Board<'_>, next: &Waiting) {
        if self.turned_away > 0 {
            board.changes.effects.push(Effect::AdmitWaiting {
                pipeline: next.pipeline.clone(),
                stage: next.stage.clone(),
                first: next.execution,
            });
        }
    }
}
