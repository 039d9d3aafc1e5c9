//! What a crash, a lost event or a lost answer left behind is found here and finished.

use domain::{AlarmState, Effect, ExecutionId, PipelineName, Watch};
use jiff::{SignedDuration, Timestamp};

use crate::{
    EngineError, HasAlarms, HasEvents, HasFunctions, HasMachines, HasNotifications, HasObjects, HasRoles, HasStore,
    actions::{let_go, look_after},
    alarms, commit,
    commit::{reread, until_stored},
    condition::look_at_waiting,
    gate::{load_into, load_waiting},
    jobs::{invoke_and_forget, notify_and_forget},
    outbox::{forget, perform_and_forget, publish},
    pipelines::cancel_and_forget,
    ports::{
        Alarms, CloudError, Machine, MachineStatus, Machines, OpenExecution, PageRequest, PendingEffect, Row, Store,
        Write,
    },
    watch::{Judged, alarm_changed},
};

/// Rows read at a time.
const PAGE: u32 = 100;
/// An effect younger than this is most likely being performed right now.
const EFFECT_AGE_MIN: SignedDuration = SignedDuration::from_secs(10);
/// An execution younger than this has most likely not reached its state machine yet.
const EXECUTION_AGE_MIN: SignedDuration = SignedDuration::from_secs(60);
/// Parts of a deleted pipeline's history removed by one run, so that other work is not kept waiting.
const PURGES_MAX: usize = 100;
/// Events that could not be published for so long are given up, as EventBridge gives up what it cannot deliver.
const EVENTS_KEPT: SignedDuration = SignedDuration::from_hours(24);
/// How long a watch that has ended is kept for alarm events that come late.
const WATCH_GRACE: SignedDuration = SignedDuration::from_mins(15);

/// What was found and done.
#[derive(Debug, Clone, Default)]
pub struct Reconciled {
    /// Effects performed.
    pub effects: usize,
    /// Events given up: the bus would not take them, or was not there for a day.
    pub events_lost: usize,
    /// Executions whose driver was dead or had never started.
    pub executions: usize,
    /// Alarms whose event was lost.
    pub judged: Vec<Judged>,
    /// Watches that had ended.
    pub watches_ended: usize,
    /// Conditions that waited and are decided.
    pub conditions: usize,
    /// Artifacts a rollback would need and that are gone.
    pub artifacts_gone: Vec<String>,
}

/// Redelivers effects, closes dead executions, looks at alarms whose event was lost, and checks that what a rollback
/// would need is still there. Harmless to run at any time, also twice at once.
///
/// `patient` leaves young effects and executions to those who are at work on them; after a restart nobody is.
///
/// # Errors
/// The first error of a service; what was not reached is found again next time.
pub async fn reconcile<W>(world: &W, patient: bool) -> Result<Reconciled, EngineError>
where
    W: HasStore + HasMachines + HasAlarms + HasFunctions + HasNotifications + HasObjects + HasRoles,
{
    let now = world.now();
    let mut done = Reconciled::default();
    redeliver(world, if patient { now - EFFECT_AGE_MIN } else { now }, &mut done).await?;
    look_at_watches(world, now, &mut done).await?;
    done.conditions = look_at_waiting(world).await?;
    look_at_executions(world, if patient { now - EXECUTION_AGE_MIN } else { now }, &mut done).await?;
    Ok(done)
}

async fn redeliver<W>(world: &W, until: Timestamp, done: &mut Reconciled) -> Result<(), EngineError>
where
    W: HasStore + HasMachines + HasAlarms + HasFunctions + HasNotifications + HasRoles,
{
    let (mut after, mut bus_is_away) = (None, false);
    loop {
        let page = world.store().pending_effects(PageRequest { limit: PAGE, after }).await?;
        for pending in page.items.iter().filter(|pending| pending.since <= until) {
            match &pending.effect {
                Effect::CancelWaiting { .. } => cancel_and_forget(world, &pending.effect).await,
                Effect::InvokeJob { .. } => invoke_and_forget(world, &pending.effect).await,
                Effect::NotifyApproval { .. } => notify_and_forget(world, &pending.effect).await,
                Effect::PublishEvents { .. } => {
                    let told = !bus_is_away && tell(world, pending, &mut bus_is_away).await;
                    if !told {
                        give_up_old(world, pending, until, done).await;
                        continue;
                    }
                }
                Effect::PurgeHistory { pipeline, before } => {
                    if purge(world, pipeline, *before).await? {
                        forget(world, &pending.effect).await;
                    }
                }
                Effect::DriveAction { job } => {
                    // What goes on as it should is no work done; what cannot be seen now is looked at again.
                    if !look_after(world, *job).await.unwrap_or(false) {
                        continue;
                    }
                    forget(world, &pending.effect).await;
                }
                effect => perform_and_forget(world, effect).await,
            }
            done.effects += 1;
        }
        after = page.next;
        if after.is_none() {
            return Ok(());
        }
    }
}

