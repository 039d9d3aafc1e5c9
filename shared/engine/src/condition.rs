//! Conditions on the way into a stage and out of it (spec 4).

use contract::{ConditionInput, ConditionKind, ConditionOutput};
use domain::{AlarmState, Condition, Execution, FailureConditions, RuleDeclaration, Scope, resolve_configuration};
use jiff::Timestamp;

use crate::{
    EngineError, HasAlarms, HasObjects, HasStore,
    definitions::load_declaration,
    ports::{Alarms, Store},
};

/// Shortest time between two looks, in seconds: alarms are evaluated once a minute.
const LOOK_EVERY_S_MIN: i64 = 60;
/// Most looks at one condition: each is a few transitions, and a machine has 25,000 history events (spec 10.5).
const LOOKS_MAX: i64 = 60;

/// What one rule says now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum RuleState {
    Succeeded,
    /// Not decided until then, in seconds since the epoch.
    Pending(i64),
    Failed,
}

/// Evaluates a condition: all its rules must succeed.
///
/// # Errors
/// [`EngineError::Unavailable`]: evaluate again later.
pub async fn evaluate_condition<W: HasStore + HasObjects + HasAlarms>(
    world: &W,
    input: &ConditionInput,
) -> Result<ConditionOutput, EngineError> {
    let view = world.store().load_pipeline(&input.pipeline).await?;
    let execution = world.store().load_execution(&input.pipeline, input.execution_id).await?;
    let (Some(view), Some(execution)) = (view, execution) else {
        return Ok(ConditionOutput::Fail);
    };
    // What a failure leads to is decided by whoever settles it: nothing, where this is not the execution's to say.
    if !view.lets_act(&execution, &input.stage, input.generation) || !view.lets_begin(&execution) {
        return Ok(ConditionOutput::Fail);
    }
    let declaration = load_declaration(world, &view.index).await?;
    let stage = declaration.stage(&input.stage);
    let conditions = match input.condition {
        ConditionKind::BeforeEntry => stage.and_then(|stage| stage.before_entry.as_ref()),
        ConditionKind::OnSuccess => stage.and_then(|stage| stage.on_success.as_ref()),
    };
    let Some(condition) = conditions.and_then(|conditions| conditions.conditions.first()) else {
        return Ok(ConditionOutput::Proceed);
    };
    let now = world.now().as_second();
    let since = input.since.unwrap_or(now);
    let mut overall = RuleState::Succeeded;
    for rule in
        condition.rules.iter().filter(|rule| rule.configuration.get("Watch").is_none_or(|watch| watch != "true"))
    {
        overall = overall.max(evaluate_rule(world, input.condition, rule, &execution, since).await?);
    }
    Ok(outcome(condition, overall, since, now))
}

fn outcome(condition: &Condition, overall: RuleState, since: i64, now: i64) -> ConditionOutput {
    match overall {
        RuleState::Succeeded => ConditionOutput::Proceed,
        RuleState::Failed if condition.result.as_deref() == Some("SKIP") => ConditionOutput::Skip,
        RuleState::Failed => ConditionOutput::Fail,
        RuleState::Pending(until) => {
            let step = ((until - since) / LOOKS_MAX).max(LOOK_EVERY_S_MIN).min((until - now).max(1));
            ConditionOutput::Wait { seconds: u32::try_from(step).unwrap_or(1), since }
        }
    }
}

async fn evaluate_rule<W: HasAlarms>(
    world: &W,
    kind: ConditionKind,
    rule: &RuleDeclaration,
    execution: &Execution,
    since: i64,
) -> Result<RuleState, EngineError> {
    let id = execution.id.to_string();
    let scope = Scope { execution_id: &id, variables: &execution.variables, outputs: &execution.outputs };
    let Ok(configuration) = resolve_configuration(&rule.configuration, &scope) else {
        return Ok(RuleState::Failed);
    };
    let setting = |key: &str| configuration.get(key).map(String::as_str).unwrap_or_default();
    match rule.rule_type_id.provider.as_str() {
        "CloudWatchAlarm" => {
            let arn = world.settings().alarm_arn(setting("AlarmName"));
            let read = world.alarms().describe(std::slice::from_ref(&arn)).await?;
            let Some(alarm) = read.into_iter().find(|alarm| alarm.arn == arn) else {
                return Ok(RuleState::Failed);
            };
            let minutes: i64 = setting("WaitTime").parse().unwrap_or(0);
            let good = meets(alarm.state, setting("AlarmStates"));
            Ok(judge_wait(kind, good, world.now(), since + minutes * 60))
        }
        "VariableCheck" => {
            let holds = compare(setting("Operator"), setting("Variable"), setting("Value"));
            Ok(if holds { RuleState::Succeeded } else { RuleState::Failed })
        }
        _ => Ok(RuleState::Failed),
    }
}

