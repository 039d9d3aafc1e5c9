//! Metric data out.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::parse;
use crate::{
    alarm::{Dimension, MetricDataQuery, MetricKey, MetricStat},
    error::ApiError,
    statistics::{Samples, Statistic},
    store::Work,
    transition::floor,
};

/// How many datapoints `GetMetricStatistics` answers with at most: CloudWatch's limit.
const DATAPOINTS_MAX: usize = 1440;

/// How many queries `GetMetricData` takes at most: CloudWatch's limit.
const QUERIES_MAX: usize = 500;

/// How many datapoints `GetMetricData` answers with at most: CloudWatch's limit of a page. More is refused, not paged.
const DATA_MAX: usize = 100_800;

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
        add(&mut buckets, (floor(sampled.at, request.period), sampled.unit), sampled.samples);
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

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GetMetricData {
    metric_data_queries: Vec<MetricDataQuery>,
    start_time: Timestamp,
    end_time: Timestamp,
    scan_by: Option<String>,
}

pub(super) fn get_metric_data(work: &Work<'_>, input: Value) -> Result<Value, ApiError> {
    let request: GetMetricData = parse(input)?;
    check_times(request.start_time, request.end_time)?;
    if request.metric_data_queries.len() > QUERIES_MAX {
        return Err(ApiError::validation(format!("MetricDataQueries must not have more than {QUERIES_MAX} members.")));
    }
    let descending = request.scan_by.as_deref() != Some("TimestampAscending");
    let mut results = Vec::new();
    let mut total = 0;
    for query in &request.metric_data_queries {
        let stat = match (&query.metric_stat, &query.expression) {
            (Some(stat), None) => stat,
            _ => {
                return Err(ApiError::validation(format!(
                    "The query {} is not a MetricStat: expressions are not offered here; fetch the metrics and compute outside.",
                    query.id
                )));
            }
        };
        let mut points = datapoints(work, stat, request.start_time, request.end_time)?;
        total += points.len();
        if total > DATA_MAX {
            return Err(ApiError::validation(format!(
                "The request asks for more than {DATA_MAX} datapoints; use a longer Period or a shorter range."
            )));
        }
        if descending {
            points.reverse();
        }
        if query.return_data == Some(false) {
            continue;
        }
        let label = query.label.as_ref().or(stat.metric.metric_name.as_ref());
        results.push(json!({
            "Id": query.id,
            "Label": label,
            "Timestamps": points.iter().map(|(at, _)| at.to_string()).collect::<Vec<_>>(),
            "Values": points.iter().map(|(_, value)| *value).collect::<Vec<_>>(),
            "StatusCode": "Complete",
        }));
    }
    Ok(json!({"MetricDataResults": results, "Messages": []}))
}

fn datapoints(
    work: &Work<'_>,
    stat: &MetricStat,
    from: Timestamp,
    to: Timestamp,
) -> Result<Vec<(Timestamp, f64)>, ApiError> {
    check_period(stat.period)?;
    let statistic = statistic(&stat.stat)?;
    let key = stat.metric.key()?;
    let mut buckets = BTreeMap::new();
    for sampled in work.samples(&key, stat.unit.as_deref(), floor(from, stat.period), to)? {
        add(&mut buckets, floor(sampled.at, stat.period), sampled.samples);
    }
    Ok(buckets.into_iter().filter_map(|(at, samples)| Some((at, statistic.of(&samples)?))).collect())
}

fn add<K: Ord>(buckets: &mut BTreeMap<K, Samples>, key: K, samples: Samples) {
    let merged = match buckets.remove(&key) {
        Some(before) => before.merged(samples),
        None => samples,
    };
    buckets.insert(key, merged);
}

fn statistic(name: &str) -> Result<Statistic, ApiError> {
    Statistic::parse(name).ok_or_else(|| {
        ApiError::value(format!(
            "The statistic {name} is not offered here; use SampleCount, Average, Sum, Minimum, Maximum or a percentile such as p99."
        ))
    })
}

fn check_times(start: Timestamp, end: Timestamp) -> Result<(), ApiError> {
    if start < end {
        Ok(())
    } else {
        Err(ApiError::combination("The parameter StartTime must be less than the parameter EndTime."))
    }
}

fn check_period(period_s: i64) -> Result<(), ApiError> {
    if matches!(period_s, 1 | 5 | 10 | 20 | 30) || period_s % 60 == 0 {
        Ok(())
    } else {
        Err(ApiError::value("Period must be 1, 5, 10, 20, 30 or a multiple of 60."))
    }
}
