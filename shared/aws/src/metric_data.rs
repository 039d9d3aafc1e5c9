//! CloudWatch: many metrics at once.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{Dimension, Metric, MetricDataQuery, MetricStat, ScanBy, StatusCode};
use domain::{MetricAsked, MetricQuery, MetricStatistic, Points};
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
        // At most: what has its metric in common with another takes less.
        let takes = MetricAsked::together(&[(at, query)]).len();
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
    let asked = asked(queries);
    let places: BTreeMap<String, usize> = (0..queries.len()).map(|at| (MetricQuery::id(at), at)).collect();
    let mut points = vec![Points::new(); queries.len()];
    let mut statuses = vec![StatusCode::Complete; queries.len()];
    let mut next_token = None;
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
        let mut answered = BTreeSet::new();
        for result in page.metric_data_results() {
            let Some(at) = result.id().and_then(|id| places.get(id)) else { continue };
            if !answered.insert(at) {
                return Err(CloudError::Refused("an expression comes to several series".to_owned()));
            }
            let found = result.timestamps().iter().zip(result.values());
            points[*at].extend(found.map(|(at, value)| (at.secs(), *value)));
            statuses[*at] = result.status_code().cloned().unwrap_or(StatusCode::Complete);
        }
        next_token = page.next_token;
        if next_token.is_none() {
            return whole(&statuses).map(|()| points);
        }
    }
}

/// Whether CloudWatch has said all there is. The status of what a further page goes on with is the last one.
fn whole(statuses: &[StatusCode]) -> Result<(), CloudError> {
    let mut others = statuses.iter().filter(|status| **status != StatusCode::Complete);
    match others.clone().find(|status| **status == StatusCode::Forbidden).or(others.next()) {
        None => Ok(()),
        Some(StatusCode::Forbidden) => Err(CloudError::Denied(format!("{WHAT}: Forbidden"))),
        Some(status) => Err(CloudError::Unavailable(format!("{WHAT}: {}", status.as_str()).into())),
    }
}

/// What asks for all of them, which have one period, each by its place.
fn asked(queries: &[MetricQuery]) -> Vec<MetricDataQuery> {
    // What is no valid period is refused by CloudWatch.
    let period = queries.first().map_or(60, |query| i32::try_from(query.period_seconds).unwrap_or(i32::MAX));
    let entry = |asked| match asked {
        MetricAsked::Metric { id, metric, is_wanted } => {
            let stat = MetricStat::builder().metric(named(metric)).period(period).stat(&metric.statistic).build();
            MetricDataQuery::builder().id(id).metric_stat(stat).return_data(is_wanted).build()
        }
        MetricAsked::Expression { id, expression } => {
            MetricDataQuery::builder().id(id).expression(expression).period(period).return_data(true).build()
        }
    };
    let placed: Vec<(usize, &MetricQuery)> = queries.iter().enumerate().collect();
    MetricAsked::together(&placed).into_iter().map(entry).collect()
}

fn named(metric: &MetricStatistic) -> Metric {
    let dimensions = metric.dimensions.iter().map(|(name, value)| Dimension::builder().name(name).value(value).build());
    let named = Metric::builder().namespace(&metric.namespace).metric_name(&metric.metric);
    named.set_dimensions(Some(dimensions.collect())).build()
}

#[cfg(test)]
mod tests {
    use aws_smithy_http_client::test_util::ReplayEvent;
    use ciborium::Value;
    use domain::MetricSource;

    use super::*;
    use crate::replies::{Replies, reply};

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
        let failed = MetricQuery { period_seconds: 60, source: MetricSource::Statistic(metric("e")) };
        let asked: Vec<_> = super::asked(&[math("e / r"), math("100*FILL(e,0)/r"), failed])
            .into_iter()
            .map(|query| (query.id().unwrap_or_default().to_owned(), query.expression().map(str::to_owned)))
            .collect();
        let plain = |id: &str| (id.to_owned(), None);
        let result = |id: &str, expression: &str| (id.to_owned(), Some(expression.to_owned()));
        assert_eq!(
            asked,
            [plain("q2"), plain("q0_r"), result("q0", "q2 / q0_r"), result("q1", "100*FILL(q2,0)/q0_r"),],
            "each metric once"
        );
    }

    #[test]
    fn no_request_has_more_than_cloudwatch_takes_and_none_is_torn() {
        let queries = vec![math("e/r"); 400];
        let chunks = chunks(&queries);
        assert_eq!(chunks.iter().map(|chunk| chunk.len()).collect::<Vec<_>>(), [166, 166, 68]);
        assert!(super::chunks(&[]).is_empty());
    }

    fn map(members: Vec<(&str, Value)>) -> Value {
        Value::Map(members.into_iter().map(|(name, value)| (name.into(), value)).collect())
    }

    /// A page of results, each of an id, a status unless it is empty, and a point a second.
    fn page(results: &[(&str, &str, &[i64])], next: Option<&str>) -> ReplayEvent {
        let result = |(id, status, seconds): &(&str, &str, &[i64])| {
            let times = seconds.iter().map(|second| Value::Tag(1, Box::new((*second).into()))).collect();
            let values = seconds.iter().map(|_| 1.0.into()).collect();
            let mut members =
                vec![("Id", (*id).into()), ("Timestamps", Value::Array(times)), ("Values", Value::Array(values))];
            members.extend((!status.is_empty()).then(|| ("StatusCode", (*status).into())));
            map(members)
        };
        let mut members = vec![("MetricDataResults", Value::Array(results.iter().map(result).collect()))];
        members.extend(next.map(|next| ("NextToken", next.into())));
        let mut body = Vec::new();
        ciborium::into_writer(&map(members), &mut body).unwrap();
        reply(200, &[("smithy-protocol", "rpc-v2-cbor"), ("content-type", "application/cbor")], body)
    }

    async fn points(pages: Vec<ReplayEvent>) -> Result<Vec<Vec<i64>>, String> {
        let client = Client::new(&Replies::of(pages).config());
        let found = read(&client, &[math("e"), math("r")], Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH).await;
        let seconds = |points: Points| -> Vec<i64> { points.into_keys().collect() };
        found.map(|all| all.into_iter().map(seconds).collect()).map_err(|error| format!("{error:?}"))
    }

    #[tokio::test]
    async fn what_cloudwatch_does_not_say_is_not_taken_for_silence() {
        let both: [(&str, &str, &[i64]); 2] = [("q0", "PartialData", &[60]), ("q1", "Complete", &[60])];
        let rest = |status: &'static str| page(&[("q0", status, &[120])], None);
        assert_eq!(points(vec![page(&both, Some("more")), rest("Complete")]).await, Ok(vec![vec![60, 120], vec![60]]));
        assert_eq!(points(vec![page(&both, Some("more")), rest("")]).await, Ok(vec![vec![60, 120], vec![60]]));
        for (pages, expected) in [
            (vec![page(&both, None)], "Unavailable"),
            (vec![page(&both, Some("more")), rest("InternalError")], "Unavailable"),
            (vec![page(&[("q0", "InternalError", &[]), ("q1", "Forbidden", &[])], None)], "Denied"),
            (vec![page(&[("q0", "Complete", &[60]), ("q0", "Complete", &[60])], None)], "Refused"),
        ] {
            let failed = points(pages).await.unwrap_err();
            assert!(failed.starts_with(expected), "{expected}: {failed}");
        }
    }
}
