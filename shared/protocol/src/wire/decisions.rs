//! What was decided about going back.

use domain::{AlarmState, ExecutionId, IncidentStatus, PipelineName, Proof, StageName, Verdict};

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
        /// Its id, for `ReplayDecision`.
        decision_id: String as DecisionId,
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
        /// Present and true where the person went back although the stage was changed since.
        forced: bool,
        /// The alarm that led to it.
        alarm_arn: String as AlarmArn,
        /// Why there was no rollback, what the alarm or the person said, or the comment with which a hold was lifted or a
        /// revision reinstated.
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
        watched_until: Epoch,
        /// How much speaks against the deploy, of 1000; zero where the verdict clears it.
        score: u32 as SuspicionScore;
        /// The alarm's own words.
        alarm_reason: String as DecisionReason,
        /// Every deploy that was watched with the alarm, the most suspect first.
        ranking: Vec<RankedSuspect>,
        /// What would have changed the verdict, for people.
        otherwise: String as DecisionReason,
    }

    /// A deploy that may be to blame.
    RankedSuspect {
        /// Its pipeline.
        pipeline_name: PipelineName,
        /// Its stage.
        stage_name: StageName,
        /// The execution that deployed.
        pipeline_execution_id: ExecutionId,
        /// How much speaks against it, of 1000; zero where the verdict clears it.
        score: u32 as SuspicionScore,
        /// What is said of it alone.
        verdict: Verdict;
    }

    /// Which decision to take again.
    ReplayDecisionInput {
        /// The pipeline.
        pipeline_name: PipelineName,
        /// The stage.
        stage_name: StageName,
        /// The decision's id, from `ListRollbackDecisions`.
        decision_id: String as DecisionId;
    }

    /// A decision as it was taken, and taken again.
    ReplayDecisionOutput {
        /// Whether both are the same, byte for byte.
        identical: bool,
        /// What is stored: the evidence with everything it was found from, as JSON.
        stored: String as EvidenceText,
        /// The evidence found anew from that, as JSON.
        replayed: String as EvidenceText;
    }

    /// Which incidents to list.
    ListIncidentsInput {
        ;
        /// Most incidents on a page; 100 unless given.
        max_results: u32 as MaxResults,
        /// The `nextToken` of the page before.
        next_token: String as NextToken,
    }

    /// A page of incidents.
    ListIncidentsOutput {
        /// Incidents that are open.
        incidents: Vec<Incident>;
        /// Absent on the last page.
        next_token: String as NextToken,
    }

    /// An alarm that is red, and what was done about it.
    Incident {
        /// The alarm.
        alarm_arn: String as AlarmArn,
        /// When it turned red first.
        onset: Epoch,
        /// How the incident stands.
        status: IncidentStatus,
        /// Automatic rollbacks, oldest first; at most two.
        rollbacks: Vec<IncidentRollback>;
    }

    /// An automatic rollback of an incident.
    IncidentRollback {
        /// The pipeline.
        pipeline_name: PipelineName,
        /// The stage.
        stage_name: StageName,
        /// The rollback.
        rollback_pipeline_execution_id: ExecutionId,
        /// The execution it undoes.
        undone_pipeline_execution_id: ExecutionId,
        /// When it was started.
        started_at: Epoch;
        /// Whether it helped; absent while that is to be seen.
        proof: Proof,
    }
}

/// What was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum DecisionOutcome {
    RollbackStarted,
    RollbackDeclined,
    RollbackAsked,
    RollbackShadowed,
    ShadowConfirmed,
    ShadowCleared,
    RollbackHelped,
    RollbackDidNotHelp,
    HoldReleased,
    RevisionReinstated,
}

/// What led to a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum DecisionCause {
    Person,
    StageFailed,
    Alarm,
}

shapes! {
    /// A rollback was started, was due but could not be, was asked about while the stage is held, or would have been
    /// started were the stage not in shadow mode, whose alarm was still red or had cleared when the watch ended; one that was
    /// started helped or did not; a hold was lifted, or a revoked revision reinstated.
    DecisionOutcome for DecisionOutcome: Scalar::one_of(&[
        "RollbackStarted", "RollbackDeclined", "RollbackAsked", "RollbackShadowed", "ShadowConfirmed", "ShadowCleared",
        "RollbackHelped", "RollbackDidNotHelp", "HoldReleased", "RevisionReinstated",
    ]);
    /// Id of a decision.
    DecisionId: Scalar::text(36, 36);
    /// Evidence as JSON, byte for byte.
    EvidenceText: Scalar::TEXT;
    /// How much speaks against a deploy, of 1000.
    SuspicionScore: Scalar { min: Some(0), ..Scalar::NUMBER };
    /// A rollback is to show whether it helps, a person is asked, the rollback did not help, or the alarm has cleared.
    IncidentStatus for IncidentStatus: Scalar::one_of(&["RollingBack", "Asking", "NotHelped", "Recovered"]);
    /// Whether the alarm has cleared after a rollback.
    Proof for Proof: Scalar::one_of(&["Helped", "DidNotHelp"]);
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
