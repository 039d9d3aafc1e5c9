//! Looking at the rules of a condition: what they are about is read, what they say is `domain`'s.

use std::collections::BTreeMap;

use domain::{
    AlarmChange, AlarmDemand, ConditionRun, Execution, Finding, PipelineDeclaration, RuleDeclaration, RuleRun, Scope,
    judge_alarm, resolve_configuration,
};

use crate::{
    EngineError, HasAlarms, HasBasics,
    ports::{Alarms, CloudError},
};

/// One rule at one look.
pub(super) struct Examined<'a> {
    /// Absent where an update of the pipeline took it away.
    pub(super) rule: Option<&'a RuleDeclaration>,
    /// Its configuration with references resolved.
    pub(super) configuration: BTreeMap<String, String>,
    /// Where a person sees what it looks at.
    pub(super) entity_url: Option<String>,
    /// ARN of the alarm it looks at.
    pub(super) alarm: Option<String>,
    /// What it found.
    pub(super) finding: Finding,
}

/// Looks at every rule of `run`, at all alarms with one request.
///
/// # Errors
/// [`EngineError::Unavailable`]: look again later.
pub(super) async fn examine<'a, W: HasAlarms>(
    world: &W,
    run: &ConditionRun,
    declaration: &'a PipelineDeclaration,
    execution: &Execution,
) -> Result<Vec<Examined<'a>>, EngineError> {
    let declared = declaration.stage(&run.stage).and_then(|stage| stage.condition(run.kind));
    let find = |name: &str| declared.and_then(|condition| condition.rules.iter().find(|rule| rule.name == name));
    let mut examined: Vec<Examined<'a>> =
        run.rules.iter().map(|state| open(world, find(&state.name), execution)).collect();
    let arns: Vec<String> = examined.iter().filter_map(|rule| rule.alarm.clone()).collect();
    let alarms = if arns.is_empty() { Ok(Vec::new()) } else { world.alarms().describe(&arns).await };
    if let Err(CloudError::Unavailable(source)) = alarms {
        return Err(EngineError::Unavailable { what: "CloudWatch", source });
    }
    for one in &mut examined {
        if let (Some(rule), Some(arn)) = (one.rule, &one.alarm) {
            one.finding = look_at_alarm(world, run, rule, &one.configuration, arn, &alarms);
        }
        let timeout = one.rule.and_then(|rule| rule.timeout_in_minutes);
        one.finding = one.finding.clone().limited(run.started_at, timeout, world.now());
    }
    Ok(examined)
}

/// Resolves a rule's configuration, and says at once what needs no look at anything.
fn open<'a, W: HasBasics>(world: &W, rule: Option<&'a RuleDeclaration>, execution: &Execution) -> Examined<'a> {
    let unusable =
        |finding: Finding| Examined { rule, configuration: BTreeMap::new(), entity_url: None, alarm: None, finding };
    let Some(declared) = rule else {
        return unusable(Finding::errored("ConfigurationError", "The pipeline has no such rule any more."));
    };
    let id = execution.id.to_string();
    let scope = Scope { execution_id: &id, variables: &execution.variables, outputs: &execution.outputs };
    let configuration = match resolve_configuration(&declared.configuration, &scope) {
        Ok(configuration) => configuration,
        Err(error) => return unusable(Finding::errored("ConfigurationError", format!("{error}."))),
    };
    let setting = |key: &str| configuration.get(key).map(String::as_str).unwrap_or_default();
    match declared.rule_type_id.provider.as_str() {
        "CloudWatchAlarm" => {
            let (region, name) = (region_of(world, declared), setting("AlarmName").to_owned());
            let url = format!(
                "https://{region}.console.aws.amazon.com/cloudwatch/home?region={region}#alarmsV2:alarm/{name}"
            );
            let arn = world.settings().alarm_arn_in(region, &name);
            // What was found is set when the alarm was read.
            let finding = unread(&name);
            Examined { rule, entity_url: Some(url), alarm: Some(arn), finding, configuration }
        }
        "VariableCheck" => {
            let finding = check_variable(setting("Operator"), setting("Variable"), setting("Value"));
            Examined { finding, configuration, ..unusable(Finding::succeeded("")) }
        }
        provider => {
            let why = format!("Rules of type {provider} are not run by this version of Lastgood.");
            Examined { configuration, ..unusable(Finding::errored("ConfigurationError", why)) }
        }
    }
}

