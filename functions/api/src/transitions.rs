//! Opening and closing the way into a stage.

use engine::{HasAlarms, HasMachines, HasStore, Side};
use protocol::wire::transitions::{DisableStageTransitionInput, EnableStageTransitionInput, StageTransitionType};

use crate::failure::Failure;

/// EnableStageTransition.
pub(crate) async fn enable<W: HasStore + HasMachines + HasAlarms>(
    world: &W,
    input: EnableStageTransitionInput,
    caller: &str,
) -> Result<(), Failure> {
    let side = side(input.transition_type);
    Ok(engine::enable(world, &input.pipeline_name, &input.stage_name, side, caller).await?)
}

/// DisableStageTransition.
pub(crate) async fn disable<W: HasStore + HasMachines>(
    world: &W,
    input: DisableStageTransitionInput,
    caller: &str,
) -> Result<(), Failure> {
    let side = side(input.transition_type);
    Ok(engine::disable(world, &input.pipeline_name, &input.stage_name, side, &input.reason, caller).await?)
}

fn side(transition: StageTransitionType) -> Side {
    match transition {
        StageTransitionType::Inbound => Side::Inbound,
        StageTransitionType::Outbound => Side::Outbound,
    }
}
