//! At the gate: who carries revoked content is stopped, and whoever is behind comes up. PARALLEL executions go in side by
//! side, as many as one decision can store.

use super::{barred, revocable};
use crate::{
    Effect, ExecutionId, ExecutionStatus, PhaseEvent, Rejected, StageName, StopTrigger, Waiting, changes::Board,
};

/// Most of the hundred writes of a transaction that are spent on those who wait. The others are for what the decision is
/// about, and for one who takes the lock.
const WRITES_MAX: usize = 56;
/// What it takes to turn one away, about.
const TURNED_AWAY: usize = 7;
/// What it takes to let one in: its row, its place and a line of history; each token is answered and each content asked
/// about beside that.
const LET_IN: usize = 3;

/// Ends an execution that carries revoked content before stage `name`, where it would go in now. Whether it did.
pub(crate) fn turn_away(board: &mut Board<'_>, id: ExecutionId, name: &StageName) -> Result<bool, Rejected> {
    let (now, view) = (board.now, board.view);
    let execution = board.execution(id)?;
    let Some(revoked) = barred(view.index_of(execution), execution, name).cloned() else {
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
    /// Writes for those who were turned away or let in side by side.
    writes: usize,
    is_side_by_side: bool,
}

/// What came of a look at one who waits.
pub(crate) enum Look {
    /// Its content is not revoked. To let it in takes so many writes.
    Passes(usize),
    /// It was ended.
    TurnedAway,
    /// So much was decided that this one and those behind it are for another decision.
    Later,
}

impl Door {
    /// Ends the one who waits where it carries revoked content. `locks` tells whether it would take the lock: nobody goes
    /// in after that one, so there is a place for it in any case.
    pub(crate) fn look(&mut self, board: &mut Board<'_>, waiting: &Waiting, locks: bool) -> Result<Look, Rejected> {
        let (id, name, view) = (waiting.execution, &waiting.stage, board.view);
        let execution = board.execution(id)?;
        let is_barred = barred(view.index_of(execution), execution, name).is_some();
        let let_in = LET_IN + waiting.token.iter().count() + revocable(execution).len();
        let writes = if is_barred { TURNED_AWAY } else { let_in };
        // The first is always decided about, however much that takes: whoever is left to later must come up.
        if (is_barred || !locks) && self.writes > 0 && self.writes + writes > WRITES_MAX {
            self.leave_to_later(board, waiting);
            return Ok(Look::Later);
        }
        if !is_barred {
            return Ok(Look::Passes(writes));
        }
        self.writes += writes;
        turn_away(board, id, name)?;
        Ok(Look::TurnedAway)
    }

    /// One went in without taking the lock, which took so many writes.
    pub(crate) fn let_in_beside(&mut self, writes: usize) {
        self.writes += writes;
        self.is_side_by_side = true;
    }

    /// Whether somebody went in without taking the lock: others may follow.
    pub(crate) fn is_side_by_side(&self) -> bool {
        self.is_side_by_side
    }

    /// Where somebody was turned away, or went in without taking the lock, nobody else comes to let in who is behind and
    /// was not read.
    pub(crate) fn leave_to_later(&self, board: &mut Board<'_>, next: &Waiting) {
        if self.writes > 0 {
            board.changes.effects.push(Effect::AdmitWaiting {
                pipeline: next.pipeline.clone(),
                stage: next.stage.clone(),
                first: next.execution,
            });
        }
    }
}
