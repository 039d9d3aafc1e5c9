//! That content which was rolled back from goes into no stage without a person's word.

use std::collections::BTreeSet;

use domain::{Execution, ExecutionId, ExecutionType, Phase, RollbackOf, StageName, StageStatus};
use engine::ports::Row;
use store::Change;

use super::{Broken, Checker, holds};

/// Content as the checker tells it: ETags of what an execution took, by action. In the simulation equal content has
/// equal ETags.
type Contents = BTreeSet<(String, String)>;

/// What was rolled back from: it is all of these together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Banned {
    by: ExecutionId,
    etags: BTreeSet<String>,
    /// Whether nothing else may be beside it: one of several that differ may be good.
    is_whole: bool,
    /// Whether a person has taken it back.
    pub(super) is_over: bool,
}

impl Banned {
    fn bars(&self, execution: &Execution) -> bool {
        let etags: BTreeSet<String> = contents(execution).into_iter().map(|(_, etag)| etag).collect();
        if self.is_whole { etags == self.etags } else { self.etags.is_subset(&etags) }
    }
}

impl Checker {
    /// Follows the changes of a step in their order: who goes into a stage, who is rolled back from, and what a person
    /// reinstates.
    pub(super) fn check_revoked(&mut self, changes: &[Change]) -> Result<(), Broken> {
        for change in changes {
            match (&change.before, &change.after) {
                (before, Some(Row::Execution(after))) => {
                    let before = match before {
                        Some(Row::Execution(before)) => Some(before),
                        _ => None,
                    };
                    self.check_entry(before, after)?;
                    if let (None, Some(of)) = (before, &after.rollback) {
                        self.ban(after, of, changes);
                    }
                }
                (Some(Row::Revoked(revoked)), None) => self.reinstate(revoked.rollback),
                _ => {}
            }
        }
        Ok(())
    }

    fn check_entry(&self, before: Option<&Execution>, after: &Execution) -> Result<(), Broken> {
        if after.execution_type == ExecutionType::Rollback {
            return Ok(());
        }
        let Some(index) = self.pipelines.get(&after.pipeline) else { return Ok(()) };
        for stage in index.stages.iter().skip(1) {
            if !went_in(before, after, &stage.name) {
                continue;
            }
            let banned = self.banned.iter().find(|banned| !banned.is_over && banned.bars(after));
            holds(banned.is_none(), || format!("{} goes into {} although {banned:?}", after.id, stage.name))?;
        }
        Ok(())
    }

    /// A person's verdict and an alarm's are about content; a stage that failed is about itself.
    fn ban(&mut self, rollback: &Execution, of: &RollbackOf, changes: &[Change]) {
        if of.cause.is_stage_failure() {
            return;
        }
        let driven_out = || changes.iter().find_map(|change| driven_out_of(&of.stage, rollback, change));
        let undone = of.undone.and_then(|undone| self.executions.get(&undone)).or_else(driven_out);
        let (Some(undone), Some(target)) = (undone, self.executions.get(&of.target)) else { return };
        let (all, kept) = (contents(undone), contents(target));
        let differing: BTreeSet<String> = all.difference(&kept).map(|(_, etag)| etag.clone()).collect();
        let is_whole = differing.len() > 1;
        let etags = if is_whole { all.into_iter().map(|(_, etag)| etag).collect() } else { differing };
        if !etags.is_empty() {
            self.banned.push(Banned { by: rollback.id, etags, is_whole, is_over: false });
        }
    }

    /// What the rollback went back from is good again, whoever went back from it as well.
    fn reinstate(&mut self, by: ExecutionId) {
        let of: Vec<Banned> = self.banned.iter().filter(|banned| banned.by == by).cloned().collect();
        for banned in &mut self.banned {
            banned.is_over |= of.iter().any(|one| one.etags == banned.etags && one.is_whole == banned.is_whole);
        }
    }

    /// Whether what `execution` carries was rolled back from, and whether that was taken back since.
    pub(super) fn ban_of(&self, execution: &Execution) -> (bool, bool) {
        let of = || self.banned.iter().filter(|banned| banned.bars(execution));
        (of().any(|banned| !banned.is_over), of().any(|banned| banned.is_over))
    }

    /// What a person can reinstate.
    pub(crate) fn reinstatable(&self) -> Vec<String> {
        self.revoked.keys().cloned().collect()
    }
}

fn contents(execution: &Execution) -> Contents {
    let of = execution.revisions.iter();
    of.filter_map(|one| Some((one.action_name.to_string(), one.revision_change_identifier.clone()?))).collect()
}

fn went_in(before: Option<&Execution>, after: &Execution, stage: &StageName) -> bool {
    let attempt = |execution: &Execution| {
        let outcome = execution.stages.get(stage)?;
        (outcome.status == StageStatus::InProgress).then_some((execution.attempt, outcome.entered_at))
    };
    let is = attempt(after);
    is.is_some() && before.and_then(attempt) != is
}

/// The execution that `rollback` took the stage from.
fn driven_out_of<'a>(stage: &StageName, rollback: &Execution, change: &'a Change) -> Option<&'a Execution> {
    let (Some(Row::Execution(before)), Some(Row::Execution(after))) = (&change.before, &change.after) else {
        return None;
    };
    let was_inside =
        matches!(&before.phase, Phase::Running { stage: at } | Phase::Stopping { stage: at } if at == stage);
    let is_it = before.pipeline == rollback.pipeline && was_inside && after.phase == Phase::Cancelled;
    (is_it && after.status_summary.as_deref().is_some_and(|why| why.contains(&rollback.id.to_string())))
        .then_some(after)
}
