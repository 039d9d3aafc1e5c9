//! What decisions need to know of a pipeline, small enough for one item.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    ActionDeclaration, ActionName, ActionRun, ActionTypeId, Catalogue, ConditionKind, ConditionRun, DeclaredMetrics,
    Execution, ExecutionMode, FailureConditions, Generation, Phase, PipelineDeclaration, PipelineName,
    PipelineVariable, RuleDeclaration, StageDeclaration, StageName, StageState, Waiting, fingerprint,
    gate::is_outdated,
};

/// The pipeline's own row: which version is current, where its declaration is, and an index of its stages.
///
/// The declaration itself can exceed what one DynamoDB item holds (400 KB), so it lives in S3 under
/// [`definition_key`](Self::definition_key).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PipelineIndex {
    /// The pipeline.
    pub name: PipelineName,
    /// Current version, from 1.
    pub pipeline_version: u32,
    /// S3 key of the current version's declaration.
    pub definition_key: String,
    /// SHA-256 of that object, so that an altered one is refused.
    pub definition_digest: String,
    /// Feature level and mode as declared.
    pub mode: ExecutionMode,
    /// `V1` or `V2`.
    pub pipeline_type: crate::PipelineType,
    /// Pipeline-level variables as declared.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub variables: Vec<PipelineVariable>,
    /// Its stages in order.
    pub stages: Vec<StageIndex>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When its current version was stored.
    pub updated_at: Timestamp,
    /// Row version, for conditional writes.
    #[serde(default)]
    pub version: u64,
}

/// One stage in the index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StageIndex {
    /// The stage.
    pub name: StageName,
    /// Digest of its behaviour.
    pub fingerprint: String,
    /// Its actions as declared.
    pub actions: Vec<ActionIndex>,
    /// What to do when it fails. Of rules it tells no more than which they are; in rows of earlier versions all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_failure: Option<FailureConditions>,
    /// Whether an entry condition has to be evaluated.
    #[serde(default)]
    pub has_entry_condition: bool,
    /// Whether a success condition has to be evaluated before the stage is left.
    #[serde(default)]
    pub has_success_condition: bool,
    /// What a failed success condition leads to: `FAIL` or `ROLLBACK`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub success_result: Option<String>,
    /// Alarms observed after the stage was left.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub watches: Vec<WatchRule>,
    /// Its conditions, for those who show them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<ConditionIndex>,
}

/// One condition in the index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConditionIndex {
    /// When it is evaluated.
    pub kind: ConditionKind,
    /// What its failure leads to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
    /// Names of its rules.
    pub rules: Vec<String>,
}

/// One action in the index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ActionIndex {
    /// The action.
    pub name: ActionName,
    /// Its place.
    pub run_order: u16,
    /// Its type.
    pub action_type: ActionTypeId,
    /// Longest time it may take.
    pub timeout_seconds: u32,
    /// Longest silence of its worker; equal to the timeout where its type has no such rule.
    pub heartbeat_seconds: u32,
    /// Names of the artifacts that it is the first in its stage to read, and that the stage does not make; in rows of
    /// earlier versions of all that it reads.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<String>,
    /// Names of the artifacts it makes; only in rows of earlier versions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<String>,
}

/// An alarm to observe for a while after a stage succeeded, without holding the stage's lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WatchRule {
    /// Name of the rule.
    pub rule: String,
    /// The alarm's name or ARN as declared.
    pub alarm: String,
    /// For how long, in minutes.
    pub minutes: u32,
    /// Data points of its metric that it waits for as well; 0 where it waits for none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub data_points: u32,
    /// Whether what it leads to is only told, and not done.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shadow: bool,
    /// Whether a rollback's hold on the stage goes when other content comes, and not only by a person.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hold_until_other: bool,
    /// The metrics that are judged where it is no alarm that is observed; `alarm` is their name in its place then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics: Option<DeclaredMetrics>,
}

