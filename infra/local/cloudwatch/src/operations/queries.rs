//! `GetMetricStatistics`, and what all queries of metric data check.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::parse;
use crate::{
    alarm::{Dimension, MetricKey},
    error::ApiError,
    statistics::{Samples, Statistic},
    store::Work,
    transition::floor,
};

/// How many datapoints `GetMetricStatistics` answers with at most: CloudWatch's limit.
const DATAPOINTS_MAX: usize = 1440;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GetMetricStatistics {
    namespace: String,
    metric_name: String,
    #[serde(default)]
    dimensions: Vec<Dimension>,
    start_time: Timestamp,
    end_time: Timestamp,
    period: i64,
    #[serde(default)]
    statistics: Vec<String>,
    #[serde(default)]
    extended_statistics: Vec<String>,
    unit: Option<String>,
}

pub(super) fn get_metric_statistics(work: &Work<'_>, input: Value) -> Result<Value, ApiError> {
    let request: GetMetricStatistics = parse(input)?;
    check_times(request.start_time, request.end_time)?;
    check_period(request.period)?;
    if request.statistics.is_empty() && request.extended_statistics.is_empty() {
        return Err(ApiError::missing("Must specify either Statistics or ExtendedStatistics."));
    }
    let named = |names: &[String]| -> Result<Vec<(String, Statistic)>, ApiError> {
        names.iter().map(|name| Ok((name.clone(), statistic(name)?))).collect()
    };
    let (statistics, extended) = (named(&request.statistics)?, named(&request.extended_statistics)?);
    let key = MetricKey::new(&request.namespace, &request.metric_name, &request.dimensions);
    let start = floor(request.start_time, request.period);
    let mut buckets: BTreeMap<(Timestamp, String), Samples> = BTreeMap::new();
    for sampled in work.samples(&key, request.unit.as_deref(), start, request.end_time)? {
        merge(&mut buckets, (floor(sampled.at, request.period), sampled.unit), sampled.samples);
    }
    if buckets.len() > DATAPOINTS_MAX {
        return Err(ApiError::combination(format!(
            "You have requested up to {} datapoints, which exceeds the limit of {DATAPOINTS_MAX}. You may reduce the datapoints \
             requested by increasing Period, or decreasing the time range.",
            buckets.len()
        )));
    }
    let datapoints: Vec<Value> = buckets
        .into_iter()
        .map(|((at, unit), samples)| {
            let mut point = values(&statistics, &samples);
            point.insert("Timestamp".to_owned(), at.to_string().into());
            point.insert("Unit".to_owned(), unit.into());
            if !extended.is_empty() {
                point.insert("ExtendedStatistics".to_owned(), values(&extended, &samples).into());
            }
            Value::Object(point)
        })
        .collect();
    Ok(json!({"Label": request.metric_name, "Datapoints": datapoints}))
}

fn values(statistics: &[(String, Statistic)], samples: &Samples) -> Map<String, Value> {
    statistics.iter().filter_map(|(name, statistic)| Some((name.clone(), statistic.of(samples)?.into()))).collect()
}

/// Adds samples to a bucket.
pub(super) fn merge<K: Ord>(buckets: &mut BTreeMap<K, Samples>, key: K, samples: Samples) {
    let merged = match buckets.remove(&key) {
        Some(before) => before.merged(samples),
        None => samples,
    };
    buckets.insert(key, merged);
}

/// The statistic of that name.
///
/// # Errors
/// One that is not offered.
pub(super) fn statistic(name: &str) -> Result<Statistic, ApiError> {
    Statistic::parse(name).ok_or_else(|| {
        ApiError::value(format!(
            "The statistic {name} is not offered here; use SampleCount, Average, Sum, Minimum, Maximum or a percentile such as p99."
        ))
    })
}

/// Refuses a range that is empty.
pub(super) fn check_times(start: Timestamp, end: Timestamp) -> Result<(), ApiError> {
    if start < end {
        Ok(())
    } else {
        Err(ApiError::combination("The parameter StartTime must be less than the parameter EndTime."))
    }
}

/// Refuses a period, in seconds, that CloudWatch keeps no data for.
pub(super) fn check_period(period_s: i64) -> Result<(), ApiError> {
    if matches!(period_s, 1 | 5 | 10 | 20 | 30) || period_s % 60 == 0 {
        Ok(())
    } else {
        Err(ApiError::value("Period must be 1, 5, 10, 20, 30 or a multiple of 60."))
    }
}
