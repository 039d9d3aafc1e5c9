//! One rule of a condition (spec 4.3). All texts are our wording.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::action::{TIMEOUT_MINUTES, range};
use super::condition::{Context, Kind};
use super::configuration::{check_keys, check_one_of, has_reference, is_given};
use super::flow::Referrer;
use super::{StructureError, StructureErrorKind};
use crate::{
    DeploymentWindow, METRIC_DEGRADATION, MetricRule, RULE_TYPES, RuleDeclaration, RuleTypeId, RuleTypeInfo,
    check_alarm_states, find_rule_type,
    variable_check::{OPERATORS, check_pattern},
    wait_minutes,
};

use StructureErrorKind::{InvalidStageDeclaration, Validation};

pub(super) fn check(context: &Context<'_>, result: Option<&str>, rule: &RuleDeclaration) -> Result<(), StructureError> {
    let subject = format!("Rule '{}' in {}", rule.name, context.place());
    let info = find_rule_type(&rule.rule_type_id).ok_or_else(|| unavailable(&subject, &rule.rule_type_id))?;
    InvalidStageDeclaration.unless(result != Some("SKIP") || info.may_skip, || {
        format!("{subject} cannot be used with the result SKIP. Use LambdaInvoke or VariableCheck rules, or FAIL")
    })?;
    check_members(&subject, rule, info)?;
    context.flow.check_inputs(&rule.input_artifacts, context.position()).map_err(|name| {
        InvalidStageDeclaration.error(format!(
            "{subject} reads the artifact '{name}', which no action \
             that runs earlier makes"
        ))
    })?;
    check_configuration(context, result, rule, info)
        .map_err(|problem| InvalidStageDeclaration.error(format!("{subject} {problem}")))
}

fn unavailable(subject: &str, id: &RuleTypeId) -> StructureError {
    let available: Vec<_> = RULE_TYPES.iter().map(|info| info.provider).collect();
    InvalidStageDeclaration.error(format!(
        "{subject} has the RuleType (Category: '{}', Provider: '{}', Owner: '{}', Version: '{}'), which is not \
         available. Use one of {}",
        id.category,
        id.provider,
        id.owner.as_deref().unwrap_or("AWS"),
        id.version.as_deref().unwrap_or("1"),
        available.join(", "),
    ))
}

fn check_members(subject: &str, rule: &RuleDeclaration, info: &RuleTypeInfo) -> Result<(), StructureError> {
    let provider = info.provider;
    InvalidStageDeclaration.unless(info.has_commands() || rule.commands.is_empty(), || {
        format!("{subject} declares commands, which {provider} rules do not have. Remove them")
    })?;
    InvalidStageDeclaration.unless(!info.has_commands() || !rule.commands.is_empty(), || {
        format!("{subject} must have a non-empty commands field")
    })?;
    let count = rule.input_artifacts.len();
    InvalidStageDeclaration.unless(count == 0 || *info.inputs.end() > 0, || {
        format!("{subject} declares inputArtifacts, which {provider} rules do not have. Remove them")
    })?;
    InvalidStageDeclaration.unless(info.inputs.contains(&count), || {
        format!("{subject} declares {count} input artifacts. Declare {}", range(&info.inputs))
    })?;
    match rule.timeout_in_minutes {
        Some(minutes) if !TIMEOUT_MINUTES.contains(&minutes) => {
            Err(Validation
                .error(format!("{subject} has {minutes} for timeoutInMinutes. Use {}", range(&TIMEOUT_MINUTES))))
        }
        _ => Ok(()),
    }
}

fn check_configuration(
    context: &Context<'_>,
    result: Option<&str>,
    rule: &RuleDeclaration,
    info: &RuleTypeInfo,
) -> Result<(), String> {
    let configuration = &rule.configuration;
    check_keys(configuration, info.required_keys, info.optional_keys)?;
    match info.provider {
        "CloudWatchAlarm" => {
            let known = |key: &str| configuration.get(key).filter(|value| !has_reference(value));
            known("WaitTime").map_or(Ok(0), |time| wait_minutes(time))?;
            known("AlarmStates").map_or(Ok(""), |states| check_alarm_states(states))?;
            check_watch(context, result, rule)?;
        }
        METRIC_DEGRADATION => {
            if context.kind != Kind::OnSuccess {
                return Err("judges what a deploy did. Use it in onSuccess".into());
            }
            // What has a reference is not judged before it is resolved.
            if !configuration.values().any(|value| has_reference(value)) {
                let region = rule.region.as_deref().unwrap_or(context.region);
                MetricRule::declared(configuration)?.check_control(Some(region))?;
            }
            check_watch(context, result, rule)?;
        }
        "DeploymentWindow" => check_window(configuration)?,
        "VariableCheck" => {
            check_one_of(configuration, "Operator", OPERATORS)?;
            check_matches(configuration)?;
        }
        _ => {}
    }
    context
        .flow
        .check_references(configuration, context.position(), Referrer::Other)
        .map_err(|(key, problem)| format!("has a configuration key '{key}' that {problem}"))
}