/// What a stage's `onFailure` asks for. With a condition that is its result, and only where every rule says that the
/// failure is of that kind (spec 4.1 and 4.4: an alarm meets it in ALARM unless `AlarmStates` says otherwise).
pub(crate) async fn failure_conditions<W: HasAlarms>(
    world: &W,
    declared: &FailureConditions,
    execution: &Execution,
) -> Result<Option<FailureConditions>, EngineError> {
    let Some(condition) = declared.conditions.first() else { return Ok(Some(declared.clone())) };
    for rule in &condition.rules {
        if !is_met_by_failure(world, rule, execution).await? {
            return Ok(None);
        }
    }
    Ok(Some(FailureConditions { result: condition.result.clone(), ..declared.clone() }))
}

async fn is_met_by_failure<W: HasAlarms>(
    world: &W,
    rule: &RuleDeclaration,
    execution: &Execution,
) -> Result<bool, EngineError> {
    let id = execution.id.to_string();
    let scope = Scope { execution_id: &id, variables: &execution.variables, outputs: &execution.outputs };
    let Ok(configuration) = resolve_configuration(&rule.configuration, &scope) else { return Ok(false) };
    let setting = |key: &str| configuration.get(key).map(String::as_str).unwrap_or_default();
    match rule.rule_type_id.provider.as_str() {
        "CloudWatchAlarm" => {
            let arn = world.settings().alarm_arn(setting("AlarmName"));
            let read = world.alarms().describe(std::slice::from_ref(&arn)).await?;
            let states = if setting("AlarmStates").is_empty() { "ALARM" } else { setting("AlarmStates") };
            Ok(read.iter().any(|alarm| alarm.arn == arn && meets(alarm.state, states)))
        }
        "VariableCheck" => Ok(compare(setting("Operator"), setting("Variable"), setting("Value"))),
        _ => Ok(false),
    }
}

/// Entry waits until the alarm is good; success demands that it stays good (spec 4.4).
fn judge_wait(kind: ConditionKind, good: bool, now: Timestamp, until: i64) -> RuleState {
    let over = now.as_second() >= until;
    match (kind, good, over) {
        (ConditionKind::BeforeEntry, true, _) | (ConditionKind::OnSuccess, true, true) => RuleState::Succeeded,
        (ConditionKind::BeforeEntry, false, true) | (ConditionKind::OnSuccess, false, _) => RuleState::Failed,
        (ConditionKind::BeforeEntry, false, false) | (ConditionKind::OnSuccess, true, false) => {
            RuleState::Pending(until)
        }
    }
}

/// Whether `state` is among the declared `AlarmStates`; without any, everything but ALARM is good.
fn meets(state: AlarmState, declared: &str) -> bool {
    if declared.is_empty() {
        return matches!(state, AlarmState::Ok | AlarmState::InsufficientData);
    }
    declared.split(',').any(|one| one.trim() == state.to_string())
}

fn compare(operator: &str, variable: &str, value: &str) -> bool {
    match operator {
        "EQ" => variable == value,
        "NE" => variable != value,
        "CONTAINS" => variable.contains(value),
        // A pattern must match the whole value, as Java's matches() does.
        "MATCHES" => regex_lite::Regex::new(&format!("^(?:{value})$")).is_ok_and(|pattern| pattern.is_match(variable)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("small")
    }

    #[test]
    fn entry_waits_for_good_and_success_demands_staying_good() {
        use ConditionKind::{BeforeEntry, OnSuccess};
        for (kind, good, now, expected) in [
            (BeforeEntry, true, 0, RuleState::Succeeded),
            (BeforeEntry, false, 0, RuleState::Pending(60)),
            (BeforeEntry, false, 60, RuleState::Failed),
            (OnSuccess, true, 0, RuleState::Pending(60)),
            (OnSuccess, true, 60, RuleState::Succeeded),
            (OnSuccess, false, 0, RuleState::Failed),
        ] {
            assert_eq!(judge_wait(kind, good, at(now), 60), expected, "{kind:?} {good} at {now}");
        }
    }

    #[test]
    fn variables_compare_as_their_operator_says() {
        for (operator, variable, value, expected) in [
            ("EQ", "a", "a", true),
            ("NE", "a", "a", false),
            ("CONTAINS", "abc", "b", true),
            ("MATCHES", "v12", r"v\d+", true),
            ("MATCHES", "v12x", r"v\d+", false),
            ("MATCHES", "x", "(", false),
            ("??", "a", "a", false),
        ] {
            assert_eq!(compare(operator, variable, value), expected, "{variable} {operator} {value}");
        }
    }

    #[test]
    fn a_long_wait_is_looked_at_a_bounded_number_of_times() {
        let condition = Condition { result: Some("FAIL".into()), rules: Vec::new() };
        let day = 24 * 3600;
        let ConditionOutput::Wait { seconds, .. } = outcome(&condition, RuleState::Pending(day), 0, 0) else {
            panic!("it waits")
        };
        assert_eq!(i64::from(seconds), day / LOOKS_MAX);
    }
}