/// Whether the bus took the events. One that is away is not asked again for the rest of a look.
async fn tell<W: HasStore + HasEvents>(world: &W, pending: &PendingEffect, bus_is_away: &mut bool) -> bool {
    let Effect::PublishEvents { pipeline, events } = &pending.effect else {
        return false;
    };
    match publish(world, pipeline, events).await {
        Ok(()) => {
            forget(world, &pending.effect).await;
            true
        }
        Err(why) => {
            *bus_is_away = !matches!(why, CloudError::Refused(_));
            false
        }
    }
}

async fn give_up_old<W: HasStore>(world: &W, pending: &PendingEffect, until: Timestamp, done: &mut Reconciled) {
    if let Effect::PublishEvents { events, .. } = &pending.effect
        && pending.since + EVENTS_KEPT < until
    {
        forget(world, &pending.effect).await;
        done.events_lost += events.len();
    }
}

/// Whether nothing of a deleted pipeline's history is left.
async fn purge<W: HasStore + HasMachines>(
    world: &W,
    pipeline: &PipelineName,
    before: ExecutionId,
) -> Result<bool, EngineError> {
    let_go(world, pipeline, before).await?;
    for _ in 0..PURGES_MAX {
        if world.store().purge_history(pipeline, before).await? {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn look_at_watches<W>(world: &W, now: Timestamp, done: &mut Reconciled) -> Result<(), EngineError>
where
    W: HasStore + HasMachines + HasAlarms + HasObjects,
{
    let mut open: Vec<Watch> = Vec::new();
    let mut after = None;
    loop {
        let page = world.store().open_watches(PageRequest { limit: PAGE, after }).await?;
        for watch in page.items {
            if watch.until + WATCH_GRACE < now {
                end_watch(world, watch).await?;
                done.watches_ended += 1;
            } else {
                open.push(watch);
            }
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let mut arns: Vec<String> = open.iter().map(|watch| watch.alarm_arn.clone()).collect();
    arns.sort();
    arns.dedup();
    if arns.is_empty() {
        return Ok(());
    }
    for alarm in world.alarms().describe(&arns).await? {
        if alarm.state == AlarmState::Alarm {
            done.judged.extend(alarm_changed(world, &alarm).await?);
        }
    }
    look_for_artifacts(world, &open, done).await
}

/// A newer deploy's watch of the same alarm may have replaced the row: only the list entry is this watch's own.
async fn end_watch<W: HasStore>(world: &W, watch: Watch) -> Result<(), EngineError> {
    let current = world.store().watches_of(&watch.alarm_arn).await?;
    let mut writes = vec![Write::Delete(Row::OpenWatch(watch.clone()))];
    if current.contains(&watch) {
        writes.push(Write::Delete(Row::Watch(watch)));
    }
    Ok(world.store().commit(writes).await?)
}

/// While a deploy is watched, its way back has to be open.
async fn look_for_artifacts<W: HasStore + HasObjects>(
    world: &W,
    open: &[Watch],
    done: &mut Reconciled,
) -> Result<(), EngineError> {
    for watch in open {
        let Some(view) = world.store().load_pipeline(&watch.pipeline).await? else {
            continue;
        };
        let Some((_, stage)) = view.index.stage(&watch.stage) else {
            continue;
        };
        if let Err(why) = crate::rollback::choose_target(world, &view, stage, watch.execution).await? {
            done.artifacts_gone.push(format!("pipeline {} stage {}: {why}", watch.pipeline, watch.stage));
        }
    }
    Ok(())
}

async fn look_at_executions<W>(world: &W, until: Timestamp, done: &mut Reconciled) -> Result<(), EngineError>
where
    W: HasStore + HasMachines + HasAlarms,
{
    let mut after = None;
    loop {
        let page = world.store().open_executions(PageRequest { limit: PAGE, after }).await?;
        for open in page.items.iter().filter(|open| open.started_at <= until) {
            if look_at_execution(world, open).await? {
                done.executions += 1;
            }
        }
        after = page.next;
        if after.is_none() {
            return Ok(());
        }
    }
}

/// Whether something was wrong with it.
async fn look_at_execution<W: HasStore + HasMachines + HasAlarms>(
    world: &W,
    open: &OpenExecution,
) -> Result<bool, EngineError> {
    match world.machines().status(Machine::PipelineExecution, &open.machine_name).await? {
        Some(MachineStatus::Running) => return Ok(false),
        None => {
            let effect = Effect::StartMachine {
                pipeline: open.pipeline.clone(),
                execution: open.execution,
                name: open.machine_name.clone(),
            };
            perform_and_forget(world, &effect).await;
            return Ok(true);
        }
        Some(MachineStatus::Succeeded | MachineStatus::Dead) => {}
    }
    until_stored(async || close(world, open).await).await
}

async fn close<W: HasStore + HasMachines + HasAlarms>(world: &W, open: &OpenExecution) -> Result<bool, EngineError> {
    let stale_mark = || async {
        world.store().commit(vec![Write::Delete(Row::OpenExecution(open.clone()))]).await?;
        Ok(true)
    };
    let Some(view) = world.store().load_pipeline(&open.pipeline).await? else {
        return stale_mark().await;
    };
    let mut executions = load_waiting(world, &view, view.index.stages.iter().map(|stage| &stage.name)).await?;
    load_into(world, &open.pipeline, open.execution, &mut executions).await?;
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