/// What has a reference is not judged before it is resolved.
fn check_matches(configuration: &BTreeMap<String, String>) -> Result<(), String> {
    let setting = |key: &str| configuration.get(key).map(String::as_str).unwrap_or_default();
    if setting("Operator") != "MATCHES" || has_reference(setting("Value")) {
        return Ok(());
    }
    check_pattern(setting("Value")).map_err(|why| format!("has a Value that MATCHES cannot use: {why}"))
}

/// What has a reference is not judged before it is resolved.
fn check_window(configuration: &BTreeMap<String, String>) -> Result<(), String> {
    let known = |key: &str, unknown: &'static str| match configuration.get(key).map(String::as_str) {
        Some(value) if has_reference(value) => unknown.to_owned(),
        value => value.unwrap_or_default().to_owned(),
    };
    DeploymentWindow::parse(&known("Cron", "* * * * * ?"), &known("TimeZone", ""))
        .map(drop)
        .map_err(|why| format!("has {why}"))
}

/// More than a day of the shortest usual period has, which is as long as they are waited for.
const DATA_POINTS: RangeInclusive<u32> = 1..=1440;

/// Our extension (design section 6): the alarm is observed after the stage was left.
fn check_watch(context: &Context<'_>, result: Option<&str>, rule: &RuleDeclaration) -> Result<(), String> {
    let configuration = &rule.configuration;
    let is_on = |key: &str| match configuration.get(key).map(String::as_str) {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(other) => Err(format!("has '{other}' for '{key}'. Use true, false")),
    };
    let (watches, shadow) = (is_on("Watch")?, is_on("Shadow")?);
    let is_held = is_given(configuration, "HoldUntil");
    if is_held {
        check_one_of(configuration, "HoldUntil", &["Person", "OtherRevision"])?;
    }
    if !watches && is_held {
        return Err(
            "has HoldUntil without Watch. It says what lifts the hold of a rollback that a watch can lead to".into()
        );
    }
    let by_alarm = !rule.is_metric_degradation();
    let points = configuration.get("MinimumDataPoints").map(String::as_str).filter(|_| by_alarm);
    if let Some(points) = points.filter(|points| watches && !has_reference(points)) {
        let number: Option<u32> = points.parse().ok().filter(|_| points.bytes().all(|byte| byte.is_ascii_digit()));
        number.filter(|number| DATA_POINTS.contains(number)).ok_or_else(|| {
            let (least, most) = (DATA_POINTS.start(), DATA_POINTS.end());
            format!("has '{points}' for 'MinimumDataPoints'. Use {least} to {most}")
        })?;
    }
    if !watches && points.is_some() {
        return Err("has MinimumDataPoints without Watch. It says what a watch waits for beside its time".into());
    }
    if !watches {
        let alone = "has Shadow without Watch. Only what a watch leads to can be told without being done";
        return if shadow { Err(alone.into()) } else { Ok(()) };
    }
    if context.kind != Kind::OnSuccess || result != Some("ROLLBACK") {
        return Err("has Watch, which observes a stage after it succeeded. Use it in onSuccess with the result \
                    ROLLBACK"
            .into());
    }
    if !is_given(configuration, "WaitTime") {
        return Err("has Watch but no WaitTime. Say for how many minutes the alarm is observed".into());
    }
    if watches && is_given(configuration, "TooLittleData") {
        return Err(
            "has Watch and TooLittleData, which says how a condition ends that the stage waits for. Remove one".into(),
        );
    }
    if by_alarm && rule.region.is_some() && !configuration.get("AlarmName").is_some_and(|name| name.starts_with("arn:"))
    {
        return Err("has Watch and a region. Name an alarm of another region by its ARN in AlarmName".into());
    }
    // What is watched has to be known when the pipeline is stored.
    if let Some((key, _)) = configuration.iter().find(|(_, value)| has_reference(value)) {
        return Err(format!("has Watch and a reference in '{key}'. Write the value itself"));
    }
    if configuration.get("AlarmStates").is_some_and(|states| states.trim() != "ALARM") {
        return Err(
            "has Watch with AlarmStates other than ALARM. A watch acts on ALARM alone; remove AlarmStates".into()
        );
    }
    Ok(())
}
