//! What was decided about going back.

use domain::{AlarmState, ExecutionId, PipelineName, StageName, Verdict};

use super::{
    Epoch,
    borrowed::{MaxResults, NextToken},
    described::Scalar,
};

extension! {
    /// Which decisions to list.
    ListRollbackDecisionsInput {
        /// The pipeline.
        pipeline_name: PipelineName;
        /// Only those of this stage.
        stage_name: StageName,
        /// Only those that undo this execution, or that are about this rollback.
        pipeline_execution_id: ExecutionId,
        /// Most decisions on a page; 100 unless given.
        max_results: u32 as MaxResults,
        /// The `nextToken` of the page before.
        next_token: String as NextToken,
    }

    /// A page of decisions.
    ListRollbackDecisionsOutput {
        /// Decisions, newest first.
        decisions: Vec<RollbackDecision>;
        /// Absent on the last page.
        next_token: String as NextToken,
    }

    /// A decision about going back in a stage.
    RollbackDecision {
        /// When.
        decided_at: Epoch,
        /// The stage.
        stage_name: StageName,
        /// What was decided.
        outcome: DecisionOutcome,
        /// What led to it.
        cause: DecisionCause;
        /// The person who decided; absent for automatic decisions.
        decided_by: String as Actor,
        /// The alarm that led to it.
        alarm_arn: String as AlarmArn,
        /// Why there was no rollback, what the alarm said, or the comment with which a hold was lifted.
        reason: String as DecisionReason,
        /// The execution that was undone, or would have been.
        undone_pipeline_execution_id: ExecutionId,
        /// The execution that was brought back.
        target_pipeline_execution_id: ExecutionId,
        /// The rollback.
        rollback_pipeline_execution_id: ExecutionId,
        /// What the judgement of an alarm rests on.
        evidence: RollbackEvidence,
    }

    /// A verdict about a deploy, with everything it rests on.
    RollbackEvidence {
        /// The verdict.
        verdict: Verdict,
        /// Why, for people.
        reason: String as DecisionReason,
        /// The execution that was watched.
        pipeline_execution_id: ExecutionId,
        /// The alarm.
        alarm_arn: String as AlarmArn,
        /// Its state as it was judged.
        alarm_state: AlarmState,
        /// Since when it was in that state.
        alarm_state_since: Epoch,
        /// Its state when the execution entered the stage.
        alarm_state_at_entry: AlarmState,
        /// Start of the time that counts.
        watched_from: Epoch,
        /// End of the time that counts.
        watched_until: Epoch;
        /// The alarm's own words.
        alarm_reason: String as DecisionReason,
    }
}

/// What was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum DecisionOutcome {
    RollbackStarted,
    RollbackDeclined,
    HoldReleased,
}

/// What led to a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum DecisionCause {
    Person,
    StageFailed,
    Alarm,
}

shapes! {
    /// A rollback was started, was due but could not be started, or its hold was lifted.
    DecisionOutcome for DecisionOutcome: Scalar::one_of(&["RollbackStarted", "RollbackDeclined", "HoldReleased"]);
    /// A person asked, the stage failed, or an alarm turned red after it had succeeded.
    DecisionCause for DecisionCause: Scalar::one_of(&["Person", "StageFailed", "Alarm"]);
    /// The judge's answer about a deploy.
    Verdict for Verdict: Scalar::one_of(&["Degraded", "Healthy", "NotEnoughData", "NotThisDeploy"]);
    /// State of a CloudWatch alarm; `UNREADABLE` where it could not be read.
    AlarmState for AlarmState: Scalar::one_of(&["OK", "ALARM", "INSUFFICIENT_DATA", "UNREADABLE"]);
    /// Text for people.
    DecisionReason: Scalar::TEXT;
    /// ARN of a caller.
    Actor: Scalar::TEXT;
    /// ARN of a CloudWatch alarm.
    AlarmArn: Scalar::TEXT;
}