fn look_at_alarm<W: HasBasics>(
    world: &W,
    run: &ConditionRun,
    rule: &RuleDeclaration,
    configuration: &BTreeMap<String, String>,
    arn: &str,
    alarms: &Result<Vec<AlarmChange>, CloudError>,
) -> Finding {
    let setting = |key: &str| configuration.get(key).map(String::as_str).unwrap_or_default();
    let name = setting("AlarmName");
    let alarms = match alarms {
        Ok(alarms) => alarms,
        Err(CloudError::Denied(why)) => {
            return Finding::errored("PermissionError", format!("Alarm {name} may not be read: {why}"));
        }
        Err(error) => return Finding::errored("ConfigurationError", format!("Alarm {name}: {error}")),
    };
    let Some(alarm) = alarms.iter().find(|alarm| alarm.arn == arn) else {
        let region = region_of(world, rule);
        return Finding::errored("ConfigurationError", format!("There is no alarm {name} in region {region}."));
    };
    let demand = AlarmDemand {
        kind: run.kind,
        name,
        states: setting("AlarmStates"),
        wait_minutes: setting("WaitTime").parse().unwrap_or(0),
        since: run.started_at,
    };
    judge_alarm(&demand, alarm, world.now())
}

fn unread(name: &str) -> Finding {
    Finding::errored("ConfigurationError", format!("Alarm {name} was not read."))
}

fn region_of<'a, W: HasBasics>(world: &'a W, rule: &'a RuleDeclaration) -> &'a str {
    rule.region.as_deref().unwrap_or(&world.settings().region)
}

fn check_variable(operator: &str, variable: &str, value: &str) -> Finding {
    let holds = match operator {
        "EQ" => variable == value,
        "NE" => variable != value,
        "CONTAINS" => variable.contains(value),
        // A pattern must match the whole value, as Java's matches() does.
        "MATCHES" => match regex_lite::Regex::new(&format!("^(?:{value})$")) {
            Ok(pattern) => pattern.is_match(variable),
            Err(error) => {
                return Finding::errored("ConfigurationError", format!("'{value}' is not a pattern: {error}"));
            }
        },
        _ => return Finding::errored("ConfigurationError", format!("'{operator}' is not an operator.")),
    };
    let says = format!("'{variable}' {operator} '{value}'");
    if holds { Finding::succeeded(format!("{says} holds.")) } else { Finding::failed(format!("{says} does not hold.")) }
}

/// The history of those rules whose state has changed.
pub(super) fn rule_runs<W: HasBasics>(
    world: &W,
    execution: &Execution,
    declaration: &PipelineDeclaration,
    before: Option<&ConditionRun>,
    run: &ConditionRun,
    examined: &[Examined<'_>],
) -> Vec<RuleRun> {
    let changed = |at: usize| before.is_none_or(|before| before.rules.get(at) != run.rules.get(at));
    let mut runs = Vec::new();
    for (at, (state, examined)) in run.rules.iter().zip(examined).enumerate() {
        let Some(rule) = examined.rule.filter(|_| changed(at)) else { continue };
        runs.push(RuleRun {
            pipeline: run.pipeline.clone(),
            execution: run.execution,
            pipeline_version: execution.pipeline_version,
            stage: run.stage.clone(),
            kind: run.kind,
            rule_type: rule.rule_type_id.clone(),
            started_at: run.started_at,
            role_arn: rule.role_arn.clone().unwrap_or_else(|| declaration.role_arn.clone()),
            region: region_of(world, rule).to_owned(),
            configuration: rule.configuration.clone(),
            resolved_configuration: examined.configuration.clone(),
            state: state.clone(),
        });
    }
    runs
}

#[cfg(test)]
mod tests {
    use domain::RuleVerdict;

    use super::*;

    #[test]
    fn variables_compare_as_their_operator_says() {
        use RuleVerdict::{Errored, Failed, Succeeded};
        for (operator, variable, value, expected) in [
            ("EQ", "a", "a", Succeeded),
            ("NE", "a", "a", Failed),
            ("CONTAINS", "abc", "b", Succeeded),
            ("MATCHES", "v12", r"v\d+", Succeeded),
            ("MATCHES", "v12x", r"v\d+", Failed),
            ("MATCHES", "x", "(", Errored("ConfigurationError")),
            ("??", "a", "a", Errored("ConfigurationError")),
        ] {
            assert_eq!(check_variable(operator, variable, value).verdict, expected, "{variable} {operator} {value}");
        }
    }
}
