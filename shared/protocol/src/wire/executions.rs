//! Pipeline executions: start, stop, retry a stage, read, list.

use domain::{
    ActionName, ExecutionId, ExecutionMode, ExecutionStatus, ExecutionType, PipelineName, RetryMode,
    SourceRevisionOverride, StageName, TriggerType,
};

use super::Epoch;

wire! {
    /// StartPipelineExecution; the same clientRequestToken means the same execution.
    StartPipelineExecutionInput {
        name: PipelineName;
        variables: Vec<PipelineVariable>,
        client_request_token: String,
        source_revisions: Vec<SourceRevisionOverride>,
    }

    /// A value for a pipeline-level variable.
    PipelineVariable { name: String, value: String; }

    /// StartPipelineExecution's answer.
    StartPipelineExecutionOutput { pipeline_execution_id: ExecutionId; }

    /// StopPipelineExecution; `abandon` does not wait for running actions.
    StopPipelineExecutionInput {
        pipeline_name: PipelineName,
        pipeline_execution_id: ExecutionId;
        abandon: bool,
        reason: String,
    }

    /// StopPipelineExecution's answer.
    StopPipelineExecutionOutput { pipeline_execution_id: ExecutionId; }

    /// RetryStageExecution.
    RetryStageExecutionInput {
        pipeline_name: PipelineName,
        stage_name: StageName,
        pipeline_execution_id: ExecutionId,
        retry_mode: RetryMode;
    }

    /// RetryStageExecution's answer: the same execution goes on.
    RetryStageExecutionOutput { pipeline_execution_id: ExecutionId; }

    /// GetPipelineExecution.
    GetPipelineExecutionInput { pipeline_name: PipelineName, pipeline_execution_id: ExecutionId; }

    /// GetPipelineExecution's answer.
    GetPipelineExecutionOutput { pipeline_execution: PipelineExecution; }

    /// One execution, as GetPipelineExecution shows it.
    PipelineExecution {
        pipeline_name: PipelineName,
        pipeline_version: u32,
        pipeline_execution_id: ExecutionId,
        status: ExecutionStatus,
        execution_mode: ExecutionMode,
        execution_type: ExecutionType;
        status_summary: String,
        artifact_revisions: Vec<ArtifactRevision>,
        variables: Vec<ResolvedPipelineVariable>,
        trigger: ExecutionTrigger,
        rollback_metadata: PipelineRollbackMetadata,
    }

    /// The revision behind an output artifact of a Source action.
    #[derive(Default)]
    ArtifactRevision {
        ;
        name: String,
        revision_id: String,
        revision_change_identifier: String,
        revision_summary: String,
        created: Epoch,
        revision_url: String,
    }

    /// A pipeline-level variable and its value in an execution.
    ResolvedPipelineVariable { name: String, resolved_value: String; }

    /// What started an execution.
    ExecutionTrigger { trigger_type: TriggerType; trigger_detail: String }

    /// Of an execution of type ROLLBACK: whose artifacts it brings back.
    PipelineRollbackMetadata { rollback_target_pipeline_execution_id: ExecutionId; }

    /// ListPipelineExecutions; 1 to 100 per page, newest first.
    ListPipelineExecutionsInput {
        pipeline_name: PipelineName;
        max_results: u32,
        filter: PipelineExecutionFilter,
        next_token: String,
    }

    /// Which executions to list.
    #[derive(Default)]
    PipelineExecutionFilter { ; succeeded_in_stage: SucceededInStageFilter }

    /// Executions in which the stage succeeded in the current version.
    #[derive(Default)]
    SucceededInStageFilter { ; stage_name: StageName }

    /// ListPipelineExecutions' answer.
    ListPipelineExecutionsOutput { pipeline_execution_summaries: Vec<PipelineExecutionSummary>; next_token: String }

    /// A line of ListPipelineExecutions.
    PipelineExecutionSummary {
        pipeline_execution_id: ExecutionId,
        status: ExecutionStatus,
        start_time: Epoch,
        last_update_time: Epoch,
        execution_mode: ExecutionMode,
        execution_type: ExecutionType;
        status_summary: String,
        source_revisions: Vec<SourceRevision>,
        trigger: ExecutionTrigger,
        stop_trigger: StopExecutionTrigger,
        rollback_metadata: PipelineRollbackMetadata,
    }

    /// What a Source action took.
    SourceRevision {
        action_name: ActionName;
        revision_id: String,
        revision_summary: String,
        revision_url: String,
    }

    /// Why an execution was stopped.
    #[derive(Default)]
    StopExecutionTrigger { ; reason: String }
}
