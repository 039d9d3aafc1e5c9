//! That conditions hold up whom they should, and nobody else.

use domain::{
    ActionRun, ActionStatus, ConditionKind, ConditionRun, ConditionStatus, Execution, ExecutionMode, PipelineIndex,
    StageName, StageStatus,
};

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

    /// No action begins in a stage whose entry condition has not let it in.
    pub(super) fn check_let_in(&self, run: &ActionRun, execution: &Execution) -> Result<(), Broken> {
        let entry = self.condition_of(execution, &run.stage, ConditionKind::BeforeEntry);
        let lets_in =
            entry.is_none_or(|entry| matches!(entry.status, ConditionStatus::Succeeded | ConditionStatus::Overridden));
        holds(lets_in, || format!("action {} of {} begins before it is let in", run.action, execution.id))
    }

    /// No execution succeeds in a stage whose success condition has not let it out.
    pub(super) fn check_let_out(&self, before: &Execution, after: &Execution) -> Result<(), Broken> {
        for (name, outcome) in after.stages.iter().filter(|(_, of)| of.status == StageStatus::Succeeded) {
            let was = before.stages.get(name).map(|of| of.status);
            if was == Some(StageStatus::Succeeded) {
                continue;
            }
            let success = self.condition_of(before, name, ConditionKind::OnSuccess);
            let lets_out = success.is_none_or(|success| {
                matches!(success.status, ConditionStatus::Succeeded | ConditionStatus::Overridden)
            });
            holds(lets_out, || format!("{} left {name} in run {} before it was let out", after.id, outcome.attempt))?;
        }
        Ok(())
    }

    /// The evaluation of a condition in the current run of a stage.
    fn condition_of(&self, execution: &Execution, stage: &StageName, kind: ConditionKind) -> Option<&ConditionRun> {
        let attempt = execution.stages.get(stage)?.attempt;
        let own = (execution.mode == ExecutionMode::Parallel).then_some(execution.id);
        let run = self.conditions.get(&(execution.pipeline.clone(), own, stage.clone(), kind.as_str()))?;
        (run.execution == execution.id && run.attempt == attempt).then_some(run)
    }
}

/// Whether both are one evaluation.
fn is_same(one: &ConditionRun, other: &ConditionRun) -> bool {
    (one.execution, one.generation, one.attempt) == (other.execution, other.generation, other.attempt)
}