impl WatchRule {
    fn of(rule: &RuleDeclaration) -> Self {
        let metrics = rule.metrics();
        let alarm = || rule.configuration.get("AlarmName").cloned().unwrap_or_default();
        Self {
            rule: rule.name.clone(),
            alarm: metrics.as_ref().map_or_else(alarm, DeclaredMetrics::id),
            minutes: rule.configuration.get("WaitTime").and_then(|time| time.parse().ok()).unwrap_or(0),
            data_points: rule.data_points(),
            shadow: rule.is_shadow(),
            hold_until_other: rule.holds_until_other(),
            metrics,
        }
    }
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl PipelineIndex {
    /// Builds the index of `declaration`, which must have passed [`validate_structure`](crate::validate_structure) with
    /// the same `catalogue`.
    pub fn new(
        declaration: &PipelineDeclaration,
        catalogue: &Catalogue,
        pipeline_version: u32,
        definition_key: String,
        definition_digest: String,
        now: Timestamp,
    ) -> Self {
        Self {
            name: declaration.name.clone(),
            pipeline_version,
            definition_key,
            definition_digest,
            mode: declaration.execution_mode,
            pipeline_type: declaration.pipeline_type,
            variables: declaration.variables.clone(),
            stages: declaration
                .stages
                .iter()
                .map(|stage| StageIndex::new(stage, catalogue, &declaration.role_arn))
                .collect(),
            created_at: now,
            updated_at: now,
            version: 0,
        }
    }

    /// The row of a pipeline that is gone, for demanding that there is none.
    pub fn gone(name: PipelineName, created_at: Timestamp) -> Self {
        Self {
            name,
            pipeline_version: 0,
            definition_key: String::new(),
            definition_digest: String::new(),
            mode: ExecutionMode::Superseded,
            pipeline_type: crate::PipelineType::V2,
            variables: Vec::new(),
            stages: Vec::new(),
            created_at,
            updated_at: created_at,
            version: 0,
        }
    }

    /// Whether `execution` is one of this pipeline, and not of an earlier one of its name. Equal, not later: the clocks of
    /// two functions may differ by more than lies between a deletion and a creation.
    pub fn owns(&self, execution: &Execution) -> bool {
        match execution.pipeline_created_at {
            Some(created_at) => created_at == self.created_at,
            None => execution.started_at >= self.created_at,
        }
    }

    /// Position and index entry of the stage called `name`.
    pub fn stage(&self, name: &StageName) -> Option<(usize, &StageIndex)> {
        self.stages.iter().enumerate().find(|(_, stage)| stage.name == *name)
    }
}

impl StageIndex {
    fn new(stage: &StageDeclaration, catalogue: &Catalogue, pipeline_role: &str) -> Self {
        let conditions = stage.on_success.iter().flat_map(|on_success| &on_success.conditions);
        let (watching, blocking): (Vec<_>, Vec<_>) =
            conditions.flat_map(|condition| &condition.rules).partition(|rule| rule.is_watch());
        // What the stage makes is not to be there before, and of the rest it makes no difference who reads it.
        let made = stage.actions.iter().flat_map(|action| &action.output_artifacts);
        let mut known: BTreeSet<&str> = made.map(|artifact| artifact.name.as_str()).collect();
        Self {
            name: stage.name.clone(),
            fingerprint: fingerprint(stage, pipeline_role),
            actions: stage.actions.iter().map(|action| ActionIndex::new(action, catalogue, &mut known)).collect(),
            on_failure: stage.on_failure.as_ref().map(FailureConditions::outline),
            has_entry_condition: stage.before_entry.is_some(),
            has_success_condition: !blocking.is_empty(),
            success_result: stage.on_success.iter().flat_map(|on| &on.conditions).find_map(|one| one.result.clone()),
            watches: watching.into_iter().map(WatchRule::of).collect(),
            conditions: CONDITION_KINDS.iter().filter_map(|kind| ConditionIndex::new(stage, *kind)).collect(),
        }
    }

    /// The condition of this kind, if the stage declares one.
    pub fn condition(&self, kind: ConditionKind) -> Option<&ConditionIndex> {
        self.conditions.iter().find(|condition| condition.kind == kind)
    }

    /// The action called `name`.
    pub fn action(&self, name: &ActionName) -> Option<&ActionIndex> {
        self.actions.iter().find(|action| action.name == *name)
    }

