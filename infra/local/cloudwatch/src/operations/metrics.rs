//! Metric data in, and which metrics there are.

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{nothing, parse, position, token};
use crate::{
    alarm::{Dimension, MetricKey, Watched},
    error::ApiError,
    statistics::Samples,
    store::{Sampled, Work},
    transition::{floor, window_end},
};

/// How many datums one request may hold: CloudWatch's quota.
const DATUMS_MAX: usize = 1000;

/// How many values one datum may hold: CloudWatch's quota.
const VALUES_MAX: usize = 150;

/// The largest magnitude of a value: CloudWatch's 2^360.
const VALUE_MAX: f64 = 2.348_542_582_773_833_4e108;

/// How far back a timestamp may lie.
const OLDEST: SignedDuration = SignedDuration::from_hours(24 * 14);

/// How far ahead a timestamp may lie.
const NEWEST: SignedDuration = SignedDuration::from_hours(2);

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PutMetricData {
    namespace: String,
    #[serde(default)]
    metric_data: Vec<Datum>,
    #[serde(default)]
    entity_metric_data: Vec<EntityMetricData>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct EntityMetricData {
    #[serde(default)]
    metric_data: Vec<Datum>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Datum {
    metric_name: String,
    #[serde(default)]
    dimensions: Vec<Dimension>,
    timestamp: Option<Timestamp>,
    value: Option<f64>,
    statistic_values: Option<StatisticSet>,
    values: Option<Vec<f64>>,
    counts: Option<Vec<f64>>,
    unit: Option<String>,
    storage_resolution: Option<i64>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct StatisticSet {
    sample_count: f64,
    sum: f64,
    minimum: f64,
    maximum: f64,
}

pub(super) fn put_metric_data(work: &Work<'_>, input: Value) -> Result<Value, ApiError> {
    let request: PutMetricData = parse(input)?;
    let entities = request.entity_metric_data.into_iter().flat_map(|entity| entity.metric_data);
    let datums: Vec<Datum> = request.metric_data.into_iter().chain(entities).collect();
    if datums.is_empty() {
        return Err(ApiError::missing("The parameter MetricData is required."));
    }
    if datums.len() > DATUMS_MAX {
        return Err(ApiError::value(format!(
            "The collection MetricData must not have a size greater than {DATUMS_MAX}."
        )));
    }
    for (index, datum) in datums.into_iter().enumerate() {
        let place = format!("MetricData.member.{}", index + 1);
        let key = MetricKey::new(&request.namespace, &datum.metric_name, &datum.dimensions);
        if key.dimensions.len() != datum.dimensions.len() {
            return Err(ApiError::value(format!("{place}.Dimensions names a dimension twice.")));
        }
        let sampled = sampled(work.now, &datum, &place)?;
        let at = sampled.at;
        work.record(&key, sampled)?;
        wake_alarms(work, &key, at)?;
    }
    Ok(nothing())
}

/// Data for a period that is already complete is looked at immediately, not at the end of the next one.
fn wake_alarms(work: &Work<'_>, key: &MetricKey, at: Timestamp) -> Result<(), ApiError> {
    for alarm in work.alarms_on(key)? {
        if at < window_end(&Watched::of(&alarm.config)?, work.now) {
            work.schedule(&alarm.name, work.now)?;
        }
    }
    Ok(())
}

fn sampled(now: Timestamp, datum: &Datum, place: &str) -> Result<Sampled, ApiError> {
    let at = datum.timestamp.unwrap_or(now);
    let age = now.duration_since(at);
    if age > OLDEST {
        return Err(ApiError::value(format!(
            "The parameter {place}.Timestamp must specify a time within the past two weeks."
        )));
    }
    if -age > NEWEST {
        return Err(ApiError::value(format!(
            "The parameter {place}.Timestamp must specify a time no more than two hours in the future."
        )));
    }
    // A bucket of a minute is what CloudWatch keeps of a metric that is not of high resolution.
    let resolution_s = match datum.storage_resolution {
        None | Some(60) => 60,
        Some(1) => 1,
        Some(_) => {
            return Err(ApiError::value(format!("{place}.StorageResolution must be 1 or 60.")));
        }
    };
    Ok(Sampled {
        at: floor(at, resolution_s),
        unit: datum.unit.clone().unwrap_or_else(|| "None".to_owned()),
        samples: samples(datum, place)?,
    })
}

fn samples(datum: &Datum, place: &str) -> Result<Samples, ApiError> {
    let given = [datum.value.is_some(), datum.statistic_values.is_some(), datum.values.is_some()];
    match given.into_iter().filter(|given| *given).count() {
        1 => {}
        0 => {
            return Err(ApiError::missing(format!("{place} needs one of Value, Values and StatisticValues.")));
        }
        _ => {
            return Err(ApiError::combination(format!(
                "{place}: Value, Values and StatisticValues are mutually exclusive; give one."
            )));
        }
    }
    let samples = if let Some(set) = &datum.statistic_values {
        if set.sample_count <= 0.0 {
            return Err(ApiError::value(format!("{place}.StatisticValues.SampleCount must be greater than 0.")));
        }
        if set.minimum > set.maximum {
            return Err(ApiError::value(format!("{place}.StatisticValues.Minimum must not exceed Maximum.")));
        }
        Samples::summary(set.sample_count, set.sum, set.minimum, set.maximum)
    } else {
        counted_values(datum, place)?
            .into_iter()
            .map(|(value, count)| Samples::of(value, count))
            .reduce(Samples::merged)
            .ok_or_else(|| ApiError::missing(format!("{place}.Values must not be empty.")))?
    };
    if [samples.sum, samples.minimum, samples.maximum, samples.count].iter().any(|number| number.abs() > VALUE_MAX) {
        return Err(ApiError::value(format!("{place}: values must lie between -2^360 and 2^360.")));
    }
    Ok(samples)
}

fn counted_values(datum: &Datum, place: &str) -> Result<Vec<(f64, f64)>, ApiError> {
    let values = datum.values.clone().or(datum.value.map(|value| vec![value])).unwrap_or_default();
    let counts = datum.counts.clone().unwrap_or_else(|| vec![1.0; values.len()]);
    if values.len() > VALUES_MAX {
        return Err(ApiError::value(format!("{place}.Values must not have a size greater than {VALUES_MAX}.")));
    }
    if counts.len() != values.len() {
        return Err(ApiError::value(format!("{place}.Values and Counts must have the same size.")));
    }
    if counts.iter().any(|count| *count <= 0.0) {
        return Err(ApiError::value(format!("{place}.Counts must be greater than 0.")));
    }
    Ok(values.into_iter().zip(counts).collect())
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListMetrics {
    namespace: Option<String>,
    metric_name: Option<String>,
    #[serde(default)]
    dimensions: Vec<DimensionFilter>,
    next_token: Option<String>,
    recently_active: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DimensionFilter {
    name: String,
    value: Option<String>,
}

pub(super) fn list_metrics(work: &Work<'_>, input: Value) -> Result<Value, ApiError> {
    let request: ListMetrics = parse(input)?;
    let after = position(request.next_token.as_deref())?;
    let since = match request.recently_active {
        Some(_) => work.now.saturating_sub(SignedDuration::from_hours(3)).unwrap_or(Timestamp::MIN),
        None => Timestamp::UNIX_EPOCH,
    };
    let wanted = |key: &MetricKey| {
        let filtered = |filter: &DimensionFilter| {
            key.dimensions
                .get(&filter.name)
                .is_some_and(|value| filter.value.as_ref().is_none_or(|wanted| wanted == value))
        };
        request.namespace.as_ref().is_none_or(|namespace| *namespace == key.namespace)
            && request.metric_name.as_ref().is_none_or(|name| *name == key.name)
            && request.dimensions.iter().all(filtered)
    };
    let (metrics, next) = work.metrics(&after, since, &wanted)?;
    let metrics: Vec<Value> = metrics
        .iter()
        .map(|key| {
            let dimensions: Vec<Value> =
                key.dimensions.iter().map(|(name, value)| json!({"Name": name, "Value": value})).collect();
            json!({"Namespace": key.namespace, "MetricName": key.name, "Dimensions": dimensions})
        })
        .collect();
    let mut output = json!({"Metrics": metrics});
    if let Some(next) = next {
        output["NextToken"] = token(&next).into();
    }
    Ok(output)
}
