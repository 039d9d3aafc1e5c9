//! What was decided about going back, kept so that anyone can ask later who or what decided, and why.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{AlarmSeries, ContentId, Evidence, ExecutionId, PipelineName, RollbackCause, StageName, derived_uuid};

/// A decision about going back in a stage: a rollback, the refusal of one that was due, or the end of its hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RollbackDecision {
    /// The pipeline.
    pub pipeline: PipelineName,
    /// The stage.
    pub stage: StageName,
    /// When.
    pub at: Timestamp,
    /// The execution it is about: what is undone, or the rollback where nothing is.
    pub execution: ExecutionId,
    /// What led to it.
    pub cause: RollbackCause,
    /// The execution that is undone: the failed one, or the one that was live.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undone: Option<ExecutionId>,
    /// What was decided.
    pub outcome: RollbackOutcome,
    /// What the judgement of an alarm rests on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
    /// What the alarm's metrics did around the deploy, for people; empty where nobody could say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub series: Vec<AlarmSeries>,
}

/// What was decided about going back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all_fields = "camelCase")]
pub enum RollbackOutcome {
    /// A rollback was started.
    Started {
        /// Its execution.
        rollback: ExecutionId,
        /// The execution it brings back.
        target: ExecutionId,
    },
    /// None was started although the stage declares it or an alarm asked for it.
    Declined {
        /// Why.
        reason: String,
    },
    /// Several deploys may be to blame, or enough was done by itself: a person is asked, and the stage is held.
    Asked {
        /// Why.
        reason: String,
    },
    /// A rollback would have been started, but the stage is in shadow mode.
    Shadowed {
        /// The execution it would have brought back; absent where there is none.
        target: Option<ExecutionId>,
    },
    /// The watch of a deploy that would have been rolled back, were the stage not in shadow mode, is over.
    ShadowEnded {
        /// Whether its alarm was still red.
        still_red: bool,
    },
    /// The alarm for which a rollback was started has cleared.
    Helped {
        /// The rollback.
        rollback: ExecutionId,
    },
    /// The alarm is still red although the rollback is done and was given its time.
    DidNotHelp {
        /// The rollback.
        rollback: ExecutionId,
    },
    /// A person took back that content is revoked.
    Reinstated {
        /// The rollback that had revoked it.
        rollback: ExecutionId,
        /// The content.
        content: ContentId,
        /// What the person said.
        comment: String,
    },
    /// A hold was lifted.
    HoldReleased {
        /// The rollback; absent where the hold was a question.
        rollback: Option<ExecutionId>,
        /// What the person who lifted it said.
        comment: String,
    },
}

impl RollbackDecision {
    /// Identity of the decision: the same whenever it is read.
    pub fn id(&self) -> Uuid {
        let outcome = match &self.outcome {
            RollbackOutcome::Started { .. } => "Started",
            RollbackOutcome::Declined { .. } => "Declined",
            RollbackOutcome::Asked { .. } => "Asked",
            RollbackOutcome::Shadowed { .. } => "Shadowed",
            RollbackOutcome::ShadowEnded { .. } => "ShadowEnded",
            RollbackOutcome::Helped { .. } => "Helped",
            RollbackOutcome::DidNotHelp { .. } => "DidNotHelp",
            RollbackOutcome::Reinstated { .. } => "Reinstated",
            RollbackOutcome::HoldReleased { .. } => "HoldReleased",
        };
        let (stage, execution, at) = (self.stage.as_str(), self.execution.to_string(), self.at.to_string());
        derived_uuid(&["decision", self.pipeline.as_str(), stage, &execution, &at, outcome])
    }

    /// Executions in whose history it belongs: the one it is about, and the rollback.
    pub fn concerns(&self) -> Vec<ExecutionId> {
        let rollback = match &self.outcome {
            RollbackOutcome::Started { rollback, .. }
            | RollbackOutcome::Helped { rollback }
            | RollbackOutcome::DidNotHelp { rollback }
            | RollbackOutcome::Reinstated { rollback, .. } => Some(*rollback),
            RollbackOutcome::HoldReleased { rollback, .. } => *rollback,
            RollbackOutcome::Declined { .. }
            | RollbackOutcome::Asked { .. }
            | RollbackOutcome::Shadowed { .. }
            | RollbackOutcome::ShadowEnded { .. } => None,
        };
        let rollback = rollback.filter(|rollback| *rollback != self.execution);
        std::iter::once(self.execution).chain(rollback).collect()
    }
}
