//! Work that somebody else does and answers later: the job protocol of Lambda actions, and approvals.

use std::collections::BTreeMap;

use domain::{ActionRun, ActionStatus, ArtifactLocation, Changes, Effect, Job, JobStatus, derived_uuid};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    EngineError, HasFunctions, HasMachines, HasRoles, HasStore,
    actions::{Finished, Underway, fence, finish},
    commit,
    commit::{forget, store, until_stored},
    ports::{CloudError, Functions, Roles, Store},
};

/// Most bytes of output variables of one action (spec 1.6).
pub const OUTPUT_VARIABLES_BYTES_MAX: usize = 122_880;

/// Records the job of an action and hands it out. Asked again with a new task token, the job answers to that one.
pub(crate) async fn hand_out<W: HasStore + HasMachines + HasFunctions + HasRoles>(
    world: &W,
    token: &str,
    underway: Underway,
) -> Result<ActionStatus, EngineError> {
    let run = underway.run.clone();
    let effect = until_stored(async || {
        let before = open_job(world, &run).await?;
        let function = run.resolved_configuration.get("FunctionName").cloned();
        let fresh = before.is_none();
        let job =
            Job { token: token.to_owned(), ..before.unwrap_or_else(|| new_job(&run, function, None, 0, world.now())) };
        let approval = job.function.is_none();
        let effect = (!approval).then_some(Effect::InvokeJob { job: job.id });
        let mut changes = Changes { effects: effect.iter().cloned().collect(), ..Changes::default() };
        fence(&mut changes, &underway.execution, &run);
        if fresh {
            let mut run = run.clone();
            run.approval_token = approval.then(|| job.id.to_string());
            run.external_id = Some(job.id.to_string());
            run.updated_at = world.now();
            changes.runs.push(run);
        }
        changes.jobs.push(job);
        store(world, &run.pipeline, &changes).await?;
        Ok(effect)
    })
    .await?;
    if let Some(effect) = effect {
        invoke_and_forget(world, &effect).await;
    }
    Ok(ActionStatus::InProgress)
}

fn new_job(
    run: &ActionRun,
    function: Option<String>,
    continuation: Option<String>,
    number: u32,
    created_at: jiff::Timestamp,
) -> Job {
    Job {
        id: job_id(run, number),
        run: run.id,
        pipeline: run.pipeline.clone(),
        execution: run.execution,
        stage: run.stage.clone(),
        action: run.action.clone(),
        generation: run.generation,
        token: String::new(),
        function,
        continuation,
        status: JobStatus::InProgress,
        created_at,
        version: 0,
    }
}

fn job_id(run: &ActionRun, number: u32) -> Uuid {
    derived_uuid(&["job", &run.id.to_string(), &number.to_string()])
}

/// The job of a run that is still out. Its id is the run's external id.
pub(crate) async fn open_job<W: HasStore>(world: &W, run: &ActionRun) -> Result<Option<Job>, EngineError> {
    let Some(id) = run.external_id.as_deref().and_then(|id| id.parse().ok()) else {
        return Ok(None);
    };
    let job = world.store().load_job(id).await?;
    Ok(job.filter(|job| job.status == JobStatus::InProgress))
}

/// Performs an [`Effect::InvokeJob`] and takes it out of the outbox; a failure that can pass leaves it there.
pub(crate) async fn invoke_and_forget<W: HasStore + HasMachines + HasFunctions + HasRoles>(world: &W, effect: &Effect) {
    let Effect::InvokeJob { job } = effect else {
        return;
    };
    if invoke(world, *job).await.is_ok() {
        forget(world, effect).await;
    }
}

