//! That conditions hold up whom they should, and nobody else.

use domain::{
    ActionRun, ActionStatus, ConditionKind, ConditionRun, ConditionStatus, Execution, ExecutionMode, PipelineIndex,
    StageName, StageStatus,
};
use engine::ports::Row;
use store::Change;

use super::{Broken, Checker, holds};

impl Checker {
    /// Who waits for a condition is looked after.
    pub(super) fn check_conditions(&self, index: &PipelineIndex) -> Result<(), Broken> {
        // Beside their execution, those of a deleted pipeline stay as long as that does.
        let is_left = |run: &ConditionRun| {
            run.mode == ExecutionMode::Parallel
                && self.executions.get(&run.execution).is_none_or(|execution| !self.is_of(index, execution))
        };
        let open = self.conditions.values().filter(|run| run.pipeline == index.name && run.is_open());
        for run in open.filter(|run| !is_left(run)) {
            let mark = self.open_conditions.get(&(run.execution, run.stage.clone(), run.kind.as_str()));
            // The mark has no version of its own.
            holds(mark.is_some_and(|mark| is_same(mark, run) && mark.token == run.token), || {
                format!("the {} condition of {} waits, and the mark is {mark:?}", run.kind.as_str(), run.execution)
            })?;
        }
        Ok(())
    }

    /// What is true of a change of a condition.
    pub(super) fn check_condition(&self, before: Option<&ConditionRun>, after: &ConditionRun) -> Result<(), Broken> {
        use ConditionStatus as S;
        let what = || format!("the {} condition of {} in {}", after.kind.as_str(), after.execution, after.stage);
        let same = before.filter(|before| is_same(before, after));
        if let Some(before) = same.filter(|before| !before.is_open()) {
            holds(before.status == after.status, || format!("{} went on after its end", what()))?;
        }
        if let Some(before) = before.filter(|before| is_resumed(before, after)) {
            holds(before.attempt + 1 == after.attempt, || {
                format!("{} is overridden, which did not fail run {}", what(), after.attempt - 1)
            })?;
        }
        let status = |status| after.rules.iter().any(|rule| rule.status == status);
        let agrees = match after.status {
            S::InProgress => status(ActionStatus::InProgress) && !after.token.is_empty(),
            S::Succeeded => after.rules.iter().all(|rule| rule.status == ActionStatus::Succeeded),
            S::Failed => {
                after.rules.iter().any(|rule| rule.status == ActionStatus::Failed && rule.error_code.is_none())
            }
            S::Errored => after.rules.iter().any(|rule| rule.error_code.is_some()),
            S::Cancelled | S::Abandoned | S::Overridden => !status(ActionStatus::InProgress),
        };
        holds(agrees, || format!("{} is {}, its rules are {:?}", what(), after.status, after.rules))?;
        if matches!(after.status, S::InProgress | S::Succeeded | S::Failed | S::Errored) {
            self.check_holder(after, &what())?;
        }
        Ok(())
    }

    /// Only whoever has the stage finds out something about it.
    fn check_holder(&self, run: &ConditionRun, what: &str) -> Result<(), Broken> {
        if run.mode == ExecutionMode::Parallel {
            return Ok(());
        }
        let is_held = self.has_stage(&run.pipeline, &run.stage, run.execution, run.generation);
        holds(is_held, || format!("{what} is evaluated for somebody who has lost the stage"))
    }

    /// No action begins in a stage whose entry condition has not let it in, also where it is tried once more.
    pub(super) fn check_let_in(&self, run: &ActionRun, execution: &Execution) -> Result<(), Broken> {
        let entry = self.condition_of(execution, &run.stage, ConditionKind::BeforeEntry);
        let entry = entry.filter(|entry| entry.generation == run.generation);
        let lets_in =
            entry.is_none_or(|entry| matches!(entry.status, ConditionStatus::Succeeded | ConditionStatus::Overridden));
        holds(lets_in, || format!("action {} of {} begins before it is let in", run.action, execution.id))?;
        let attempt = execution.stages.get(&run.stage).map(|outcome| outcome.attempt);
        let is_asked = entry.is_some_and(|entry| Some(entry.attempt) == attempt);
        holds(is_asked || !self.has_to_ask(run, execution), || {
            format!("action {} of {} begins in run {attempt:?}, which was not let in", run.action, execution.id)
        })
    }

