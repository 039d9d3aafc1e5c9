//! What functions and workers answer to their jobs.

use std::collections::BTreeMap;

use domain::{ActionRun, ActionStatus, Addressee, Changes, Effect, Job, JobEvent, RuleAnswer, SourceRevision};
use jiff::Timestamp;
use uuid::Uuid;

use super::{invoke_and_forget, new_job};
use crate::{
    EngineError, HasAlarms, HasFunctions, HasMachines, HasObjects, HasRoles, HasStore,
    actions::{End, Finished, digests_of, fence, finish, finish_work, holder},
    commit,
    commit::{store, until_stored},
    condition::{answer_for_rule, continue_for_rule, succeed_for_rule, tell_condition},
    outbox::perform_and_forget,
    ports::Store,
};

/// Most bytes of output variables of one action (spec 1.6).
pub const OUTPUT_VARIABLES_BYTES_MAX: usize = 122_880;

/// A worker's good answer.
#[derive(Debug, Clone, Default)]
pub struct JobSuccess {
    /// The worker is not done: it wants another job that carries this token.
    pub continuation: Option<String>,
    /// Id of the work at its provider.
    pub external_id: Option<String>,
    /// For people.
    pub summary: Option<String>,
    /// How much of the work is done, 0 to 100.
    pub percent_complete: Option<u8>,
    /// What was worked on.
    pub revision: Option<JobRevision>,
    /// Output variables; only with the final answer.
    pub variables: BTreeMap<String, String>,
}

/// The revision that a job worked on.
#[derive(Debug, Clone)]
pub struct JobRevision {
    /// What it is called.
    pub id: String,
    /// Changes whenever it does.
    pub change_identifier: String,
    /// For people.
    pub summary: Option<String>,
    /// When it was made.
    pub created: Option<Timestamp>,
}

impl JobRevision {
    fn of(self, job: &Job, run: Option<&ActionRun>) -> SourceRevision {
        let mut outputs = run.into_iter().flat_map(|run| run.outputs.keys().cloned());
        SourceRevision {
            action_name: job.action.clone(),
            artifact_name: outputs.next().unwrap_or_default(),
            more_artifacts: outputs.collect(),
            revision_id: self.id,
            revision_change_identifier: Some(self.change_identifier),
            revision_summary: self.summary,
            created: self.created,
        }
    }
}

/// PutJobSuccessResult.
///
/// # Errors
/// Refusals `JobNotFoundException`, `InvalidJobStateException`, `OutputVariablesSizeExceededException`,
/// `ValidationException`.
pub async fn succeed_job<W>(world: &W, id: Uuid, success: JobSuccess) -> Result<(), EngineError>
where
    W: HasStore + HasMachines + HasFunctions + HasRoles + HasObjects + HasAlarms,
{
    let job = answerable(world, id, JobEvent::Succeed).await?;
    let size: usize = success.variables.iter().map(|(key, value)| key.len() + value.len()).sum();
    if size > OUTPUT_VARIABLES_BYTES_MAX {
        let message =
            format!("The output variables take {size} bytes, at most {OUTPUT_VARIABLES_BYTES_MAX} are allowed.");
        return Err(EngineError::refused("OutputVariablesSizeExceededException", message));
    }
    if let Some(continuation) = &success.continuation {
        if !success.variables.is_empty() {
            let message = "Output variables can only be given with the final answer, without a continuation token.";
            return Err(EngineError::refused("ValidationException", message));
        }
        if job.rule.is_some() {
            return continue_for_rule(world, id, continuation).await;
        }
        return continue_job(world, id, continuation, &success).await;
    }
    if job.rule.is_some() {
        // What a rule finds is for its condition alone: there is nobody its output variables could be for.
        return succeed_for_rule(world, id, success.summary).await;
    }
    let run = world.store().load_action_run(&job.pipeline, job.execution, job.run).await?;
    let revision = success.revision.map(|revision| revision.of(&job, run.as_ref()));
    let digests = match &run {
        Some(run) => digests_of(world, &run.outputs).await,
        None => BTreeMap::new(),
    };
    let key = (&job).into();
    let finished = Finished {
        summary: success.summary,
        external_id: success.external_id,
        percent_complete: success.percent_complete,
        variables: success.variables,
        revision,
        made_artifacts: true,
        digests,
        job: Some((job.id, JobEvent::Succeed)),
        ..Finished::default()
    };
    taken(id, finish_work(world, &key, &finished).await?)
}

/// An answer that comes after another one, after the time was over or after the action was abandoned is refused: nothing
/// it says counts.
fn taken(id: Uuid, end: End) -> Result<(), EngineError> {
    let message = match end {
        End::Now(ActionStatus::Abandoned) => format!("The action of job '{id}' was abandoned."),
        End::Now(_) => return Ok(()),
        End::Before(_) => format!("Job '{id}' has ended meanwhile."),
    };
    Err(EngineError::refused("InvalidJobStateException", message))
}

