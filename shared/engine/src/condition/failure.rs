//! The condition of a stage's `onFailure`.

use contract::FailureInput;
use domain::{
    ConditionKind, ConditionOrder, ConditionRun, ConditionStatus, Execution, PipelineView, RuleRun, StageIndex,
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
    let declaration = load_declaration(world, &view.index).await?;
    let version = load_run(world, view, execution, &input.stage, kind).await?.map_or(0, |row| row.version);
    let rules: Vec<&str> = condition.rules.iter().map(|rule| rule.name.as_str()).collect();
    let now = world.now();
    let mut run = ConditionRun::new(&order, condition.result.as_deref(), &rules, now, version);
    let examined = examine(world, &run, &declaration, execution, now).await?;
    take_in(&mut run, &examined, now);
    let asked = if run.status == ConditionStatus::Succeeded {
        Ok(domain::FailureConditions { result: condition.result.clone(), ..declared.clone() })
    } else {
        Err(format!("The onFailure condition is not met: {}", run.summary.as_deref().unwrap_or_default()))
    };
    let rules = rule_runs(world, execution, &declaration, None, &run, &examined);
    Ok(FailureConditions { asked: Some(asked), run: Some(run), rules })
}
