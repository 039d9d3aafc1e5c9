//! The operations, over canonical values; each runs in one transaction.

mod alarms;
mod describe;
mod history;
mod metric_data;
mod metrics;
mod queries;
mod tags;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::{error::ApiError, schema::Shape, shapes, store::Work};

/// One operation of the service.
#[derive(Debug)]
pub(crate) struct Operation {
    /// Its name on every wire.
    pub(crate) name: &'static str,
    /// What it takes.
    pub(crate) input: &'static Shape,
    /// What it answers; `None` for operations without a result.
    pub(crate) output: Option<&'static Shape>,
    /// Whether it may make an alarm or an event due.
    pub(crate) writes: bool,
    /// What it does.
    pub(crate) run: fn(&Work<'_>, Value) -> Result<Value, ApiError>,
}

impl Operation {
    const fn acting(
        name: &'static str,
        input: &'static Shape,
        run: fn(&Work<'_>, Value) -> Result<Value, ApiError>,
    ) -> Self {
        Self { name, input, output: None, writes: true, run }
    }

    const fn answering(
        name: &'static str,
        input: &'static Shape,
        output: &'static Shape,
        run: fn(&Work<'_>, Value) -> Result<Value, ApiError>,
    ) -> Self {
        Self { name, input, output: Some(output), writes: false, run }
    }

    /// The operation of that name.
    pub(crate) fn named(name: &str) -> Result<&'static Self, ApiError> {
        OPERATIONS.iter().find(|operation| operation.name == name).ok_or_else(|| ApiError::unknown_operation(name))
    }
}

static OPERATIONS: [Operation; 16] = [
    Operation::acting("PutMetricData", &shapes::PUT_METRIC_DATA, metrics::put_metric_data),
    Operation::answering("ListMetrics", &shapes::LIST_METRICS, &shapes::LIST_METRICS_OUTPUT, metrics::list_metrics),
    Operation::answering(
        "GetMetricStatistics",
        &shapes::GET_METRIC_STATISTICS,
        &shapes::GET_METRIC_STATISTICS_OUTPUT,
        queries::get_metric_statistics,
    ),
    Operation::answering(
        "GetMetricData",
        &shapes::GET_METRIC_DATA,
        &shapes::GET_METRIC_DATA_OUTPUT,
        metric_data::get_metric_data,
    ),
    Operation::acting("PutMetricAlarm", &shapes::PUT_METRIC_ALARM, alarms::put_metric_alarm),
    Operation::acting("PutCompositeAlarm", &shapes::PUT_COMPOSITE_ALARM, alarms::put_composite_alarm),
    Operation::acting("SetAlarmState", &shapes::SET_ALARM_STATE, alarms::set_alarm_state),
    Operation::acting("DeleteAlarms", &shapes::ALARM_NAMES_INPUT, alarms::delete_alarms),
    Operation::acting("EnableAlarmActions", &shapes::ALARM_NAMES_INPUT, alarms::enable_alarm_actions),
    Operation::acting("DisableAlarmActions", &shapes::ALARM_NAMES_INPUT, alarms::disable_alarm_actions),
    Operation::answering(
        "DescribeAlarms",
        &shapes::DESCRIBE_ALARMS,
        &shapes::DESCRIBE_ALARMS_OUTPUT,
        describe::describe_alarms,
    ),
    Operation::answering(
        "DescribeAlarmsForMetric",
        &shapes::DESCRIBE_ALARMS_FOR_METRIC,
        &shapes::DESCRIBE_ALARMS_FOR_METRIC_OUTPUT,
        describe::describe_alarms_for_metric,
    ),
    Operation::answering(
        "DescribeAlarmHistory",
        &shapes::DESCRIBE_ALARM_HISTORY,
        &shapes::DESCRIBE_ALARM_HISTORY_OUTPUT,
        history::describe_alarm_history,
    ),
    Operation::answering("TagResource", &shapes::TAG_RESOURCE, &shapes::EMPTY_OUTPUT, tags::tag_resource),
    Operation::answering("UntagResource", &shapes::UNTAG_RESOURCE, &shapes::EMPTY_OUTPUT, tags::untag_resource),
    Operation::answering(
        "ListTagsForResource",
        &shapes::LIST_TAGS_FOR_RESOURCE,
        &shapes::LIST_TAGS_FOR_RESOURCE_OUTPUT,
        tags::list_tags_for_resource,
    ),
];

/// Typed input of an operation; its shape has been checked before.
fn parse<T: DeserializeOwned>(input: Value) -> Result<T, ApiError> {
    Ok(serde_json::from_value(input)?)
}

/// The answer of operations that have none.
fn nothing() -> Value {
    json!({})
}

/// An opaque continuation that carries `position`.
fn token(position: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(position)
}

/// The position in a continuation; empty without one.
fn position(token: Option<&str>) -> Result<String, ApiError> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(token.unwrap_or_default()).map_err(|_| ApiError::next_token())?;
    String::from_utf8(bytes).map_err(|_| ApiError::next_token())
}
