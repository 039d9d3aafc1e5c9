//! Job workers: they poll for jobs and acknowledge those they get (spec 6.3).
//!
//! A job is given away by a conditional write of its row. Of workers that poll together one gets it; the others go on
//! to the next. One whose action has ended, or whose execution has lost its stage, is closed by the poll that finds it.

use domain::{ActionRun, ActionStatus, ActionTypeId, Changes, Job, JobEvent, JobQueue, JobStatus};
use uuid::Uuid;

use super::load_run_of;
use crate::{
    EngineError, HasMachines, HasRoles, HasStore,
    actions::{Finished, fence, finish, holds_stage},
    commit::{store, until_stored},
    condition::is_asked_for,
    custom_types::load_live,
    ports::{CloudError, Credentials, PageRequest, QueuedJob, Roles, Row, Store, Write},
};

/// Most jobs in one answer. Each costs a few requests, and all have to fit into the time an HTTP API gives.
const BATCH_MAX: usize = 50;
/// Rows of a queue read at a time: enough that workers who poll together find something behind each other's jobs.
const LOOK_AT: u32 = 100;
/// Parts of a queue read by one poll. Beyond the first there is nothing but jobs that others are about to acknowledge.
const LOOKS_MAX: usize = 10;

/// What a worker asks for.
#[derive(Debug, Clone)]
pub struct Poll {
    /// Jobs of this type.
    pub action_type: ActionTypeId,
    /// Of this value of the type's queryable property: name and value.
    pub query: Option<(String, String)>,
    /// At most this many.
    pub limit: usize,
}

/// A job with all that whoever does it has to know. The keys are why there is no `Debug`.
#[derive(Clone)]
pub struct JobOrder {
    /// The job.
    pub job: Job,
    /// The run of the action it is for.
    pub run: ActionRun,
    /// Keys for the artifacts; none for a job that has ended.
    pub credentials: Option<Credentials>,
}

