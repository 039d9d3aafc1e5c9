//! Conditions of a stage (spec 4.1).

use std::ops::RangeInclusive;

use super::flow::{Flow, Position};
use super::{StructureError, StructureErrorKind, action::range, first_duplicate, rule};
use crate::{Condition, ExecutionMode, FailureConditions, StageDeclaration};

use StructureErrorKind::{InvalidStageDeclaration, Validation};

/// CodePipeline's range (spec 1.2).
const RULES: RangeInclusive<usize> = 1..=5;

/// When a condition is evaluated.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    BeforeEntry,
    OnSuccess,
    OnFailure,
}

impl Kind {
    /// As in the declaration.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::BeforeEntry => "beforeEntry",
            Self::OnSuccess => "onSuccess",
            Self::OnFailure => "onFailure",
        }
    }

    /// What can be done when the condition is engaged.
    fn results(self) -> &'static [&'static str] {
        match self {
            Self::BeforeEntry => &["FAIL", "SKIP"],
            Self::OnSuccess => &["ROLLBACK", "FAIL"],
            Self::OnFailure => &["ROLLBACK", "RETRY", "FAIL"],
        }
    }
}

/// Where a condition stands, and what it may rely on.
pub(super) struct Context<'a> {
    pub(super) kind: Kind,
    pub(super) stage: &'a StageDeclaration,
    pub(super) flow: &'a Flow<'a>,
    /// The pipeline's.
    pub(super) region: &'a str,
    stage_index: usize,
    mode: ExecutionMode,
}

impl Context<'_> {
    /// Entry conditions see what earlier stages made; the others also what the stage itself made.
    pub(super) fn position(&self) -> Position {
        match self.kind {
            Kind::BeforeEntry => (self.stage_index, 0),
            Kind::OnSuccess | Kind::OnFailure => (self.stage_index, u16::MAX),
        }
    }

    /// Such as `onFailure of stage 'Deploy'`.
    pub(super) fn place(&self) -> String {
        format!("{} of stage '{}'", self.kind.as_str(), self.stage.name)
    }
}

/// Texts of this file are our wording, except the two that say otherwise.
pub(super) fn check_stage(
    stage: &StageDeclaration,
    stage_index: usize,
    mode: ExecutionMode,
    flow: &Flow<'_>,
    region: &str,
) -> Result<(), StructureError> {
    let context = |kind| Context { kind, stage, flow, region, stage_index, mode };
    for (kind, conditions) in [(Kind::BeforeEntry, &stage.before_entry), (Kind::OnSuccess, &stage.on_success)] {
        if let Some(conditions) = conditions {
            check_conditions(&context(kind), &conditions.conditions)?;
        }
    }
    match &stage.on_failure {
        Some(on_failure) => check_failure(&context(Kind::OnFailure), on_failure),
        None => Ok(()),
    }
}

fn check_failure(context: &Context<'_>, on_failure: &FailureConditions) -> Result<(), StructureError> {
    let FailureConditions { result, retry_configuration, conditions } = on_failure;
    let result = match (result, conditions.first()) {
        // CodePipeline's text, with its unclosed quote.
        (Some(_), Some(_)) => {
            return Err(InvalidStageDeclaration.error(format!(
                "The following stage cannot have a failure exit gate configured with both top level result and \
                 conditions: '{}",
                context.stage.name
            )));
        }
        (Some(result), None) => {
            check_result(context, Some(result))?;
            Some(result)
        }
        (None, Some(condition)) => {
            check_conditions(context, conditions)?;
            condition.result.as_ref()
        }
        (None, None) => {
            return Err(InvalidStageDeclaration
                .error(format!("{} has neither a result nor a condition. Declare one of them", context.place())));
        }
    };
    let retries = matches!(result.map(String::as_str), Some("RETRY" | "ROLLBACK"));
    InvalidStageDeclaration.unless(retries || retry_configuration.is_none(), || {
        format!(
            "{} has a retryConfiguration, which only the results RETRY and ROLLBACK use. Remove it or change the \
             result",
            context.place()
        )
    })
}

fn check_conditions(context: &Context<'_>, conditions: &[Condition]) -> Result<(), StructureError> {
    let [condition] = conditions else {
        return Err(Validation.error(format!(
            "{} has {} conditions. Declare exactly 1",
            context.place(),
            conditions.len()
        )));
    };
    check_result(context, condition.result.as_deref())?;
    let rules = &condition.rules;
    Validation.unless(RULES.contains(&rules.len()), || {
        format!("The condition in {} has {} rules. Declare {}", context.place(), rules.len(), range(&RULES))
    })?;
    if let Some(name) = first_duplicate(rules.iter().map(|rule| rule.name.as_str())) {
        return Err(
            InvalidStageDeclaration.error(format!("Rule name '{name}' is used more than once in {}", context.place()))
        );
    }
    rules.iter().try_for_each(|rule| rule::check(context, condition.result.as_deref(), rule))
}

fn check_result(context: &Context<'_>, result: Option<&str>) -> Result<(), StructureError> {
    let allowed = context.kind.results();
    let Some(result) = result else {
        return Err(InvalidStageDeclaration.error(format!(
            "The condition in {} has no result. Use {}",
            context.place(),
            allowed.join(", ")
        )));
    };
    InvalidStageDeclaration.unless(allowed.contains(&result), || {
        format!("Result '{result}' cannot be used in {}. Use {}", context.place(), allowed.join(", "))
    })?;
    // CodePipeline's text.
    InvalidStageDeclaration.unless(result != "ROLLBACK" || context.mode != ExecutionMode::Parallel, || {
        "Failure conditions with rollback result type cannot be added to a PARALLEL pipeline.".into()
    })?;
    InvalidStageDeclaration.unless(result != "ROLLBACK" || context.stage_index > 0, || {
        format!(
            "Result 'ROLLBACK' cannot be used in {}: the first stage only looks up revisions and cannot be rolled back",
            context.place()
        )
    })
}
