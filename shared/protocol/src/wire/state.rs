//! The state of a pipeline's stages, actions and conditions; overriding a condition.

use domain::{
    ActionName, ActionStatus, ConditionStatus, ExecutionId, ExecutionType, PipelineName, RetryTrigger, StageName,
    StageStatus,
};

use super::Epoch;

wire! {
    /// GetPipelineState.
    GetPipelineStateInput { name: PipelineName; }

    /// GetPipelineState's answer.
    GetPipelineStateOutput {
        pipeline_name: PipelineName,
        pipeline_version: u32,
        stage_states: Vec<StageState>,
        created: Epoch,
        updated: Epoch;
    }

    /// One stage.
    StageState {
        stage_name: StageName;
        inbound_execution: StageExecution,
        inbound_executions: Vec<StageExecution>,
        inbound_transition_state: TransitionState,
        action_states: Vec<ActionState>,
        latest_execution: StageExecution,
        before_entry_condition_state: StageConditionState,
        on_success_condition_state: StageConditionState,
        on_failure_condition_state: StageConditionState,
        retry_stage_metadata: RetryStageMetadata,
    }

    /// An execution in, or waiting before, a stage. AWS leaves `type` out for STANDARD.
    StageExecution {
        pipeline_execution_id: ExecutionId,
        status: StageStatus;
        #[serde(rename = "type")]
        execution_type: ExecutionType,
    }

    /// Whether executions may enter.
    TransitionState {
        enabled: bool;
        last_changed_by: String,
        last_changed_at: Epoch,
        disabled_reason: String,
    }

    /// One action.
    ActionState {
        action_name: ActionName;
        current_revision: ActionRevision,
        latest_execution: ActionExecution,
        entity_url: String,
        revision_url: String,
    }

    /// A revision an action worked on, or one that is new (PutActionRevision).
    ActionRevision { revision_id: String, revision_change_id: String, created: Epoch; }

    /// The latest run of an action.
    ActionExecution {
        action_execution_id: String,
        status: ActionStatus;
        summary: String,
        last_status_change: Epoch,
        token: String,
        last_updated_by: String,
        external_execution_id: String,
        external_execution_url: String,
        percent_complete: u8,
        error_details: ErrorDetails,
        #[serde(rename = "logStreamARN")]
        log_stream_arn: String,
    }

    /// Why something failed.
    #[derive(Default)]
    ErrorDetails { ; code: String, message: String }

    /// The conditions of one kind.
    #[derive(Default)]
    StageConditionState { ; latest_execution: StageConditionsExecution, condition_states: Vec<ConditionState> }

    /// Their latest evaluation together.
    StageConditionsExecution { status: ConditionStatus; summary: String }

    /// One condition.
    #[derive(Default)]
    ConditionState { ; latest_execution: ConditionExecution, rule_states: Vec<RuleState> }

    /// Its latest evaluation.
    ConditionExecution { status: ConditionStatus; summary: String, last_status_change: Epoch }

    /// One rule.
    RuleState {
        rule_name: String;
        current_revision: ActionRevision,
        latest_execution: RuleExecution,
        entity_url: String,
        revision_url: String,
    }

    /// Its latest evaluation.
    RuleExecution {
        rule_execution_id: String,
        status: ActionStatus;
        summary: String,
        last_status_change: Epoch,
        token: String,
        last_updated_by: String,
        external_execution_id: String,
        external_execution_url: String,
        error_details: ErrorDetails,
    }

    /// How often a stage was retried, and by whom last.
    #[derive(Default)]
    RetryStageMetadata {
        ;
        auto_stage_retry_attempt: u32,
        manual_stage_retry_attempt: u32,
        latest_retry_trigger: RetryTrigger,
    }

    /// OverrideStageCondition.
    OverrideStageConditionInput {
        pipeline_name: PipelineName,
        stage_name: StageName,
        pipeline_execution_id: ExecutionId,
        condition_type: ConditionType;
    }
}

/// Which conditions to override.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ConditionType {
    BeforeEntry,
    OnSuccess,
}
