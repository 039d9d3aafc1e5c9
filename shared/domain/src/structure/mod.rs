//! Which pipelines are accepted (spec 1.4), and what is said about the others (spec 1.9).
//!
//! Lengths, patterns and enumerations of single members are checked where requests are decoded. Here is what takes
//! more than one member to know, and what members of free form (results, configuration) have to be.
//!
//! Texts are CodePipeline's where they are known; those marked "our wording" in a comment are not.

mod action;
mod condition;
mod configuration;
mod flow;
mod pipeline;
mod rule;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use crate::{Catalogue, PipelineDeclaration};
pub use configuration::CANNED_ACLS;
use flow::Flow;

/// A pipeline breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct StructureError {
    /// Which kind of rule.
    pub kind: StructureErrorKind,
    /// What is wrong, for people.
    pub message: String,
}

/// What part of a pipeline breaks a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StructureErrorKind {
    /// The pipeline as a whole.
    InvalidStructure,
    /// A stage or its conditions.
    InvalidStageDeclaration,
    /// An action.
    InvalidActionDeclaration,
    /// A blocker.
    InvalidBlockerDeclaration,
    /// A number is out of its range.
    Validation,
}

impl StructureErrorKind {
    /// Name of the exception in CodePipeline's API.
    pub fn exception(self) -> &'static str {
        match self {
            Self::InvalidStructure => "InvalidStructureException",
            Self::InvalidStageDeclaration => "InvalidStageDeclarationException",
            Self::InvalidActionDeclaration => "InvalidActionDeclarationException",
            Self::InvalidBlockerDeclaration => "InvalidBlockerDeclarationException",
            Self::Validation => "ValidationException",
        }
    }

    fn error(self, message: impl Into<String>) -> StructureError {
        StructureError { kind: self, message: message.into() }
    }

    /// An error of this kind unless `holds`.
    fn unless(self, holds: bool, message: impl FnOnce() -> String) -> Result<(), StructureError> {
        if holds { Ok(()) } else { Err(self.error(message())) }
    }
}

/// Checks that `declaration` can be stored as a pipeline in `region`, such as `us-east-1`, where the action types of
/// `catalogue` can be used.
///
/// From the whole to its parts: stages, feature level, artifact stores, then each action, then how actions follow from
/// each other, then conditions.
///
/// # Errors
/// The first rule that is broken; the API reports one.
pub fn validate_structure(
    declaration: &PipelineDeclaration,
    catalogue: &Catalogue,
    region: &str,
) -> Result<(), StructureError> {
    pipeline::check_stages(declaration)?;
    pipeline::check_feature_level(declaration)?;
    pipeline::check_variables(declaration)?;
    pipeline::check_triggers(declaration)?;
    pipeline::check_artifact_stores(declaration, region)?;
    for stage in &declaration.stages {
        action::check_stage(stage, declaration.pipeline_type, catalogue, region)?;
    }
    action::check_starts(declaration)?;
    let flow = Flow::new(declaration)?;
    flow.check_actions(declaration)?;
    for (index, stage) in declaration.stages.iter().enumerate() {
        condition::check_stage(stage, index, declaration.execution_mode, &flow, region)?;
    }
    Ok(())
}

/// The first of `names` that was there before.
fn first_duplicate<'a>(names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let mut seen = BTreeSet::new();
    names.into_iter().find(|name| !seen.insert(*name))
}
