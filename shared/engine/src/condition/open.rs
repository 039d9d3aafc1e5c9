//! Conditions that wait: looked at again every minute, and ended where their execution lost its stage or begins nothing
//! more.

use contract::{ConditionInput, ConditionOutput};
use domain::{ActionStatus, ConditionRun, Effect, Execution, ExecutionId, LOST, PipelineView, RuleRun, given_up};

use super::{Asked, By, functions::jobs_over, load_run, look, machines::stops};
use crate::{
    EngineError, HasAlarms, HasMachines, HasObjects, HasStore,
    commit::{perform_on_machines, until_stored},
    error::FirstError,
    loading::load_of,
    outbox::perform_and_forget,
    ports::{PageRequest, PendingEffect, Precondition, Row, Store, Write},
};

/// Rows read at a time; also the most evaluations of one execution that are looked through for those of a condition.
const PAGE: u32 = 1000;

/// An alarm changed: looks at the conditions that wait and look at it. Returns how many ended.
///
/// # Errors
/// The first error, after all were looked at that could be. [`EngineError::Contended`] and
/// [`EngineError::Unavailable`]: deliver the alarm again.
pub async fn look_at_conditions<W: HasStore + HasObjects + HasAlarms + HasMachines>(
    world: &W,
    alarm_arn: &str,
) -> Result<usize, EngineError> {
    let mut ended = 0;
    look_at_open(world, |run| run.alarms.iter().any(|alarm| alarm == alarm_arn), |_| true, &mut ended).await?;
    Ok(ended)
}

/// An execution is being stopped: ends the wait of its conditions at once. What cannot be reached is found by the
/// reconciler, so a failure is none of the stop's.
pub(crate) async fn look_at_open_of<W: HasStore + HasObjects + HasAlarms + HasMachines>(
    world: &W,
    execution: ExecutionId,
) {
    if let Err(error) = look_at_open(world, |run| run.execution == execution, |_| true, &mut 0).await {
        drop(error);
    }
}

/// A pipeline was updated: ends the wait of conditions of the executions that the update ends, of which `view` was read
/// before. Failures as in [`look_at_open_of`].
pub(crate) async fn look_at_outdated<W: HasStore + HasObjects + HasAlarms + HasMachines>(
    world: &W,
    view: &PipelineView,
) {
    // PARALLEL executions, whose conditions are not in the view, go on.
    for run in view.conditions.iter().filter(|run| run.is_open()) {
        drop(look_again(world, run, false).await);
    }
}

/// Looks at all conditions that wait. Of those whose deployment window is closed, only whether their execution may go on
/// in its stage: their wait ends by itself. Adds to `ended` how many ended.
///
/// # Errors
/// The first error, after all were looked at that could be.
pub(crate) async fn look_at_waiting<W: HasStore + HasObjects + HasAlarms + HasMachines>(
    world: &W,
    ended: &mut usize,
) -> Result<(), EngineError> {
    let now = world.now();
    look_at_open(world, |_| true, |run| run.closed_until.is_none_or(|until| until <= now), ended).await
}

/// Ends those conditions that `is` true of and whose execution lost its stage or begins nothing more, and looks at the
/// rules of those it is `worth_a_look` of.
async fn look_at_open<W: HasStore + HasObjects + HasAlarms + HasMachines>(
    world: &W,
    is: impl Fn(&ConditionRun) -> bool,
    worth_a_look: impl Fn(&ConditionRun) -> bool,
    ended: &mut usize,
) -> Result<(), EngineError> {
    let (mut first, mut after) = (FirstError::default(), None);
    loop {
        let page = world.store().open_conditions(PageRequest { limit: PAGE, after }).await?;
        for run in page.items.iter().filter(|run| is(run)) {
            let has_ended = first.keep(look_again(world, run, worth_a_look(run)).await);
            *ended += usize::from(has_ended == Some(true));
        }
        after = page.next;
        if after.is_none() {
            return first.into_result();
        }
    }
}

/// Whether it has ended.
pub(super) async fn look_again<W: HasStore + HasObjects + HasAlarms + HasMachines>(
    world: &W,
    mark: &ConditionRun,
    at_rules: bool,
) -> Result<bool, EngineError> {
    let input = ConditionInput {
        pipeline: mark.pipeline.clone(),
        execution_id: mark.execution,
        stage: mark.stage.clone(),
        generation: mark.generation,
        condition: mark.kind,
        attempt: mark.attempt,
        since: None,
        token: None,
    };
    let asked = Asked { input, since: Some(mark.started_at), by: By::Other };
    until_stored(async || {
        let stands = Stands::of(world, mark).await?;
        if stands.is_lost(mark) {
            close_lost(world, mark, stands).await?;
            return Ok(true);
        }
        // Whoever begins nothing more is told so, however long the window stays closed: until then it holds the stage.
        let worth_a_look = at_rules || !stands.goes_on();
        Ok(worth_a_look && !matches!(look(world, &asked).await?.answer, ConditionOutput::Wait { .. }))
    })
    .await
}

