//! CloudWatch: many metrics at once.

use std::collections::BTreeMap;

use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{Dimension, Metric, MetricDataQuery, MetricStat, ScanBy};
use domain::{MetricQuery, MetricSource, MetricStatistic, Points};
use engine::ports::CloudError;
use jiff::Timestamp;

use crate::cloud_error::cloud_error;

const WHAT: &str = "CloudWatch's metrics";
/// Most queries in one GetMetricData, those included whose points are not wanted.
const QUERIES_MAX: usize = 500;

/// Points of each of `queries`, in their order.
pub(crate) async fn read(
    client: &Client,
    queries: &[MetricQuery],
    since: Timestamp,
    until: Timestamp,
) -> Result<Vec<Points>, CloudError> {
    let mut points = Vec::new();
    for chunk in chunks(queries) {
        points.extend(read_chunk(client, chunk, since, until).await?);
    }
    Ok(points)
}

/// As many at a time as one request takes.
fn chunks(queries: &[MetricQuery]) -> Vec<&[MetricQuery]> {
    let (mut chunks, mut begin, mut taken) = (Vec::new(), 0, 0);
    for (at, query) in queries.iter().enumerate() {
        let takes = asked(at, query).len();
        if taken + takes > QUERIES_MAX {
            chunks.push(&queries[begin..at]);
            (begin, taken) = (at, 0);
        }
        taken += takes;
    }
    if begin < queries.len() {
        chunks.push(&queries[begin..]);
    }
    chunks
}

async fn read_chunk(
    client: &Client,
    queries: &[MetricQuery],
    since: Timestamp,
    until: Timestamp,
) -> Result<Vec<Points>, CloudError> {
    let asked: Vec<MetricDataQuery> = queries.iter().enumerate().flat_map(|(at, query)| asked(at, query)).collect();
    let places: BTreeMap<String, usize> = (0..queries.len()).map(|at| (id(at), at)).collect();
    let (mut points, mut next_token) = (vec![Points::new(); queries.len()], None);
    loop {
        let page = client
            .get_metric_data()
            .set_metric_data_queries(Some(asked.clone()))
            .start_time(DateTime::from_secs(since.as_second()))
            .end_time(DateTime::from_secs(until.as_second()))
            .scan_by(ScanBy::TimestampAscending)
            .set_next_token(next_token)
            .send()
            .await
            .map_err(|error| cloud_error(error, WHAT, &[]))?;
        for result in page.metric_data_results() {
            let Some(at) = result.id().and_then(|id| places.get(id)) else { continue };
            let found = result.timestamps().iter().zip(result.values());
            points[*at].extend(found.map(|(at, value)| (at.secs(), *value)));
        }
        next_token = page.next_token;
        if next_token.is_none() {
            return Ok(points);
        }
    }
}

fn id(at: usize) -> String {
    format!("q{at}")
}

/// What asks for one query: of metric math its metrics too, by names that nothing else in the request has.
fn asked(at: usize, query: &MetricQuery) -> Vec<MetricDataQuery> {
    let id = id(at);
    // What is no valid period is refused by CloudWatch.
    let period = i32::try_from(query.period_seconds).unwrap_or(i32::MAX);
    let of = |id: &str, metric: &MetricStatistic, is_wanted: bool| {
        let dimensions =
            metric.dimensions.iter().map(|(name, value)| Dimension::builder().name(name).value(value).build());
        let named = Metric::builder().namespace(&metric.namespace).metric_name(&metric.metric);
        let named = named.set_dimensions(Some(dimensions.collect())).build();
        let stat = MetricStat::builder().metric(named).period(period).stat(&metric.statistic).build();
        MetricDataQuery::builder().id(id).metric_stat(stat).return_data(is_wanted).build()
    };
    match (&query.source, query.source.renamed(|name| format!("{id}_{name}"))) {
        (MetricSource::Statistic(metric), _) => vec![of(&id, metric, true)],
        (MetricSource::Math { .. }, Some((expression, metrics))) => {
            let result = MetricDataQuery::builder().id(&id).expression(expression).period(period).return_data(true);
            let metrics = metrics.iter().map(|(name, metric)| of(name, metric, false));
            std::iter::once(result.build()).chain(metrics).collect()
        }
        (MetricSource::Math { .. }, None) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metric(name: &str) -> MetricStatistic {
        let dimensions = BTreeMap::from([("Service".to_owned(), "shop".to_owned())]);
        MetricStatistic { namespace: "Shop".into(), metric: name.into(), dimensions, statistic: "Sum".into() }
    }

    fn math(expression: &str) -> MetricQuery {
        let metrics = ["e", "r"].map(|name| (name.to_owned(), metric(name)));
        let source = MetricSource::Math { expression: expression.into(), metrics: metrics.into() };
        MetricQuery { period_seconds: 60, source }
    }

    #[test]
    fn math_of_several_rules_stands_in_one_request() {
        let asked: Vec<_> = [math("e / r"), math("100*FILL(e,0)/r")]
            .iter()
            .enumerate()
            .flat_map(|(at, query)| super::asked(at, query))
            .map(|query| (query.id().unwrap_or_default().to_owned(), query.expression().map(str::to_owned)))
            .collect();
        let plain = |id: &str| (id.to_owned(), None);
        let result = |id: &str, expression: &str| (id.to_owned(), Some(expression.to_owned()));
        assert_eq!(
            asked,
            [
                result("q0", "q0_e / q0_r"),
                plain("q0_e"),
                plain("q0_r"),
                result("q1", "100*FILL(q1_e,0)/q1_r"),
                plain("q1_e"),
                plain("q1_r"),
            ]
        );
    }

    #[test]
    fn no_request_has_more_than_cloudwatch_takes_and_none_is_torn() {
        let queries = vec![math("e/r"); 400];
        let chunks = chunks(&queries);
        assert_eq!(chunks.iter().map(|chunk| chunk.len()).collect::<Vec<_>>(), [166, 166, 68]);
        assert!(super::chunks(&[]).is_empty());
    }
}
