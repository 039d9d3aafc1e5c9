//! Making, changing and deleting alarms.

use std::collections::{BTreeSet, VecDeque};

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{nothing, parse, tags::add_tags};
use crate::{
    alarm::{Alarm, Kind, MetricKey, Watched},
    error::ApiError,
    evaluate::State,
    rule::Rule,
    store::Work,
    transition::NewState,
};

/// How many alarms are kept: CloudWatch's default quota.
const ALARMS_MAX: i64 = 5000;

/// Members of `PutMetricAlarm` whose features the stand-in does not have: better refused than silently without effect.
const NOT_OFFERED: [&str; 5] =
    ["ThresholdMetricId", "EvaluationWindow", "WarmUpConfiguration", "EvaluationCriteria", "EvaluationInterval"];

pub(super) fn put_metric_alarm(work: &Work<'_>, input: Value) -> Result<Value, ApiError> {
    for member in NOT_OFFERED {
        if input.get(member).is_some() {
            return Err(ApiError::validation(format!(
                "{member} is not offered by the local CloudWatch; leave it out."
            )));
        }
    }
    let watched = Watched::of(&input)?;
    configure(work, Kind::Metric, input, Some(&watched.metric), &[])
}

pub(super) fn put_composite_alarm(work: &Work<'_>, input: Value) -> Result<Value, ApiError> {
    let name = name_of(&input);
    let text = input["AlarmRule"].as_str().unwrap_or_default();
    let rule = Rule::parse(text).map_err(|error| ApiError::validation(format!("Invalid AlarmRule: {error}")))?;
    let children: Vec<&str> = rule.children().into_iter().collect();
    for child in &children {
        if *child == name {
            return Err(ApiError::validation("Could not save the composite alarm as its rule names the alarm itself."));
        }
        if work.alarm(child)?.is_none() {
            return Err(ApiError::validation(format!(
                "Could not save the composite alarm as alarms [{child}] in the alarm rule do not exist"
            )));
        }
    }
    refuse_cycle(work, &name, &children)?;
    let suppressed = input.get("ActionsSuppressor").is_some();
    for period in ["ActionsSuppressorWaitPeriod", "ActionsSuppressorExtensionPeriod"] {
        if suppressed != input.get(period).is_some() {
            return Err(ApiError::validation(format!(
                "ActionsSuppressor and {period} go together: give both, or neither."
            )));
        }
    }
    configure(work, Kind::Composite, input, None, &children)?;
    work.evaluate_new_composite(&name)?;
    Ok(nothing())
}

/// A rule that depends on its own outcome, however indirectly, has no meaning and would be evaluated for ever.
fn refuse_cycle(work: &Work<'_>, name: &str, children: &[&str]) -> Result<(), ApiError> {
    let mut seen = BTreeSet::new();
    let mut open: VecDeque<String> = children.iter().map(|child| (*child).to_owned()).collect();
    while let Some(child) = open.pop_front() {
        if child == name {
            return Err(ApiError::validation(format!(
                "Could not save the composite alarm as {name} would depend on itself."
            )));
        }
        if seen.insert(child.clone()) {
            open.extend(work.children(&child)?);
        }
    }
    Ok(())
}

fn configure(
    work: &Work<'_>,
    kind: Kind,
    mut input: Value,
    metric: Option<&MetricKey>,
    children: &[&str],
) -> Result<Value, ApiError> {
    let name = name_of(&input);
    let known = work.alarm(&name)?;
    if known.as_ref().is_some_and(|known| known.kind != kind) {
        return Err(ApiError::validation(format!(
            "{name} is an alarm of the other kind; delete it first, or choose another name."
        )));
    }
    let members = input.as_object_mut().map(std::mem::take).unwrap_or_default();
    let (config, tags) = config_and_tags(members);
    let alarm = match &known {
        // An update leaves the state alone.
        Some(known) => Alarm { config, configured: work.now, ..known.clone() },
        None if work.alarm_count()? >= ALARMS_MAX => {
            return Err(ApiError::limit(format!("The maximum number of {ALARMS_MAX} alarms has been reached.")));
        }
        None => Alarm {
            name: name.clone(),
            kind,
            config,
            state: State::InsufficientData,
            reason: "Unchecked: Initial alarm creation".to_owned(),
            reason_data: None,
            updated: work.now,
            transitioned: work.now,
            configured: work.now,
            forced: false,
        },
    };
    work.store_alarm(&alarm, metric, children)?;
    work.record_configuration(&alarm, if known.is_some() { "updated" } else { "created" })?;
    if known.is_none() {
        // As in CloudWatch, tags given with an update are ignored.
        add_tags(work, &name, tags)?;
    }
    Ok(nothing())
}

