//! `GetMetricData`: metrics and metric math, in pages.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    parse, position,
    queries::{check_period, check_times, merge, statistic},
    token,
};
use crate::{
    alarm::{MetricDataQuery, MetricStat},
    error::ApiError,
    math::{self, Expr, Expression, Metric, Series, Window},
    store::Work,
    transition::floor,
};

/// How many queries one request may hold: CloudWatch's limit.
const QUERIES_MAX: usize = 500;

/// How many datapoints a page holds if the request does not say, and at most: CloudWatch's limit.
const PAGE_MAX: usize = 100_800;

/// How many datapoints of metrics one request may read.
const READ_MAX: usize = 2_500_000;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct GetMetricData {
    metric_data_queries: Vec<MetricDataQuery>,
    start_time: Timestamp,
    end_time: Timestamp,
    scan_by: Option<String>,
    max_datapoints: Option<usize>,
    next_token: Option<String>,
}

pub(super) fn get_metric_data(work: &Work<'_>, input: Value) -> Result<Value, ApiError> {
    let request: GetMetricData = parse(input)?;
    let start = Place::read(request.next_token.as_deref())?;
    check_times(request.start_time, request.end_time)?;
    check_queries(&request.metric_data_queries)?;
    let mut results = results(work, &request)?;
    if request.scan_by.as_deref() != Some("TimestampAscending") {
        results.iter_mut().for_each(|result| result.points.reverse());
    }
    let (page, next) = page(&results, start, request.max_datapoints.unwrap_or(PAGE_MAX))?;
    let mut output = json!({"MetricDataResults": page, "Messages": []});
    if let Some(next) = next {
        output["NextToken"] = token(&next.text()).into();
    }
    Ok(output)
}

fn check_queries(queries: &[MetricDataQuery]) -> Result<(), ApiError> {
    if queries.len() > QUERIES_MAX {
        return Err(ApiError::validation(format!("MetricDataQueries must not have more than {QUERIES_MAX} members.")));
    }
    let mut ids = BTreeSet::new();
    for query in queries {
        let id = &query.id;
        let begins_small = id.starts_with(|first: char| first.is_ascii_lowercase());
        if !begins_small || id.contains(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_')) {
            return Err(ApiError::validation(format!(
                "The Id {id} is not matching the expected pattern ^[a-z][a-zA-Z0-9_]*$."
            )));
        }
        if !ids.insert(id) {
            return Err(ApiError::validation(format!("The Id {id} is that of two queries; each needs its own.")));
        }
        if query.metric_stat.is_some() == query.expression.is_some() {
            return Err(ApiError::validation(format!(
                "The query {id} must have either MetricStat or Expression, and not both."
            )));
        }
        if let Some(period) = query.period {
            check_period(period)?;
            if query.metric_stat.as_ref().is_some_and(|stat| stat.period != period) {
                return Err(ApiError::validation(format!(
                    "The query {id} has one Period and its MetricStat another; leave out the first."
                )));
            }
        }
    }
    Ok(())
}

/// One result, all of it.
#[derive(Debug)]
struct Found<'a> {
    id: &'a str,
    label: String,
    /// In seconds, in the order in which they are answered.
    points: Vec<(i64, f64)>,
}

/// The results of the queries that return data, in their order, oldest points first.
fn results<'a>(work: &Work<'_>, request: &'a GetMetricData) -> Result<Vec<Found<'a>>, ApiError> {
    let queries = &request.metric_data_queries;
    // What is wrong with an expression is known before anything is read.
    let expressions = expressions(queries)?;
    let metrics = metrics(work, request)?;
    let mut computed =
        math::compute(&metrics, &expressions, window(work.now, request)).map_err(ApiError::validation)?;
    let mut fetched: BTreeMap<String, Series> = metrics.into_iter().map(|metric| (metric.id, metric.series)).collect();

    let mut found = Vec::new();
    for query in queries.iter().filter(|query| query.return_data != Some(false)) {
        let id = query.id.as_str();
        let mut add = |label: String, series: &Series| {
            found.push(Found { id, label, points: series.points().to_vec() });
        };
        match (fetched.remove(id), computed.remove(id)) {
            (Some(series), _) | (None, Some(math::Value::Series(series))) => add(series.label.clone(), &series),
            (None, Some(math::Value::Array(all))) => {
                let prefix = label(query);
                for series in &all {
                    add(format!("{prefix} {}", series.label).trim().to_owned(), series);
                }
            }
            (None, Some(math::Value::Scalar(_)) | None) => {}
        }
    }
    Ok(found)
}

fn expressions(queries: &[MetricDataQuery]) -> Result<Vec<Expression>, ApiError> {
    let mut expressions = Vec::new();
    for query in queries {
        if let Some(text) = &query.expression {
            let expr = Expr::parse(text).map_err(|problem| ApiError::validation(math::about(&query.id, &problem)))?;
            let (id, label) = (query.id.clone(), label(query));
            expressions.push(Expression { id, label, period_s: query.period, expr });
        }
    }
    Ok(expressions)
}