/// PollForJobs. Whoever gets a job has to acknowledge it before long, or another worker gets it.
///
/// # Errors
/// Refusals `ValidationException`, `ActionTypeNotFoundException`.
pub async fn poll_for_jobs<W: HasStore + HasMachines + HasRoles>(
    world: &W,
    poll: &Poll,
) -> Result<Vec<JobOrder>, EngineError> {
    let queue = queue_of(world, poll).await?;
    let limit = poll.limit.clamp(1, BATCH_MAX);
    let (mut orders, mut after) = (Vec::new(), None);
    for _ in 0..LOOKS_MAX {
        let page = world.store().queued_jobs(&queue, PageRequest { limit: LOOK_AT, after }).await?;
        let now = world.now();
        for row in page.items.into_iter().filter(|row| row.held_until.is_none_or(|until| until <= now)) {
            match dispatch(world, row).await {
                Ok(order) => orders.extend(order),
                // What was given away has to reach the worker.
                Err(_) if !orders.is_empty() => return Ok(orders),
                Err(error) => return Err(error),
            }
            if orders.len() == limit {
                return Ok(orders);
            }
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    Ok(orders)
}

async fn queue_of<W: HasStore>(world: &W, poll: &Poll) -> Result<JobQueue, EngineError> {
    let invalid = |message: String| EngineError::refused("ValidationException", message);
    let action_type = poll.action_type.clone();
    if action_type.owner != "Custom" {
        let owner = &action_type.owner;
        return Err(invalid(format!("Only action types of owner Custom have jobs to poll for, not those of {owner}.")));
    }
    let info = load_live(world, &action_type).await?.info;
    let value = match (info.queryable_key(), &poll.query) {
        (None, None) => None,
        (Some(key), Some((asked, value))) if key == asked => Some(value.clone()),
        (Some(key), _) => {
            return Err(invalid(format!("Jobs of this action type are asked for by '{key}': give it in queryParam.")));
        }
        (None, Some(_)) => {
            return Err(invalid("This action type has no queryable property. Leave queryParam out.".to_owned()));
        }
    };
    Ok(JobQueue { action_type, value })
}

/// Gives the job of `row` away, unless another worker was faster or nobody needs it any more.
async fn dispatch<W: HasStore + HasMachines + HasRoles>(
    world: &W,
    row: QueuedJob,
) -> Result<Option<JobOrder>, EngineError> {
    let Some(job) = world.store().load_job(row.job).await? else {
        world.store().commit(vec![Write::Delete(Row::QueuedJob(row))]).await?;
        return Ok(None);
    };
    let Ok(dispatched) = job.dispatch(new_nonce(world), world.now()) else {
        return Ok(None);
    };
    let run = world.store().load_action_run(&job.pipeline, job.execution, job.run).await?;
    let Some(run) = run.filter(|run| run.status == ActionStatus::InProgress) else {
        close(world, &job).await?;
        return Ok(None);
    };
    if !store_dispatched(world, &dispatched, &run).await? {
        return Ok(None);
    }
    // Keys come last, so that only who has the job costs a request for them.
    match world.roles().assume(&run.role_arn, &run.execution.to_string()).await {
        Ok(credentials) => Ok(Some(JobOrder { job: dispatched, run, credentials: Some(credentials) })),
        Err(error @ CloudError::Unavailable(_)) => Err(error.into()),
        Err(error) => {
            let why = format!("Role '{}' cannot be assumed for the artifacts: {error}", run.role_arn);
            let job = Some((dispatched.id, JobEvent::TimeOut));
            finish(world, &(&dispatched).into(), &Finished { job, ..Finished::failed("PermissionError", why) }).await?;
            Ok(None)
        }
    }
}

/// Whether it was stored. Where not, another worker has the job, or its execution has lost the stage: then it is closed.
async fn store_dispatched<W: HasStore + HasMachines>(
    world: &W,
    job: &Job,
    run: &ActionRun,
) -> Result<bool, EngineError> {
    let mut changes = Changes { jobs: vec![job.clone()], ..Changes::default() };
    if let Some(execution) = world.store().load_execution(&job.pipeline, job.execution).await? {
        fence(&mut changes, &execution, run);
    }
    match store(world, &job.pipeline, &changes).await {
        Err(EngineError::Contended) => {
            let newest = world.store().load_job(job.id).await?;
            if newest.is_some_and(|newest| newest.version == job.version) {
                give_up(world, job).await?;
            }
            Ok(false)
        }
        other => other.map(|_| true),
    }
}

/// Ends a job and its action where the execution has lost the stage.
async fn give_up<W: HasStore + HasMachines>(world: &W, job: &Job) -> Result<(), EngineError> {
    let run = world.store().load_action_run(&job.pipeline, job.execution, job.run).await?;
    match run.filter(|run| run.status == ActionStatus::InProgress) {
        None => close(world, job).await,
        // The execution's row changed for another reason: whoever comes next gets the job.
        Some(run) if holds_stage(world, &run).await? => Ok(()),
        Some(_) => {
            let finished = Finished { job: Some((job.id, JobEvent::TimeOut)), ..Finished::default() };
            finish(world, &job.into(), &finished).await.map(|_| ())
        }
    }
}

/// Takes a job whose action has ended out of its queue.
async fn close<W: HasStore>(world: &W, job: &Job) -> Result<(), EngineError> {
    let Ok(closed) = job.after(JobEvent::TimeOut) else {
        return Ok(());
    };
    match store(world, &job.pipeline, &Changes { jobs: vec![closed], ..Changes::default() }).await {
        // Somebody else is at it.
        Err(EngineError::Contended) => Ok(()),
        other => other.map(drop),
    }
}

fn new_nonce<W: HasStore>(world: &W) -> String {
    let mut random = [0; 12];
    world.entropy().fill(&mut random);
    hex::encode(random)
}

/// AcknowledgeJob: how the job stands then. The worker goes on only where it is [`JobStatus::InProgress`].
///
/// # Errors
/// Refusals `JobNotFoundException`, `InvalidNonceException`.
pub async fn acknowledge_job<W: HasStore + HasMachines>(
    world: &W,
    id: Uuid,
    nonce: &str,
) -> Result<JobStatus, EngineError> {
    until_stored(async || {
        let job = world.store().load_job(id).await?.ok_or_else(|| not_found(id))?;
        if !job.is_answered_by_id() {
            return Err(not_found(id));
        }
        if job.nonce.as_deref() != Some(nonce) {
            let message = format!("The nonce is not that of the latest poll that returned job '{id}'. Poll again.");
            return Err(EngineError::refused("InvalidNonceException", message));
        }
        // Told twice, or too late: the status says which.
        let Ok(acknowledged) = job.after(JobEvent::Acknowledge) else {
            return Ok(job.status);
        };
        // Whoever takes the stage from the execution closes the job, which makes this lose the race.
        let status = acknowledged.status;
        store(world, &job.pipeline, &Changes { jobs: vec![acknowledged], ..Changes::default() }).await?;
        Ok(status)
    })
    .await
}

/// GetJobDetails, for jobs of workers and functions. Keys are given while the work is somebody's to do: the execution has
/// its stage, and the condition of a rule waits for it.
///
/// # Errors
/// Refusal `JobNotFoundException`.
pub async fn job_details<W: HasStore + HasRoles>(world: &W, id: Uuid) -> Result<JobOrder, EngineError> {
    let job = world.store().load_job(id).await?.filter(Job::is_answered_by_id);
    let job = job.ok_or_else(|| not_found(id))?;
    let run = load_run_of(world, &job).await?.ok_or_else(|| not_found(id))?;
    let is_open = !job.status.is_ended() && run.status == ActionStatus::InProgress;
    let is_wanted = match &job.rule {
        _ if !is_open => false,
        Some(_) => is_asked_for(world, &job).await?,
        None => holds_stage(world, &run).await?,
    };
    if !is_wanted {
        return Ok(JobOrder { job, run, credentials: None });
    }
    let credentials = world.roles().assume(&run.role_arn, &run.execution.to_string()).await?;
    Ok(JobOrder { job, run, credentials: Some(credentials) })
}

fn not_found(id: Uuid) -> EngineError {
    EngineError::refused("JobNotFoundException", format!("There is no job '{id}'."))
}
