//! CloudWatch: the data points of an alarm's metric, and the newest one of a queue.

use std::collections::BTreeSet;

use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{
    ComparisonOperator, Dimension, Metric, MetricAlarm, MetricDataQuery, MetricStat, ScanBy,
};
use domain::{ALARM_SERIES_MAX, AlarmSeries};
use engine::ports::CloudError;
use jiff::Timestamp;

use crate::cloud_error::cloud_error;
use crate::cloudwatch::describe_chunk;

/// Most alarms that a composite alarm may be of here, its children's children included: each is a request.
const ALARMS_MAX: usize = 50;
const WHAT: &str = "CloudWatch's metrics";
/// Length of a data point of a queue, in seconds; of this length CloudWatch still has those of two months ago.
const QUEUE_PERIOD_S: i32 = 300;
/// Pages without a data point that are read; there is one, unless CloudWatch has much to look through.
const EMPTY_PAGES_MAX: usize = 10;

/// The fewest data points that any metric has which the alarm called `name` depends on.
pub(crate) async fn fewest(client: &Client, name: &str, since: Timestamp, until: Timestamp) -> Result<u32, CloudError> {
    let mut fewest = None;
    for alarm in metric_alarms(client, name).await? {
        let seen = data(client, &alarm, since, until).await?.iter().map(|one| one.points.len()).sum::<usize>();
        let seen = u32::try_from(seen).unwrap_or(u32::MAX);
        fewest = Some(fewest.map_or(seen, |fewest: u32| fewest.min(seen)));
    }
    fewest.ok_or_else(|| CloudError::NotFound(format!("a metric of the alarm {name}")))
}

/// What the metrics did that the alarm called `name` depends on.
pub(crate) async fn series(
    client: &Client,
    name: &str,
    since: Timestamp,
    until: Timestamp,
) -> Result<Vec<AlarmSeries>, CloudError> {
    let mut found = Vec::new();
    for alarm in metric_alarms(client, name).await?.iter().take(ALARM_SERIES_MAX) {
        found.extend(data(client, alarm, since, until).await?.into_iter().filter_map(|one| one.series(alarm)));
    }
    // The band of an anomaly detector comes with its metric.
    found.truncate(ALARM_SERIES_MAX);
    Ok(found)
}

/// The metric alarms that the alarm called `name` is, or is of.
async fn metric_alarms(client: &Client, name: &str) -> Result<Vec<MetricAlarm>, CloudError> {
    let (mut known, mut wanted, mut found) = (BTreeSet::new(), vec![name.to_owned()], Vec::new());
    while !wanted.is_empty() {
        known.extend(wanted.iter().cloned());
        if known.len() > ALARMS_MAX {
            return Err(CloudError::NotFound(format!("an alarm of at most {ALARMS_MAX} others called {name}")));
        }
        let names: Vec<&str> = wanted.iter().map(String::as_str).collect();
        let (metric, composite) = describe_chunk(client, &names).await?;
        if metric.len() + composite.len() < wanted.len() {
            return Err(CloudError::NotFound(format!("one of the alarms {}", wanted.join(", "))));
        }
        found.extend(metric);
        let children = composite.iter().flat_map(|alarm| alarms_in(alarm.alarm_rule().unwrap_or_default()));
        wanted = children.collect::<BTreeSet<_>>().difference(&known).cloned().collect();
    }
    Ok(found)
}

/// How many messages the newest data point of a queue of SQS counts. Its metric falls silent some hours after nobody asked anything of
/// the queue, whatever is in it; whoever takes a message out makes it speak again. So what it said last still holds.
pub(crate) async fn newest_of_queue(
    client: &Client,
    queue: &str,
    since: Timestamp,
    until: Timestamp,
) -> Result<Option<u32>, CloudError> {
    let metric = Metric::builder()
        .namespace("AWS/SQS")
        .metric_name("ApproximateNumberOfMessagesVisible")
        .dimensions(Dimension::builder().name("QueueName").value(queue).build());
    let stat = MetricStat::builder().metric(metric.build()).period(QUEUE_PERIOD_S).stat("Maximum").build();
    let query = MetricDataQuery::builder().id("m").metric_stat(stat).build();
    let mut next_token = None;
    for _ in 0..EMPTY_PAGES_MAX {
        let page = client
            .get_metric_data()
            .metric_data_queries(query.clone())
            .start_time(DateTime::from_secs(since.as_second()))
            .end_time(DateTime::from_secs(until.as_second()))
            .scan_by(ScanBy::TimestampDescending)
            .set_next_token(next_token)
            .send()
            .await
            .map_err(|error| cloud_error(error, WHAT, &[]))?;
        let newest = page.metric_data_results().iter().find_map(|result| result.values().first());
        if let Some(count) = newest {
            // Counts are small and whole; the cast saturates.
            return Ok(Some(*count as u32));
        }
        next_token = page.next_token;
        if next_token.is_none() {
            return Ok(None);
        }
    }
    Ok(None)
}

/// Points of one metric, or of metric math's result.
struct Data {
    id: String,
    label: String,
    points: Vec<(Timestamp, f64)>,
}

