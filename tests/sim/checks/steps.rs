//! What is true of each change of a row.

use domain::{ActionRun, ActionStatus, Effect, Execution, ExecutionMode, Job, JobStatus, Phase, StageState};
use engine::ports::Row;
use jiff::SignedDuration;
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
            (Some(Row::ActionRun(before)), Some(Row::ActionRun(after))) => self.check_run(before, after),
            (None, Some(Row::ActionRun(after))) => self.check_begin(after),
            (Some(Row::Job(before)), Some(Row::Job(after))) => check_job(before, after),
            (before, Some(Row::Condition(after))) => {
                let before = match before {
                    Some(Row::Condition(before)) => Some(before),
                    _ => None,
                };
                self.check_condition(before, after)
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
            let is_parallel = after.mode == ExecutionMode::Parallel;
            holds(is_latest || is_parallel, || format!("execution {id} was retried where another came after it"))?;
        }
        for (name, outcome) in before.stages.iter().filter(|(_, outcome)| outcome.revoked_by.is_some()) {
            let now = after.stages.get(name).and_then(|outcome| outcome.revoked_by);
            let runs_again = after.stages.get(name).is_some_and(|now| now.attempt != outcome.attempt);
            holds(now == outcome.revoked_by || runs_again, || {
                format!("execution {id} is not taken back any more in {name}")
            })?;
        }
        self.check_version(before, after)?;
        self.check_let_out(before, after)
    }

    /// Whoever goes into a stage does there what the version says that it began in, whatever updates came since.
    fn check_version(&self, before: &Execution, after: &Execution) -> Result<(), Broken> {
        let Some(created_at) = self.belongs.get(&after.id) else { return Ok(()) };
        for (name, outcome) in after.stages.iter().filter(|(name, _)| !before.stages.contains_key(*name)) {
            let key = (after.pipeline.clone(), *created_at, after.pipeline_version, name.clone());
            let declared = self.declared.get(&key);
            holds(declared == Some(&outcome.fingerprint), || {
                format!("{} does something else in {name} than version {} says", after.id, after.pipeline_version)
            })?;
        }
        Ok(())
    }

    /// Whoever begins an action is inside its stage and has the right to act there.
    fn check_begin(&self, run: &ActionRun) -> Result<(), Broken> {
        holds(!self.runs.contains_key(&run.id), || format!("run {} of {} begins twice", run.id, run.action))?;
        self.check_right(run, "begins")?;
        let Some(execution) = self.executions.get(&run.execution) else { return Ok(()) };
        let is_running = execution.phase == Phase::Running { stage: run.stage.clone() };
        holds(is_running, || format!("run {} of {} begins in {:?}", run.id, run.action, execution.phase))?;
        self.check_let_in(run, execution)
    }

    fn check_run(&self, before: &ActionRun, after: &ActionRun) -> Result<(), Broken> {
        let has_ended = before.status != ActionStatus::InProgress;
        holds(!has_ended || before.status == after.status, || {
            format!("the run {} of {} went on after its end", before.id, before.action)
        })?;
        if has_ended || after.status == ActionStatus::Abandoned {
            return Ok(());
        }
        self.check_right(after, "goes on")
    }

    /// What a holder does who was fenced does not count.
    fn check_right(&self, run: &ActionRun, does: &str) -> Result<(), Broken> {
        let what = || format!("run {} of {} {does}", run.id, run.action);
        let Some(execution) = self.executions.get(&run.execution) else {
            return Err(format!("{} in an execution that is not there", what()));
        };
        // A PARALLEL execution has no lock: it loses its runs by the effect that ends them, after whatever was decided before.
        let abandon = Effect::AbandonRuns {
            pipeline: execution.pipeline.clone(),
            execution: execution.id,
            attempt: execution.attempt,
        };
        if execution.mode == ExecutionMode::Parallel && does == "goes on" && self.effects.contains_key(&abandon.id()) {
            return Ok(());
        }
        let (Phase::Running { stage: at } | Phase::Stopping { stage: at }) = &execution.phase else {
            return Err(format!("{} in {:?}", what(), execution.phase));
        };
        holds(*at == run.stage, || format!("{} in another stage than its execution", what()))?;
        if execution.mode == ExecutionMode::Parallel {
            return holds(run.generation.0 == u64::from(execution.attempt), || {
                format!("{} for an earlier retry", what())
            });
        }
        let is_held = self.has_stage(&run.pipeline, &run.stage, run.execution, run.generation);
        holds(is_held, || format!("{} after it lost {}", what(), run.stage))
    }

    fn check_start(&self, execution: &Execution) -> Result<(), Broken> {
        // A queue begins with the start, whenever the state machine asks.
        let queues = execution.mode == ExecutionMode::Queued && execution.rollback.is_none();
        let is_new = match execution.phase {
            Phase::Starting => !queues,
            Phase::Waiting { .. } | Phase::Running { .. } => queues,
            _ => false,
        };
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

/// A job goes one way, and to one worker at a time.
fn check_job(before: &Job, after: &Job) -> Result<(), Broken> {
    use JobStatus as S;
    let id = before.id;
    let ends = matches!(after.status, S::Succeeded | S::Failed | S::TimedOut);
    let goes = match before.status {
        S::Created => after.status == S::Created || ends,
        S::Queued => matches!(after.status, S::Queued | S::Dispatched | S::TimedOut),
        S::Dispatched => matches!(after.status, S::Dispatched | S::InProgress | S::TimedOut),
        S::InProgress => after.status == S::InProgress || ends,
        S::Succeeded | S::Failed | S::TimedOut => before.status == after.status,
    };
    holds(goes, || format!("job {id} went from {:?} to {:?}", before.status, after.status))?;
    let (Some(was), Some(is)) = (before.held_until, after.held_until) else { return Ok(()) };
    // Whoever is given it next holds it as long as whoever had it before, from when that one's time was over.
    let passed_on = before.nonce != after.nonce;
    holds(!passed_on || is >= was + HELD, || format!("job {id} was given away while somebody had it"))
}

/// How long a worker that was given a job may take to say that it has it.
const HELD: SignedDuration = SignedDuration::from_secs(30);
