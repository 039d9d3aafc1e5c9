//! Running one action: starting it, working on it, finishing it.

mod finish;
mod native;
mod start;

use contract::{ActionInput, ActionOperation, ActionOutput};
use domain::{ActionRun, ActionStatus, Execution, Generation, Phase, PipelineView, StageName};

pub(crate) use finish::{Finished, finish};
pub(crate) use start::Underway;

use crate::{EngineError, HasFunctions, HasMachines, HasObjects, HasRoles, HasStore, jobs};

/// Does what the stage's state machine asks of one action. Asked twice, the second time goes on where the first ended.
///
/// `out_of_time` says when an invocation has too little time left to begin more.
///
/// # Errors
/// [`EngineError::Unfinished`]: ask again at once. [`EngineError::Contended`] and [`EngineError::Unavailable`]: ask
/// again later. An action that fails is no error: the output says so.
pub async fn run_action<W: HasStore + HasObjects + HasMachines + HasFunctions + HasRoles>(
    world: &W,
    input: &ActionInput,
    out_of_time: &(dyn Fn() -> bool + Send + Sync),
) -> Result<ActionOutput, EngineError> {
    let status = match input.operation {
        ActionOperation::Run => match start::begin(world, input).await? {
            start::Begun::Running(begun) => native::run(world, input, *begun, out_of_time).await?,
            start::Begun::Ended(status) => status,
        },
        ActionOperation::Start => match start::begin(world, input).await? {
            start::Begun::Running(begun) => jobs::hand_out(world, input, *begun).await?,
            start::Begun::Ended(status) => status,
        },
        ActionOperation::Expire => finish::expire(world, input).await?,
    };
    Ok(ActionOutput { status })
}

/// Whether `execution` may still act on `stage` under `generation`.
pub(crate) fn may_act(view: &PipelineView, execution: &Execution, stage: &StageName, generation: Generation) -> bool {
    let inside = matches!(
        &execution.phase,
        Phase::Running { stage: inside } | Phase::Stopping { stage: inside } if inside == stage
    );
    // PARALLEL pipelines have no lock to hold.
    let holds = view.index.mode == domain::ExecutionMode::Parallel
        || view.stage(stage).is_held_by(execution.id, generation);
    inside && holds
}

/// A run that has ended, for callers that only want to know how.
pub(crate) fn ended(run: &ActionRun) -> Option<ActionStatus> {
    (run.status != ActionStatus::InProgress).then_some(run.status)
}