    /// Whether the entry condition has to let in this very attempt at the stage: one that keeps nothing of another.
    fn has_to_ask(&self, run: &ActionRun, execution: &Execution) -> bool {
        let index = self.pipelines.get(&run.pipeline).filter(|index| self.is_of(index, execution));
        let index = index.filter(|index| index.pipeline_version == execution.pipeline_version);
        let stage = index.and_then(|index| index.stage(&run.stage));
        let keeps_nothing = execution.stages.get(&run.stage).is_some_and(|outcome| outcome.kept.is_empty());
        keeps_nothing && execution.rollback.is_none() && stage.is_some_and(|(_, stage)| stage.has_entry_condition)
    }

    /// Counts a stage that runs again because a condition of it was overridden.
    pub(super) fn note_resumed(&mut self, change: &Change) {
        if let (Some(Row::Condition(before)), Some(Row::Condition(after))) = (&change.before, &change.after)
            && is_resumed(before, after)
        {
            *self.resumed.entry((after.execution, after.stage.clone())).or_default() += 1;
        }
    }

    /// No execution succeeds in a stage whose success condition has not let it out.
    pub(super) fn check_let_out(&self, before: &Execution, after: &Execution) -> Result<(), Broken> {
        for (name, outcome) in after.stages.iter().filter(|(_, of)| of.status == StageStatus::Succeeded) {
            let was = before.stages.get(name).map(|of| of.status);
            if was == Some(StageStatus::Succeeded) {
                continue;
            }
            let attempt = before.stages.get(name).map(|of| of.attempt);
            let success = self.condition_of(before, name, ConditionKind::OnSuccess);
            let success = success.filter(|success| Some(success.attempt) == attempt);
            let lets_out = success.is_none_or(|success| {
                matches!(success.status, ConditionStatus::Succeeded | ConditionStatus::Overridden)
            });
            holds(lets_out, || format!("{} left {name} in run {} before it was let out", after.id, outcome.attempt))?;
        }
        Ok(())
    }

    /// No success condition that could not tell takes back what every action has deployed.
    pub(super) fn check_failed(&self, undone: &Execution, stage: &StageName) -> Result<(), Broken> {
        let is_own = |run: &&ActionRun| run.execution == undone.id && run.stage == *stage;
        let has_failed = self.runs.values().filter(is_own).any(|run| run.status == ActionStatus::Failed);
        let success = self.condition_of(undone, stage, ConditionKind::OnSuccess);
        let is_refused = success.is_some_and(|success| success.status == ConditionStatus::Failed);
        holds(has_failed || is_refused, || {
            format!("{} is taken back though nothing in {stage} failed: its condition is {success:?}", undone.id)
        })
    }

    /// The latest evaluation of a condition in an execution.
    fn condition_of(&self, execution: &Execution, stage: &StageName, kind: ConditionKind) -> Option<&ConditionRun> {
        let own = (execution.mode == ExecutionMode::Parallel).then_some(execution.id);
        let run = self.conditions.get(&(execution.pipeline.clone(), own, stage.clone(), kind.as_str()))?;
        (run.execution == execution.id).then_some(run)
    }
}

/// Whether an override has the execution go on that `before` has failed.
fn is_resumed(before: &ConditionRun, after: &ConditionRun) -> bool {
    let has_failed = matches!(before.status, ConditionStatus::Failed | ConditionStatus::Errored);
    has_failed && after.status == ConditionStatus::Overridden && before.execution == after.execution
}

/// Whether both are one evaluation.
fn is_same(one: &ConditionRun, other: &ConditionRun) -> bool {
    (one.execution, one.generation, one.attempt) == (other.execution, other.generation, other.attempt)
}