/// What an alarm looks at, in periods that began at `since` or later.
async fn data(
    client: &Client,
    alarm: &MetricAlarm,
    since: Timestamp,
    until: Timestamp,
) -> Result<Vec<Data>, CloudError> {
    let Some(queries) = queries(alarm) else {
        return Err(CloudError::NotFound("the metric of an alarm".to_owned()));
    };
    let (mut found, mut next_token): (Vec<Data>, _) = (Vec::new(), None);
    loop {
        let page = client
            .get_metric_data()
            .set_metric_data_queries(Some(queries.clone()))
            .start_time(DateTime::from_secs(since.as_second()))
            .end_time(DateTime::from_secs(until.as_second()))
            .set_next_token(next_token)
            .send()
            .await
            .map_err(|error| cloud_error(error, WHAT, &[]))?;
        for result in page.metric_data_results() {
            let points = result.timestamps().iter().zip(result.values());
            // CloudWatch begins with the period that `since` is in.
            let points = points.filter(|(at, _)| at.secs() >= since.as_second());
            let points = points.filter_map(|(at, value)| Some((Timestamp::from_second(at.secs()).ok()?, *value)));
            let id = result.id().unwrap_or_default();
            // Of the next page it is the rest.
            match found.iter_mut().find(|one| one.id == id) {
                Some(known) => known.points.extend(points),
                None => found.push(Data {
                    id: id.to_owned(),
                    label: result.label().unwrap_or_default().to_owned(),
                    points: points.collect(),
                }),
            }
        }
        next_token = page.next_token;
        if next_token.is_none() {
            return Ok(found);
        }
    }
}

impl Data {
    /// None of the band that the alarm's metric is compared with.
    fn series(self, alarm: &MetricAlarm) -> Option<AlarmSeries> {
        use ComparisonOperator as Is;
        if alarm.threshold_metric_id() == Some(self.id.as_str()) {
            return None;
        }
        let stats = alarm.metrics().iter().filter(|one| one.id() == Some(self.id.as_str()));
        let period = stats.filter_map(|one| one.metric_stat().and_then(MetricStat::period).or(one.period())).next();
        let period =
            alarm.period().or(period).or_else(|| alarm.metrics().iter().find_map(|one| one.metric_stat()?.period()));
        let label = match (alarm.namespace(), alarm.metric_name()) {
            (Some(namespace), Some(metric)) => {
                let statistic = alarm.statistic().map(|statistic| statistic.as_str()).or(alarm.extended_statistic());
                format!("{namespace} {metric}, {}", statistic.unwrap_or_default())
            }
            _ => self.label,
        };
        let low_is_bad = matches!(
            alarm.comparison_operator(),
            Some(Is::LessThanThreshold | Is::LessThanOrEqualToThreshold | Is::LessThanLowerThreshold)
        );
        let period = period.and_then(|period| u32::try_from(period).ok()).unwrap_or_default();
        AlarmSeries::of(&label, period, alarm.threshold(), low_is_bad, self.points)
    }
}

/// What asks for the data that an alarm looks at: of metric math, its result.
fn queries(alarm: &MetricAlarm) -> Option<Vec<MetricDataQuery>> {
    if !alarm.metrics().is_empty() {
        return Some(alarm.metrics().to_vec());
    }
    let statistic = alarm.statistic().map(|statistic| statistic.as_str()).or(alarm.extended_statistic())?;
    let metric = Metric::builder()
        .namespace(alarm.namespace()?)
        .metric_name(alarm.metric_name()?)
        .set_dimensions(Some(alarm.dimensions().to_vec()));
    let stat = MetricStat::builder()
        .metric(metric.build())
        .period(alarm.period()?)
        .stat(statistic)
        .set_unit(alarm.unit().cloned());
    Some(vec![MetricDataQuery::builder().id("m").metric_stat(stat.build()).build()])
}

/// Names of the alarms in a composite alarm's rule, such as `ALARM("a") OR (ALARM(b) AND NOT OK(arn:…:alarm:c))` or
/// `AT_LEAST(2, ALARM, ("a", "b", "c"))`.
fn alarms_in(rule: &str) -> Vec<String> {
    const WORDS: [&str; 9] = ["ALARM", "OK", "INSUFFICIENT_DATA", "AT_LEAST", "AND", "OR", "NOT", "TRUE", "FALSE"];
    let (mut names, mut chars) = (Vec::new(), rule.chars().peekable());
    while let Some(char) = chars.next() {
        if char == '"' {
            let mut name = String::new();
            while let Some(char) = chars.next().filter(|char| *char != '"') {
                name.push(if char == '\\' { chars.next().unwrap_or('\\') } else { char });
            }
            names.push(name);
        } else if !char.is_whitespace() && !matches!(char, '(' | ')' | ',') {
            let mut word = String::from(char);
            while let Some(char) = chars.next_if(|char| !char.is_whitespace() && !matches!(char, '(' | ')' | ',')) {
                word.push(char);
            }
            // How many of AT_LEAST, or what part of them.
            let is_number = word.trim_end_matches('%').bytes().all(|byte| byte.is_ascii_digit());
            if !is_number && !WORDS.contains(&word.as_str()) {
                names.push(word);
            }
        }
    }
    // An ARN names its alarm.
    names.into_iter().map(|name| crate::cloudwatch::name_of(&name).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_names_its_alarms() {
        let arn = "arn:aws:cloudwatch:eu-west-1:1:alarm:by arn";
        let rule = format!(r#"ALARM("with \"marks\" (and more)") OR (OK(plain-1) AND NOT INSUFFICIENT_DATA("{arn}"))"#);
        assert_eq!(alarms_in(&rule), [r#"with "marks" (and more)"#, "plain-1", "by arn"]);
        assert_eq!(alarms_in(r#"AT_LEAST(50%, ALARM, ("a", b,"c"))"#), ["a", "b", "c"]);
        assert_eq!(alarms_in("TRUE"), [""; 0]);
    }
}