/// PutJobFailureResult. `code` is CodePipeline's failure type, such as `JobFailed`.
///
/// # Errors
/// Refusals `JobNotFoundException`, `InvalidJobStateException`.
pub async fn fail_job<W: HasStore + HasMachines + HasObjects + HasAlarms>(
    world: &W,
    id: Uuid,
    code: &str,
    message: &str,
    external_id: Option<String>,
) -> Result<(), EngineError> {
    let job = answerable(world, id, JobEvent::Fail).await?;
    if job.rule.is_some() {
        // The function was asked and says no: that is what the rule found, whatever it calls its reason.
        let answer = RuleAnswer { error_code: None, text: Some(message.to_owned()) };
        let job = answer_for_rule(world, id, JobEvent::Fail, answer).await?;
        tell_condition(world, &job).await;
        return Ok(());
    }
    let key = (&job).into();
    let finished = Finished { external_id, job: Some((job.id, JobEvent::Fail)), ..Finished::failed(code, message) };
    taken(id, finish(world, &key, &finished).await?)
}

/// The job `id`, which takes the answer `event`.
pub(crate) async fn answerable<W: HasStore>(world: &W, id: Uuid, event: JobEvent) -> Result<Job, EngineError> {
    let job = world.store().load_job(id).await?;
    let Some(job) = job.filter(Job::is_answered_by_id) else {
        return Err(EngineError::refused("JobNotFoundException", format!("There is no job '{id}'.")));
    };
    if job.after(event).is_ok() {
        return Ok(job);
    }
    let status = job.status.as_str();
    let message = if job.status.is_ended() {
        format!("Job '{id}' has ended: {status}.")
    } else {
        format!("Job '{id}' is {status}. Poll for it and acknowledge it before you answer it.")
    };
    Err(EngineError::refused("InvalidJobStateException", message))
}

/// Closes this job and makes the next one, which carries the token (spec 6.3). The work of an execution that has lost
/// its stage is not continued.
async fn continue_job<W: HasStore + HasMachines + HasFunctions + HasRoles>(
    world: &W,
    id: Uuid,
    continuation: &str,
    success: &JobSuccess,
) -> Result<(), EngineError> {
    let effects = until_stored(async || {
        let job = answerable(world, id, JobEvent::Succeed).await?;
        let run = world.store().load_action_run(&job.pipeline, job.execution, job.run).await?;
        let Some(run) = run.filter(|run| run.status == ActionStatus::InProgress) else {
            let message = format!("The action of job '{id}' has ended.");
            return Err(EngineError::refused("InvalidJobStateException", message));
        };
        let Some(execution) = holder(world, &run).await? else {
            let key = (&job).into();
            let finished = Finished { job: Some((job.id, JobEvent::Succeed)), ..Finished::default() };
            taken(id, finish(world, &key, &finished).await?)?;
            return Ok(Vec::new());
        };
        let mut changes = Changes::default();
        fence(&mut changes, &execution, &run);
        continued(&mut changes, world.now(), &job, run, continuation, success)?;
        store(world, &job.pipeline, &changes).await
    })
    .await?;
    for effect in &effects {
        perform_and_forget(world, effect).await;
        invoke_and_forget(world, effect).await;
    }
    Ok(())
}

/// Adds the next job of `run` in the place of `job`.
fn continued(
    changes: &mut Changes,
    now: Timestamp,
    job: &Job,
    mut run: ActionRun,
    continuation: &str,
    success: &JobSuccess,
) -> Result<(), EngineError> {
    let closed = job.after(JobEvent::Succeed).map_err(commit::reread)?;
    // Runs count their jobs by row version: each job changes the run once.
    let number = u32::try_from(run.version).unwrap_or(u32::MAX);
    let next = Job {
        token: job.token.clone(),
        kms_key: job.kms_key.clone(),
        continuation: Some(continuation.to_owned()),
        ..new_job(&run, number, now)
    };
    if run.external_id == Some(job.id.to_string()) {
        run.external_id = Some(next.id.to_string());
    }
    run.external_id = success.external_id.clone().or(run.external_id);
    run.summary = success.summary.clone().or(run.summary);
    run.percent_complete = success.percent_complete.or(run.percent_complete);
    run.revision = success.revision.clone().map(|revision| revision.of(job, Some(&run))).or(run.revision);
    run.job = Some(next.id);
    run.updated_at = now;
    let extend = |token: &str| Effect::ExtendAction { token: token.to_owned(), job: next.id };
    changes.effects.extend(job.token.iter().map(extend));
    if let Addressee::Function(_) = next.addressee() {
        changes.effects.push(Effect::InvokeJob { job: next.id });
    }
    changes.runs.push(run);
    changes.jobs.extend([closed, next]);
    Ok(())
}
