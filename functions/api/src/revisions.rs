//! New revisions at sources, told by whoever saw them.

use engine::{ActionRevision, HasMachines, HasObjects, HasStore, Started};
use protocol::wire::actions::{PutActionRevisionInput, PutActionRevisionOutput};

use crate::failure::Failure;

/// PutActionRevision.
pub(crate) async fn put<W: HasStore + HasMachines + HasObjects>(
    world: &W,
    input: PutActionRevisionInput,
) -> Result<PutActionRevisionOutput, Failure> {
    let put = ActionRevision {
        pipeline: input.pipeline_name,
        stage: input.stage_name,
        action: input.action_name,
        revision: input.action_revision.revision_id,
    };
    let started = engine::put_action_revision(world, &put).await?;
    Ok(PutActionRevisionOutput {
        new_revision: matches!(started, Started::New(_)),
        pipeline_execution_id: Some(started.execution()),
    })
}