/// Invokes the Lambda function of a job, unless the job has been answered.
///
/// # Errors
/// [`EngineError::Unavailable`]: try again. A function that is not there or may not be invoked fails the action.
pub(crate) async fn invoke<W: HasStore + HasMachines + HasFunctions + HasRoles>(
    world: &W,
    job: Uuid,
) -> Result<(), EngineError> {
    let Some(job) = world.store().load_job(job).await? else {
        return Ok(());
    };
    let Some(function) = job.function.clone().filter(|_| job.status == JobStatus::InProgress) else {
        return Ok(());
    };
    let run = world.store().load_action_run(&job.pipeline, job.execution, job.run).await?;
    let Some(run) = run else { return Ok(()) };
    let failure = match job_event(world, &job, &run).await {
        Ok(event) => match world.functions().invoke(&function, &event).await {
            Ok(()) => return Ok(()),
            Err(error) => error,
        },
        Err(error) => error,
    };
    let finished = match failure {
        CloudError::Unavailable(_) => return Err(failure.into()),
        CloudError::Denied(why) => {
            Finished::failed("PermissionError", format!("Function '{function}' may not be invoked: {why}"))
        }
        CloudError::NotFound(_) => Finished::failed(
            "ConfigurationError",
            format!("There is no function '{function}'. Deploy it, or correct FunctionName in the action."),
        ),
        CloudError::Refused(why) => Finished::failed("ConfigurationError", format!("Function '{function}': {why}")),
    };
    let key = (&job).into();
    let finished = Finished { job: Some(Job { status: JobStatus::Failed, ..job }), ..finished };
    finish(world, &key, &finished).await.map(|_| ())
}

/// The event a Lambda action's function gets (spec 6.3). It holds short-lived keys, so it is made anew each time and
/// never stored.
async fn job_event<W: HasRoles>(world: &W, job: &Job, run: &ActionRun) -> Result<Value, CloudError> {
    let credentials = world.roles().assume(&run.role_arn, &run.execution.to_string()).await?;
    let mut data = json!({
        "actionConfiguration": { "configuration": run.resolved_configuration },
        "inputArtifacts": artifacts(&run.inputs),
        "outputArtifacts": artifacts(&run.outputs),
        "artifactCredentials": {
            "accessKeyId": credentials.access_key_id,
            "secretAccessKey": credentials.secret_access_key,
            "sessionToken": credentials.session_token,
            "expirationTime": credentials.expires_at.as_millisecond(),
        },
    });
    if let Some(continuation) = &job.continuation {
        data["continuationToken"] = json!(continuation);
    }
    let account = &world.settings().account;
    Ok(json!({ "CodePipeline.job": { "id": job.id, "accountId": account, "data": data } }))
}

fn artifacts(artifacts: &BTreeMap<String, ArtifactLocation>) -> Value {
    let one = |(name, at): (&String, &ArtifactLocation)| {
        json!({
            "name": name,
            "revision": null,
            "location": { "type": "S3", "s3Location": { "bucketName": at.bucket, "objectKey": at.key } },
        })
    };
    artifacts.iter().map(one).collect()
}

/// A worker's good answer.
#[derive(Debug, Clone, Default)]
pub struct JobSuccess {
    /// The worker is not done: it wants to be invoked again with this token.
    pub continuation: Option<String>,
    /// Id of the work at its provider.
    pub external_id: Option<String>,
    /// For people.
    pub summary: Option<String>,
    /// Output variables; only with the final answer.
    pub variables: BTreeMap<String, String>,
}

/// PutJobSuccessResult.
///
/// # Errors
/// Refusals `JobNotFoundException`, `InvalidJobStateException`, `OutputVariablesSizeExceededException`,
/// `ValidationException`.
pub async fn succeed_job<W: HasStore + HasMachines + HasFunctions + HasRoles>(
    world: &W,
    id: Uuid,
    success: JobSuccess,
) -> Result<(), EngineError> {
    let job = answerable(world, id).await?;
    let size: usize = success.variables.iter().map(|(key, value)| key.len() + value.len()).sum();
    if size > OUTPUT_VARIABLES_BYTES_MAX {
        let message =
            format!("The output variables take {size} bytes, at most {OUTPUT_VARIABLES_BYTES_MAX} are allowed.");
        return Err(EngineError::refused("OutputVariablesSizeExceededException", message));
    }
    if let Some(continuation) = success.continuation {
        if !success.variables.is_empty() {
            let message = "Output variables can only be given with the final answer, without a continuation token.";
            return Err(EngineError::refused("ValidationException", message));
        }
        return continue_job(world, job, continuation, success.summary).await;
    }
    let finished = Finished {
        summary: success.summary,
        external_id: success.external_id,
        variables: success.variables,
        made_artifacts: true,
        ..Finished::default()
    };
    let key = (&job).into();
    let finished = Finished { job: Some(Job { status: JobStatus::Succeeded, ..job }), ..finished };
    taken(id, finish(world, &key, &finished).await?)
}

