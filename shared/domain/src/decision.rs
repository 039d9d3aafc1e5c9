//! What was decided about going back, kept so that anyone can ask later who or what decided, and why.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Evidence, ExecutionId, PipelineName, RollbackCause, StageName};

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
    /// The hold of a rollback was lifted.
    HoldReleased {
        /// The rollback.
        rollback: ExecutionId,
        /// What the person who lifted it said.
        comment: String,
    },
}

impl RollbackDecision {
    /// Executions in whose history it belongs: the one it is about, and the rollback.
    pub fn concerns(&self) -> Vec<ExecutionId> {
        let rollback = match &self.outcome {
            RollbackOutcome::Started { rollback, .. } | RollbackOutcome::HoldReleased { rollback, .. } => {
                Some(*rollback)
            }
            RollbackOutcome::Declined { .. } => None,
        };
        let rollback = rollback.filter(|rollback| *rollback != self.execution);
        std::iter::once(self.execution).chain(rollback).collect()
    }
}
