//! Rows that make one question one request.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{AlarmState, ExecutionId, Generation, Hold, PipelineName, StageName, StageState, Unclear};

/// A standard execution succeeded in a stage. Newest first, these are the candidates for an automatic rollback.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Success {
    /// Its pipeline.
    pub pipeline: PipelineName,
    /// Its stage.
    pub stage: StageName,
    /// The execution.
    pub execution: ExecutionId,
    /// When the stage succeeded.
    pub at: Timestamp,
    /// Digest of the stage's behaviour then.
    pub fingerprint: String,
    /// Version of the pipeline then.
    pub pipeline_version: u32,
    /// The rollback that took this success back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_by: Option<ExecutionId>,
    /// Row version, for conditional writes.
    #[serde(default)]
    pub version: u64,
}

/// An alarm is observed for a stage for some time after an execution succeeded in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Watch {
    /// The alarm.
    pub alarm_arn: String,
    /// Its pipeline.
    pub pipeline: PipelineName,
    /// Its stage.
    pub stage: StageName,
    /// The execution that is watched.
    pub execution: ExecutionId,
    /// Name of the rule that declared it.
    pub rule: String,
    /// When the execution entered the stage: what turns red from here on counts.
    pub from: Timestamp,
    /// Until when it counts.
    pub until: Timestamp,
    /// The alarm's state when the execution entered the stage.
    pub state_at_entry: AlarmState,
    /// What it is for.
    #[serde(default)]
    pub purpose: WatchPurpose,
    /// Whether what it leads to is only told, and not done.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shadow: bool,
    /// Whether it was told what it would have led to.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub told: bool,
    /// Deploys that it superseded while they were watched, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inherited: Vec<Unclear>,
    /// Generation of the stage when it succeeded.
    pub generation: Generation,
    /// Row version, for conditional writes.
    #[serde(default)]
    pub version: u64,
}

/// What an alarm is observed for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum WatchPurpose {
    /// Whether a deploy makes things worse.
    #[default]
    Deploy,
    /// Whether a rollback helps.
    Proof,
}

impl Watch {
    /// Whether it observes a rollback rather than a deploy.
    pub fn proves(&self) -> bool {
        self.purpose == WatchPurpose::Proof
    }
}

/// A hold in the list of those that stand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OpenHold {
    /// Its pipeline.
    pub pipeline: PipelineName,
    /// Its stage.
    pub stage: StageName,
    /// The hold.
    pub hold: Hold,
}

impl OpenHold {
    /// The hold on `stage`, if there is one.
    pub fn on(stage: &StageState) -> Option<Self> {
        let hold = stage.inbound.hold.clone()?;
        Some(Self { pipeline: stage.pipeline.clone(), stage: stage.name.clone(), hold })
    }
}
