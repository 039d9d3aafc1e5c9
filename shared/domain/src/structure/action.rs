//! The actions of a stage, each by itself.

use std::ops::RangeInclusive;

use super::{StructureError, StructureErrorKind, configuration, first_duplicate};
use crate::{ActionDeclaration, ActionTypeInfo, Catalogue, PipelineDeclaration, PipelineType, StageDeclaration};

use StructureErrorKind::{InvalidActionDeclaration, InvalidBlockerDeclaration, Validation};

/// CodePipeline's ranges (spec 1.3).
const RUN_ORDERS: RangeInclusive<u16> = 1..=999;
pub(super) const TIMEOUT_MINUTES: RangeInclusive<u32> = 5..=86_400;

pub(super) fn check_stage(
    stage: &StageDeclaration,
    pipeline_type: PipelineType,
    catalogue: &Catalogue,
    region: &str,
) -> Result<(), StructureError> {
    // Our wording, here and for duplicate actions.
    InvalidBlockerDeclaration.unless(stage.blockers.is_empty(), || {
        format!("Stage '{}' declares blockers, which are reserved. Leave the list empty", stage.name)
    })?;
    if let Some(name) = first_duplicate(stage.actions.iter().map(|action| action.name.as_str())) {
        return Err(InvalidActionDeclaration
            .error(format!("Action name '{name}' is used more than once in stage '{}'", stage.name)));
    }
    stage.actions.iter().try_for_each(|action| check_action(action, pipeline_type, catalogue, region))
}

fn check_action(
    action: &ActionDeclaration,
    pipeline_type: PipelineType,
    catalogue: &Catalogue,
    region: &str,
) -> Result<(), StructureError> {
    let info = catalogue.find(&action.action_type_id).ok_or_else(|| unavailable(action, region))?;
    check_type(info, pipeline_type)?;
    check_count(action, "input", action.input_artifacts.len(), &info.inputs)?;
    check_count(action, "output", action.output_artifacts.len(), &info.outputs)?;
    check_members(action, info, region)?;
    configuration::check_action(action, info)
}

fn unavailable(action: &ActionDeclaration, region: &str) -> StructureError {
    let id = &action.action_type_id;
    InvalidActionDeclaration.error(format!(
        "ActionType (Category: '{}', Provider: '{}', Owner: '{}', Version: '{}') in action '{}' is not available in \
         region '{}'",
        id.category,
        id.provider,
        id.owner,
        id.version,
        action.name,
        region.to_uppercase().replace('-', "_"),
    ))
}

fn check_type(info: &ActionTypeInfo, pipeline_type: PipelineType) -> Result<(), StructureError> {
    InvalidActionDeclaration.unless(!info.v2_only || pipeline_type == PipelineType::V2, || {
        format!("{} Action can only be used with V2 pipelines.", info.id.provider)
    })
}

/// A pipeline cannot wait for itself. Our wording.
pub(super) fn check_starts(declaration: &PipelineDeclaration) -> Result<(), StructureError> {
    let starts_itself = |action: &&ActionDeclaration| {
        let id = &action.action_type_id;
        let is_start = [&id.category, &id.owner, &id.provider].map(String::as_str) == ["Invoke", "AWS", "CodePipeline"];
        is_start && action.configuration.get("PipelineName").is_some_and(|name| *name == declaration.name.as_str())
    };
    match declaration.stages.iter().flat_map(|stage| &stage.actions).find(starts_itself) {
        None => Ok(()),
        Some(action) => Err(InvalidActionDeclaration.error(format!(
            "Action '{}' starts its own pipeline, which would wait for its own end. Name another in PipelineName",
            action.name
        ))),
    }
}

fn check_count(
    action: &ActionDeclaration,
    direction: &str,
    count: usize,
    allowed: &RangeInclusive<usize>,
) -> Result<(), StructureError> {
    let (min, max) = (allowed.start(), allowed.end());
    let subject = || format!("Action {} declares {count} {direction} artifacts which is", action.name);
    InvalidActionDeclaration.unless(count >= *min, || format!("{} less than the minimum count ({min})", subject()))?;
    // Our wording, after the one above.
    InvalidActionDeclaration.unless(count <= *max, || format!("{} more than the maximum count ({max})", subject()))
}

/// Members that only some actions have. Our wording.
fn check_members(action: &ActionDeclaration, info: &ActionTypeInfo, region: &str) -> Result<(), StructureError> {
    let name = &action.name;
    Validation.unless(RUN_ORDERS.contains(&action.run_order), || {
        format!("runOrder of action '{name}' is {}. Use {}", action.run_order, range(&RUN_ORDERS))
    })?;
    check_commands(action, info)?;
    let is_source = info.id.category == "Source";
    let own_region = action.region.as_deref().is_none_or(|own| own == region);
    InvalidActionDeclaration.unless(!is_source || own_region, || {
        format!(
            "Source action '{name}' can only run in the region of the pipeline. Remove its region or use '{region}'"
        )
    })?;
    // Published definitions name the pipeline's region in sources, whoever's type they are (spec 1.3).
    InvalidActionDeclaration.unless(is_source || info.id.owner == "AWS" || action.region.is_none(), || {
        format!("Action '{name}' can only run in the region of the pipeline: its type is not of AWS. Remove its region")
    })?;
    let Some(minutes) = action.timeout_in_minutes else {
        return Ok(());
    };
    InvalidActionDeclaration.unless(info.id.category == "Approval", || {
        format!("Action '{name}' declares timeoutInMinutes, which only manual approval actions have. Remove it")
    })?;
    Validation.unless(TIMEOUT_MINUTES.contains(&minutes), || {
        format!("timeoutInMinutes of action '{name}' is {minutes}. Use {}", range(&TIMEOUT_MINUTES))
    })
}

/// What belongs to actions that run commands.
fn check_commands(action: &ActionDeclaration, info: &ActionTypeInfo) -> Result<(), StructureError> {
    let name = &action.name;
    if (info.id.owner.as_str(), info.id.provider.as_str()) == ("AWS", "Commands") {
        // CodePipeline's text.
        return InvalidActionDeclaration
            .unless(!action.commands.is_empty(), || format!("Action {name} must have a non-empty commands field"));
    }
    let of_commands_actions = [
        ("commands", action.commands.is_empty()),
        ("outputVariables", action.output_variables.is_empty()),
        ("environmentVariables", action.environment_variables.is_empty()),
        ("files of output artifacts", action.output_artifacts.iter().all(|artifact| artifact.files.is_empty())),
    ];
    for (member, absent) in of_commands_actions {
        InvalidActionDeclaration.unless(absent, || {
            format!("Action '{name}' declares {member}, which only Commands actions have. Remove them")
        })?;
    }
    Ok(())
}

pub(super) fn range<T: std::fmt::Display>(range: &RangeInclusive<T>) -> String {
    format!("{} to {}", range.start(), range.end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_for_v2_are_refused_in_v1() {
        let catalogue = Catalogue::default();
        let s3 = catalogue.all().next().expect("there are types built in");
        let info = ActionTypeInfo { v2_only: true, ..s3.clone() };
        let error = check_type(&info, PipelineType::V1).unwrap_err();
        assert_eq!(error.kind, InvalidActionDeclaration);
        assert_eq!(error.message, "S3 Action can only be used with V2 pipelines.");
        assert_eq!(check_type(&info, PipelineType::V2), Ok(()));
    }
}
