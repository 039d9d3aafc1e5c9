//! The pipeline as a whole.

use std::collections::BTreeSet;

use super::{StructureError, StructureErrorKind, first_duplicate};
use crate::trigger::{GIT_CONNECTION, GitTrigger};
use crate::{ExecutionMode, PipelineDeclaration, PipelineType, StageDeclaration};

use StructureErrorKind::{InvalidStageDeclaration, InvalidStructure};

/// CodePipeline's limits (spec 1.2, 1.10).
const STAGES_MIN: usize = 2;
const STAGES_MAX: usize = 50;
const ACTIONS_PER_STAGE_MAX: usize = 100;
const ACTIONS_PER_PIPELINE_MAX: usize = 1000;

/// All triggers together, as JSON.
const TRIGGERS_BYTES_MAX: usize = 200 * 1024;

const SOURCE: &str = "Source";

pub(super) fn check_stages(declaration: &PipelineDeclaration) -> Result<(), StructureError> {
    let stages = &declaration.stages;
    InvalidStructure.unless(stages.len() >= STAGES_MIN, || {
        let count = stages.len();
        format!("Pipeline has only {count} stage(s). There should be a minimum of {STAGES_MIN} stages in a pipeline")
    })?;
    InvalidStructure.unless(stages.len() <= STAGES_MAX, || {
        format!("Pipeline has too many stages. There can only be up to {STAGES_MAX} stages in a pipeline")
    })?;
    if let Some(name) = first_duplicate(stages.iter().map(|stage| stage.name.as_str())) {
        return Err(InvalidStageDeclaration.error(format!("Stage name '{name}' is used more than once")));
    }
    check_sources(stages)?;
    check_action_counts(stages)
}

fn check_sources(stages: &[StageDeclaration]) -> Result<(), StructureError> {
    let sources = |stage: &StageDeclaration| {
        stage.actions.iter().filter(|action| action.action_type_id.category == SOURCE).count()
    };
    let (first, later) = stages.split_first().expect("there are at least two stages");
    InvalidStructure.unless(!first.actions.is_empty() && sources(first) == first.actions.len(), || {
        "Pipeline should start with a stage that only contains source actions".into()
    })?;
    InvalidStructure.unless(later.iter().all(|stage| sources(stage) == 0), || {
        "Source actions can only be included in the first stage of the pipeline".into()
    })?;
    InvalidStructure.unless(later.iter().any(|stage| !stage.actions.is_empty()), || {
        "Pipeline should contain at least 1 action whose category is not Source".into()
    })
}

/// Our wording.
fn check_action_counts(stages: &[StageDeclaration]) -> Result<(), StructureError> {
    for StageDeclaration { name, actions, .. } in stages {
        InvalidStageDeclaration.unless(!actions.is_empty(), || {
            format!("Stage '{name}' has no actions. There should be a minimum of 1 action in a stage")
        })?;
        InvalidStageDeclaration.unless(actions.len() <= ACTIONS_PER_STAGE_MAX, || {
            format!(
                "Stage '{name}' has too many actions. There can only be up to {ACTIONS_PER_STAGE_MAX} actions in a \
                 stage"
            )
        })?;
    }
    let actions: usize = stages.iter().map(|stage| stage.actions.len()).sum();
    InvalidStructure.unless(actions <= ACTIONS_PER_PIPELINE_MAX, || {
        format!(
            "Pipeline has too many actions. There can only be up to {ACTIONS_PER_PIPELINE_MAX} actions in a pipeline"
        )
    })
}

