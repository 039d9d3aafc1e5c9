//! Jobs of Lambda actions and of rules that ask a function: the function is invoked.

use std::collections::BTreeMap;

use domain::{ActionRun, ArtifactLocation, Effect, Job, JobEvent, RuleAnswer};
use serde_json::{Value, json};
use uuid::Uuid;

use super::load_run_of;
use crate::{
    EngineError, HasFunctions, HasMachines, HasRoles, HasStore,
    actions::{Finished, finish},
    condition::{answer_for_rule, is_asked_for},
    outbox::forget_or_leave,
    ports::{CloudError, Functions, Roles, Store},
};

/// Performs an [`Effect::InvokeJob`] and takes it out of the outbox; a failure that can pass leaves it there. Whether it
/// was performed.
pub(crate) async fn invoke_and_forget<W: HasStore + HasMachines + HasFunctions + HasRoles>(
    world: &W,
    effect: &Effect,
) -> bool {
    let Effect::InvokeJob { job } = effect else {
        return false;
    };
    let is_done = invoke(world, *job).await.is_ok();
    forget_or_leave(world, effect, is_done).await
}

/// Invokes the Lambda function of a job, unless the job has been answered.
///
/// # Errors
/// [`EngineError::Unavailable`]: try again. A function that is not there or may not be invoked fails the action; the rule
/// that asks it finds that at the next look.
async fn invoke<W: HasStore + HasMachines + HasFunctions + HasRoles>(world: &W, job: Uuid) -> Result<(), EngineError> {
    let Some(job) = world.store().load_job(job).await? else {
        return Ok(());
    };
    let Some(function) = job.function.clone().filter(|_| !job.status.is_ended()) else {
        return Ok(());
    };
    let Some(run) = load_run_of(world, &job).await? else { return Ok(()) };
    // A function gets keys of its pipeline's role: nobody gets them for an evaluation that is over.
    if job.rule.is_some() && !is_asked_for(world, &job).await? {
        return Ok(());
    }
    let failure = match job_event(world, &job, &run).await {
        Ok(event) => match world.functions().invoke(run.region.as_deref(), &function, &event).await {
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
            format!("There is no function '{function}'. Deploy it, or correct FunctionName."),
        ),
        CloudError::Refused(why) => Finished::failed("ConfigurationError", format!("Function '{function}': {why}")),
    };
    if job.rule.is_some() {
        let answer = finished.failure.map(|(code, text)| RuleAnswer { error_code: Some(code), text: Some(text) });
        return match answer_for_rule(world, job.id, JobEvent::Fail, answer.unwrap_or_default()).await {
            // It was answered, or nobody needs it any more.
            Ok(_) | Err(EngineError::Refused(_)) => Ok(()),
            Err(error) => Err(error),
        };
    }
    let key = (&job).into();
    let finished = Finished { job: Some((job.id, JobEvent::Fail)), ..finished };
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
    if let Some(key) = &job.kms_key {
        data["encryptionKey"] = json!({ "id": key, "type": "KMS" });
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
