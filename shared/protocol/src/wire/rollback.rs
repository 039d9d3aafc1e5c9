//! Rollback of a stage: do it, and what it may go back to.

use domain::{ExecutionId, ExecutionStatus, PipelineName, StageName};

use super::{
    Epoch,
    borrowed::{MaxResults, NextToken, PipelineVersion},
    described::Scalar,
    executions::SourceRevision,
};

wire! {
    /// RollbackStage.
    RollbackStageInput {
        pipeline_name: PipelineName,
        stage_name: StageName,
        target_pipeline_execution_id: ExecutionId;
    }

    /// RollbackStage's answer: the new execution, of type ROLLBACK.
    RollbackStageOutput { pipeline_execution_id: ExecutionId; }
}

extension! {
    /// Which rollback to start, and why.
    StartRollbackInput {
        /// The pipeline.
        pipeline_name: PipelineName,
        /// The stage that goes back. It cannot be the first.
        stage_name: StageName,
        /// The execution to bring back.
        target_pipeline_execution_id: ExecutionId,
        /// Why; kept with the decision.
        reason: String as RollbackReason;
        /// Whether to go back although the stage's actions were changed since the target ran, or the latest execution
        /// skipped the stage: the stage as it is now runs with the target's revisions, variables and artifacts.
        force: bool,
    }

    /// The rollback that was started.
    StartRollbackOutput {
        /// The new execution, of type ROLLBACK.
        pipeline_execution_id: ExecutionId;
    }

    /// Which stage's candidates to list.
    ListRollbackCandidatesInput {
        /// The pipeline.
        pipeline_name: PipelineName,
        /// The stage that would go back. It cannot be the first.
        stage_name: StageName;
        /// Most candidates on a page; 20 unless given.
        max_results: u32 as MaxResults,
        /// The `nextToken` of the page before.
        next_token: String as NextToken,
    }

    /// A page of candidates.
    ListRollbackCandidatesOutput {
        /// Past executions, newest first.
        candidates: Vec<RollbackCandidate>;
        /// Absent on the last page.
        next_token: String as NextToken,
    }

    /// A past execution, and whether the stage can go back to it.
    RollbackCandidate {
        /// The execution.
        pipeline_execution_id: ExecutionId,
        /// Whether `RollbackStage` accepts it.
        eligible: bool,
        /// Every reason why not; empty where it is eligible.
        reasons: Vec<String> as Vec<IneligibleReason>,
        /// Whether its success in the stage was taken back by a rollback.
        revoked: bool;
        /// Status of the execution.
        status: ExecutionStatus,
        /// When the execution started.
        start_time: Epoch,
        /// When it succeeded in the stage.
        succeeded_at: Epoch,
        /// Version of the pipeline it started in.
        pipeline_version: u32 as PipelineVersion,
        /// What its Source actions took.
        source_revisions: Vec<SourceRevision>,
    }
}

shapes! {
    /// A person's reason for a rollback.
    RollbackReason: Scalar::text(1, 1024);
    /// Why a stage cannot go back to an execution, for people.
    IneligibleReason: Scalar::text(1, 1024);
}
