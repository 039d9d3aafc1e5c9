//! Job workers, and the answers of workers and functions to their jobs.

use std::collections::BTreeMap;

use domain::{EncryptionKey, JobStatus};
use engine::{
    HasAlarms, HasFunctions, HasMachines, HasObjects, HasRoles, HasStore, JobOrder, JobRevision, JobSuccess, Poll,
};
use protocol::{
    ErrorCode,
    wire::jobs::{
        AcknowledgeJobInput, AcknowledgeJobOutput, ActionConfiguration, ActionContext, Artifact, ArtifactLocation,
        AwsSessionCredentials, GetJobDetailsInput, GetJobDetailsOutput, Job, JobData, JobDetails,
        JobStatus as WireStatus, PipelineContext, PollForJobsInput, PollForJobsOutput, PutJobFailureResultInput,
        PutJobSuccessResultInput, S3ArtifactLocation, StageContext,
    },
};
use uuid::Uuid;

use crate::failure::Failure;

/// Jobs in an answer to a poll that names no number.
const BATCH: u32 = 1;

/// PollForJobs.
pub(crate) async fn poll<W: HasStore + HasMachines + HasRoles>(
    world: &W,
    input: PollForJobsInput,
) -> Result<PollForJobsOutput, Failure> {
    let poll = Poll {
        action_type: input.action_type_id,
        query: input.query_param.unwrap_or_default().into_iter().next(),
        limit: usize::try_from(input.max_batch_size.unwrap_or(BATCH)).unwrap_or(usize::MAX),
    };
    let orders = engine::poll_for_jobs(world, &poll).await?;
    let jobs = orders.into_iter().map(|order| Job {
        id: order.job.id.to_string(),
        nonce: order.job.nonce.clone(),
        account_id: world.settings().account.clone(),
        data: data(world, order),
    });
    Ok(PollForJobsOutput { jobs: jobs.collect() })
}

/// AcknowledgeJob.
pub(crate) async fn acknowledge<W: HasStore + HasMachines>(
    world: &W,
    input: AcknowledgeJobInput,
) -> Result<AcknowledgeJobOutput, Failure> {
    let status = engine::acknowledge_job(world, job_id(&input.job_id)?, &input.nonce).await?;
    Ok(AcknowledgeJobOutput { status: wire_status(status) })
}

/// GetJobDetails.
pub(crate) async fn details<W: HasStore + HasRoles>(
    world: &W,
    input: GetJobDetailsInput,
) -> Result<GetJobDetailsOutput, Failure> {
    let order = engine::job_details(world, job_id(&input.job_id)?).await?;
    let job_details =
        JobDetails { id: input.job_id, account_id: world.settings().account.clone(), data: data(world, order) };
    Ok(GetJobDetailsOutput { job_details })
}

/// What a worker has to know, secrets included.
fn data<W: HasStore>(world: &W, order: JobOrder) -> JobData {
    let JobOrder { job, run, credentials } = order;
    let pipeline_context = PipelineContext {
        pipeline_arn: Some(world.settings().pipeline_arn(run.pipeline.as_str())),
        pipeline_name: Some(run.pipeline),
        stage: Some(StageContext { name: Some(run.stage) }),
        action: Some(ActionContext { name: Some(run.action), action_execution_id: Some(run.id.to_string()) }),
        pipeline_execution_id: Some(run.execution),
    };
    JobData {
        action_type_id: Some(run.action_type),
        action_configuration: Some(ActionConfiguration { configuration: Some(run.resolved_configuration) }),
        pipeline_context: Some(pipeline_context),
        input_artifacts: Some(artifacts(run.inputs)),
        output_artifacts: Some(artifacts(run.outputs)),
        artifact_credentials: credentials.map(|credentials| AwsSessionCredentials {
            access_key_id: credentials.access_key_id,
            secret_access_key: credentials.secret_access_key,
            session_token: credentials.session_token,
        }),
        continuation_token: job.continuation,
        encryption_key: job.kms_key.map(|id| EncryptionKey { id, kind: "KMS".to_owned() }),
    }
}

fn artifacts(artifacts: BTreeMap<String, domain::ArtifactLocation>) -> Vec<Artifact> {
    let artifact = |(name, at): (String, domain::ArtifactLocation)| Artifact {
        name: Some(name),
        revision: None,
        location: Some(ArtifactLocation {
            location_type: Some("S3".to_owned()),
            s3_location: Some(S3ArtifactLocation { bucket_name: at.bucket, object_key: at.key }),
        }),
    };
    artifacts.into_iter().map(artifact).collect()
}

fn wire_status(status: JobStatus) -> WireStatus {
    match status {
        JobStatus::Created => WireStatus::Created,
        JobStatus::Queued => WireStatus::Queued,
        JobStatus::Dispatched => WireStatus::Dispatched,
        JobStatus::InProgress => WireStatus::InProgress,
        JobStatus::TimedOut => WireStatus::TimedOut,
        JobStatus::Succeeded => WireStatus::Succeeded,
        JobStatus::Failed => WireStatus::Failed,
    }
}

/// PutJobSuccessResult.
pub(crate) async fn succeed<W>(world: &W, input: PutJobSuccessResultInput) -> Result<(), Failure>
where
    W: HasStore + HasMachines + HasFunctions + HasRoles + HasObjects + HasAlarms,
{
    let details = input.execution_details.unwrap_or_default();
    let success = JobSuccess {
        continuation: input.continuation_token,
        external_id: details.external_execution_id,
        summary: details.summary,
        percent_complete: details.percent_complete,
        revision: input.current_revision.map(|revision| JobRevision {
            id: revision.revision,
            change_identifier: revision.change_identifier,
            summary: revision.revision_summary,
            created: revision.created.map(|created| created.0),
        }),
        variables: input.output_variables.unwrap_or_default(),
    };
    Ok(engine::succeed_job(world, job_id(&input.job_id)?, success).await?)
}

/// PutJobFailureResult.
pub(crate) async fn fail<W: HasStore + HasMachines + HasObjects + HasAlarms>(
    world: &W,
    input: PutJobFailureResultInput,
) -> Result<(), Failure> {
    let details = input.failure_details;
    let (code, id) = (details.failure_type.as_str(), job_id(&input.job_id)?);
    Ok(engine::fail_job(world, id, code, &details.message, details.external_execution_id).await?)
}

/// The operations of partner actions, which there are none of: `error` is one that the operation declares.
pub(crate) fn no_partners(error: ErrorCode) -> Failure {
    let message = "Lastgood runs no third-party (partner) actions. Declare the action as a custom action type and have \
        a job worker of yours do it (CreateCustomActionType, PollForJobs), or a Lambda function (Invoke).";
    Failure::refused(error, message)
}

/// Jobs have UUIDs; whatever else fits the model's pattern names none.
fn job_id(text: &str) -> Result<Uuid, Failure> {
    text.parse().map_err(|_| Failure::refused(ErrorCode::JobNotFoundException, format!("There is no job '{text}'.")))
}