    /// Artifacts that the stage reads and does not make itself: what a rollback to an older execution needs.
    pub fn inputs(&self) -> BTreeSet<&str> {
        let made: BTreeSet<&String> = self.actions.iter().flat_map(|action| &action.outputs).collect();
        let read = self.actions.iter().flat_map(|action| &action.inputs);
        read.filter(|artifact| !made.contains(artifact)).map(String::as_str).collect()
    }

    /// The actions that invoke Lambda functions.
    pub fn invoking(&self) -> impl Iterator<Item = &ActionIndex> {
        let invokes = |action: &&ActionIndex| {
            let of = &action.action_type;
            (of.category.as_str(), of.owner.as_str(), of.provider.as_str()) == ("Invoke", "AWS", "Lambda")
        };
        self.actions.iter().filter(invokes)
    }

    /// Whether a rollback of it needs anything that can be lost.
    pub fn has_needs(&self) -> bool {
        !self.inputs().is_empty() || self.invoking().next().is_some()
    }
}

impl ActionIndex {
    /// `known` are artifacts that need not be told of.
    fn new<'a>(action: &'a ActionDeclaration, catalogue: &Catalogue, known: &mut BTreeSet<&'a str>) -> Self {
        let read = action.input_artifacts.iter().map(|artifact| artifact.name.as_str());
        let info = catalogue.find(&action.action_type_id);
        let declared = action.timeout_in_minutes.map(|minutes| minutes * 60);
        let timeout_seconds = declared.or(info.map(|info| info.timeout_s)).unwrap_or(3600);
        Self {
            name: action.name.clone(),
            run_order: action.run_order,
            action_type: action.action_type_id.clone(),
            timeout_seconds,
            heartbeat_seconds: info.and_then(|info| info.heartbeat_s).unwrap_or(timeout_seconds),
            inputs: read.filter(|name| known.insert(*name)).map(str::to_owned).collect(),
            outputs: Vec::new(),
        }
    }
}

/// In the order in which they are evaluated.
const CONDITION_KINDS: [ConditionKind; 3] =
    [ConditionKind::BeforeEntry, ConditionKind::OnSuccess, ConditionKind::OnFailure];

impl ConditionIndex {
    fn new(stage: &StageDeclaration, kind: ConditionKind) -> Option<Self> {
        let condition = stage.condition(kind)?;
        let rules = condition.rules.iter().map(|rule| rule.name.clone()).collect();
        Some(Self { kind, result: condition.result.clone(), rules })
    }
}

/// Everything under one pipeline's key: what one strongly consistent query returns.
#[derive(Debug, Clone)]
pub struct PipelineView {
    /// The pipeline's row.
    pub index: PipelineIndex,
    /// State of each stage.
    pub stages: BTreeMap<StageName, StageState>,
    /// Latest run of each action.
    pub actions: Vec<ActionRun>,
    /// Executions that wait before a stage, in order of arrival.
    pub waiting: Vec<Waiting>,
    /// Latest evaluation of each condition.
    pub conditions: Vec<ConditionRun>,
    /// Earlier versions of the pipeline, as far as executions that were read began in them and are under way.
    pub earlier: BTreeMap<u32, PipelineIndex>,
}

impl PipelineView {
    /// A pipeline that nothing has run in.
    pub fn new(index: PipelineIndex) -> Self {
        Self {
            index,
            stages: BTreeMap::new(),
            actions: Vec::new(),
            waiting: Vec::new(),
            conditions: Vec::new(),
            earlier: BTreeMap::new(),
        }
    }

    /// The version of the pipeline that `execution` goes by: the one that it began in (spec 1.7), or the current one where
    /// nothing is known of that any more.
    pub fn index_of(&self, execution: &Execution) -> &PipelineIndex {
        self.earlier.get(&execution.pipeline_version).unwrap_or(&self.index)
    }

    /// State of a stage; a stage nobody entered yet has its initial state.
    pub fn stage(&self, name: &StageName) -> StageState {
        self.stages.get(name).cloned().unwrap_or_else(|| StageState::new(self.index.name.clone(), name.clone()))
    }

