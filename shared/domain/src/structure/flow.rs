//! How actions follow from each other: artifacts, namespaces and references.

use std::collections::{BTreeMap, BTreeSet};

use super::{StructureError, StructureErrorKind, first_duplicate};
use crate::variables::{Target, references};
use crate::{ActionDeclaration, InputArtifact, PipelineDeclaration};

use StructureErrorKind::{InvalidActionDeclaration, InvalidStructure};

const RESERVED_NAMESPACES: &[&str] = &["codepipeline", "variables"];

/// When something runs: index of the stage, then run order. What is there at a position was made at a lower one.
pub(super) type Position = (usize, u16);

/// Where everything that can be referred to is made.
pub(super) struct Flow<'a> {
    artifacts: BTreeMap<&'a str, Position>,
    namespaces: BTreeMap<&'a str, Position>,
    variables: BTreeSet<&'a str>,
}

/// Whose configuration holds a reference.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Referrer {
    SourceAction,
    Other,
}

impl<'a> Flow<'a> {
    /// Collects what `declaration` makes.
    ///
    /// # Errors
    /// When two actions make something of the same name.
    pub(super) fn new(declaration: &'a PipelineDeclaration) -> Result<Self, StructureError> {
        let outputs =
            || actions(declaration).flat_map(|(at, action)| action.output_artifacts.iter().map(move |o| (at, o)));
        if let Some(name) = first_duplicate(outputs().map(|(_, output)| output.name.as_str())) {
            return Err(InvalidStructure.error(format!(
                "Output Artifact Bundle name must be unique within the pipeline. {name} has been used more than once."
            )));
        }
        let artifacts = outputs().map(|(at, output)| (output.name.as_str(), at)).collect();
        check_namespaces(declaration, &artifacts)?;
        let namespace = |(at, action): (Position, &'a ActionDeclaration)| Some((action.namespace.as_deref()?, at));
        Ok(Self {
            artifacts,
            namespaces: actions(declaration).filter_map(namespace).collect(),
            variables: declaration.variables.iter().map(|variable| variable.name.as_str()).collect(),
        })
    }

    /// Checks that every action finds what it reads and refers to.
    pub(super) fn check_actions(&self, declaration: &PipelineDeclaration) -> Result<(), StructureError> {
        actions(declaration).try_for_each(|(at, action)| {
            self.check_inputs(&action.input_artifacts, at).map_err(|artifact| {
                let name = &action.name;
                InvalidActionDeclaration.error(format!(
                    "Input Artifact Bundle {artifact} in action {name} is not declared as Output Artifact Bundle in \
                     any of the preceding actions"
                ))
            })?;
            let referrer = match action.action_type_id.category.as_str() {
                "Source" => Referrer::SourceAction,
                _ => Referrer::Other,
            };
            self.check_references(&action.configuration, at, referrer).map_err(|(key, problem)| {
                let name = &action.name;
                InvalidActionDeclaration.error(format!("Configuration key '{key}' of action '{name}' {problem}"))
            })
        })
    }

    /// The first of `inputs` that nothing makes before `at`.
    pub(super) fn check_inputs<'i>(&self, inputs: &'i [InputArtifact], at: Position) -> Result<(), &'i str> {
        let is_made = |name: &str| self.artifacts.get(name).is_some_and(|made| *made < at);
        match inputs.iter().find(|input| !is_made(&input.name)) {
            Some(missing) => Err(&missing.name),
            None => Ok(()),
        }
    }

    /// The first key of `configuration` with a reference that cannot have a value at `at`, and why. Our wording.
    pub(super) fn check_references<'c>(
        &self,
        configuration: &'c BTreeMap<String, String>,
        at: Position,
        referrer: Referrer,
    ) -> Result<(), (&'c str, String)> {
        for (key, value) in configuration {
            for reference in references(value) {
                self.check_target(&reference.target, at, referrer)
                    .map_err(|why| (key.as_str(), format!("refers to {}, {why}", reference.text)))?;
            }
        }
        Ok(())
    }

    fn check_target(&self, target: &Target<'_>, at: Position, referrer: Referrer) -> Result<(), String> {
        match *target {
            Target::ExecutionId => Ok(()),
            Target::Variable(_) if referrer == Referrer::SourceAction => {
                Err("but pipeline variables cannot be used in Source actions".into())
            }
            Target::Variable(name) if self.variables.contains(name) => Ok(()),
            Target::Variable(name) => Err(format!("but the pipeline declares no variable '{name}'")),
            Target::Output { namespace, .. } if self.namespaces.get(namespace).is_some_and(|made| *made < at) => Ok(()),
            Target::Output { namespace, .. } => {
                Err(format!("but no action that runs earlier has the namespace '{namespace}'"))
            }
            Target::Malformed => Err("which is not a reference. Write #{namespace.KEY}, #{variables.NAME} or \
                     #{codepipeline.PipelineExecutionId}"
                .into()),
        }
    }
}

fn actions(declaration: &PipelineDeclaration) -> impl Iterator<Item = (Position, &ActionDeclaration)> {
    let stages = declaration.stages.iter().enumerate();
    stages.flat_map(|(index, stage)| stage.actions.iter().map(move |action| ((index, action.run_order), action)))
}

fn check_namespaces(
    declaration: &PipelineDeclaration,
    artifacts: &BTreeMap<&str, Position>,
) -> Result<(), StructureError> {
    let mut users: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for stage in &declaration.stages {
        for action in &stage.actions {
            let Some(namespace) = action.namespace.as_deref() else {
                continue;
            };
            // Our wording, here and below.
            InvalidActionDeclaration.unless(!RESERVED_NAMESPACES.contains(&namespace), || {
                format!("Namespace '{namespace}' of action '{}' is reserved. Use another name", action.name)
            })?;
            InvalidActionDeclaration.unless(!artifacts.contains_key(namespace), || {
                format!(
                    "Namespace '{namespace}' of action '{}' is the name of an artifact. Use another name",
                    action.name
                )
            })?;
            users
                .entry(namespace)
                .or_default()
                .push(format!("StageName=[{}], ActionName=[{}], Namespace=[{namespace}]", stage.name, action.name));
        }
    }
    match users.into_values().find(|users| users.len() > 1) {
        Some(users) => Err(InvalidActionDeclaration.error(format!(
            "Namespaces must be unique across the pipeline definition. The following occur more than once in the \
             pipeline. {}",
            users.join(", ")
        ))),
        None => Ok(()),
    }
}
