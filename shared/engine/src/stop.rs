//! StopPipelineExecution: a person stops an execution, now or when its running actions have ended.

use domain::{ExecutionId, NotStoppable, Phase, PipelineName, StageName, StopOrder, StopTrigger};

use crate::{
    EngineError, HasAlarms, HasMachines, HasObjects, HasStore, alarms, commit, commit::until_stored,
    condition::look_at_open_of, gate::load_waiting, loading::load_of, rollback::load_view,
};

/// Stops an execution. Where its actions are abandoned they are when this returns; else it goes on until they end.
///
/// # Errors
/// Refusals `PipelineNotFoundException`, `PipelineExecutionNotStoppableException`, `DuplicatedStopRequestException`.
pub async fn stop_execution<W: HasStore + HasMachines + HasAlarms + HasObjects>(
    world: &W,
    pipeline: &PipelineName,
    id: ExecutionId,
    abandon: bool,
    trigger: StopTrigger,
) -> Result<(), EngineError> {
    until_stored(async || {
        let mut view = load_view(world, pipeline).await?;
        let Some(execution) = load_of(world, &view, id).await? else {
            let message = format!("Pipeline '{pipeline}' has no execution '{id}' that could be stopped.");
            return Err(EngineError::refused("PipelineExecutionNotStoppableException", message));
        };
        let stage: Option<StageName> = match (&execution.phase, &execution.rollback) {
            (Phase::Running { stage } | Phase::Stopping { stage }, _) => Some(stage.clone()),
            (Phase::Starting, Some(rollback)) => Some(rollback.stage.clone()),
            _ => None,
        };
        // Whoever waits for the stage may be let in.
        let mut executions = load_waiting(world, &mut view, stage.iter()).await?;
        executions.insert(id, execution);
        let index = stage.iter().filter_map(|stage| view.index.stage(stage)).map(|(_, index)| index);
        let alarms = alarms::snapshot(world, index).await;
        let order = StopOrder { execution: id, abandon, trigger: trigger.clone(), alarms: &alarms };
        let changes = domain::stop_execution(&view, &executions, &order, world.now()).map_err(|why| refuse(id, why))?;
        commit(world, pipeline, changes).await
    })
    .await?;
    look_at_open_of(world, id).await;
    Ok(())
}

fn refuse(id: ExecutionId, why: NotStoppable) -> EngineError {
    match why {
        NotStoppable::Ended(status) => EngineError::refused(
            "PipelineExecutionNotStoppableException",
            format!("Execution '{id}' cannot be stopped: it is {status}."),
        ),
        NotStoppable::Stopping => EngineError::refused(
            "DuplicatedStopRequestException",
            format!(
                "Execution '{id}' is being stopped: its running actions are waited for. To give them up, stop it with \
                 abandon."
            ),
        ),
        NotStoppable::Stale => EngineError::Contended,
    }
}
