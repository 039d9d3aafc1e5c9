//! A pipeline's declaration in CodePipeline's own JSON form (spec 1.1 to 1.3).
//!
//! Members that CodePipeline fills in when absent (run order, empty lists and maps) are filled in here by default, so
//! what is stored and returned is normalised. Unknown members are dropped.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    ActionName, ConditionKind, DeclaredMetrics, ExecutionMode, METRIC_DEGRADATION, PipelineName, PipelineType,
    RetryMode, StageName,
};

/// A whole pipeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PipelineDeclaration {
    /// Unique per account and region; cannot change.
    pub name: PipelineName,
    /// Role that actions run as.
    pub role_arn: String,
    /// The artifact store of a single-region pipeline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_store: Option<ArtifactStore>,
    /// Artifact stores by region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_stores: Option<BTreeMap<String, ArtifactStore>>,
    /// 2 to 50 stages.
    pub stages: Vec<StageDeclaration>,
    /// Set by the server: 1 at creation, one more at each update.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// How executions share the stages.
    #[serde(default = "superseded")]
    pub execution_mode: ExecutionMode,
    /// Feature level. CodePipeline's API assumes V1 when absent; Lastgood assumes V2, since rollback needs it.
    #[serde(default = "v2")]
    pub pipeline_type: PipelineType,
    /// Pipeline-level variables.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub variables: Vec<PipelineVariable>,
    /// Git triggers, kept as declared.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub triggers: Vec<serde_json::Value>,
}

fn superseded() -> ExecutionMode {
    ExecutionMode::Superseded
}

fn v2() -> PipelineType {
    PipelineType::V2
}

fn one() -> u16 {
    1
}

/// Where artifacts are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArtifactStore {
    /// Always `S3`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Bucket name.
    pub location: String,
    /// Key to encrypt with; absent, the bucket's default.
    #[serde(default, rename = "encryptionKey", skip_serializing_if = "Option::is_none")]
    pub encryption_key: Option<EncryptionKey>,
}

/// A KMS key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EncryptionKey {
    /// Key id, ARN or alias.
    pub id: String,
    /// Always `KMS`.
    #[serde(rename = "type")]
    pub kind: String,
}

/// A pipeline-level variable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PipelineVariable {
    /// Unique in the pipeline.
    pub name: String,
    /// Absent: a value is required at start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_value: Option<String>,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// One stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StageDeclaration {
    /// Unique in the pipeline.
    pub name: StageName,
    /// Reserved by CodePipeline.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blockers: Vec<BlockerDeclaration>,
    /// 1 to 100 actions.
    pub actions: Vec<ActionDeclaration>,
    /// What to do when the stage fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_failure: Option<FailureConditions>,
    /// Conditions after all actions succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_success: Option<StageConditions>,
    /// Conditions before the first action.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before_entry: Option<StageConditions>,
}

/// Reserved by CodePipeline; stored and returned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockerDeclaration {
    /// Name.
    pub name: String,
    /// Always `Schedule`.
    #[serde(rename = "type")]
    pub kind: String,
}

/// What to do when a stage fails.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FailureConditions {
    /// `ROLLBACK`, `RETRY`, `FAIL` or `SKIP`, without looking at conditions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
    /// What a retry runs again. With result `ROLLBACK`: retry once, then roll back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_configuration: Option<RetryConfiguration>,
    /// At most one condition.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

/// How to retry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RetryConfiguration {
    /// What to run again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_mode: Option<RetryMode>,
}

/// Conditions of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageConditions {
    /// Exactly one.
    pub conditions: Vec<Condition>,
}

/// A condition: rules, and what happens when it is engaged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// `ROLLBACK`, `FAIL`, `RETRY` or `SKIP`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
    /// 1 to 5 rules.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<RuleDeclaration>,
}

/// One rule of a condition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RuleDeclaration {
    /// Unique in the condition.
    pub name: String,
    /// Which rule.
    pub rule_type_id: RuleTypeId,
    /// Settings of the rule.
    #[serde(default)]
    pub configuration: BTreeMap<String, String>,
    /// Shell commands of a Commands rule.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<String>,
    /// Artifacts the rule reads.
    #[serde(default)]
    pub input_artifacts: Vec<InputArtifact>,
    /// Role the rule runs as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role_arn: Option<String>,
    /// Region of what the rule looks at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Limit in minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_in_minutes: Option<u32>,
}

