//! Places of executions in QUEUED and PARALLEL mode (spec 1.10): taken by whoever starts or goes on.

use domain::{CONCURRENT_EXECUTIONS_MAX, Execution, PipelineIndex, Slot, free_slot, needs_slot};

use crate::{EngineError, HasStore, ports::Store};

/// Gives `execution`, which is about to start or to go on after its end, a place among those under way. `slots` are
/// those of the changes that store the execution. Storing them takes the place, unless somebody else was faster: that is
/// contention, and the caller decides again. The place is free as soon as the end of the execution is stored.
///
/// In SUPERSEDED mode, and for rollbacks, this asks nothing of the table and changes nothing.
///
/// # Errors
/// Refusal `ConcurrentPipelineExecutionsLimitExceededException`.
pub(crate) async fn take_slot<W: HasStore>(
    world: &W,
    index: &PipelineIndex,
    execution: &mut Execution,
    slots: &mut Vec<Slot>,
) -> Result<(), EngineError> {
    if !needs_slot(index, execution) {
        return Ok(());
    }
    let taken = world.store().slots_of(&index.name, index.created_at).await?;
    let mut choice = [0];
    world.entropy().fill(&mut choice);
    let Some(number) = free_slot(&taken, choice[0]) else {
        let message = format!(
            "Pipeline '{}' has {CONCURRENT_EXECUTIONS_MAX} executions under way, the most that QUEUED and PARALLEL mode \
             allow. Start again when one of them has ended.",
            index.name
        );
        return Err(EngineError::refused(LIMIT_EXCEEDED, message));
    };
    let slot = Slot {
        pipeline: index.name.clone(),
        pipeline_created_at: index.created_at,
        number,
        execution: execution.id,
        taken_at: world.now(),
    };
    execution.slot = Some(slot.clone());
    slots.push(slot);
    Ok(())
}

/// CodePipeline's exception for one execution too many.
pub(crate) const LIMIT_EXCEEDED: &str = "ConcurrentPipelineExecutionsLimitExceededException";
