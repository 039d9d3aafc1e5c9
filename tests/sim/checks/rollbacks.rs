//! That a rollback goes back to the right execution, once.

use domain::{
    Execution, ExecutionId, ExecutionMode, RollbackCause, RollbackOf, StageIndex, StageName, StageState, StageStatus,
};
use engine::ports::Row;
use jiff::SignedDuration;
use store::Change;

use super::{Broken, Checker, holds};

/// How long a deploy is watched in simulated pipelines.
const WATCHED: SignedDuration = SignedDuration::from_mins(10);

impl Checker {
    /// The rules of design section 6, worked out from the executions alone.
    pub(super) fn check_rollback(&self, execution: &Execution) -> Result<(), Broken> {
        let Some(of) = &execution.rollback else { return Ok(()) };
        let id = execution.id;
        let Some(index) = self.pipelines.get(&execution.pipeline) else {
            return Err(format!("rollback {id} of a pipeline that is not there"));
        };
        holds(index.mode != ExecutionMode::Parallel, || format!("rollback {id} in PARALLEL mode"))?;
        let place = index.stages.iter().position(|stage| stage.name == of.stage);
        let Some(stage) = place.filter(|place| *place > 0).map(|place| &index.stages[place]) else {
            return Err(format!("rollback {id} of stage {}", of.stage));
        };
        let Some(target) = self.executions.get(&of.target) else {
            return Err(format!("rollback {id} to nobody knows what"));
        };
        let is_manual = matches!(of.cause, RollbackCause::Manual { .. });
        let can_be = is_candidate(target, stage, is_manual);
        holds(can_be, || format!("rollback {id} to {}, which cannot be gone back to", of.target))?;
        if is_manual {
            let state = self.stages.get(&(execution.pipeline.clone(), of.stage.clone()));
            let skipped = state.and_then(StageState::skipped_by);
            return holds(skipped.is_none(), || format!("rollback {id} of {}, which {skipped:?} skipped", of.stage));
        }
        self.check_automatic(execution, of, stage)
    }

    fn check_automatic(&self, execution: &Execution, of: &RollbackOf, stage: &StageIndex) -> Result<(), Broken> {
        let id = execution.id;
        let Some(undone) = of.undone.and_then(|undone| self.executions.get(&undone)) else {
            return Err(format!("rollback {id} undoes nobody knows what"));
        };
        holds(undone.rollback.is_none(), || format!("rollback {id} undoes a rollback by itself"))?;
        let first = self.undone.get(&key(undone, &of.stage));
        holds(first.is_none(), || format!("{} is undone by {first:?} and by {id}", undone.id))?;
        if matches!(of.cause, RollbackCause::StageFailed { .. }) {
            self.check_failed(undone, &of.stage)?;
        }
        let best = self.best_before(undone, stage, false);
        // What was reinstated a moment ago may have been passed over.
        let is_best = best == Some(of.target)
            || self.best_before(undone, stage, true) == Some(of.target)
            || self
                .superseded_in_watch(undone, stage)
                .any(|one| self.best_before(one, stage, false) == Some(of.target));
        holds(is_best, || {
            format!("rollback {id} of {} goes to {}, the newest good one is {best:?}", undone.id, of.target)
        })
    }

    /// The newest success in `stage` that is not taken back, carries nothing that is revoked (or `ever` was), and is older
    /// than that of `undone`.
    fn best_before(&self, undone: &Execution, stage: &StageIndex, ever: bool) -> Option<ExecutionId> {
        let succeeded_at = |execution: &Execution| {
            let outcome = execution.stages.get(&stage.name)?;
            (outcome.status == StageStatus::Succeeded).then_some(outcome.left_at).flatten()
        };
        let before = succeeded_at(undone);
        let candidates = self.executions.values().filter(|execution| {
            let (is_banned, was_banned) = self.ban_of(execution);
            execution.pipeline == undone.pipeline
                && execution.id != undone.id
                && is_candidate(execution, stage, false)
                && !is_banned
                && !(ever && was_banned)
        });
        let older = candidates.filter_map(|execution| Some((succeeded_at(execution)?, execution.id)));
        older.filter(|(at, _)| before.is_none_or(|before| *at <= before)).max().map(|(_, id)| id)
    }

    /// Deploys whose watch was not over when the next one entered, and so on up to `undone`: any of them may be to blame.
    fn superseded_in_watch<'a>(
        &'a self,
        undone: &'a Execution,
        stage: &'a StageIndex,
    ) -> impl Iterator<Item = &'a Execution> {
        let entered = undone.stages.get(&stage.name).map(|outcome| outcome.entered_at);
        self.executions.values().filter(move |one| {
            let outcome = one.stages.get(&stage.name).filter(|outcome| outcome.status == StageStatus::Succeeded);
            let left_at = outcome.and_then(|outcome| outcome.left_at);
            let was_watched = left_at
                .zip(entered)
                .is_some_and(|(left_at, entered)| left_at <= entered && entered < left_at + WATCHED);
            one.pipeline == undone.pipeline && one.rollback.is_none() && was_watched
        })
    }

    /// A rollback takes back every success that is newer than what it goes back to, in the transaction that begins it.
    pub(super) fn check_rollbacks_begun(&self, changes: &[Change]) -> Result<(), Broken> {
        for change in changes {
            let (None, Some(Row::Execution(rollback))) = (&change.before, &change.after) else { continue };
            let Some(of) = &rollback.rollback else { continue };
            let succeeded_in = |execution: &Execution| {
                let outcome = execution.stages.get(&of.stage).filter(|of| of.status == StageStatus::Succeeded)?;
                Some((outcome.left_at?, outcome.revoked_by))
            };
            let target = self.executions.get(&of.target).and_then(succeeded_in);
            let Some((at, _)) = target else { continue };
            let same = |one: &&Execution| {
                one.pipeline == rollback.pipeline && self.belongs.get(&one.id) == self.belongs.get(&rollback.id)
            };
            for one in self.executions.values().filter(same).filter(|one| one.rollback.is_none()) {
                let Some((left_at, revoked_by)) = succeeded_in(one) else { continue };
                holds(left_at <= at || revoked_by.is_some(), || {
                    format!("rollback {} to {} does not take {} back", rollback.id, of.target, one.id)
                })?;
            }
        }
        Ok(())
    }

    /// Remembers what an automatic rollback undoes.
    pub(super) fn note_rollback(&mut self, execution: &Execution) {
        let Some(of) = &execution.rollback else { return };
        if matches!(of.cause, RollbackCause::Manual { .. }) || self.executions.contains_key(&execution.id) {
            return;
        }
        if let Some(undone) = of.undone.and_then(|undone| self.executions.get(&undone)) {
            let key = key(undone, &of.stage);
            self.undone.entry(key).or_insert(execution.id);
        }
    }
}

/// A failure is that of one run of a stage.
fn key(undone: &Execution, stage: &StageName) -> (ExecutionId, StageName, u32) {
    (undone.id, stage.clone(), undone.stages.get(stage).map_or(0, |outcome| outcome.attempt))
}

fn is_candidate(execution: &Execution, stage: &StageIndex, is_manual: bool) -> bool {
    let outcome = execution.stages.get(&stage.name);
    execution.rollback.is_none()
        && outcome.is_some_and(|outcome| {
            outcome.status == StageStatus::Succeeded
                && outcome.fingerprint == stage.fingerprint
                && (is_manual || outcome.revoked_by.is_none())
        })
}
