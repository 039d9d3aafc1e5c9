//! That rows which say the same thing agree, and counters with what they count.

use domain::{ExecutionMode, PipelineIndex, RollbackOutcome, StageStatus};

use super::{Broken, Checker, holds};

impl Checker {
    /// What is told twice about a pipeline.
    pub(super) fn check_history(&self, index: &PipelineIndex) -> Result<(), Broken> {
        self.check_latest_runs(index)?;
        self.check_counters(index)?;
        self.check_successes(index)?;
        self.check_holds(index)
    }

    /// The run of an action that clients see beside its stage is as the history has it.
    fn check_latest_runs(&self, index: &PipelineIndex) -> Result<(), Broken> {
        for latest in self.latest_runs.values().filter(|run| run.pipeline == index.name) {
            let is_known = self.belongs.get(&latest.execution) == Some(&index.created_at);
            holds(!is_known || self.runs.get(&latest.id) == Some(latest), || {
                format!("the latest run of {} is not what run {} is", latest.action, latest.id)
            })?;
        }
        Ok(())
    }

    /// A stage counts the retries of its latest execution, which counts its runs: those after an override as well, which
    /// is no retry.
    fn check_counters(&self, index: &PipelineIndex) -> Result<(), Broken> {
        for stage in self.stages.values().filter(|stage| stage.pipeline == index.name) {
            let Some(latest) = &stage.latest else { continue };
            let execution = self.executions.get(&latest.execution).filter(|one| self.is_of(index, one));
            let Some(execution) = execution.filter(|one| one.mode != ExecutionMode::Parallel) else { continue };
            let Some(outcome) = execution.stages.get(&stage.name) else { continue };
            let resumed = self.resumed.get(&(execution.id, stage.name.clone())).copied().unwrap_or_default();
            let counted = 1 + latest.auto_retries + latest.manual_retries + resumed;
            holds(outcome.attempt == counted, || {
                format!("{} counts {counted} runs of {}, which counts {}", stage.name, execution.id, outcome.attempt)
            })?;
        }
        Ok(())
    }

    /// The list of successes, from which automatic rollbacks choose, knows what the executions know.
    fn check_successes(&self, index: &PipelineIndex) -> Result<(), Broken> {
        let ours = || self.executions.values().filter(|execution| self.is_of(index, execution));
        for execution in ours().filter(|execution| execution.rollback.is_none()) {
            for (name, outcome) in execution.stages.iter().filter(|(_, of)| of.status == StageStatus::Succeeded) {
                let of_stage = self.successes.values().rev().filter(|success| success.pipeline == index.name);
                let mut of = of_stage.filter(|success| success.execution == execution.id && success.stage == *name);
                let newest = of.next();
                // An update may have taken the stage away meanwhile, which is not in this world.
                holds(newest.is_some_and(|newest| newest.revoked_by == outcome.revoked_by), || {
                    format!("the success of {} in {name} is {outcome:?}, its row {newest:?}", execution.id)
                })?;
            }
        }
        Ok(())
    }

    /// The list of holds has those that stages have.
    fn check_holds(&self, index: &PipelineIndex) -> Result<(), Broken> {
        for stage in self.stages.values().filter(|stage| stage.pipeline == index.name) {
            let listed = self.holds.get(&(stage.pipeline.clone(), stage.name.clone()));
            holds(listed.map(|listed| &listed.hold) == stage.inbound.hold.as_ref(), || {
                format!("{} is held by {:?}, listed is {listed:?}", stage.name, stage.inbound.hold)
            })?;
        }
        Ok(())
    }

    /// Every rollback was decided once.
    pub(super) fn check_decisions(&self) -> Result<(), Broken> {
        for execution in self.executions.values().filter(|execution| execution.rollback.is_some()) {
            let id = execution.id;
            let started = self.decisions.iter().filter(
                |decision| matches!(&decision.outcome, RollbackOutcome::Started { rollback, .. } if *rollback == id),
            );
            let count = started.count();
            holds(count == 1, || format!("the list of decisions has rollback {id} {count} times"))?;
        }
        Ok(())
    }
}