/// Which rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleTypeId {
    /// Always `Rule`.
    pub category: String,
    /// Always `AWS`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Such as `CloudWatchAlarm`.
    pub provider: String,
    /// Always `1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// One action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ActionDeclaration {
    /// Unique in its stage.
    pub name: ActionName,
    /// What runs.
    pub action_type_id: ActionTypeId,
    /// 1 to 999; equal numbers run in parallel.
    #[serde(default = "one")]
    pub run_order: u16,
    /// Settings of the action; may hold `#{...}` references.
    #[serde(default)]
    pub configuration: BTreeMap<String, String>,
    /// Shell commands of a Commands action.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<String>,
    /// What it produces.
    #[serde(default)]
    pub output_artifacts: Vec<OutputArtifact>,
    /// What it reads.
    #[serde(default)]
    pub input_artifacts: Vec<InputArtifact>,
    /// Variables a Commands action exports.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub output_variables: Vec<String>,
    /// Environment of a Commands action.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub environment_variables: Vec<EnvironmentVariable>,
    /// Role of the action, assumed through the pipeline's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role_arn: Option<String>,
    /// Region it runs in; absent, the pipeline's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Namespace of its output variables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Limit in minutes; manual approvals only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_in_minutes: Option<u32>,
    /// Keys of the configuration whose values are secret. Not CodePipeline's: noted when the pipeline is stored, and
    /// never shown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secret_keys: Vec<String>,
}

/// Which action.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ActionTypeId {
    /// Source, Build, Deploy, Test, Invoke, Approval or Compute.
    pub category: String,
    /// AWS, ThirdParty or Custom.
    pub owner: String,
    /// Such as `S3`.
    pub provider: String,
    /// Such as `1`.
    pub version: String,
}

/// A variable in the environment of a Commands action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvironmentVariable {
    /// Name.
    pub name: String,
    /// Value, or the secret's name.
    pub value: String,
    /// `PLAINTEXT` or `SECRETS_MANAGER`.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
}

/// An artifact that is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputArtifact {
    /// Name of an earlier action's output artifact.
    pub name: String,
}

/// An artifact that is produced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputArtifact {
    /// Unique in the pipeline.
    pub name: String,
    /// Files to take; Commands actions only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
}

impl PipelineDeclaration {
    /// The artifact store for `region`.
    pub fn artifact_store_for(&self, region: &str) -> Option<&ArtifactStore> {
        match (&self.artifact_store, &self.artifact_stores) {
            (Some(store), _) => Some(store),
            (None, Some(stores)) => stores.get(region),
            (None, None) => None,
        }
    }

    /// The stage called `name`.
    pub fn stage(&self, name: &StageName) -> Option<&StageDeclaration> {
        self.stages.iter().find(|stage| stage.name == *name)
    }
}

impl StageDeclaration {
    /// The action called `name`.
    pub fn action(&self, name: &ActionName) -> Option<&ActionDeclaration> {
        self.actions.iter().find(|action| action.name == *name)
    }

    /// The condition of this kind; a stage has at most one.
    pub fn condition(&self, kind: ConditionKind) -> Option<&Condition> {
        let conditions = match kind {
            ConditionKind::BeforeEntry => self.before_entry.as_ref().map(|entry| &entry.conditions),
            ConditionKind::OnSuccess => self.on_success.as_ref().map(|success| &success.conditions),
            ConditionKind::OnFailure => self.on_failure.as_ref().map(|failure| &failure.conditions),
        };
        conditions.and_then(|conditions| conditions.first())
    }
}

impl RuleDeclaration {
    /// Whether it observes the stage after it was left, and so says nothing while a condition is evaluated.
    pub fn is_watch(&self) -> bool {
        self.configuration.get("Watch").is_some_and(|watch| watch.eq_ignore_ascii_case("true"))
    }

    /// Whether a rollback's hold goes when other content comes than what was rolled back from.
    pub fn holds_until_other(&self) -> bool {
        self.configuration.get("HoldUntil").is_some_and(|until| until == "OtherRevision")
    }

    /// Whether it judges metrics.
    pub fn is_metric_degradation(&self) -> bool {
        self.rule_type_id.provider == METRIC_DEGRADATION
    }

    /// The metrics that it judges, if it does.
    pub fn metrics(&self) -> Option<DeclaredMetrics> {
        let declared = || DeclaredMetrics { region: self.region.clone(), configuration: self.configuration.clone() };
        self.is_metric_degradation().then(declared)
    }

    /// Data points of its alarm's metric that its watch waits for; 0 where it waits for none.
    pub fn data_points(&self) -> u32 {
        // Of metrics that are judged it says when they may be called healthy.
        if self.is_metric_degradation() {
            return 0;
        }
        self.configuration.get("MinimumDataPoints").and_then(|points| points.parse().ok()).unwrap_or(0)
    }

    /// Whether what its watch leads to is only told.
    pub fn is_shadow(&self) -> bool {
        self.configuration.get("Shadow").is_some_and(|watch| watch.eq_ignore_ascii_case("true"))
    }
}