/// Separates tags, which are stored apart, and fills in what `DescribeAlarms` always shows.
fn config_and_tags(mut members: Map<String, Value>) -> (Value, Value) {
    let tags = members.remove("Tags").unwrap_or_else(|| json!([]));
    members.entry("ActionsEnabled").or_insert(true.into());
    for list in ["OKActions", "AlarmActions", "InsufficientDataActions"] {
        members.entry(list).or_insert_with(|| json!([]));
    }
    if members.contains_key("MetricName") {
        members.entry("Dimensions").or_insert_with(|| json!([]));
    }
    (Value::Object(members), tags)
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SetAlarmState {
    alarm_name: String,
    state_value: State,
    state_reason: String,
    state_reason_data: Option<String>,
}

pub(super) fn set_alarm_state(work: &Work<'_>, input: Value) -> Result<Value, ApiError> {
    let request: SetAlarmState = parse(input)?;
    let not_json = |text: &String| serde_json::from_str::<Value>(text).is_err();
    if request.state_reason_data.as_ref().is_some_and(not_json) {
        return Err(ApiError::format("StateReasonData was not valid JSON."));
    }
    let alarm = existing(work, &request.alarm_name)?;
    let forced = Alarm { forced: true, ..alarm };
    let new =
        NewState { state: request.state_value, reason: request.state_reason, reason_data: request.state_reason_data };
    work.change_state(&forced, new)?;
    Ok(nothing())
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AlarmNames {
    alarm_names: BTreeSet<String>,
}

pub(super) fn delete_alarms(work: &Work<'_>, input: Value) -> Result<Value, ApiError> {
    let request: AlarmNames = parse(input)?;
    for name in &request.alarm_names {
        let alarm = existing(work, name)?;
        // Those that go in the same request do not hold it back.
        let held_by: Vec<String> =
            work.parents(name)?.into_iter().filter(|parent| !request.alarm_names.contains(parent)).collect();
        if !held_by.is_empty() {
            return Err(ApiError::validation(format!(
                "Cannot delete {name} as there are composite alarm(s) depending on it: [{}]",
                held_by.join(", ")
            )));
        }
        work.record_configuration(&alarm, "deleted")?;
    }
    for name in &request.alarm_names {
        work.delete_alarm(name)?;
    }
    Ok(nothing())
}

pub(super) fn enable_alarm_actions(work: &Work<'_>, input: Value) -> Result<Value, ApiError> {
    set_actions_enabled(work, input, true)
}

pub(super) fn disable_alarm_actions(work: &Work<'_>, input: Value) -> Result<Value, ApiError> {
    set_actions_enabled(work, input, false)
}

fn set_actions_enabled(work: &Work<'_>, input: Value, enabled: bool) -> Result<Value, ApiError> {
    let request: AlarmNames = parse(input)?;
    for name in &request.alarm_names {
        // CloudWatch passes over names it does not know.
        let Some(mut alarm) = work.alarm(name)? else {
            continue;
        };
        if alarm.config["ActionsEnabled"] != enabled {
            alarm.config["ActionsEnabled"] = enabled.into();
            work.store_config(name, &alarm.config)?;
            work.record_configuration(&alarm, "updated")?;
        }
    }
    Ok(nothing())
}

fn existing(work: &Work<'_>, name: &str) -> Result<Alarm, ApiError> {
    work.alarm(name)?.ok_or_else(|| ApiError::alarm_not_found(format!("There is no alarm named {name}.")))
}

fn name_of(input: &Value) -> String {
    input["AlarmName"].as_str().unwrap_or_default().to_owned()
}
