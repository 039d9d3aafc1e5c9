//! What a rollback would do, told before anybody does it.

use std::collections::BTreeMap;

use crate::{
    ActionName, ActionRun, ActionTypeId, Changes, Execution, ExecutionId, Occupant, PipelineView, Scope,
    StageDeclaration, StageName, StageState, StageStatus, Success, resolve_configuration,
    secrets::{MASK, mask},
};

/// Stands for the id that the rollback has when it is started.
const OWN_ID: &str = "#{codepipeline.PipelineExecutionId}";

/// A rollback that was decided and not stored.
#[derive(Debug, Clone, PartialEq)]
pub struct RollbackPlan {
    /// The execution it would be; its id is not the one it will have.
    pub execution: Execution,
    /// Who is inside the stage and would be cancelled.
    pub fenced: Option<Occupant>,
    /// Successes that would be taken back.
    pub revoked: Vec<Success>,
    /// Whether the way into the stage would be held until a person lifts the hold.
    pub holds: bool,
}

impl RollbackPlan {
    /// Reads `changes`, which start rollback `id` of `stage`, as the plan they are.
    pub fn of(view: &PipelineView, stage: &StageName, id: ExecutionId, mut changes: Changes) -> Option<Self> {
        let hold = changes.stages.get(stage).and_then(|stage| stage.inbound.hold.as_ref());
        let holds = hold.is_some_and(|hold| hold.rollback == Some(id));
        let execution = changes.executions.remove(&id)?;
        let fenced = view.stage(stage).occupant.filter(|inside| changes.executions.contains_key(&inside.execution));
        Some(Self { execution, fenced, revoked: changes.successes, holds })
    }
}

/// What an automatic rollback of the stage would undo if it were due: what is inside or failed there last, else what is
/// live.
pub fn at_fault(stage: &StageState) -> Option<ExecutionId> {
    let unfinished = stage.latest.as_ref().filter(|latest| latest.status != StageStatus::Succeeded);
    let live = || stage.live.as_ref().map(|live| live.revision_of);
    unfinished.map(|latest| latest.execution).or_else(live)
}

/// What an action would be started with, and how that differs from what is live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActionPreview {
    /// The action.
    pub name: ActionName,
    /// Its place: actions of one run order run side by side.
    pub run_order: u16,
    /// Its type.
    pub action_type: ActionTypeId,
    /// As declared.
    pub configuration: BTreeMap<String, String>,
    /// With the target's values; or why the action would fail.
    pub resolved: Result<BTreeMap<String, String>, String>,
    /// The execution whose run it is compared with.
    pub compared_with: Option<ExecutionId>,
    /// Keys whose values are others than in that run.
    pub differences: Vec<ConfigurationChange>,
}

/// A configuration value that would change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigurationChange {
    /// The key.
    pub key: String,
    /// Its value in what is live.
    pub live: Option<String>,
    /// Its value in the rollback.
    pub planned: Option<String>,
}

/// The actions of `stage` in the order in which they would run with what `target` carried. `live` are runs of the
/// stage's actions by what is live, newest first. Secrets are masked; that one changes is told.
pub fn preview_actions(stage: &StageDeclaration, target: &Execution, live: &[ActionRun]) -> Vec<ActionPreview> {
    let resolve = |configuration: &BTreeMap<String, String>, id: &str| {
        let scope = Scope { execution_id: id, variables: &target.variables, outputs: &target.outputs };
        resolve_configuration(configuration, &scope).map_err(|error| error.to_string())
    };
    let mut actions: Vec<_> = stage.actions.iter().collect();
    actions.sort_by_key(|action| action.run_order);
    let preview = |action: &crate::ActionDeclaration| {
        let run = live.iter().find(|run| run.stage == stage.name && run.action == action.name);
        let differences = run.and_then(|run| {
            // Under its id: that two executions have two is no difference.
            let planned = resolve(&action.configuration, &run.execution.to_string()).ok()?;
            Some(differences(&run.resolved_configuration, &planned))
        });
        let secret_keys: Vec<String> =
            action.secret_keys.iter().chain(run.into_iter().flat_map(|run| &run.secret_keys)).cloned().collect();
        let masked = |mut configuration: BTreeMap<String, String>| {
            mask(&mut configuration, &secret_keys);
            configuration
        };
        let hidden = |change: ConfigurationChange| {
            let is_secret = secret_keys.contains(&change.key);
            let shown = |value: Option<String>| value.map(|value| if is_secret { MASK.to_owned() } else { value });
            ConfigurationChange { live: shown(change.live), planned: shown(change.planned), key: change.key }
        };
        ActionPreview {
            name: action.name.clone(),
            run_order: action.run_order,
            action_type: action.action_type_id.clone(),
            configuration: masked(action.configuration.clone()),
            resolved: resolve(&action.configuration, OWN_ID).map(masked),
            compared_with: run.map(|run| run.execution),
            differences: differences.unwrap_or_default().into_iter().map(hidden).collect(),
        }
    };
    actions.into_iter().map(preview).collect()
}

fn differences(live: &BTreeMap<String, String>, planned: &BTreeMap<String, String>) -> Vec<ConfigurationChange> {
    let keys: std::collections::BTreeSet<&String> = live.keys().chain(planned.keys()).collect();
    let differing = keys.into_iter().filter(|key| live.get(*key) != planned.get(*key));
    differing
        .map(|key| ConfigurationChange {
            key: key.clone(),
            live: live.get(key).cloned(),
            planned: planned.get(key).cloned(),
        })
        .collect()
}

/// How long a stage is likely to take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExpectedDuration {
    /// The median of what it took, in whole seconds.
    pub seconds: u32,
    /// Successful runs it is taken from.
    pub runs: u32,
}

/// The time `stage` is likely to take, from those of `executions` that succeeded in it; none where none did.
pub fn expect_duration(stage: &StageName, executions: &[Execution]) -> Option<ExpectedDuration> {
    let taken = executions.iter().filter_map(|execution| {
        let outcome = execution.stages.get(stage).filter(|outcome| outcome.status == StageStatus::Succeeded)?;
        u32::try_from(outcome.left_at?.duration_since(outcome.entered_at).as_secs()).ok()
    });
    let mut taken: Vec<u32> = taken.collect();
    taken.sort_unstable();
    let seconds = *taken.get(taken.len() / 2)?;
    Some(ExpectedDuration { seconds, runs: u32::try_from(taken.len()).unwrap_or(u32::MAX) })
}
