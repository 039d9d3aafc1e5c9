//! Reading an execution together with its pipeline.

use domain::{Execution, ExecutionId, PipelineName, PipelineView};

use crate::{
    HasStore,
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
    let Some(view) = world.store().load_pipeline(pipeline).await? else {
        return Ok(None);
    };
    let execution = load_of(world, &view, id).await?;
    Ok(execution.map(|execution| (view, execution)))
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
