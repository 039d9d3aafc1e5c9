//! Opening and closing the way into a stage.

use std::collections::BTreeMap;

use domain::{Effect, OpenHold, PipelineName, PipelineView, Rejected, StageName};

use crate::{
    EngineError, HasAlarms, HasMachines, HasStore, alarms, commit,
    commit::{reread, until_stored},
    gate::{load_into, load_to_let_in},
    revoked::{admit_and_forget, left_waiting, reinstate_with_hold},
    rollback::{find_stage, load_view},
};

/// Which side of a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The way into it.
    Inbound,
    /// The way out of it, which is the way into the next.
    Outbound,
}

/// EnableStageTransition: lifts a hold, and lets the first that waits in; in PARALLEL mode all.
///
/// # Errors
/// Refusals `PipelineNotFoundException`, `StageNotFoundException`.
pub async fn enable<W: HasStore + HasMachines + HasAlarms>(
    world: &W,
    pipeline: &PipelineName,
    stage: &StageName,
    side: Side,
    caller: &str,
) -> Result<(), EngineError> {
    let view = load_view(world, pipeline).await?;
    let Some(stage) = &guarded(&view, stage, side)? else { return Ok(()) };
    end_expired(world, &view, stage).await?;
    reinstate_with_hold(world, &view, stage).await?;
    let left = until_stored(async || {
        let mut view = load_view(world, pipeline).await?;
        let executions = load_to_let_in(world, &mut view, stage).await?;
        let index = view.index.stage(stage).map(|(_, index)| index);
        let alarms = alarms::snapshot(world, index.into_iter()).await;
        let changes = domain::enable_transition(&view, &executions, stage, caller, &alarms, world.now());
        let changes = changes.map_err(reread)?;
        let left = left_waiting(&changes);
        commit(world, pipeline, changes).await?;
        Ok(left)
    })
    .await?;
    let_in(world, left).await;
    Ok(())
}

/// Lets in who did not fit the decision that opened the way. What cannot be done now is the reconciler's.
async fn let_in<W: HasStore + HasMachines + HasAlarms>(world: &W, left: Option<Effect>) {
    if let Some(left) = left {
        Box::pin(admit_and_forget(world, &left)).await;
    }
}

/// Lifts the hold of a rollback on `stage`, and lets in who waits as [`enable`] does; the hold that was lifted.
///
/// A stage that an update took out of the pipeline may still be held, and can be released.
///
/// # Errors
/// Refusals `PipelineNotFoundException`, `StageNotFoundException`, `ResourceNotFoundException` where nothing is held.
pub async fn release_hold<W: HasStore + HasMachines + HasAlarms>(
    world: &W,
    pipeline: &PipelineName,
    stage: &StageName,
    comment: &str,
    caller: &str,
) -> Result<OpenHold, EngineError> {
    let view = load_view(world, pipeline).await?;
    end_expired(world, &view, stage).await?;
    reinstate_with_hold(world, &view, stage).await?;
    let (held, left) = until_stored(async || {
        let mut view = load_view(world, pipeline).await?;
        let Some(held) = OpenHold::on(&view.stage(stage)) else {
            find_stage(&view, stage)?;
            let message = format!(
                "Stage '{stage}' of pipeline '{pipeline}' is not held by a rollback. A transition that a person disabled \
                 is enabled with EnableStageTransition."
            );
            return Err(EngineError::refused("ResourceNotFoundException", message));
        };
        let executions = load_to_let_in(world, &mut view, stage).await?;
        let index = view.index.stage(stage).map(|(_, index)| index);
        let alarms = alarms::snapshot(world, index.into_iter()).await;
        let changes = domain::release_hold(&view, &executions, stage, caller, comment, &alarms, world.now());
        let changes = changes.map_err(reread)?;
        let left = left_waiting(&changes);
        commit(world, pipeline, changes).await?;
        Ok((held, left))
    })
    .await?;
    let_in(world, left).await;
    Ok(held)
}

/// DisableStageTransition.
///
/// # Errors
/// As [`enable`].
pub async fn disable<W: HasStore + HasMachines>(
    world: &W,
    pipeline: &PipelineName,
    stage: &StageName,
    side: Side,
    reason: &str,
    caller: &str,
) -> Result<(), EngineError> {
    until_stored(async || {
        let view = load_view(world, pipeline).await?;
        let Some(stage) = guarded(&view, stage, side)? else {
            return Ok(());
        };
        commit(world, pipeline, domain::disable_transition(&view, &stage, caller, reason, world.now())).await
    })
    .await
}

/// Ends those who have waited too long for the way in to be opened. Each is a decision of its own, since all of them may
/// not fit one transaction.
async fn end_expired<W: HasStore + HasMachines>(
    world: &W,
    view: &PipelineView,
    stage: &StageName,
) -> Result<(), EngineError> {
    for id in domain::expired_before(view, stage, world.now()) {
        until_stored(async || {
            let view = load_view(world, &view.index.name).await?;
            let mut executions = BTreeMap::new();
            load_into(world, &view, id, &mut executions).await?;
            match domain::end_expired(&view, &executions, stage, id, world.now()) {
                Ok(changes) => commit(world, &view.index.name, changes).await,
                Err(Rejected::AlreadyDone) => Ok(()),
                Err(other) => Err(reread(other)),
            }
        })
        .await?;
    }
    Ok(())
}

/// The stage whose inbound transition is meant; none after the last stage.
///
/// A stage that an update took out of the pipeline has a way in as long as somebody waits before it, who goes by an earlier version.
fn guarded(view: &PipelineView, stage: &StageName, side: Side) -> Result<Option<StageName>, EngineError> {
    if side == Side::Outbound || view.waiting_for(stage).next().is_none() {
        find_stage(view, stage)?;
    }
    Ok(match side {
        Side::Inbound => Some(stage.clone()),
        Side::Outbound => {
            let at = view.index.stage(stage).map_or(0, |(at, _)| at);
            view.index.stages.get(at + 1).map(|next| next.name.clone())
        }
    })
}
