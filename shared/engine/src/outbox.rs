//! The outbox: effects that were stored with the decision they follow from, performed after it and then forgotten. What
//! fails stays there for the reconciler.

use domain::{Effect, Event, PipelineName};
use futures::future::join;

use crate::{
    HasEvents, HasMachines, HasStore,
    actions::{abandon_runs, start_machine, stop_machine},
    commit::perform_on_machines,
    ports::{CloudError, Events, Store},
};

/// Performs those of `effects` that need no more than the table, the state machines and the bus, and takes them out of
/// the outbox in one request.
///
/// Nobody waits for the bus but this caller, and no longer than the adapter is patient: what goes on by the other
/// effects is going on meanwhile.
pub(crate) async fn perform_all<W: HasStore + HasMachines>(world: &W, effects: &[Effect]) {
    let (telling, acting): (Vec<&Effect>, Vec<&Effect>) =
        effects.iter().partition(|effect| matches!(effect, Effect::PublishEvents { .. }));
    let (mut done, told) = join(perform_each(world, &acting), perform_each(world, &telling)).await;
    done.extend(told);
    forget_all(world, &done).await;
}

/// Performs an effect and takes it out of the outbox.
pub(crate) async fn perform_and_forget<W: HasStore + HasMachines>(world: &W, effect: &Effect) {
    Box::pin(perform_all(world, std::slice::from_ref(effect))).await;
}

/// Performs effects one after another; returns those that are done.
async fn perform_each<W: HasStore + HasMachines>(world: &W, effects: &[&Effect]) -> Vec<Effect> {
    let mut done = Vec::with_capacity(effects.len());
    for effect in effects {
        if perform(world, effect).await {
            done.push((*effect).clone());
        }
    }
    done
}

async fn perform<W: HasStore + HasMachines>(world: &W, effect: &Effect) -> bool {
    match effect {
        Effect::AbandonRuns { pipeline, execution, .. } => abandon_runs(world, pipeline, *execution).await.is_ok(),
        Effect::PublishEvents { pipeline, events } => publish(world, pipeline, events).await.is_ok(),
        Effect::StopAction { job } => stop_machine(world, *job).await.is_ok(),
        Effect::DriveAction { job } => {
            // Whether it starts now or not, the reconciler looks after it as long as the job is open.
            drop(start_machine(world, *job).await);
            false
        }
        effect => matches!(perform_on_machines(world, effect).await, Some(Ok(()))),
    }
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

/// Takes a performed effect out of the outbox. Where that fails it is performed once more, which changes nothing.
pub(crate) async fn forget<W: HasStore>(world: &W, effect: &Effect) {
    forget_all(world, std::slice::from_ref(effect)).await;
}

async fn forget_all<W: HasStore>(world: &W, effects: &[Effect]) {
    if effects.is_empty() {
        return;
    }
    if let Err(error) = world.store().forget_effects(effects).await {
        drop(error);
    }
}
