//! The condition of a stage's `onFailure`.

use contract::FailureInput;
use domain::{
    Condition, ConditionKind, ConditionOrder, ConditionRun, ConditionStatus, Execution, PipelineView, RuleRun,
    StageIndex,
};

use super::{
    load_run,
    rules::{examine, rule_runs},
    take_in,
};
use crate::{EngineError, HasAlarms, HasObjects, HasStore, definitions::load_declaration};

/// What a stage's `onFailure` asks for, and the evaluation it rests on.
#[derive(Debug, Default)]
pub(crate) struct FailureConditions {
    /// Whether that cannot be said before somebody has answered: the condition has to be evaluated first, with a wait.
    pub(crate) has_to_wait: bool,
    /// What to do, or why nothing.
    pub(crate) asked: Option<Result<domain::FailureConditions, String>>,
    /// To be stored with the decision.
    pub(crate) run: Option<ConditionRun>,
    /// To be stored with the decision.
    pub(crate) rules: Vec<RuleRun>,
}

/// What a stage's `onFailure` asks for. With a condition that is its result, and only where every rule says that the
/// failure is of that kind (spec 4.1 and 4.4: an alarm meets it in ALARM unless `AlarmStates` says otherwise).
///
/// # Errors
/// [`EngineError::Unavailable`]: ask again later.
pub(crate) async fn failure_conditions<W: HasStore + HasObjects + HasAlarms>(
    world: &W,
    input: &FailureInput,
    view: &PipelineView,
    index: &StageIndex,
    execution: &Execution,
) -> Result<FailureConditions, EngineError> {
    let Some(declared) = &index.on_failure else { return Ok(FailureConditions::default()) };
    let Some(condition) = declared.conditions.first() else {
        return Ok(FailureConditions { asked: Some(Ok(declared.clone())), ..FailureConditions::default() });
    };
    let kind = ConditionKind::OnFailure;
    let order = ConditionOrder {
        pipeline: &input.pipeline,
        stage: &input.stage,
        kind,
        execution: input.execution_id,
        mode: execution.mode,
        generation: input.generation,
        attempt: input.attempt,
    };
    let row = load_run(world, view, execution, &input.stage, kind).await?;
    if declared.is_asked() {
        return Ok(asked_before(declared, condition, row.filter(|row| row.is_of(&order)), input.evaluated));
    }
    let version = row.map_or(0, |row| row.version);
    let declaration = load_declaration(world, view.index_of(execution)).await?;
    let rules: Vec<&str> = condition.rules.iter().map(|rule| rule.name.as_str()).collect();
    let now = world.now();
    let mut run = ConditionRun::new(&order, condition.result.as_deref(), &rules, now, version);
    let examined = examine(world, &run, &declaration, execution, now).await?;
    take_in(&mut run, &examined, now);
    let rules = rule_runs(world, execution, &declaration, None, &run, &examined);
    let asked = Some(asks(declared, condition, &run));
    Ok(FailureConditions { asked, run: Some(run), rules, ..FailureConditions::default() })
}

/// What a condition asks for that somebody had to be asked for: what the evaluation `run` by the stage's state machine
/// found. Without one the machine is sent to it once, if it knows the way.
fn asked_before(
    declared: &domain::FailureConditions,
    condition: &Condition,
    run: Option<ConditionRun>,
    evaluated: Option<bool>,
) -> FailureConditions {
    let asked = match run.filter(|run| !run.is_open()) {
        Some(run) => asks(declared, condition, &run),
        None if evaluated == Some(false) => return FailureConditions { has_to_wait: true, ..Default::default() },
        None => Err("The onFailure condition could not be evaluated.".to_owned()),
    };
    FailureConditions { asked: Some(asked), ..FailureConditions::default() }
}

/// What is asked for where the evaluation `run` has ended.
fn asks(
    declared: &domain::FailureConditions,
    condition: &Condition,
    run: &ConditionRun,
) -> Result<domain::FailureConditions, String> {
    if run.status == ConditionStatus::Succeeded {
        return Ok(domain::FailureConditions { result: condition.result.clone(), ..declared.clone() });
    }
    Err(format!("The onFailure condition is not met: {}", run.summary.as_deref().unwrap_or_default()))
}
