//! Deleting a pipeline: its row first, so that from then on nobody finds it, then everything that was kept under it.

use domain::{Effect, ExecutionId, ExecutionStatus, GateAnswer, OpenHold, PipelineIndex, PipelineName, TaggedResource};
use jiff::Timestamp;

use crate::{
    EngineError, HasMachines, HasObjects, HasStore,
    actions::let_go,
    commit::{perform_on_machines, until_stored},
    definitions,
    outbox::forget,
    pipelines::{bindings, summary},
    ports::{Definition, Deletion, PendingEffect, Precondition, Remains, Row, Store, WRITES_MAX, Write},
    tags::untag_removed,
};

/// Deletes a pipeline and its history. One that is not there is success (spec 1.9). Executions that wait for something
/// end with it, others at their next gate.
///
/// # Errors
/// [`EngineError::Unavailable`] is worth a retry.
pub async fn delete_pipeline<W: HasStore + HasObjects + HasMachines>(
    world: &W,
    name: &PipelineName,
) -> Result<(), EngineError> {
    let deleted = until_stored(async || {
        let Some(view) = world.store().load_pipeline(name).await? else {
            return Ok(None);
        };
        let index = view.index;
        let declaration = definitions::load_declaration(world, &index).await?;
        let deleted = Deleted {
            pipeline: name.clone(),
            created_at: Some(index.created_at),
            versions: index.pipeline_version,
            before: world.new_execution_id(),
        };
        let pending = PendingEffect { since: world.now(), effect: deleted.effect() };
        let mut writes = vec![
            Write::Delete(Row::Summary(summary(&index))),
            untag_removed(TaggedResource::pipeline(name)),
            Write::Delete(Row::Head(index.clone())),
            Write::Put(Row::Effect(pending), Precondition::None),
            // Whoever has looked at what is left here, and is about to create the next pipeline, looks again.
            Write::Put(Row::Deletion(Deletion::new(name, deleted.before, world.now())), Precondition::None),
        ];
        writes.extend(bindings(&declaration).into_iter().map(Write::Delete));
        let version = index.version;
        writes.push(Write::DeleteIf(Row::Pipeline(index), Precondition::Version(version)));
        // Who begins an action demands its execution's row as it was read: with these touched, nobody inside begins one any more.
        let inside = view.stages.values().filter_map(|stage| Some(stage.occupant.as_ref()?.execution));
        for id in inside.take(WRITES_MAX.saturating_sub(writes.len())) {
            if let Some(execution) = world.store().load_execution(name, id).await? {
                let version = execution.version;
                writes.push(Write::Put(Row::Execution(execution), Precondition::Version(version)));
            }
        }
        world.store().commit(writes).await?;
        Ok(Some(deleted))
    })
    .await?;
    // A short history is gone when this returns. What is left of a long one, or of one that could not be reached, is the
    // reconciler's.
    if let Some(deleted) = deleted
        && deleted.purge(world, 1).await.unwrap_or(false)
    {
        forget(world, &deleted.effect()).await;
    }
    Ok(())
}

impl Deletion {
    /// `unique` is an id that nothing else has.
    fn new(name: &PipelineName, unique: ExecutionId, at: Timestamp) -> Self {
        // Not as far as the highest: it is raised by one as it is stored.
        let version = u64::try_from(unique.0.as_u128() & u128::from(u64::MAX >> 2)).unwrap_or_default();
        Self { pipeline: name.clone(), at, version }
    }

    /// Holds as long as no pipeline of this name is deleted after `seen`.
    pub(crate) fn is_last(name: &PipelineName, seen: Option<Self>, now: Timestamp) -> Write {
        match seen {
            Some(seen) => {
                let version = seen.version;
                Write::Check(Row::Deletion(seen), Precondition::Version(version))
            }
            None => {
                let none = Self { pipeline: name.clone(), at: now, version: 0 };
                Write::Check(Row::Deletion(none), Precondition::Absent)
            }
        }
    }
}

/// A pipeline that was deleted, as [`Effect::PurgeHistory`] tells of it.
pub(crate) struct Deleted {
    pub(crate) pipeline: PipelineName,
    pub(crate) created_at: Option<Timestamp>,
    pub(crate) versions: u32,
    pub(crate) before: ExecutionId,
}

