//! The outbox: effects that were stored with the decision they follow from, performed after it and then forgotten. What
//! fails stays there for the reconciler.

use domain::{Effect, Event, PipelineName};
use futures::future::join;

use crate::{
    HasEvents, HasMachines, HasStore,
    actions::{abandon_runs, start_machine, stop_machine},
    commit::perform_on_machines,
    ports::{CloudError, Events, Store},
    sight,
};

/// Performs those of `effects` that need no more than the table, the state machines and the bus, and takes them out of
/// the outbox in one request. Whether all were performed.
///
/// Nobody waits for the bus but this caller, and no longer than the adapter is patient: what goes on by the other
/// effects is going on meanwhile.
pub(crate) async fn perform_all<W: HasStore + HasMachines>(world: &W, effects: &[Effect]) -> bool {
    let (telling, acting): (Vec<&Effect>, Vec<&Effect>) =
        effects.iter().partition(|effect| matches!(effect, Effect::PublishEvents { .. }));
    let (mut done, told) = join(perform_each(world, &acting), perform_each(world, &telling)).await;
    done.extend(told);
    forget_all(world, &done).await;
    done.len() == effects.len()
}

/// What is left of the effects of a decision when what others wait for is done: telling what happened. Whoever has it
/// goes on with its work meanwhile; if it dies, the reconciler tells.
#[derive(Default)]
#[must_use]
pub(crate) struct Untold {
    telling: Vec<Effect>,
    done: Vec<Effect>,
}

impl Untold {
    /// Performs all of `effects` but telling.
    pub(crate) async fn after<W: HasStore + HasMachines>(world: &W, effects: &[Effect]) -> Self {
        let (telling, acting): (Vec<&Effect>, Vec<&Effect>) =
            effects.iter().partition(|effect| matches!(effect, Effect::PublishEvents { .. }));
        let done = perform_each(world, &acting).await;
        Self { telling: telling.into_iter().cloned().collect(), done }
    }

    /// Tells what happened, and takes all that was performed out of the outbox in one request.
    pub(crate) async fn tell<W: HasStore + HasEvents>(mut self, world: &W) {
        for effect in std::mem::take(&mut self.telling) {
            let Effect::PublishEvents { pipeline, events } = &effect else { continue };
            if publish(world, pipeline, events).await.is_ok() {
                self.done.push(effect);
            } else {
                sight::left(&effect);
            }
        }
        forget_all(world, &self.done).await;
    }
}

/// Performs an effect and takes it out of the outbox, where it stays if that fails. Whether it was performed.
pub(crate) async fn perform_and_forget<W: HasStore + HasMachines>(world: &W, effect: &Effect) -> bool {
    Box::pin(perform_all(world, std::slice::from_ref(effect))).await
}

/// What became of an effect here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tried {
    Done,
    /// It could not be performed, and stays for the reconciler.
    Failed,
    /// It stays as it should: what it takes is not at hand here, and whoever stored it or the reconciler sees to it.
    NotHere,
}

/// Performs effects one after another; returns those that are done.
async fn perform_each<W: HasStore + HasMachines>(world: &W, effects: &[&Effect]) -> Vec<Effect> {
    let mut done = Vec::with_capacity(effects.len());
    for effect in effects {
        match perform(world, effect).await {
            Tried::Done => done.push((*effect).clone()),
            Tried::Failed => sight::left(effect),
            Tried::NotHere => {}
        }
    }
    done
}

async fn perform<W: HasStore + HasMachines>(world: &W, effect: &Effect) -> Tried {
    let is_done = match effect {
        Effect::AbandonRuns { pipeline, execution, .. } => abandon_runs(world, pipeline, *execution).await.is_ok(),
        Effect::PublishEvents { pipeline, events } => publish(world, pipeline, events).await.is_ok(),
        Effect::StopAction { job } => stop_machine(world, *job).await.is_ok(),
        Effect::DriveAction { job } => {
            // Whether it starts now or not, the reconciler looks after it as long as the job is open.
            drop(start_machine(world, *job).await);
            return Tried::NotHere;
        }
        effect => match perform_on_machines(world, effect).await {
            Some(outcome) => outcome.is_ok(),
            None => return Tried::NotHere,
        },
    };
    if is_done { Tried::Done } else { Tried::Failed }
}

/// Takes an effect out of the outbox if it was performed, by whoever has what that takes; else it stays, and that is
/// told. Whether it was performed.
pub(crate) async fn forget_or_leave<W: HasStore>(world: &W, effect: &Effect, is_done: bool) -> bool {
    if is_done {
        forget(world, effect).await;
    } else {
        sight::left(effect);
    }
    is_done
}

/// Takes an effect out of the outbox that cannot be performed, and tells that it was not.
pub(crate) async fn give_up<W: HasStore>(world: &W, effect: &Effect) {
    sight::left(effect);
    remove(world, std::slice::from_ref(effect)).await;
}

/// Tells what happened.
pub(crate) async fn publish<W: HasEvents>(
    world: &W,
    pipeline: &PipelineName,
    events: &[Event],
) -> Result<(), CloudError> {
    let arn = world.settings().pipeline_arn(pipeline.as_str());
    world.events().publish(&arn, events).await
}

/// Tells what happened as far as the bus takes it: one event that it refuses for good must not keep the others from being
/// told. Returns how many it refuses, which are lost.
pub(crate) async fn publish_what_is_taken<W: HasEvents>(
    world: &W,
    pipeline: &PipelineName,
    events: &[Event],
) -> Result<usize, CloudError> {
    match publish(world, pipeline, events).await {
        Err(CloudError::Refused(_)) => {}
        other => return other.map(|()| 0),
    }
    let mut refused = 0;
    for event in events {
        match publish(world, pipeline, std::slice::from_ref(event)).await {
            Err(CloudError::Refused(_)) => refused += 1,
            other => other?,
        }
    }
    Ok(refused)
}

/// Takes a performed effect out of the outbox. Where that fails it is performed once more, which changes nothing.
pub(crate) async fn forget<W: HasStore>(world: &W, effect: &Effect) {
    forget_all(world, std::slice::from_ref(effect)).await;
}

async fn forget_all<W: HasStore>(world: &W, effects: &[Effect]) {
    if effects.is_empty() {
        return;
    }
    effects.iter().for_each(sight::performed);
    remove(world, effects).await;
}

async fn remove<W: HasStore>(world: &W, effects: &[Effect]) {
    if let Err(error) = world.store().forget_effects(effects).await {
        drop(error);
    }
}