/// What a pipeline of type V1 cannot have.
pub(super) fn check_feature_level(declaration: &PipelineDeclaration) -> Result<(), StructureError> {
    if declaration.pipeline_type != PipelineType::V1 {
        return Ok(());
    }
    InvalidStructure.unless(declaration.execution_mode == ExecutionMode::Superseded, || {
        "QUEUED or PARALLEL mode can only be used with V2 pipelines".into()
    })?;
    InvalidStructure
        .unless(declaration.variables.is_empty(), || "Pipeline variable can only be used with V2 pipelines".into())?;
    InvalidStructure
        .unless(declaration.triggers.is_empty(), || "Triggers on tag can only be used with V2 pipelines".into())?;
    let has_conditions = |stage: &StageDeclaration| {
        stage.before_entry.is_some() || stage.on_success.is_some() || stage.on_failure.is_some()
    };
    InvalidStageDeclaration.unless(!declaration.stages.iter().any(has_conditions), || {
        "Stage level conditions can only be used with V2 pipelines.".into()
    })
}

pub(super) fn check_variables(declaration: &PipelineDeclaration) -> Result<(), StructureError> {
    match first_duplicate(declaration.variables.iter().map(|variable| variable.name.as_str())) {
        Some(name) => Err(InvalidStructure
            .error(format!("Variable names must be unique. The following variable name is already in use: {name}"))),
        None => Ok(()),
    }
}

pub(super) fn check_triggers(declaration: &PipelineDeclaration) -> Result<(), StructureError> {
    let connections: BTreeSet<&str> = declaration
        .stages
        .iter()
        .flat_map(|stage| &stage.actions)
        .filter(|action| action.action_type_id.provider == GIT_CONNECTION)
        .map(|action| action.name.as_str())
        .collect();
    let bytes: usize = declaration.triggers.iter().map(|trigger| trigger.to_string().len()).sum();
    // Our wording, here, for two triggers of a source and for filters.
    InvalidStructure.unless(bytes <= TRIGGERS_BYTES_MAX, || {
        format!("The triggers of the pipeline take {bytes} bytes. They can take up to {TRIGGERS_BYTES_MAX}")
    })?;
    let sources =
        || declaration.triggers.iter().map(|trigger| trigger["gitConfiguration"]["sourceActionName"].as_str());
    InvalidStructure.unless(sources().all(|name| name.is_some_and(|name| connections.contains(name))), || {
        "Triggers for connections must reference a CodeStarSourceConnection action.".into()
    })?;
    if let Some(name) = first_duplicate(sources().flatten()) {
        let message = format!("Source action '{name}' has more than one trigger. Put all filters into one trigger");
        return Err(InvalidStructure.error(message));
    }
    for (trigger, source) in declaration.triggers.iter().zip(sources().flatten()) {
        GitTrigger::parse(trigger)
            .map_err(|why| InvalidStructure.error(format!("The trigger of source action '{source}' {why}")))?;
    }
    Ok(())
}

pub(super) fn check_artifact_stores(declaration: &PipelineDeclaration, region: &str) -> Result<(), StructureError> {
    let actions = declaration.stages.iter().flat_map(|stage| &stage.actions);
    let needed: BTreeSet<&str> =
        actions.filter_map(|action| action.region.as_deref()).chain(std::iter::once(region)).collect();
    match (&declaration.artifact_store, &declaration.artifact_stores) {
        (Some(_), None) => InvalidStructure.unless(needed.len() == 1, || {
            "Your pipeline contains actions in more than one region. Use 'pipeline.artifactStores' instead of \
             'pipeline.artifactStore' to declare an artifact store, such as an artifact bucket, for each region where \
             you have an action."
                .into()
        }),
        (None, Some(stores)) => match needed.into_iter().find(|region| !stores.contains_key(*region)) {
            Some(missing) => Err(InvalidStructure.error(format!(
                "Your pipeline must have an artifact store, such as an artifact bucket, for each region where you have \
                 an action. The following region is missing in 'pipeline.artifactStores': {missing}."
            ))),
            None => Ok(()),
        },
        // Our wording.
        (Some(_), Some(_)) => Err(InvalidStructure.error(
            "Your pipeline has both 'pipeline.artifactStore' and 'pipeline.artifactStores'. Declare exactly one of \
             them",
        )),
        (None, None) => Err(InvalidStructure.error(
            "Your pipeline has no artifact store. Declare exactly one of 'pipeline.artifactStore' and \
             'pipeline.artifactStores'",
        )),
    }
}
