//! An execution asks to go on: leave a stage, enter the next, or wait.

use std::collections::BTreeMap;

use contract::GateInput;
use domain::{
    Effect, Execution, ExecutionId, ExecutionMode, ExecutionStatus, GateAnswer, GateEvent, Phase, PipelineView,
    StageName,
};

use crate::{
    EngineError, HasAlarms, HasMachines, HasObjects, HasStore, alarms, commit,
    commit::{perform_on_machines, reread, until_stored},
    keep::Ahead,
    loading::{load_both, load_earlier, load_of},
    revoked,
};

/// Passes the gate: decides, stores the decision, and answers the token now or lets it wait.
///
/// Delivered twice, the second time finds the decision and answers again.
///
/// # Errors
/// [`EngineError::Contended`] and [`EngineError::Unavailable`] are worth a retry.
pub async fn pass_gate<W: HasStore + HasMachines + HasAlarms + HasObjects>(
    world: &W,
    input: &GateInput,
) -> Result<(), EngineError> {
    let ahead = until_stored(async || {
        let Some((mut view, mut execution)) = load_both(world, &input.pipeline, input.execution_id).await? else {
            return turn_away(world, input).await.map(|()| None);
        };
        let entered = stages_concerned(&view, &execution, input);
        let mut executions = load_waiting(world, &mut view, entered.iter()).await?;
        if entered.iter().any(|stage| Some(stage) != input.finished.as_ref().map(|finished| &finished.stage)) {
            revoked::look_up(world, [&mut execution]).await?;
        }
        executions.insert(execution.id, execution);
        let watched = entered.iter().filter_map(|stage| view.index.stage(stage)).map(|(_, index)| index);
        let alarms = alarms::snapshot(world, watched).await;
        let event = GateEvent {
            execution: input.execution_id,
            token: &input.token,
            machine: input.machine.as_deref(),
            finished: input.finished.as_ref(),
            alarms: &alarms,
        };
        let changes = domain::pass_gate(&view, &executions, &event, world.now()).map_err(reread)?;
        let ahead = Ahead::of(&view, &changes);
        commit(world, &input.pipeline, changes).await?;
        Ok(Some(ahead))
    })
    .await?;
    if let Some(ahead) = ahead {
        Box::pin(ahead.go(world, &input.pipeline)).await;
    }
    Ok(())
}

/// The pipeline was deleted: there is nothing to go on with, and no row to keep an effect in.
async fn turn_away<W: HasMachines>(world: &W, input: &GateInput) -> Result<(), EngineError> {
    let answer = GateAnswer::End { status: ExecutionStatus::Cancelled };
    let effect = Effect::AnswerGate { token: input.token.clone(), answer };
    perform_on_machines(world, &effect).await.unwrap_or(Ok(()))
}

/// The stage that is left, since someone may enter it, and the one that may be entered.
fn stages_concerned(view: &PipelineView, execution: &Execution, input: &GateInput) -> Vec<StageName> {
    let index = view.index_of(execution);
    let at = |name: &StageName| index.stage(name).map(|(at, _)| at);
    let left = input.finished.as_ref().and_then(|finished| at(&finished.stage));
    let next = match (&execution.phase, &execution.rollback) {
        (Phase::Starting, None) => Some(0),
        (Phase::Starting, Some(rollback)) => at(&rollback.stage),
        (Phase::Waiting { stage }, _) => at(stage),
        (Phase::Running { stage } | Phase::Stopping { stage }, None) => at(stage).map(|at| at + 1),
        _ => None,
    };
    let inside = match &execution.phase {
        Phase::Running { stage } | Phase::Stopping { stage } => at(stage),
        _ => None,
    };
    let mut concerned: Vec<usize> = left.into_iter().chain(next).chain(inside).collect();
    concerned.sort_unstable();
    concerned.dedup();
    concerned.into_iter().filter_map(|at| index.stages.get(at)).map(|stage| stage.name.clone()).collect()
}

/// Executions that wait before `stages`; with them, `view` gets the versions of the pipeline that they go by.
pub(crate) async fn load_waiting<'a, W: HasStore>(
    world: &W,
    view: &mut PipelineView,
    stages: impl Iterator<Item = &'a StageName>,
) -> Result<BTreeMap<ExecutionId, Execution>, EngineError> {
    let mut executions = BTreeMap::new();
    for stage in stages {
        read_waiting(world, view, stage, WAITING_READ_MAX, &mut executions).await?;
    }
    load_earlier(world, view, executions.values()).await?;
    Ok(executions)
}

/// The same for a decision that is about those who wait before `stage` alone: where there are no locks, as many as it can
/// let in.
pub(crate) async fn load_to_let_in<W: HasStore>(
    world: &W,
    view: &mut PipelineView,
    stage: &StageName,
) -> Result<BTreeMap<ExecutionId, Execution>, EngineError> {
    let mut executions = BTreeMap::new();
    read_waiting(world, view, stage, SIDE_BY_SIDE_READ_MAX, &mut executions).await?;
    load_earlier(world, view, executions.values()).await?;
    Ok(executions)
}

async fn read_waiting<W: HasStore>(
    world: &W,
    view: &PipelineView,
    stage: &StageName,
    side_by_side: usize,
    executions: &mut BTreeMap<ExecutionId, Execution>,
) -> Result<(), EngineError> {
    // Where there are locks, only the first can be let in by one decision. In SUPERSEDED mode there is one place, but
    // nobody knows before reading who is beside it of those that are left of another mode.
    let most = match view.index.mode {
        ExecutionMode::Superseded => usize::MAX,
        ExecutionMode::Queued => WAITING_READ_MAX,
        ExecutionMode::Parallel => side_by_side,
    };
    let mut passing = 0;
    for waiting in view.waiting_for(stage) {
        load_into(world, view, waiting.execution, executions).await?;
        let Some(execution) = executions.get_mut(&waiting.execution) else { continue };
        revoked::look_up(world, [&mut *execution]).await?;
        // Who carries revoked content is turned away, and the next is looked at.
        passing += usize::from(execution.revoked.is_none());
        if passing == most {
            break;
        }
    }
    Ok(())
}

/// The first, and the one that is next after it where that has to be turned away.
const WAITING_READ_MAX: usize = 2;
/// As many PARALLEL executions as one decision mostly lets in, and the next, which is left to another.
const SIDE_BY_SIDE_READ_MAX: usize = 12;

pub(crate) async fn load_into<W: HasStore>(
    world: &W,
    view: &PipelineView,
    id: ExecutionId,
    executions: &mut BTreeMap<ExecutionId, Execution>,
) -> Result<(), EngineError> {
    if let std::collections::btree_map::Entry::Vacant(entry) = executions.entry(id)
        && let Some(execution) = load_of(world, view, id).await?
    {
        entry.insert(execution);
    }
    Ok(())
}