/// The label that a query gives, or the name of its metric, or its id.
fn label(query: &MetricDataQuery) -> String {
    let name = query.metric_stat.as_ref().and_then(|stat| stat.metric.metric_name.as_ref());
    query.label.as_ref().or(name).unwrap_or(&query.id).clone()
}

fn metrics(work: &Work<'_>, request: &GetMetricData) -> Result<Vec<Metric>, ApiError> {
    let mut metrics = Vec::new();
    let mut read = 0;
    for query in &request.metric_data_queries {
        if let Some(stat) = &query.metric_stat {
            let points = datapoints(work, stat, window(work.now, request), request.end_time)?;
            read += points.len();
            if read > READ_MAX {
                return Err(ApiError::validation(format!(
                    "The request reads more than {READ_MAX} datapoints; use a longer Period or a shorter range."
                )));
            }
            let series = Series::new(&label(query), points);
            metrics.push(Metric { id: query.id.clone(), period_s: stat.period, series });
        }
    }
    Ok(metrics)
}

fn datapoints(work: &Work<'_>, stat: &MetricStat, within: Window, to: Timestamp) -> Result<Vec<(i64, f64)>, ApiError> {
    check_period(stat.period)?;
    let statistic = statistic(&stat.stat)?;
    let key = stat.metric.key()?;
    let first = within.first(stat.period);
    let from = Timestamp::from_second(first).unwrap_or(Timestamp::MIN);
    let mut buckets = BTreeMap::new();
    for sampled in work.samples(&key, stat.unit.as_deref(), from, to)? {
        let at = sampled.at.as_second();
        merge(&mut buckets, at - (at - first).rem_euclid(stat.period), sampled.samples);
    }
    Ok(buckets.into_iter().filter_map(|(at, samples)| Some((at, statistic.of(&samples)?))).collect())
}

/// The time in which an expression may fill gaps: what the request asks about, as far as it has come.
fn window(now: Timestamp, request: &GetMetricData) -> Window {
    let end = request.end_time;
    let end_s = end.as_second() + i64::from(end.subsec_nanosecond() > 0);
    Window { start_s: floor(request.start_time, 1).as_second(), end_s: end_s.min(now.as_second() + 1) }
}

/// Where a page begins: at this result, after the point of this time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    result: usize,
    after: Option<i64>,
}

impl Place {
    fn text(self) -> String {
        match self.after {
            Some(after) => format!("{}:{after}", self.result),
            None => self.result.to_string(),
        }
    }

    fn read(next_token: Option<&str>) -> Result<Self, ApiError> {
        let Some(next_token) = next_token else {
            return Ok(Self { result: 0, after: None });
        };
        let text = position(Some(next_token))?;
        let (result, after) = match text.split_once(':') {
            Some((result, after)) => (result, Some(after.parse().map_err(|_| ApiError::next_token())?)),
            None => (text.as_str(), None),
        };
        Ok(Self { result: result.parse().map_err(|_| ApiError::next_token())?, after })
    }
}

/// At most `room` points from `start`, and where the next page begins if there is more. A result that goes on there is
/// `PartialData`.
fn page(results: &[Found<'_>], start: Place, room: usize) -> Result<(Vec<Value>, Option<Place>), ApiError> {
    if start.result > 0 && start.result >= results.len() {
        return Err(ApiError::next_token());
    }
    let mut page = Vec::new();
    let mut room = room;
    for (index, found) in results.iter().enumerate().skip(start.result) {
        let after = if index == start.result { start.after } else { None };
        let points = rest(&found.points, after);
        if room == 0 && !points.is_empty() {
            return Ok((page, Some(Place { result: index, after })));
        }
        let taken = &points[..points.len().min(room)];
        room -= taken.len();
        let goes_on = taken.len() < points.len();
        page.push(result(found, taken, if goes_on { "PartialData" } else { "Complete" })?);
        if goes_on {
            let after = taken.last().map(|(at, _)| *at);
            return Ok((page, Some(Place { result: index, after })));
        }
    }
    Ok((page, None))
}

/// The points after that of this time, in their own order.
fn rest(points: &[(i64, f64)], after: Option<i64>) -> &[(i64, f64)] {
    let Some(after) = after else {
        return points;
    };
    let ascends = points.first() <= points.last();
    let passed = |(at, _): &(i64, f64)| if ascends { *at <= after } else { *at >= after };
    &points[points.partition_point(passed)..]
}

fn result(found: &Found<'_>, points: &[(i64, f64)], status: &str) -> Result<Value, ApiError> {
    let time = |(at, _): &(i64, f64)| Timestamp::from_second(*at).map(|at| at.to_string());
    let times = points.iter().map(time).collect::<Result<Vec<_>, _>>().map_err(|error| ApiError::internal(&error))?;
    Ok(json!({
        "Id": found.id,
        "Label": found.label,
        "Timestamps": times,
        "Values": points.iter().map(|(_, value)| *value).collect::<Vec<_>>(),
        "StatusCode": status,
    }))
}
