//! Conditions that wait: looked at again every minute, and ended where their execution lost its stage.

use contract::{ConditionInput, ConditionOutput};
use domain::{ActionStatus, ConditionRun, ConditionStatus, Effect, ExecutionId, LOST, RuleRun};

use super::{Asked, By, functions::jobs_over, load_run, look};
use crate::{
    EngineError, HasAlarms, HasMachines, HasObjects, HasStore,
    commit::{perform_on_machines, until_stored},
    ports::{PageRequest, Precondition, Row, Store, Write},
};

/// Rows read at a time; also the most evaluations of one execution that are looked through for those of a condition.
const PAGE: u32 = 1000;

/// An alarm changed: looks at the conditions that wait and look at it. Returns how many ended.
///
/// # Errors
/// [`EngineError::Contended`] and [`EngineError::Unavailable`]: deliver the alarm again.
pub async fn look_at_conditions<W: HasStore + HasObjects + HasAlarms + HasMachines>(
    world: &W,
    alarm_arn: &str,
) -> Result<usize, EngineError> {
    look_at_open(world, |run| run.alarms.iter().any(|alarm| alarm == alarm_arn), |_| true).await
}

/// An execution is being stopped: ends the wait of its conditions at once. What cannot be reached is found by the
/// reconciler, so a failure is none of the stop's.
pub(crate) async fn look_at_open_of<W: HasStore + HasObjects + HasAlarms + HasMachines>(
    world: &W,
    execution: ExecutionId,
) {
    if let Err(error) = look_at_open(world, |run| run.execution == execution, |_| true).await {
        drop(error);
    }
}

/// Looks at all conditions that wait. Of those whose deployment window is closed, only whether their execution is still
/// in its stage: their wait ends by itself. Returns how many ended.
///
/// # Errors
/// The first error of a service; what was not reached is looked at next time.
pub(crate) async fn look_at_waiting<W: HasStore + HasObjects + HasAlarms + HasMachines>(
    world: &W,
) -> Result<usize, EngineError> {
    let now = world.now();
    look_at_open(world, |_| true, |run| run.closed_until.is_none_or(|until| until <= now)).await
}

/// Ends those conditions that `is` true of and whose execution lost its stage, and looks at the rules of those it is
/// `worth_a_look` of. Returns how many ended.
async fn look_at_open<W: HasStore + HasObjects + HasAlarms + HasMachines>(
    world: &W,
    is: impl Fn(&ConditionRun) -> bool,
    worth_a_look: impl Fn(&ConditionRun) -> bool,
) -> Result<usize, EngineError> {
    let (mut ended, mut after) = (0, None);
    loop {
        let page = world.store().open_conditions(PageRequest { limit: PAGE, after }).await?;
        for run in page.items.iter().filter(|run| is(run)) {
            ended += usize::from(look_again(world, run, worth_a_look(run)).await?);
        }
        after = page.next;
        if after.is_none() {
            return Ok(ended);
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
        if close_lost(world, mark).await? {
            return Ok(true);
        }
        Ok(at_rules && !matches!(look(world, &asked).await?.answer, ConditionOutput::Wait { .. }))
    })
    .await
}

/// Ends a condition whose execution is not in its stage any more; `false` where it is.
async fn close_lost<W: HasStore + HasMachines>(world: &W, mark: &ConditionRun) -> Result<bool, EngineError> {
    let view = world.store().load_pipeline(&mark.pipeline).await?;
    let execution = world.store().load_execution(&mark.pipeline, mark.execution).await?;
    let stored = match (&view, &execution) {
        (Some(view), Some(execution)) => load_run(world, view, execution, &mark.stage, mark.kind).await?,
        _ => None,
    };
    // Its row, unless a later evaluation has it.
    let row = stored.filter(|row| row.rules.iter().zip(&mark.rules).all(|(row, mark)| row.id == mark.id));
    let holds = view
        .as_ref()
        .zip(execution.as_ref())
        .is_some_and(|(view, execution)| view.lets_act(execution, &mark.stage, mark.generation));
    if holds && row.is_some() {
        return Ok(false);
    }
    for token in mark.token.iter() {
        // Before the mark goes: a crash in between leaves it, and this is done again.
        let answer = Effect::AnswerCondition { token: token.to_owned(), answer: ConditionOutput::Fail };
        perform_on_machines(world, &answer).await.unwrap_or(Ok(()))?;
    }
    let mut ended = row.clone().unwrap_or_else(|| mark.clone());
    ended.end(ConditionStatus::Cancelled, LOST, None, world.now());
    let mut writes = vec![Write::Delete(Row::OpenCondition(mark.clone()))];
    if let Some(row) = row.filter(ConditionRun::is_open) {
        ended.version = row.version;
        writes.push(Write::Put(Row::Condition(ended.clone()), Precondition::Version(row.version)));
        let jobs = jobs_over(world, Some(&row), &ended).await?;
        writes.extend(jobs.into_iter().map(|job| {
            let version = job.version;
            Write::Put(Row::Job(job), Precondition::Version(version))
        }));
    }
    // A pipeline that was deleted has no history to keep right.
    if view.is_some() {
        let rules = renewed_rules(world, &ended).await?;
        writes.extend(rules.into_iter().map(|run| Write::Put(Row::RuleRun(run), Precondition::None)));
    }
    world.store().commit(writes).await?;
    Ok(true)
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
