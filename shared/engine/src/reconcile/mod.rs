//! What a crash, a lost event or a lost answer left behind is found here and finished.

mod effects;
mod executions;
mod watches;

use domain::LastLook;
use jiff::SignedDuration;

use crate::{
    EngineError, HasAlarms, HasFunctions, HasMachines, HasNotifications, HasObjects, HasRoles, HasStore,
    condition::look_at_waiting,
    error::FirstError,
    keep::{Probed, look_at_due},
    ports::{Precondition, Row, Store, Write},
    watch::Judged,
};

/// Rows read at a time.
const PAGE: u32 = 100;
/// An effect younger than this is most likely being performed right now.
const EFFECT_AGE_MIN: SignedDuration = SignedDuration::from_secs(10);
/// An execution younger than this has most likely not reached its state machine yet.
const EXECUTION_AGE_MIN: SignedDuration = SignedDuration::from_secs(60);

/// What was found and done.
#[derive(Debug, Clone, Default)]
pub struct Reconciled {
    /// Effects performed.
    pub effects: usize,
    /// Effects that could not be performed and stay in the outbox.
    pub effects_failed: usize,
    /// Events given up: the bus refuses them for good, or was not there for a day.
    pub events_lost: usize,
    /// Executions whose driver was dead or had never started.
    pub executions: usize,
    /// Alarms whose event was lost.
    pub judged: Vec<Judged>,
    /// Watches that had ended.
    pub watches_ended: usize,
    /// Conditions that waited and are decided.
    pub conditions: usize,
    /// Stages whose artifacts for a rollback were looked at because their day was over.
    pub stages_probed: usize,
    /// Requests to S3 for that, not counting those that marked something.
    pub probe_requests: usize,
    /// Artifacts a rollback would need and that are gone.
    pub artifacts_gone: Vec<String>,
}

/// Looks at alarms whose event was lost, redelivers effects, closes dead executions, and checks that what a rollback would
/// need is still there: what is urgent before what there may be much of, since there is a minute for all of it. Harmless to
/// run at any time, also twice at once.
///
/// What cannot be done for one pipeline keeps nothing from being done for the others. `done` tells what was, also where
/// this ends with an error.
///
/// `patient` leaves young effects and executions to those who are at work on them; after a restart nobody is.
///
/// # Errors
/// The first error, after everything was tried; what failed is found again next time. Effects that fail are no errors:
/// they are counted.
pub async fn reconcile<W>(world: &W, patient: bool, done: &mut Reconciled) -> Result<(), EngineError>
where
    W: HasStore + HasMachines + HasAlarms + HasFunctions + HasNotifications + HasObjects + HasRoles,
{
    let now = world.now();
    let before = |age: SignedDuration| if patient { now - age } else { now };
    let mut first = FirstError::default();
    let open = watches::open(world, now, done, &mut first).await;
    first.keep(watches::judge(world, &open, now, done).await);
    first.keep(effects::redeliver(world, before(EFFECT_AGE_MIN), done).await);
    first.keep(executions::look_in_turn(world, before(EXECUTION_AGE_MIN), now, done).await);
    first.keep(watches::look_ahead(world, &open, now, done).await);
    let mut probed = Probed::default();
    first.keep(look_at_due(world, now, &mut probed).await);
    (done.stages_probed, done.probe_requests) = (probed.stages, probed.requests);
    // Last, since each that looks at alarms asks CloudWatch for itself: where that does not answer, it takes long.
    first.keep(look_at_waiting(world, &mut done.conditions).await);
    // Also where something failed: that it was looked at is what is noted.
    first.keep(note(world).await);
    first.into_result()
}

/// Looks at the one execution that the state machine execution `name` drove, as [`reconcile`] does, without waiting for the minute.
///
/// What has died is closed and never started again: Step Functions takes a name once, and whoever goes on, by a retry or a rollback, has
/// another. So a machine that dies at once calls for one more look and no more.
///
/// # Errors
/// Whatever kept it from being looked at; it is found again at the next minute.
pub async fn machine_died<W>(world: &W, name: &str, done: &mut Reconciled) -> Result<(), EngineError>
where
    W: HasStore + HasMachines + HasAlarms,
{
    executions::look_at_named(world, name, done).await
}

/// Notes that everything was looked at, once in a while. Two at once note the same.
async fn note<W: HasStore>(world: &W) -> Result<(), EngineError> {
    let noted = world.store().load_last_look().await?;
    if let Some(look) = LastLook::to_note(noted, world.now()) {
        world.store().commit(vec![Write::Put(Row::LastLook(look), Precondition::None)]).await?;
    }
    Ok(())
}
