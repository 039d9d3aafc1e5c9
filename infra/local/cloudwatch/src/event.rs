//! The event EventBridge sends when an alarm changes state (spec 10.1). Pure.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::{
    alarm::{ACCOUNT, Alarm, Kind, REGION, Watched, arn},
    error::ApiError,
};

/// A time as alarm events write it: milliseconds, and an offset without colon.
pub(crate) fn event_time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S%.3f+0000").to_string()
}

/// The event for the change from `before` to `after`.
pub(crate) fn state_change(id: &str, before: &Alarm, after: &Alarm) -> Result<Value, ApiError> {
    Ok(json!({
        "version": "0",
        "id": id,
        "detail-type": "CloudWatch Alarm State Change",
        "source": "aws.cloudwatch",
        "account": ACCOUNT,
        "time": after.updated.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        "region": REGION,
        "resources": [arn(&after.name)],
        "detail": {
            "alarmName": after.name,
            "configuration": configuration(after)?,
            "previousState": state(before),
            "state": state(after),
        },
    }))
}

fn state(alarm: &Alarm) -> Value {
    let mut state = json!({
        "value": alarm.state.as_str(),
        "reason": alarm.reason,
        "timestamp": event_time(alarm.updated),
    });
    if let Some(data) = &alarm.reason_data {
        state["reasonData"] = data.as_str().into();
    }
    state
}

fn configuration(alarm: &Alarm) -> Result<Value, ApiError> {
    let mut configuration = Map::new();
    let mut copy = |from: &str, to: &str| {
        if let Some(value) = alarm.config.get(from) {
            configuration.insert(to.to_owned(), value.clone());
        }
    };
    copy("AlarmDescription", "description");
    match alarm.kind {
        Kind::Composite => {
            copy("AlarmRule", "alarmRule");
            copy("ActionsSuppressor", "actionsSuppressor");
            copy("ActionsSuppressorWaitPeriod", "actionsSuppressorWaitPeriod");
            copy("ActionsSuppressorExtensionPeriod", "actionsSuppressorExtensionPeriod");
        }
        Kind::Metric => {
            let metrics = metrics(&Watched::of(&alarm.config)?);
            configuration.insert("metrics".to_owned(), metrics);
        }
    }
    Ok(Value::Object(configuration))
}

fn metrics(watched: &Watched) -> Value {
    let dimensions: &BTreeMap<String, String> = &watched.metric.dimensions;
    let mut stat = json!({
        "metric": {
            "namespace": watched.metric.namespace,
            "name": watched.metric.name,
            "dimensions": dimensions,
        },
        "period": watched.period_s,
        "stat": watched.stat,
    });
    if let Some(unit) = &watched.unit {
        stat["unit"] = unit.as_str().into();
    }
    // An alarm on one metric has no ids of its own; one that is the same in every event of the alarm is the most useful.
    let id = watched.query_id.as_deref().unwrap_or("m1");
    json!([{"id": id, "metricStat": stat, "returnData": true}])
}
