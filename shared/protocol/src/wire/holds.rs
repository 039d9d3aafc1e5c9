//! Holds: stages that a rollback closed until a person has looked.

use domain::{ExecutionId, PipelineName, StageName};

use super::{
    Epoch,
    borrowed::{MaxResults, NextToken},
    decisions::{Actor, AlarmArn, DecisionCause},
    described::Scalar,
};

extension! {
    /// Which holds to list.
    ListHoldsInput {
        ;
        /// The pipeline; all of them unless given.
        pipeline_name: PipelineName,
        /// Most holds on a page; 100 unless given.
        max_results: u32 as MaxResults,
        /// The `nextToken` of the page before.
        next_token: String as NextToken,
    }

    /// A page of holds.
    ListHoldsOutput {
        /// Holds, by pipeline and stage.
        holds: Vec<Hold>;
        /// Absent on the last page.
        next_token: String as NextToken,
    }

    /// A stage that a rollback closed for new executions.
    Hold {
        /// The pipeline.
        pipeline_name: PipelineName,
        /// The stage.
        stage_name: StageName,
        /// What it is held for.
        cause: DecisionCause,
        /// Since when.
        since: Epoch;
        /// The rollback that holds it; absent where a person is asked whether there should be one.
        rollback_pipeline_execution_id: ExecutionId,
        /// The execution that the rollback brought back.
        target_pipeline_execution_id: ExecutionId,
        /// The execution that may be to blame, where a person is asked.
        suspect_pipeline_execution_id: ExecutionId,
        /// The person who started the rollback.
        decided_by: String as Actor,
        /// The alarm it was started for.
        alarm_arn: String as AlarmArn,
    }

    /// Which hold to lift, and why.
    ReleaseHoldInput {
        /// The pipeline.
        pipeline_name: PipelineName,
        /// The stage that is held.
        stage_name: StageName,
        /// Why it can be lifted; kept with the decision.
        comment: String as HoldComment;
    }

    /// The hold that was lifted.
    ReleaseHoldOutput {
        /// The hold as it was.
        hold: Hold;
    }
}

shapes! {
    /// A person's words about a hold.
    HoldComment: Scalar::text(1, 1024);
}