impl Deleted {
    fn effect(&self) -> Effect {
        Effect::PurgeHistory {
            pipeline: self.pipeline.clone(),
            created_at: self.created_at,
            versions: self.versions,
            before: self.before,
        }
    }

    /// Removes what is left of it, of its history `parts` parts at the most; whether nothing is left.
    ///
    /// # Errors
    /// [`EngineError::Unavailable`]: whoever calls again goes on from there.
    pub(crate) async fn purge<W: HasStore + HasMachines>(&self, world: &W, parts: usize) -> Result<bool, EngineError> {
        // While their rows are there, their jobs and tokens are found.
        let_go(world, &self.pipeline, self.created_at, self.before).await?;
        self.keep_nothing(world).await?;
        clear(world, &self.pipeline, self.versions).await?;
        for _ in 0..parts {
            if world.store().purge_history(&self.pipeline, self.created_at, self.before).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Has its artifacts marked as kept no more. The rows that tell of them go with that, so this may be asked for twice.
    async fn keep_nothing<W: HasStore>(&self, world: &W) -> Result<(), EngineError> {
        let kept = world.store().kept_of(&self.pipeline).await?;
        let effects = kept.into_iter().map(|kept| Effect::KeepArtifacts {
            pipeline: self.pipeline.clone(),
            stage: kept.stage,
            after: self.before,
        });
        let pending = effects.map(|effect| PendingEffect { since: world.now(), effect });
        let writes: Vec<Write> = pending.map(|row| Write::Put(Row::Effect(row), Precondition::None)).collect();
        for chunk in writes.chunks(WRITES_MAX) {
            world.store().commit(chunk.to_vec()).await?;
        }
        Ok(())
    }
}

/// Removes what a deleted pipeline has left under its name, which is for whoever creates the next one as well: what a stage
/// of the old one was must not be taken for a stage of the new one. Does nothing where there is a pipeline.
///
/// Who decided about the old one before it went and is late is refused: the rows that the decision read are gone, and
/// no later row of the name will be at their version.
///
/// # Errors
/// [`EngineError::Unavailable`]: whoever calls again goes on from there.
pub(crate) async fn clear<W: HasStore + HasMachines>(
    world: &W,
    name: &PipelineName,
    versions: u32,
) -> Result<(), EngineError> {
    until_stored(async || {
        let Some(remains) = world.store().load_remains(name).await? else {
            return Ok(());
        };
        // There is no row to keep an effect in: until this is done the rows stay, so it is repeated.
        for token in remains.waiting.iter().flat_map(|waiting| waiting.token.iter()) {
            let answer = GateAnswer::End { status: ExecutionStatus::Cancelled };
            let effect = Effect::AnswerGate { token: token.to_owned(), answer };
            perform_on_machines(world, &effect).await.unwrap_or(Ok(()))?;
        }
        let gone = PipelineIndex::gone(name.clone(), world.now());
        for chunk in doomed(&remains, &gone, versions).chunks(WRITES_MAX - 1) {
            let mut writes = chunk.to_vec();
            writes.push(Write::Check(Row::Pipeline(gone.clone()), Precondition::Absent));
            world.store().commit(writes).await?;
        }
        Ok(())
    })
    .await
}

fn doomed(remains: &Remains, gone: &PipelineIndex, versions: u32) -> Vec<Write> {
    let Remains { stages, actions, waiting, conditions } = remains;
    let held = stages.iter().filter_map(OpenHold::on).map(Row::Hold);
    let definitions = (1..=versions)
        .map(|pipeline_version| Row::Definition(Definition { pipeline_version, ..definitions::definition(gone) }));
    // First, and as they were read: whoever asks again at a gate in the meantime leaves a token that has to be answered too, and
    // changes its stage's row with that.
    let first = stages.iter().cloned().map(|stage| {
        let version = Precondition::Version(stage.version);
        Write::DeleteIf(Row::Stage(stage), version)
    });
    let rows = actions.iter().cloned().map(Row::LatestAction);
    let rows = rows.chain(waiting.iter().cloned().map(Row::Waiting));
    let rows = rows.chain(conditions.iter().cloned().map(Row::Condition));
    first.chain(rows.chain(held).chain(definitions).map(Write::Delete)).collect()
}
