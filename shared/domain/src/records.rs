//! Rows that make one question one request.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{ExecutionId, Hold, PipelineName, StageName, StageState};

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
    /// Whatever succeeded after this moment, and before this, was taken back with it: a rollback over many successes marks
    /// the newest alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_after: Option<Timestamp>,
    /// Row version, for conditional writes.
    #[serde(default)]
    pub version: u64,
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
