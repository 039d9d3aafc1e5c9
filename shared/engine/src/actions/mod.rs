//! Running one action: starting it, working on it, finishing it.

mod abandon;
mod fence;
mod finish;
mod machine;
mod native;
mod regions;
mod start;

use contract::{ActionInput, ActionOperation, ActionOutput};
use domain::{ActionKind, ActionRun, ActionStatus, Changes, Effect, Execution, ExecutionMode, action_kind};
use futures::future::join;

pub(crate) use abandon::{abandon_runs, let_go};
pub(crate) use finish::{End, Finished, digests_of, expire_run, finish, finish_work};
pub(crate) use machine::{look_after, start as start_machine, stop as stop_machine};
pub(crate) use start::Underway;

use crate::{
    EngineError, HasAlarms, HasFunctions, HasMachines, HasNotifications, HasObjects, HasRepositories, HasRoles,
    HasStore, commit::perform_on_machines, jobs, keep::probe_functions, loading::load_both, outbox::Untold,
};

/// Does what the stage's state machine asks of one action, and answers its token when the action has ended. Asked
/// twice, the second time goes on where the first ended, and answers the second token.
///
/// `out_of_time` says when an invocation has too little time left to begin more.
///
/// # Errors
/// [`EngineError::Unfinished`]: ask again at once. [`EngineError::Contended`] and [`EngineError::Unavailable`]: ask
/// again later. An action that fails is no error: the output says so.
pub async fn run_action<W>(
    world: &W,
    input: &ActionInput,
    out_of_time: &(dyn Fn() -> bool + Send + Sync),
) -> Result<ActionOutput, EngineError>
where
    W: HasStore + HasObjects + HasAlarms + HasMachines + HasFunctions + HasNotifications + HasRepositories + HasRoles,
{
    let status = match (input.operation, &input.token) {
        (ActionOperation::Run, Some(token)) => run(world, input, token, out_of_time).await?,
        (ActionOperation::Run, None) => {
            return Err(EngineError::refused("InvalidInput", "An action is run with a task token to answer."));
        }
        (ActionOperation::Expire, _) => finish::expire(world, input).await?,
        (ActionOperation::Report, _) => machine::report(world, input).await?,
        (ActionOperation::Read, _) => return machine::read(world, input).await,
    };
    Ok(status.into())
}

async fn run<W>(
    world: &W,
    input: &ActionInput,
    token: &str,
    out_of_time: &(dyn Fn() -> bool + Send + Sync),
) -> Result<ActionStatus, EngineError>
where
    W: HasStore + HasObjects + HasMachines + HasFunctions + HasNotifications + HasRepositories + HasRoles,
{
    let (begun, untold) = start::begin(world, input).await?;
    // Neither the work nor whoever waits for its end waits for the event bus.
    join(untold.tell(world), Box::pin(go_on(world, input, token, begun, out_of_time))).await.1
}

/// Does the work of an action that has begun, and answers its token when it has ended.
async fn go_on<W>(
    world: &W,
    input: &ActionInput,
    token: &str,
    begun: start::Begun,
    out_of_time: &(dyn Fn() -> bool + Send + Sync),
) -> Result<ActionStatus, EngineError>
where
    W: HasStore + HasObjects + HasMachines + HasFunctions + HasNotifications + HasRepositories + HasRoles,
{
    let (status, untold) = match begun {
        start::Begun::Ended(status) => (status, Untold::default()),
        start::Begun::Running(begun) => {
            if begun.is_first {
                // What a rollback would need is looked at before each deploy, and none waits for more than the answer.
                drop(probe_functions(world, &input.pipeline, &input.stage).await);
            }
            if let Some(failed) = regions::bring_inputs(world, &begun).await? {
                let (end, untold) = finish::finish_work_untold(world, &(&begun.run).into(), &failed).await?;
                (end.status(), untold)
            } else if action_kind(&begun.run.action_type) == Some(ActionKind::Native) {
                native::run(world, input, *begun, out_of_time).await?
            } else {
                return jobs::hand_out(world, token, input.attempt, *begun).await;
            }
        }
    };
    // No outbox: until this is done the invocation has not succeeded, so it is repeated, finds the end and answers.
    let answer = Effect::AnswerAction { token: token.to_owned(), status };
    let (answered, ()) = join(perform_on_machines(world, &answer), untold.tell(world)).await;
    answered.unwrap_or(Ok(()))?;
    Ok(status)
}

/// Has `changes` stored only while the stage is still `run`'s. PARALLEL executions have no stage of their own: whatever
/// takes the right to act from them ends their runs and jobs, whose rows the changes carry.
pub(crate) fn fence(changes: &mut Changes, execution: &Execution, run: &ActionRun) {
    if execution.mode != ExecutionMode::Parallel {
        changes.fences.insert((run.stage.clone(), run.generation));
    }
}

/// Whether the execution of `run` still has its stage, read afresh.
pub(crate) async fn holds_stage<W: HasStore>(world: &W, run: &ActionRun) -> Result<bool, EngineError> {
    Ok(holder(world, run).await?.is_some())
}

/// The execution of `run`, where it still has its stage; read afresh.
pub(crate) async fn holder<W: HasStore>(world: &W, run: &ActionRun) -> Result<Option<Execution>, EngineError> {
    let both = load_both(world, &run.pipeline, run.execution).await?;
    Ok(both.and_then(|(view, one)| view.lets_act(&one, &run.stage, run.generation).then_some(one)))
}

/// A run that has ended, for callers that only want to know how.
pub(crate) fn ended(run: &ActionRun) -> Option<ActionStatus> {
    (run.status != ActionStatus::InProgress).then_some(run.status)
}
