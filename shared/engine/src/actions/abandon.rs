//! The end of actions whose execution has lost the right to act: they are given up, and whoever waits for them is told.

use domain::{ActionRun, ActionStatus, Effect, ExecutionId, JobEvent, PipelineName};
use futures::future::BoxFuture;
use jiff::Timestamp;

use super::{Finished, finish};
use crate::{
    EngineError, HasMachines, HasStore,
    commit::perform_on_machines,
    error::FirstError,
    jobs::open_job,
    loading::load_both,
    ports::{PageRequest, Store},
};

/// Runs read at a time: the most that a page of the store holds.
const READ_AT_ONCE: u32 = 1000;

/// Abandons the runs of `execution` that may not act any more. What their workers answer later changes nothing.
///
/// Boxed, since ending a run stores changes, which may have effects such as this one.
///
/// # Errors
/// [`EngineError::Unavailable`] is worth a retry.
pub(crate) fn abandon_runs<'a, W: HasStore + HasMachines>(
    world: &'a W,
    pipeline: &'a PipelineName,
    execution: ExecutionId,
) -> BoxFuture<'a, Result<(), EngineError>> {
    Box::pin(async move {
        let mut first = FirstError::default();
        let mut after = None;
        loop {
            let request = PageRequest { limit: READ_AT_ONCE, after };
            let page = world.store().list_action_runs(pipeline, Some(execution), request).await?;
            for run in page.items.iter().filter(|run| run.status == ActionStatus::InProgress) {
                first.keep(abandon_run(world, run).await);
            }
            after = page.next;
            if after.is_none() {
                return first.into_result();
            }
        }
    })
}

/// Abandons one run, unless a retry has given its execution the right to act again: then it is a run of that.
async fn abandon_run<W: HasStore + HasMachines>(world: &W, run: &ActionRun) -> Result<(), EngineError> {
    if let Some((view, execution)) = load_both(world, &run.pipeline, run.execution).await?
        && view.lets_act(&execution, &run.stage, run.generation)
    {
        return Ok(());
    }
    // To its worker, and to whom an approval asks, it is as if the time were over.
    let job = open_job(world, run).await?.map(|job| (job.id, JobEvent::TimeOut));
    let finished = Finished { job, ..Finished::default() };
    finish(world, &run.into(), &finished).await.map(drop)
}

/// Tells whoever waits for the actions of a deleted pipeline that nothing comes any more, so that their state machines
/// end. Executions older than `before` belonged to it, but for those of a later creation than `created_at`. What runs is among the newest; the rest ends by its timeouts.
///
/// # Errors
/// [`EngineError::Unavailable`] is worth a retry.
pub(crate) async fn let_go<W: HasStore + HasMachines>(
    world: &W,
    pipeline: &PipelineName,
    created_at: Option<Timestamp>,
    before: ExecutionId,
) -> Result<(), EngineError> {
    let request = PageRequest { limit: READ_AT_ONCE, after: None };
    let page = world.store().list_action_runs(pipeline, None, request).await?;
    let running = |run: &&ActionRun| run.status == ActionStatus::InProgress && run.execution < before;
    let mut first = FirstError::default();
    for run in page.items.iter().filter(running) {
        // One of the pipeline's next creation looks older where its clock was behind.
        let execution = world.store().load_execution(pipeline, run.execution).await?;
        let its = execution.and_then(|execution| execution.pipeline_created_at);
        if its.is_none() || created_at.is_none() || its == created_at {
            first.keep(let_go_of(world, run).await);
        }
    }
    first.into_result()
}

async fn let_go_of<W: HasStore + HasMachines>(world: &W, run: &ActionRun) -> Result<(), EngineError> {
    let Some(job) = open_job(world, run).await? else {
        return Ok(());
    };
    // There is no row to keep an effect in: until this is done the history is not purged, so it is repeated.
    for token in job.token.iter() {
        let answer = Effect::AnswerAction { token: token.to_owned(), status: ActionStatus::Abandoned };
        perform_on_machines(world, &answer).await.unwrap_or(Ok(()))?;
    }
    super::stop_machine(world, job.id).await
}