/// What there is of a condition that is marked as waiting.
struct Stands {
    view: Option<PipelineView>,
    execution: Option<Execution>,
    /// The latest evaluation, which may be another one.
    stored: Option<ConditionRun>,
}

impl Stands {
    async fn of<W: HasStore>(world: &W, mark: &ConditionRun) -> Result<Self, EngineError> {
        let view = world.store().load_pipeline(&mark.pipeline).await?;
        let execution = match &view {
            Some(view) => load_of(world, view, mark.execution).await?,
            None => None,
        };
        let stored = match (&view, &execution) {
            (Some(view), Some(execution)) => load_run(world, view, execution, &mark.stage, mark.kind).await?,
            _ => None,
        };
        Ok(Self { view, execution, stored })
    }

    /// The row of the evaluation itself, unless a later one has it.
    fn row(&self, mark: &ConditionRun) -> Option<&ConditionRun> {
        self.stored.as_ref().filter(|row| is_same(row, mark))
    }

    /// Whether its execution is not in the stage any more, or is evaluated anew.
    fn is_lost(&self, mark: &ConditionRun) -> bool {
        let both = self.view.as_ref().zip(self.execution.as_ref());
        let holds = both.is_some_and(|(view, execution)| view.lets_act(execution, &mark.stage, mark.generation));
        !holds || self.row(mark).is_none()
    }

    /// Whether its execution may begin something more.
    fn goes_on(&self) -> bool {
        let both = self.view.as_ref().zip(self.execution.as_ref());
        both.is_some_and(|(view, execution)| view.lets_begin(execution))
    }
}

/// Whether both are one evaluation, at different times.
fn is_same(row: &ConditionRun, mark: &ConditionRun) -> bool {
    row.rules.len() == mark.rules.len() && row.rules.iter().zip(&mark.rules).all(|(row, mark)| row.id == mark.id)
}

/// Ends a condition whose execution is not in its stage any more.
async fn close_lost<W: HasStore + HasMachines>(
    world: &W,
    mark: &ConditionRun,
    stands: Stands,
) -> Result<(), EngineError> {
    for token in mark.token.iter() {
        // Before the mark goes: a crash in between leaves it, and this is done again.
        let answer = Effect::AnswerCondition { token: token.to_owned(), answer: ConditionOutput::Fail };
        perform_on_machines(world, &answer).await.unwrap_or(Ok(()))?;
    }
    let before = stands.row(mark).unwrap_or(mark);
    let mut ended = before.clone();
    ended.end(given_up(stands.execution.as_ref()), LOST, None, world.now());
    let mut writes = Vec::new();
    // A later evaluation in the same execution has the mark, too.
    let is_renewed = |row: &ConditionRun| row.execution == mark.execution && row.is_open() && !is_same(row, mark);
    if !stands.stored.as_ref().is_some_and(is_renewed) {
        writes.push(Write::Delete(Row::OpenCondition(mark.clone())));
    }
    if let Some(row) = stands.row(mark).filter(|row| row.is_open()) {
        writes.push(Write::Put(Row::Condition(ended.clone()), Precondition::Version(row.version)));
    }
    // Also of an evaluation whose row is another's by now: nobody else knows of them.
    let jobs = jobs_over(world, Some(before), &ended).await?;
    let stops: Vec<Effect> = stops(&jobs).collect();
    let since = world.now();
    let pending = stops.iter().cloned().map(|effect| Row::Effect(PendingEffect { since, effect }));
    writes.extend(pending.map(|row| Write::Put(row, Precondition::None)));
    writes.extend(jobs.into_iter().map(|job| {
        let version = job.version;
        Write::Put(Row::Job(job), Precondition::Version(version))
    }));
    // A pipeline that was deleted has no history to keep right.
    if stands.view.is_some() {
        let rules = renewed_rules(world, &ended).await?;
        writes.extend(rules.into_iter().map(|run| Write::Put(Row::RuleRun(run), Precondition::None)));
    }
    world.store().commit(writes).await?;
    for stop in &stops {
        perform_and_forget(world, stop).await;
    }
    Ok(())
}

/// The history of those rules of `run` that it shows as running, as they are now.
pub(super) async fn renewed_rules<W: HasStore>(world: &W, run: &ConditionRun) -> Result<Vec<RuleRun>, EngineError> {
    let page = PageRequest { limit: PAGE, after: None };
    let runs = world.store().list_rule_runs(&run.pipeline, Some(run.execution), page).await?.items;
    let running = runs.into_iter().filter(|run| run.state.status == ActionStatus::InProgress);
    let renewed = running.filter_map(|of| {
        let state = run.rules.iter().find(|rule| rule.id == of.state.id)?.clone();
        Some(RuleRun { state, ..of })
    });
    Ok(renewed.collect())
}
