//! Rollback of a stage: do it, and what it may go back to.

use domain::{ExecutionId, ExecutionStatus, PipelineName, StageName};

use super::Epoch;
use super::executions::SourceRevision;

wire! {
    /// RollbackStage.
    RollbackStageInput {
        pipeline_name: PipelineName,
        stage_name: StageName,
        target_pipeline_execution_id: ExecutionId;
    }

    /// RollbackStage's answer: the new execution, of type ROLLBACK.
    RollbackStageOutput { pipeline_execution_id: ExecutionId; }

    /// ListRollbackCandidates (Lastgood's own); 1 to 100 per page, newest first.
    ListRollbackCandidatesInput { pipeline_name: PipelineName, stage_name: StageName; max_results: u32, next_token: String }

    /// ListRollbackCandidates' answer.
    ListRollbackCandidatesOutput { candidates: Vec<RollbackCandidate>; next_token: String }

    /// A past execution: eligible, or the reasons why not.
    RollbackCandidate {
        pipeline_execution_id: ExecutionId,
        eligible: bool,
        reasons: Vec<String>,
        revoked: bool;
        status: ExecutionStatus,
        start_time: Epoch,
        succeeded_at: Epoch,
        pipeline_version: u32,
        source_revisions: Vec<SourceRevision>,
    }
}