    /// Whether `execution` may act on `stage` under `generation`: it is inside, and nobody took the stage from it.
    pub fn lets_act(&self, execution: &Execution, stage: &StageName, generation: Generation) -> bool {
        let inside = matches!(
            &execution.phase,
            Phase::Running { stage: inside } | Phase::Stopping { stage: inside } if inside == stage
        );
        let state = self.stage(stage);
        let locks = execution.mode != ExecutionMode::Parallel;
        inside && execution.generation_in(&state) == generation && (!locks || state.is_occupied_by(execution.id))
    }

    /// Whether `execution` may begin something in the stage it is in: after a stop was asked for or the pipeline was
    /// updated, it only ends what it has begun (spec 1.7 and 6.1).
    pub fn lets_begin(&self, execution: &Execution) -> bool {
        matches!(execution.phase, Phase::Running { .. }) && !is_outdated(&self.index, execution)
    }

    /// Whether the view and `execution`, which was read after it, tell of one moment: where the execution says it is,
    /// the view finds it. Otherwise the execution has moved in between, and the view is too old to decide about it.
    pub fn agrees_with(&self, execution: &Execution) -> bool {
        // Its stage may be gone by an update.
        let is_known = |name: &StageName| self.index.stage(name).is_some();
        let locks = execution.mode != ExecutionMode::Parallel;
        let is_inside = |stage: &StageName| self.stages.get(stage).is_some_and(|row| row.is_occupied_by(execution.id));
        let waits = |stage: &StageName| self.waiting_for(stage).any(|row| row.execution == execution.id);
        let waits_nowhere = || self.waiting.iter().all(|row| row.execution != execution.id);
        match &execution.phase {
            Phase::Starting => true,
            Phase::Waiting { stage } => !is_known(stage) || waits(stage),
            Phase::Running { stage } | Phase::Stopping { stage } => {
                !is_known(stage) || waits_nowhere() && (!locks || is_inside(stage))
            }
            _ => waits_nowhere() && (!locks || !self.stages.keys().any(is_inside)),
        }
    }

    /// Executions that wait before `stage`, in order of arrival.
    pub fn waiting_for<'a>(&'a self, stage: &'a StageName) -> impl Iterator<Item = &'a Waiting> {
        self.waiting.iter().filter(move |waiting| waiting.stage == *stage)
    }

    /// The latest evaluation of a condition of `stage`.
    pub fn condition(&self, stage: &StageName, kind: ConditionKind) -> Option<&ConditionRun> {
        self.conditions.iter().find(|run| run.stage == *stage && run.kind == kind)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// An index entry of a stage with Lambda actions of the given run orders.
    pub(crate) fn stage_index(name: &str, actions: &[(&str, u16)]) -> StageIndex {
        StageIndex {
            name: name.parse().unwrap(),
            fingerprint: format!("fingerprint of {name}"),
            actions: actions
                .iter()
                .map(|(name, run_order)| ActionIndex {
                    name: name.parse().unwrap(),
                    run_order: *run_order,
                    action_type: ActionTypeId {
                        category: "Invoke".into(),
                        owner: "AWS".into(),
                        provider: "Lambda".into(),
                        version: "1".into(),
                    },
                    timeout_seconds: 86_400,
                    heartbeat_seconds: 1_200,
                    inputs: vec!["App".into()],
                    outputs: Vec::new(),
                })
                .collect(),
            on_failure: None,
            has_entry_condition: false,
            has_success_condition: false,
            success_result: None,
            watches: Vec::new(),
            conditions: Vec::new(),
        }
    }

    /// A view of an untouched pipeline with these stages.
    pub(crate) fn view(stages: Vec<StageIndex>) -> PipelineView {
        PipelineView {
            index: PipelineIndex {
                name: "shop".parse().unwrap(),
                pipeline_version: 1,
                definition_key: "definitions/shop/1".into(),
                definition_digest: "00".into(),
                mode: ExecutionMode::Superseded,
                pipeline_type: crate::PipelineType::V2,
                variables: Vec::new(),
                stages,
                created_at: Timestamp::UNIX_EPOCH,
                updated_at: Timestamp::UNIX_EPOCH,
                version: 1,
            },
            stages: BTreeMap::new(),
            actions: Vec::new(),
            waiting: Vec::new(),
            conditions: Vec::new(),
            earlier: BTreeMap::new(),
        }
    }
}
