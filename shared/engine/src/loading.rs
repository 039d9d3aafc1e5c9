//! Reading an execution together with its pipeline.

use std::collections::BTreeSet;

use domain::{Execution, ExecutionId, PipelineName, PipelineView};

use crate::{
    HasStore,
    definitions::earlier_index,
    ports::{Store, StoreError},
};

/// A pipeline and one of its executions, read after it; none where either is gone. An execution of an earlier pipeline of
/// the name, whose history is still being removed, is as good as gone.
///
/// # Errors
/// [`StoreError::Unavailable`]: ask again.
pub(crate) async fn load_both<W: HasStore>(
    world: &W,
    pipeline: &PipelineName,
    id: ExecutionId,
) -> Result<Option<(PipelineView, Execution)>, StoreError> {
    let Some(mut view) = world.store().load_pipeline(pipeline).await? else {
        return Ok(None);
    };
    let Some(execution) = load_of(world, &view, id).await? else {
        return Ok(None);
    };
    load_earlier(world, &mut view, [&execution]).await?;
    Ok(Some((view, execution)))
}

/// Reads those versions of the pipeline that `executions` began in and go by, if an update came since.
///
/// # Errors
/// As [`load_both`].
pub(crate) async fn load_earlier<'a, W: HasStore>(
    world: &W,
    view: &mut PipelineView,
    executions: impl IntoIterator<Item = &'a Execution>,
) -> Result<(), StoreError> {
    let under_way = executions.into_iter().filter(|execution| !execution.phase.is_ended());
    let mut versions: BTreeSet<u32> = under_way.map(|execution| execution.pipeline_version).collect();
    versions.retain(|version| *version < view.index.pipeline_version && !view.earlier.contains_key(version));
    for version in versions {
        let stored = world.store().load_definition(&view.index.name, version).await?;
        let index = stored.and_then(|stored| earlier_index(stored, &view.index));
        view.earlier.extend(index.map(|index| (version, index)));
    }
    Ok(())
}

/// An execution of the pipeline that was read; none where there is none, as [`load_both`] says.
///
/// # Errors
/// As [`load_both`].
pub(crate) async fn load_of<W: HasStore>(
    world: &W,
    view: &PipelineView,
    id: ExecutionId,
) -> Result<Option<Execution>, StoreError> {
    let execution = world.store().load_execution(&view.index.name, id).await?;
    Ok(execution.filter(|execution| view.index.owns(execution)))
}
