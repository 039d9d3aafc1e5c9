//! What is true of each change of a row.

use domain::{ActionStatus, Execution, Phase, StageState};
use engine::ports::Row;
use store::Change;

use super::{Broken, Checker, holds};

impl Checker {
    /// What is true of one change.
    pub(super) fn check_step(&self, change: &Change) -> Result<(), Broken> {
        match (&change.before, &change.after) {
            (Some(Row::Stage(before)), Some(Row::Stage(after))) => check_stage(before, after),
            (None, Some(Row::Stage(after))) => {
                check_stage(&StageState::new(after.pipeline.clone(), after.name.clone()), after)
            }
            (Some(Row::Execution(before)), Some(Row::Execution(after))) => self.check_execution(before, after),
            (None, Some(Row::Execution(after))) => self.check_start(after),
            (Some(Row::ActionRun(before)), Some(Row::ActionRun(after))) => {
                let has_ended = before.status != ActionStatus::InProgress;
                holds(!has_ended || before.status == after.status, || {
                    format!("the run {} of {} went on after its end", before.id, before.action)
                })
            }
            (Some(Row::Job(before)), Some(Row::Job(after))) => {
                holds(!before.status.is_ended() || before.status == after.status, || {
                    format!("job {} went on after its end", before.id)
                })
            }
            _ => Ok(()),
        }
    }

    fn check_execution(&self, before: &Execution, after: &Execution) -> Result<(), Broken> {
        let id = before.id;
        let could_be_retried = matches!(before.phase, Phase::Failed { .. } | Phase::Stopped);
        let is_retried = could_be_retried && before.attempt < after.attempt;
        holds(!before.phase.is_ended() || before.phase == after.phase || is_retried, || {
            format!("execution {id} came back from its end: {:?} to {:?}", before.phase, after.phase)
        })?;
        if is_retried && let Phase::Running { stage } = &after.phase {
            let state = self.stages.get(&(after.pipeline.clone(), stage.clone()));
            let is_latest = state.and_then(|state| state.latest.as_ref()).is_some_and(|latest| latest.execution == id);
            let is_parallel = after.mode == domain::ExecutionMode::Parallel;
            holds(is_latest || is_parallel, || format!("execution {id} was retried where another came after it"))?;
        }
        for (name, outcome) in before.stages.iter().filter(|(_, outcome)| outcome.revoked_by.is_some()) {
            let now = after.stages.get(name).and_then(|outcome| outcome.revoked_by);
            let runs_again = after.stages.get(name).is_some_and(|now| now.attempt != outcome.attempt);
            holds(now == outcome.revoked_by || runs_again, || {
                format!("execution {id} is not taken back any more in {name}")
            })?;
        }
        Ok(())
    }

    fn check_start(&self, execution: &Execution) -> Result<(), Broken> {
        let is_new = matches!(execution.phase, Phase::Starting);
        holds(is_new, || format!("execution {} begins as {:?}", execution.id, execution.phase))?;
        self.check_rollback(execution)
    }
}

/// The right to act on a stage never falls back, and never changes hands unseen.
fn check_stage(before: &StageState, after: &StageState) -> Result<(), Broken> {
    let name = &before.name;
    holds(before.generation <= after.generation, || format!("the generation of {name} fell"))?;
    let (was, is) = (before.occupant.as_ref(), after.occupant.as_ref());
    let changed_hands = is.is_some_and(|is| was.is_none_or(|was| was.execution != is.execution));
    holds(!changed_hands || before.generation < after.generation, || {
        format!("{name} changed hands without a new generation")
    })?;
    holds(before.arrivals <= after.arrivals, || format!("arrivals at {name} fell"))
}
