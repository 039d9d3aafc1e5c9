//! The job protocol of Lambda and custom actions.

use std::collections::BTreeMap;
use std::fmt;

use domain::{ActionName, ActionTypeId, EncryptionKey, ExecutionId, PipelineName, StageName};

use super::Epoch;

wire! {
    /// PollForJobs; custom actions only.
    PollForJobsInput { action_type_id: ActionTypeId; max_batch_size: u32, query_param: BTreeMap<String, String> }

    /// PollForJobs' answer.
    PollForJobsOutput { jobs: Vec<Job>; }

    /// A job to acknowledge.
    Job { id: String, data: JobData, account_id: String; nonce: String }

    /// What a job works on; also the payload of a Lambda action.
    #[derive(Default)]
    JobData {
        ;
        action_type_id: ActionTypeId,
        action_configuration: ActionConfiguration,
        pipeline_context: PipelineContext,
        input_artifacts: Vec<Artifact>,
        output_artifacts: Vec<Artifact>,
        artifact_credentials: AwsSessionCredentials,
        continuation_token: String,
        encryption_key: EncryptionKey,
    }

    /// The action's settings, variables replaced.
    #[derive(Default)]
    ActionConfiguration { ; configuration: BTreeMap<String, String> }

    /// Where in which pipeline a job belongs.
    #[derive(Default)]
    PipelineContext {
        ;
        pipeline_name: PipelineName,
        stage: StageContext,
        action: ActionContext,
        pipeline_arn: String,
        pipeline_execution_id: ExecutionId,
    }

    /// The stage.
    #[derive(Default)]
    StageContext { ; name: StageName }

    /// The action.
    #[derive(Default)]
    ActionContext { ; name: ActionName, action_execution_id: String }

    /// An artifact to read or to write.
    #[derive(Default)]
    Artifact { ; name: String, revision: String, location: ArtifactLocation }

    /// Where an artifact is; `type` is always S3.
    #[derive(Default)]
    ArtifactLocation {
        ;
        #[serde(rename = "type")]
        location_type: String,
        s3_location: S3ArtifactLocation,
    }

    /// Bucket and key.
    S3ArtifactLocation { bucket_name: String, object_key: String; }

    /// AcknowledgeJob.
    AcknowledgeJobInput { job_id: String, nonce: String; }

    /// AcknowledgeJob's answer.
    AcknowledgeJobOutput { status: JobStatus; }

    /// GetJobDetails.
    GetJobDetailsInput { job_id: String; }

    /// GetJobDetails' answer.
    GetJobDetailsOutput { job_details: JobDetails; }

    /// A job without its nonce.
    JobDetails { id: String, data: JobData, account_id: String; }

    /// PutJobSuccessResult; with a continuation token, the job goes on under a new id.
    PutJobSuccessResultInput {
        job_id: String;
        current_revision: CurrentRevision,
        continuation_token: String,
        execution_details: ExecutionDetails,
        output_variables: BTreeMap<String, String>,
    }

    /// The revision a job produced.
    CurrentRevision { revision: String, change_identifier: String; created: Epoch, revision_summary: String }

    /// How far a job is, and where else to look.
    #[derive(Default)]
    ExecutionDetails { ; summary: String, external_execution_id: String, percent_complete: u8 }

    /// PutJobFailureResult.
    PutJobFailureResultInput { job_id: String, failure_details: FailureDetails; }

    /// Why a job failed.
    FailureDetails {
        #[serde(rename = "type")]
        failure_type: FailureType,
        message: String;
        external_execution_id: String,
    }
}

/// Short-lived credentials for the artifact store. They show in no debug output.
#[derive(Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AwsSessionCredentials {
    pub access_key_id: String,
    pub secret_access_key: String,
    pub session_token: String,
}

impl fmt::Debug for AwsSessionCredentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("AwsSessionCredentials(****)")
    }
}

/// Where a job is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum JobStatus {
    Created,
    Queued,
    Dispatched,
    InProgress,
    TimedOut,
    Succeeded,
    Failed,
}

/// What kind of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum FailureType {
    JobFailed,
    ConfigurationError,
    PermissionError,
    RevisionOutOfSync,
    RevisionUnavailable,
    SystemUnavailable,
}

impl FailureType {
    /// The value as CodePipeline spells it; also the error code of the failed action.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::JobFailed => "JobFailed",
            Self::ConfigurationError => "ConfigurationError",
            Self::PermissionError => "PermissionError",
            Self::RevisionOutOfSync => "RevisionOutOfSync",
            Self::RevisionUnavailable => "RevisionUnavailable",
            Self::SystemUnavailable => "SystemUnavailable",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_do_not_show_in_debug_output() {
        let credentials = AwsSessionCredentials {
            access_key_id: "id-1".to_owned(),
            secret_access_key: "secret-2".to_owned(),
            session_token: "token-3".to_owned(),
        };
        let data = JobData { artifact_credentials: Some(credentials), ..JobData::default() };
        let shown = format!("{data:?}");
        assert!(!["id-1", "secret-2", "token-3"].iter().any(|part| shown.contains(part)), "{shown}");
    }
}
