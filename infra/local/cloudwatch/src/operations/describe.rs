//! Alarms as readers see them.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{parse, position, token};
use crate::{
    alarm::{Alarm, Dimension, Kind, MetricKey, Watched, arn},
    error::ApiError,
    evaluate::State,
    store::Work,
};

/// How many alarms a page holds when the caller does not say: CloudWatch's default.
const PAGE: usize = 50;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DescribeAlarms {
    alarm_names: Option<BTreeSet<String>>,
    alarm_name_prefix: Option<String>,
    alarm_types: Option<Vec<String>>,
    children_of_alarm_name: Option<String>,
    parents_of_alarm_name: Option<String>,
    state_value: Option<State>,
    action_prefix: Option<String>,
    max_records: Option<usize>,
    next_token: Option<String>,
}

pub(super) fn describe_alarms(work: &Work<'_>, input: Value) -> Result<Value, ApiError> {
    let request: DescribeAlarms = parse(input)?;
    if request.alarm_names.is_some() && request.alarm_name_prefix.is_some() {
        return Err(ApiError::combination("AlarmNames and AlarmNamePrefix exclude each other; give one."));
    }
    let related = related(work, &request)?;
    let limit = request.max_records.unwrap_or(PAGE);
    let after = position(request.next_token.as_deref())?;
    let mut found: Vec<Alarm> = work
        .alarms_after(&after)?
        .into_iter()
        .filter(|alarm| request.wants(alarm) && related.as_ref().is_none_or(|names| names.contains(&alarm.name)))
        .take(limit + 1)
        .collect();
    let more = found.len() > limit;
    found.truncate(limit);
    let of_kind = |kind| -> Vec<Value> { found.iter().filter(|alarm| alarm.kind == kind).map(described).collect() };
    let mut output = json!({"MetricAlarms": of_kind(Kind::Metric), "CompositeAlarms": of_kind(Kind::Composite)});
    if let (true, Some(last)) = (more, found.last()) {
        output["NextToken"] = token(&last.name).into();
    }
    Ok(output)
}

/// The names that `ChildrenOfAlarmName` or `ParentsOfAlarmName` leaves, if either is given.
fn related(work: &Work<'_>, request: &DescribeAlarms) -> Result<Option<Vec<String>>, ApiError> {
    match (&request.children_of_alarm_name, &request.parents_of_alarm_name) {
        (Some(_), Some(_)) => {
            Err(ApiError::combination("ChildrenOfAlarmName and ParentsOfAlarmName exclude each other; give one."))
        }
        (Some(name), None) => work.children(name).map(Some),
        (None, Some(name)) => work.parents(name).map(Some),
        (None, None) => Ok(None),
    }
}

impl DescribeAlarms {
    fn wants(&self, alarm: &Alarm) -> bool {
        // Composite alarms are left out unless asked for, also when they are named; relations ask for them.
        let related = self.children_of_alarm_name.is_some() || self.parents_of_alarm_name.is_some();
        let kind = match &self.alarm_types {
            Some(types) if !types.is_empty() => types.iter().any(|kind| kind == alarm.kind.as_str()),
            _ => alarm.kind == Kind::Metric || related,
        };
        let named = self.alarm_names.as_ref();
        kind && named.is_none_or(|names| names.is_empty() || names.contains(&alarm.name))
            && self.alarm_name_prefix.as_ref().is_none_or(|prefix| alarm.name.starts_with(prefix))
            && self.state_value.is_none_or(|state| state == alarm.state)
            && self.action_prefix.as_ref().is_none_or(|prefix| has_action(alarm, prefix))
    }
}

fn has_action(alarm: &Alarm, prefix: &str) -> bool {
    ["OKActions", "AlarmActions", "InsufficientDataActions"]
        .iter()
        .filter_map(|list| alarm.config[*list].as_array())
        .flatten()
        .any(|action| action.as_str().is_some_and(|action| action.starts_with(prefix)))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DescribeAlarmsForMetric {
    metric_name: String,
    namespace: String,
    statistic: Option<String>,
    extended_statistic: Option<String>,
    #[serde(default)]
    dimensions: Vec<Dimension>,
    period: Option<i64>,
    unit: Option<String>,
}

pub(super) fn describe_alarms_for_metric(work: &Work<'_>, input: Value) -> Result<Value, ApiError> {
    let request: DescribeAlarmsForMetric = parse(input)?;
    let key = MetricKey::new(&request.namespace, &request.metric_name, &request.dimensions);
    let stat = request.statistic.or(request.extended_statistic);
    let mut alarms = Vec::new();
    for alarm in work.alarms_on(&key)? {
        let watched = Watched::of(&alarm.config)?;
        let wanted = stat.as_ref().is_none_or(|stat| *stat == watched.stat)
            && request.period.is_none_or(|period| period == watched.period_s)
            && (request.unit.is_none() || request.unit == watched.unit);
        if wanted {
            alarms.push(described(&alarm));
        }
    }
    Ok(json!({"MetricAlarms": alarms}))
}

fn described(alarm: &Alarm) -> Value {
    let mut described = alarm.config.clone();
    described["AlarmArn"] = arn(&alarm.name).into();
    described["AlarmConfigurationUpdatedTimestamp"] = alarm.configured.to_string().into();
    described["StateValue"] = alarm.state.as_str().into();
    described["StateReason"] = alarm.reason.as_str().into();
    if let Some(data) = &alarm.reason_data {
        described["StateReasonData"] = data.as_str().into();
    }
    described["StateUpdatedTimestamp"] = alarm.updated.to_string().into();
    described["StateTransitionedTimestamp"] = alarm.transitioned.to_string().into();
    described
}
