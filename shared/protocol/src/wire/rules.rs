//! Rule executions and rule types.

use std::collections::BTreeMap;

use domain::{ActionStatus, ExecutionId, PipelineName, RuleTypeId, StageName};

use super::Epoch;
use super::actions::{
    ActionConfigurationProperty, ActionExecutionFilter, ActionTypeSettings, ArtifactDetail, ArtifactDetails,
};
use super::state::ErrorDetails;

wire! {
    /// ListRuleExecutions; 1 to 100 per page, executions newest first and the evaluations of each newest first.
    ListRuleExecutionsInput {
        pipeline_name: PipelineName;
        filter: ActionExecutionFilter,
        max_results: u32,
        next_token: String,
    }

    /// ListRuleExecutions' answer.
    ListRuleExecutionsOutput { rule_execution_details: Vec<RuleExecutionDetail>; next_token: String }

    /// One evaluation of a rule.
    RuleExecutionDetail {
        pipeline_execution_id: ExecutionId,
        rule_execution_id: String,
        pipeline_version: u32,
        stage_name: StageName,
        rule_name: String,
        start_time: Epoch,
        last_update_time: Epoch,
        status: ActionStatus;
        updated_by: String,
        input: RuleExecutionInput,
        output: RuleExecutionOutput,
    }

    /// What an evaluation was given; `resolved_configuration` has variables replaced.
    RuleExecutionInput {
        rule_type_id: RuleTypeId;
        configuration: BTreeMap<String, String>,
        resolved_configuration: BTreeMap<String, String>,
        role_arn: String,
        region: String,
        input_artifacts: Vec<ArtifactDetail>,
    }

    /// ListRuleTypes.
    #[derive(Default)]
    ListRuleTypesInput { ; rule_owner_filter: String, region_filter: String }

    /// ListRuleTypes' answer.
    ListRuleTypesOutput { rule_types: Vec<RuleType>; }

    /// A rule type and what it takes.
    RuleType {
        id: RuleTypeId,
        input_artifact_details: ArtifactDetails;
        settings: ActionTypeSettings,
        rule_configuration_properties: Vec<ActionConfigurationProperty>,
    }

    /// What an evaluation found.
    #[derive(Default)]
    RuleExecutionOutput { ; execution_result: RuleExecutionResult }

    /// What the provider said about it.
    #[derive(Default)]
    RuleExecutionResult {
        ;
        external_execution_id: String,
        external_execution_summary: String,
        external_execution_url: String,
        error_details: ErrorDetails,
    }
}
