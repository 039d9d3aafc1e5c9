//! The beginning of an action: its configuration is resolved, its artifacts are found, its run is recorded.

use std::collections::BTreeMap;

use contract::ActionInput;
use domain::{
    ActionDeclaration, ActionExecutionId, ActionName, ActionRun, ActionStatus, ActionTypeInfo, ActionTypeUrls,
    Catalogue, Changes, Execution, ExecutionMode, ExecutionType, JobQueue, PipelineDeclaration, PipelineView,
    ResolveError, Scope, Script, StageIndex, action_kind, action_machine, check_queryable_value, resolve_configuration,
    runs_in_any_region,
};

use jiff::{SignedDuration, Timestamp};

use super::{ended, regions::Places};
use crate::{
    EngineError, HasMachines, HasObjects, HasStore,
    commit::{commit_untold, until_stored},
    custom_types::CUSTOM,
    definitions::load_declaration,
    loading::load_both,
    outbox::Untold,
    ports::Store,
};

/// An action that is under way.
pub(crate) struct Underway {
    pub(crate) run: ActionRun,
    pub(crate) execution: Execution,
    pub(crate) kms_key: Option<String>,
    /// The commands it runs, where it does.
    pub(crate) script: Option<Script>,
    /// When it fails if nobody has finished it.
    pub(crate) expires: Timestamp,
    /// Whether a deploy begins with it, in a stage that invokes functions and can go back.
    pub(crate) is_first: bool,
}

/// What beginning an action came to.
pub(crate) enum Begun {
    /// It is under way.
    Running(Box<Underway>),
    /// It had ended before, could not begin, or its execution has lost the stage.
    Ended(ActionStatus),
}

/// Records the run, unless that was done before, and returns it, with what is to be told of that.
pub(crate) async fn begin<W: HasStore + HasObjects + HasMachines>(
    world: &W,
    input: &ActionInput,
) -> Result<(Begun, Untold), EngineError> {
    let abandoned = || (Begun::Ended(ActionStatus::Abandoned), Untold::default());
    until_stored(async || {
        let both = load_both(world, &input.pipeline, input.execution_id).await?;
        let Some((view, execution)) = both else {
            return Ok(abandoned());
        };
        if !view.lets_act(&execution, &input.stage, input.generation) {
            return Ok(abandoned());
        }
        let index = view.index_of(&execution);
        let declaration = load_declaration(world, index).await?;
        let action = declaration.stage(&input.stage).and_then(|stage| stage.action(&input.action));
        let Some(action) = action else {
            return Ok(abandoned());
        };
        let store = declaration.artifact_store_for(action.region.as_ref().unwrap_or(&world.settings().region));
        let kms_key = store.and_then(|store| store.encryption_key.as_ref()).map(|key| key.id.clone());
        let id = run_id(input);
        let before = match view.actions.iter().find(|run| run.id == id) {
            // Nobody has the latest run of an action in PARALLEL mode, and an execution that began before its pipeline
            // was updated may find another one's.
            None if execution.mode == ExecutionMode::Parallel
                || execution.pipeline_version != view.index.pipeline_version =>
            {
                world.store().load_action_run(&input.pipeline, input.execution_id, id).await?
            }
            latest => latest.cloned(),
        };
        let (run, untold) = match before {
            Some(run) => (run, Untold::default()),
            // Whoever was asked to stop begins nothing more, and the machine takes it for an action that did not succeed.
            None if !view.lets_begin(&execution) => return Ok(abandoned()),
            // A retry of the stage does not change hands: a call of the attempt before it that wakes late finds neither its
            // run, which is not the latest any more, nor a generation that refuses it.
            None if execution.stages.get(&input.stage).is_some_and(|of| of.attempt > input.attempt) => {
                return Ok(abandoned());
            }
            None => {
                let run = new_run(world, input, &execution, &declaration, action).await?;
                record(world, &view, &execution, run).await?
            }
        };
        let begun = match ended(&run) {
            Some(status) => Begun::Ended(status),
            None => {
                let stage = index.stage(&input.stage);
                let index = stage.and_then(|(_, stage)| stage.action(&input.action));
                let is_first = execution.execution_type == ExecutionType::Standard
                    && view.stage(&input.stage).live.is_some()
                    && stage
                        .is_some_and(|(_, stage)| stage.invoking().next().is_some() && begins(stage, &input.action));
                let patience = SignedDuration::from_secs(index.map_or(0, |index| index.timeout_seconds.into()));
                let expires = run.started_at + patience;
                // Its run was prepared with the same values, so what could be resolved then can be now.
                let script = script_of(action, &execution).map_err(|error| EngineError::Broken(error.to_string()))?;
                Begun::Running(Box::new(Underway { run, execution, kms_key, script, expires, is_first }))
            }
        };
        Ok((begun, untold))
    })
    .await
}

