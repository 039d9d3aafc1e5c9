//! Executions that nobody drives any more.

use domain::{Effect, LOOKS_MAX, StageName, is_turn_of};
use jiff::Timestamp;

use super::{PAGE, Reconciled};
use crate::{
    EngineError, HasAlarms, HasMachines, HasStore, alarms, commit,
    commit::{reread, until_stored},
    error::FirstError,
    gate::{load_into, load_waiting},
    outbox::perform_and_forget,
    ports::{Machine, MachineStatus, Machines, OpenExecution, PageRequest, Row, Store, Write},
};

/// Looks at the executions that began before `until` and have not ended, of many at those whose turn it is at `now`: each is a
/// request to Step Functions, which takes only so many a second, and this has a minute for everything. Of a machine that dies
/// an event tells at once.
///
/// # Errors
/// The first error, after all were looked at that could be.
pub(super) async fn look_in_turn<W>(
    world: &W,
    until: Timestamp,
    now: Timestamp,
    done: &mut Reconciled,
) -> Result<(), EngineError>
where
    W: HasStore + HasMachines + HasAlarms,
{
    let mut first = FirstError::default();
    let (mut count, mut after) = (0, None);
    let mut due: Vec<OpenExecution> = Vec::new();
    loop {
        let page = world.store().open_executions(PageRequest { limit: PAGE, after }).await;
        // Where the table does not tell of all, those are looked at that it told of.
        let Some(page) = first.keep(page.map_err(EngineError::from)) else { break };
        let known = due.len();
        due.extend(page.items.into_iter().filter(|open| open.started_at <= until));
        count += due.len() - known;
        due.retain(|open| is_turn_of(open.execution, count, now));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    for open in due.iter().take(LOOKS_MAX) {
        first.keep(look_at(world, open, done).await);
    }
    first.into_result()
}

/// Looks at the one that the state machine execution `name` drives, if it has not ended: nothing is done where nobody knows the name.
///
/// # Errors
/// What kept it from being looked at.
pub(super) async fn look_at_named<W>(world: &W, name: &str, done: &mut Reconciled) -> Result<(), EngineError>
where
    W: HasStore + HasMachines + HasAlarms,
{
    let mut after = None;
    loop {
        let page = world.store().open_executions(PageRequest { limit: PAGE, after }).await?;
        if let Some(open) = page.items.iter().find(|open| open.machine_name == name) {
            return look_at(world, open, done).await;
        }
        after = page.next;
        if after.is_none() {
            return Ok(());
        }
    }
}

async fn look_at<W: HasStore + HasMachines + HasAlarms>(
    world: &W,
    open: &OpenExecution,
    done: &mut Reconciled,
) -> Result<(), EngineError> {
    match world.machines().status(Machine::PipelineExecution, &open.machine_name).await? {
        Some(MachineStatus::Running) => return Ok(()),
        None => {
            let effect = Effect::StartMachine {
                pipeline: open.pipeline.clone(),
                execution: open.execution,
                name: open.machine_name.clone(),
            };
            if perform_and_forget(world, &effect).await {
                done.executions += 1;
            } else {
                done.effects_failed += 1;
            }
            return Ok(());
        }
        Some(MachineStatus::Succeeded | MachineStatus::Dead) => {}
    }
    done.executions += usize::from(until_stored(async || close(world, open).await).await?);
    Ok(())
}

/// Whether something was wrong with it.
async fn close<W: HasStore + HasMachines + HasAlarms>(world: &W, open: &OpenExecution) -> Result<bool, EngineError> {
    let stale_mark = || async {
        world.store().commit(vec![Write::Delete(Row::OpenExecution(open.clone()))]).await?;
        Ok(true)
    };
    let Some(mut view) = world.store().load_pipeline(&open.pipeline).await? else {
        return stale_mark().await;
    };
    let stages: Vec<StageName> = view.index.stages.iter().map(|stage| stage.name.clone()).collect();
    let mut executions = load_waiting(world, &mut view, stages.iter()).await?;
    load_into(world, &view, open.execution, &mut executions).await?;
    match executions.get(&open.execution) {
        Some(execution) if !execution.phase.is_ended() && execution.machine_name() == open.machine_name => {}
        Some(execution) if !execution.phase.is_ended() => return Ok(false),
        _ => return stale_mark().await,
    }
    let why = "The state machine execution that drove this execution ended before it. Start the release again.";
    let alarms = alarms::snapshot(world, view.index.stages.iter()).await;
    let changes = domain::close_dead(&view, &executions, open.execution, why, &alarms, world.now()).map_err(reread)?;
    commit(world, &open.pipeline, changes).await?;
    Ok(true)
}
