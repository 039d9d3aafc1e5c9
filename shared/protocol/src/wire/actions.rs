//! Action executions and action types; announcing a new source revision.

use std::collections::BTreeMap;

use domain::{ActionName, ActionStatus, ActionTypeId, ExecutionId, PipelineName, StageName};

use super::Epoch;
use super::state::{ActionRevision, ErrorDetails};

wire! {
    /// ListActionExecutions; 1 to 100 per page, executions newest first and the runs of each newest first.
    ListActionExecutionsInput {
        pipeline_name: PipelineName;
        filter: ActionExecutionFilter,
        max_results: u32,
        next_token: String,
    }

    /// Which action (or rule) executions to list.
    #[derive(Default)]
    ActionExecutionFilter {
        ;
        pipeline_execution_id: ExecutionId,
        latest_in_pipeline_execution: LatestInPipelineExecutionFilter,
    }

    /// Those of one execution, all or each one's latest run.
    LatestInPipelineExecutionFilter { pipeline_execution_id: ExecutionId, start_time_range: StartTimeRange; }

    /// ListActionExecutions' answer.
    ListActionExecutionsOutput { action_execution_details: Vec<ActionExecutionDetail>; next_token: String }

    /// One run of an action.
    ActionExecutionDetail {
        pipeline_execution_id: ExecutionId,
        action_execution_id: String,
        pipeline_version: u32,
        stage_name: StageName,
        action_name: ActionName,
        start_time: Epoch,
        last_update_time: Epoch,
        status: ActionStatus;
        updated_by: String,
        input: ActionExecutionInput,
        output: ActionExecutionOutput,
    }

    /// What a run was given; `resolved_configuration` has variables replaced.
    ActionExecutionInput {
        action_type_id: ActionTypeId;
        configuration: BTreeMap<String, String>,
        resolved_configuration: BTreeMap<String, String>,
        role_arn: String,
        region: String,
        input_artifacts: Vec<ArtifactDetail>,
        namespace: String,
    }

    /// What a run made.
    #[derive(Default)]
    ActionExecutionOutput {
        ;
        output_artifacts: Vec<ArtifactDetail>,
        execution_result: ActionExecutionResult,
        output_variables: BTreeMap<String, String>,
    }

    /// An artifact and its place.
    #[derive(Default)]
    ArtifactDetail { ; name: String, s3location: S3Location }

    /// A place in S3.
    #[derive(Default)]
    S3Location { ; bucket: String, key: String }

    /// What the provider said about a run.
    #[derive(Default)]
    ActionExecutionResult {
        ;
        external_execution_id: String,
        external_execution_summary: String,
        external_execution_url: String,
        error_details: ErrorDetails,
        #[serde(rename = "logStreamARN")]
        log_stream_arn: String,
    }

    /// ListActionTypes.
    #[derive(Default)]
    ListActionTypesInput { ; action_owner_filter: String, next_token: String, region_filter: String }

    /// ListActionTypes' answer.
    ListActionTypesOutput { action_types: Vec<ActionType>; next_token: String }

    /// An action type and what it takes.
    ActionType {
        id: ActionTypeId,
        input_artifact_details: ArtifactDetails,
        output_artifact_details: ArtifactDetails;
        settings: ActionTypeSettings,
        action_configuration_properties: Vec<ActionConfigurationProperty>,
    }

    /// How many artifacts, 0 to 5.
    ArtifactDetails { minimum_count: u8, maximum_count: u8; }

    /// Links of an action type.
    #[derive(Default)]
    ActionTypeSettings {
        ;
        third_party_configuration_url: String,
        entity_url_template: String,
        execution_url_template: String,
        revision_url_template: String,
    }

    /// One configuration key of an action type.
    ActionConfigurationProperty {
        name: String,
        required: bool,
        key: bool,
        secret: bool;
        queryable: bool,
        description: String,
        #[serde(rename = "type")]
        property_type: String,
    }

    /// PutActionRevision.
    PutActionRevisionInput {
        pipeline_name: PipelineName,
        stage_name: StageName,
        action_name: ActionName,
        action_revision: ActionRevision;
    }

    /// PutActionRevision's answer.
    PutActionRevisionOutput { new_revision: bool; pipeline_execution_id: ExecutionId }
}

/// All runs, or each action's latest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum StartTimeRange {
    Latest,
    All,
}
