//! Effects that nobody performed after their commit.

use domain::{Effect, Event, PipelineName};
use jiff::{SignedDuration, Timestamp};

use super::{PAGE, Reconciled};
use crate::{
    EngineError, HasAlarms, HasEvents, HasFunctions, HasMachines, HasNotifications, HasObjects, HasRoles, HasStore,
    actions::look_after,
    deletion::Deleted,
    jobs::{invoke_and_forget, notify_and_forget},
    keep::keep_and_forget,
    outbox::{forget, perform_and_forget, publish_what_is_taken},
    pipelines::cancel_and_forget,
    ports::{PageRequest, PendingEffect, Store},
    revoked::admit_and_forget,
};

/// Parts of a deleted pipeline's history removed by one run, so that other work is not kept waiting.
const PURGES_MAX: usize = 100;
/// Events that could not be published for so long are given up, as EventBridge gives up what it cannot deliver.
const EVENTS_KEPT: SignedDuration = SignedDuration::from_hours(24);

/// What became of an effect.
enum Became {
    Performed,
    /// It could not be performed now.
    Failed,
    /// It stays, and is as it should be.
    GoesOn,
}

impl Became {
    fn of(performed: bool) -> Self {
        if performed { Self::Performed } else { Self::Failed }
    }
}

/// Performs the effects that are as old as `until`. One that fails stays in the outbox and keeps no other waiting.
///
/// # Errors
/// The outbox cannot be read.
pub(super) async fn redeliver<W>(world: &W, until: Timestamp, done: &mut Reconciled) -> Result<(), EngineError>
where
    W: HasStore + HasMachines + HasAlarms + HasFunctions + HasNotifications + HasObjects + HasRoles,
{
    let (mut after, mut bus_is_away) = (None, false);
    loop {
        let page = world.store().pending_effects(PageRequest { limit: PAGE, after }).await?;
        for pending in page.items.iter().filter(|pending| pending.since <= until) {
            let became = match &pending.effect {
                Effect::PublishEvents { pipeline, events } => {
                    let told = Told { pending, pipeline, events };
                    told.again(world, until, &mut bus_is_away, done).await
                }
                effect => perform(world, effect).await,
            };
            match became {
                Became::Performed => done.effects += 1,
                Became::Failed => done.effects_failed += 1,
                Became::GoesOn => {}
            }
        }
        after = page.next;
        if after.is_none() {
            return Ok(());
        }
    }
}

async fn perform<W>(world: &W, effect: &Effect) -> Became
where
    W: HasStore + HasMachines + HasAlarms + HasFunctions + HasNotifications + HasObjects + HasRoles,
{
    let performed = match effect {
        Effect::AdmitWaiting { .. } => admit_and_forget(world, effect).await,
        Effect::CancelWaiting { .. } => cancel_and_forget(world, effect).await,
        Effect::InvokeJob { .. } => invoke_and_forget(world, effect).await,
        Effect::NotifyApproval { .. } => notify_and_forget(world, effect).await,
        Effect::KeepArtifacts { .. } => keep_and_forget(world, effect).await,
        Effect::PurgeHistory { pipeline, created_at, versions, before } => {
            let deleted =
                Deleted { pipeline: pipeline.clone(), created_at: *created_at, versions: *versions, before: *before };
            return came_to(world, effect, deleted.purge(world, PURGES_MAX).await).await;
        }
        Effect::DriveAction { job } => return came_to(world, effect, look_after(world, *job).await).await,
        effect => perform_and_forget(world, effect).await,
    };
    Became::of(performed)
}

/// An effect that takes more than one look: it is forgotten once it `is_over`.
async fn came_to<W: HasStore>(world: &W, effect: &Effect, is_over: Result<bool, EngineError>) -> Became {
    match is_over {
        Ok(true) => {
            forget(world, effect).await;
            Became::Performed
        }
        Ok(false) => Became::GoesOn,
        Err(error) => {
            drop(error);
            Became::Failed
        }
    }
}

/// Events that were not published.
struct Told<'a> {
    pending: &'a PendingEffect,
    pipeline: &'a PipelineName,
    events: &'a [Event],
}

impl Told<'_> {
    /// Tells them. A bus that is away is not asked again for the rest of a look.
    async fn again<W: HasStore + HasEvents>(
        &self,
        world: &W,
        until: Timestamp,
        bus_is_away: &mut bool,
        done: &mut Reconciled,
    ) -> Became {
        if !*bus_is_away {
            match publish_what_is_taken(world, self.pipeline, self.events).await {
                Ok(refused) => {
                    done.events_lost += refused;
                    forget(world, &self.pending.effect).await;
                    return Became::Performed;
                }
                Err(_) => *bus_is_away = true,
            }
        }
        if self.pending.since + EVENTS_KEPT < until {
            done.events_lost += self.events.len();
            forget(world, &self.pending.effect).await;
            return Became::GoesOn;
        }
        Became::Failed
    }
}