/// An answer that comes after the action was abandoned is refused: nothing it says counts.
fn taken(id: Uuid, status: ActionStatus) -> Result<(), EngineError> {
    if status == ActionStatus::Abandoned {
        let message = format!("The action of job '{id}' was abandoned.");
        return Err(EngineError::refused("InvalidJobStateException", message));
    }
    Ok(())
}

/// PutJobFailureResult. `code` is CodePipeline's failure type, such as `JobFailed`.
///
/// # Errors
/// Refusals `JobNotFoundException`, `InvalidJobStateException`.
pub async fn fail_job<W: HasStore + HasMachines>(
    world: &W,
    id: Uuid,
    code: &str,
    message: &str,
    external_id: Option<String>,
) -> Result<(), EngineError> {
    let job = answerable(world, id).await?;
    let key = (&job).into();
    let finished = Finished {
        external_id,
        job: Some(Job { status: JobStatus::Failed, ..job }),
        ..Finished::failed(code, message)
    };
    taken(id, finish(world, &key, &finished).await?)
}

async fn answerable<W: HasStore>(world: &W, id: Uuid) -> Result<Job, EngineError> {
    let Some(job) = world.store().load_job(id).await?.filter(|job| job.function.is_some()) else {
        return Err(EngineError::refused("JobNotFoundException", format!("There is no job '{id}'.")));
    };
    if job.status != JobStatus::InProgress {
        let message = format!("Job '{id}' has ended: {:?}.", job.status);
        return Err(EngineError::refused("InvalidJobStateException", message));
    }
    Ok(job)
}

/// Closes this job and makes the next one, which carries the token (spec 6.3).
async fn continue_job<W: HasStore + HasMachines + HasFunctions + HasRoles>(
    world: &W,
    job: Job,
    continuation: String,
    summary: Option<String>,
) -> Result<(), EngineError> {
    let effects = until_stored(async || {
        let run = world.store().load_action_run(&job.pipeline, job.execution, job.run).await?;
        let Some(mut run) = run.filter(|run| run.status == ActionStatus::InProgress) else {
            return Err(EngineError::refused(
                "InvalidJobStateException",
                format!("The action of job '{}' has ended.", job.id),
            ));
        };
        // Runs count their jobs by row version: each job changes the run once.
        let number = u32::try_from(run.version).unwrap_or(u32::MAX);
        let function = job.function.clone();
        let next = Job {
            token: job.token.clone(),
            ..new_job(&run, function, Some(continuation.clone()), number, world.now())
        };
        run.external_id = Some(next.id.to_string());
        run.summary = summary.clone().or(run.summary);
        run.updated_at = world.now();
        let effects =
            vec![Effect::ExtendAction { token: job.token.clone(), job: next.id }, Effect::InvokeJob { job: next.id }];
        let mut changes = Changes { effects: effects.clone(), ..Changes::default() };
        changes.runs.push(run);
        changes.jobs.push(Job { status: JobStatus::Succeeded, ..job.clone() });
        changes.jobs.push(next);
        store(world, &job.pipeline, &changes).await?;
        Ok(effects)
    })
    .await?;
    for effect in &effects {
        commit::perform_and_forget(world, effect).await;
        invoke_and_forget(world, effect).await;
    }
    Ok(())
}