/// Whether the stage begins with this action; of several at once, with the first that is declared.
fn begins(stage: &StageIndex, action: &ActionName) -> bool {
    stage.actions.iter().min_by_key(|one| one.run_order).is_some_and(|first| first.name == *action)
}

/// A run is known by what it runs, so that beginning it twice is beginning it once.
pub(crate) fn run_id(input: &ActionInput) -> ActionExecutionId {
    ActionExecutionId::of_run(input.execution_id, &input.stage, input.generation, input.attempt, &input.action)
}

/// Stores a run that begins.
async fn record<W: HasStore + HasMachines>(
    world: &W,
    view: &PipelineView,
    execution: &Execution,
    mut run: ActionRun,
) -> Result<(ActionRun, Untold), EngineError> {
    let mut changes = Changes::default();
    if execution.mode == ExecutionMode::Parallel {
        // There is no latest run of the action: the execution's own row tells whether another call has begun the run.
        changes.before.insert(execution.id, execution.clone());
        changes.executions.insert(execution.id, execution.clone());
        changes.runs.push(run.clone());
    } else {
        let is_of_action = |latest: &&ActionRun| latest.stage == run.stage && latest.action == run.action;
        let latest = view.actions.iter().find(is_of_action).map(|latest| latest.id);
        // Everything that takes the stage from an execution, or asks it to stop, changes its row.
        changes.unchanged.push(execution.clone());
        changes.begun = Some((run.clone(), latest));
    }
    let untold = commit_untold(world, &run.pipeline, changes).await?;
    run.version = 1;
    Ok((run, untold))
}

async fn new_run<W: HasStore>(
    world: &W,
    input: &ActionInput,
    execution: &Execution,
    declaration: &PipelineDeclaration,
    action: &ActionDeclaration,
) -> Result<ActionRun, EngineError> {
    let now = world.now();
    let id = run_id(input);
    let own = &world.settings().region;
    let elsewhere = action.region.clone().filter(|region| region != own);
    let places = Places { declaration, own };
    let mut run = ActionRun {
        id,
        pipeline: input.pipeline.clone(),
        execution: execution.id,
        pipeline_version: execution.pipeline_version,
        execution_attempt: execution.attempt,
        mode: execution.mode,
        stage: input.stage.clone(),
        action: input.action.clone(),
        action_type: action.action_type_id.clone(),
        generation: input.generation,
        status: ActionStatus::InProgress,
        started_at: now,
        updated_at: now,
        role_arn: action.role_arn.clone().unwrap_or_else(|| declaration.role_arn.clone()),
        region: elsewhere.clone(),
        configuration: action.configuration.clone(),
        resolved_configuration: BTreeMap::new(),
        secret_keys: action.secret_keys.clone(),
        urls: ActionTypeUrls::default(),
        inputs: BTreeMap::new(),
        outputs: places.of_outputs(id, elsewhere.as_deref(), action),
        namespace: action.namespace.clone(),
        output_variables: BTreeMap::new(),
        job: None,
        queue: None,
        revision: None,
        external_id: None,
        percent_complete: None,
        summary: None,
        error_code: None,
        error_message: None,
        progress: None,
        approval_token: None,
        updated_by: None,
        version: 0,
    };
    let custom = if action.action_type_id.owner == CUSTOM {
        world.store().load_custom_type(&action.action_type_id).await?.filter(|custom| custom.deleted_at.is_none())
    } else {
        None
    };
    let info = custom.map(|custom| custom.info);
    if let Err(why) = prepare(&mut run, execution, action, info, &places) {
        run.status = ActionStatus::Failed;
        run.error_code = Some("ConfigurationError".to_owned());
        run.error_message = Some(why);
    }
    Ok(run)
}

