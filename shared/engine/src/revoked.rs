//! Revoked content: whether what an execution carries is, who comes up behind those that are turned away, and taking a
//! verdict back.

use std::collections::{BTreeMap, BTreeSet};

use domain::{
    Changes, ContentId, Effect, Execution, Hold, PipelineName, PipelineView, RevokedContent, RollbackCause, StageName,
    contents_of, find_revoked,
};

use crate::{
    EngineError, HasAlarms, HasMachines, HasStore, alarms, commit,
    commit::{reread, until_stored},
    gate::load_to_let_in,
    loading::load_of,
    outbox::forget,
    ports::Store,
    sight,
};

/// Notes of each of `executions` whether what it carries is revoked: one request for all of them, and none where they
/// carry nothing yet.
///
/// # Errors
/// [`EngineError::Unavailable`]: nothing is known, so nothing may be decided.
pub(crate) async fn look_up<W: HasStore>(
    world: &W,
    executions: impl IntoIterator<Item = &mut Execution>,
) -> Result<(), EngineError> {
    let executions: Vec<&mut Execution> = executions.into_iter().collect();
    let contents: BTreeSet<ContentId> = executions.iter().flat_map(|execution| contents_of(execution)).collect();
    let contents: Vec<ContentId> = contents.into_iter().collect();
    let found = if contents.is_empty() { Vec::new() } else { world.store().load_revoked(&contents).await? };
    let found: BTreeMap<ContentId, RevokedContent> =
        found.into_iter().map(|revoked| (revoked.content.clone(), revoked)).collect();
    for execution in executions {
        execution.revoked = find_revoked(execution, &found).cloned().map(Box::new);
    }
    Ok(())
}

/// ReinstateRevision: what was revoked may go through every gate again, from the next upload or start on.
///
/// # Errors
/// Refusal `ResourceNotFoundException` where no such content is revoked.
pub async fn reinstate<W: HasStore + HasMachines>(
    world: &W,
    content: &ContentId,
    reason: &str,
    caller: &str,
) -> Result<RevokedContent, EngineError> {
    // A key has at most 1024 bytes; what is longer is no content.
    let known = content.as_str().len() <= CONTENT_BYTES_MAX;
    let found = if known { world.store().load_revoked(std::slice::from_ref(content)).await? } else { Vec::new() };
    let Some(revoked) = found.into_iter().next() else {
        let message = format!("No revision is revoked as '{content}'. ListRevokedRevisions shows those that are.");
        return Err(EngineError::refused("ResourceNotFoundException", message));
    };
    // A pipeline that was deleted keeps no decisions.
    let is_there = world.store().load_pipeline(&revoked.pipeline).await?.is_some();
    let changes = domain::reinstate(&revoked, is_there, caller, reason, world.now());
    commit(world, &revoked.pipeline, changes).await?;
    Ok(revoked)
}

/// Reinstates what was revoked by the rollback that holds `stage`, where a person went back by hand: the hold and the ban are
/// one word of theirs, and who lifts the hold takes it back. What an alarm had taken back stays revoked.
///
/// It is stored before the hold is lifted, so that who waits behind it is let in by the same call.
///
/// # Errors
/// [`EngineError::Unavailable`]: ask again.
pub(crate) async fn reinstate_with_hold<W: HasStore + HasMachines>(
    world: &W,
    view: &PipelineView,
    stage: &StageName,
) -> Result<(), EngineError> {
    let hold = view.stage(stage).inbound.hold;
    let Some(Hold { rollback: Some(rollback), cause: RollbackCause::Manual { .. }, .. }) = hold else {
        return Ok(());
    };
    let undone = load_of(world, view, rollback).await?.and_then(|execution| execution.rollback?.undone);
    let Some(undone) = undone else { return Ok(()) };
    let Some(undone) = load_of(world, view, undone).await? else { return Ok(()) };
    let contents: Vec<ContentId> = contents_of(&undone).into_iter().collect();
    let mut revoked = if contents.is_empty() { Vec::new() } else { world.store().load_revoked(&contents).await? };
    revoked.retain(|one| one.rollback == rollback);
    if revoked.is_empty() {
        return Ok(());
    }
    commit(world, &view.index.name, Changes { reinstated: revoked, ..Changes::default() }).await
}

/// Longest text that can name content, in bytes.
const CONTENT_BYTES_MAX: usize = 200;

/// Decisions one after another that let in who waits before a stage. Each reads two executions at least, and fifty are
/// under way at most (spec 1.10).
const ADMISSIONS_MAX: usize = 25;

/// What `changes` leave to another decision: that those are let in who wait and did not fit.
pub(crate) fn left_waiting(changes: &Changes) -> Option<Effect> {
    changes.effects.iter().find(|effect| matches!(effect, Effect::AdmitWaiting { .. })).cloned()
}

/// Performs an [`Effect::AdmitWaiting`], and those that this leaves in its turn, and takes each out of the outbox; a
/// failure leaves it there. Whether it was performed.
pub(crate) async fn admit_and_forget<W: HasStore + HasMachines + HasAlarms>(world: &W, effect: &Effect) -> bool {
    let Effect::AdmitWaiting { pipeline, stage, .. } = effect else {
        return false;
    };
    let mut pending = effect.clone();
    for round in 0..ADMISSIONS_MAX {
        let Ok(left) = admit(world, pipeline, stage).await else {
            sight::left(&pending);
            return round > 0;
        };
        // The same once more was stored anew, and is not done.
        if left.as_ref() != Some(&pending) {
            forget(world, &pending).await;
        }
        let Some(left) = left else { break };
        pending = left;
    }
    true
}

/// Lets those in who wait before a stage; what is left to another decision.
async fn admit<W: HasStore + HasMachines + HasAlarms>(
    world: &W,
    pipeline: &PipelineName,
    stage: &StageName,
) -> Result<Option<Effect>, EngineError> {
    until_stored(async || {
        let Some(mut view) = world.store().load_pipeline(pipeline).await? else {
            return Ok(None);
        };
        let executions = load_to_let_in(world, &mut view, stage).await?;
        let index = view.index.stage(stage).map(|(_, index)| index);
        let alarms = alarms::snapshot(world, index.into_iter()).await;
        let changes = domain::admit_waiting(&view, &executions, stage, &alarms, world.now()).map_err(reread)?;
        let left = left_waiting(&changes);
        commit(world, pipeline, changes).await?;
        Ok(left)
    })
    .await
}