/// Resolves the configuration just before the action starts (spec 1.6), and finds its input artifacts.
fn prepare(
    run: &mut ActionRun,
    execution: &Execution,
    action: &ActionDeclaration,
    custom: Option<ActionTypeInfo>,
    places: &Places<'_>,
) -> Result<(), String> {
    let id = &action.action_type_id;
    if action_kind(id).is_none() {
        // A stage of sources takes nothing but sources (spec 1.4).
        let instead = match id.category.as_str() {
            "Source" => {
                "take the source from S3, where what is pushed can be uploaded, or by a custom action with a job \
                         worker of yours"
            }
            _ => {
                "put an action in its place that it runs, such as a Lambda function (Invoke) or a custom action with a \
                  job worker of yours"
            }
        };
        return Err(format!(
            "Lastgood keeps {} actions of {} ({}, version {}) but does not run them yet. Either {instead}, or leave this \
             stage to CodePipeline.",
            id.category, id.provider, id.owner, id.version
        ));
    }
    if let Some(elsewhere) = run.region.as_ref().filter(|_| !runs_in_any_region(id)) {
        let (provider, own) = (&id.provider, places.own);
        return Err(format!(
            "The action is to run in {elsewhere}, and {provider} is reached by Step Functions, in the region of the \
             pipeline alone, {own}. Remove the action's region, run this stage by a Lastgood in {elsewhere}, or have a \
             Lambda function of {elsewhere} do it."
        ));
    }
    let execution_id = execution.id.to_string();
    let scope = Scope { execution_id: &execution_id, variables: &execution.variables, outputs: &execution.outputs };
    run.resolved_configuration =
        resolve_configuration(&action.configuration, &scope).map_err(|error| error.to_string())?;
    script_of(action, execution).map_err(|error| error.to_string())?;
    for artifact in &action.input_artifacts {
        let Some(at) = execution.artifacts.get(&artifact.name) else {
            return Err(format!("Input artifact '{}' does not exist in this execution.", artifact.name));
        };
        let at = places.of_input(&artifact.name, at, run.region.as_deref())?;
        run.inputs.insert(artifact.name.clone(), at);
    }
    if action_machine(id).is_some() {
        run.urls = Catalogue::default().find(id).map(|info| info.urls.clone()).unwrap_or_default();
    }
    if id.owner == CUSTOM {
        let info =
            custom.ok_or_else(|| format!("{} was deleted. Restore it, or use another version.", id.describe()))?;
        enqueue(run, info)?;
    }
    Ok(())
}

fn script_of(action: &ActionDeclaration, execution: &Execution) -> Result<Option<Script>, ResolveError> {
    let execution_id = execution.id.to_string();
    let scope = Scope { execution_id: &execution_id, variables: &execution.variables, outputs: &execution.outputs };
    Script::of_action(action, &scope)
}

/// Where job workers will find the jobs of a custom action, and the links of its type.
fn enqueue(run: &mut ActionRun, info: ActionTypeInfo) -> Result<(), String> {
    let value = match info.queryable_key() {
        None => None,
        Some(key) => {
            let value = run.resolved_configuration.get(key).cloned().unwrap_or_default();
            check_queryable_value(key, &value).map_err(|problem| format!("The resolved configuration {problem}"))?;
            Some(value)
        }
    };
    run.queue = Some(JobQueue { action_type: info.id, value });
    run.urls = info.urls;
    Ok(())
}
