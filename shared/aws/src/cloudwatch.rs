//! CloudWatch: reads alarms.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::config::timeout::TimeoutConfig;
use aws_sdk_cloudwatch::config::{Builder, Region};
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{AlarmType, CompositeAlarm, MetricAlarm, StateValue};
use aws_types::SdkConfig;
use domain::{AlarmChange, AlarmSeries, AlarmState, MetricQuery, Points};
use engine::ports::{Alarms, CloudError};
use jiff::Timestamp;

use crate::cloud_error::cloud_error;
use crate::{data_points, metric_data};

/// Most names in one DescribeAlarms.
const NAMES_PER_CALL_MAX: usize = 100;
const WHAT: &str = "CloudWatch's alarms";
/// Longest time for a call, its retries included, that a rollback waits for and that may fail.
const HURRIED: Duration = Duration::from_millis(1500);

/// Alarms of the account, in every region: by a client for each, made when the first alarm of its region is asked for.
#[derive(Debug, Clone)]
pub struct CloudWatchAlarms {
    config: SdkConfig,
    clients: Arc<Mutex<BTreeMap<String, Client>>>,
}

impl CloudWatchAlarms {
    /// Over clients made from `config`, whose region alarms without an ARN are in.
    pub fn connect(config: &SdkConfig) -> Self {
        Self { config: config.clone(), clients: Arc::default() }
    }

    fn client(&self, region: &str) -> Client {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let made = || Client::from_conf(Builder::from(&self.config).region(Region::new(region.to_owned())).build());
        clients.entry(region.to_owned()).or_insert_with(made).clone()
    }

    /// A client for what is worth no wait. It shares the others' connections.
    fn hurried(&self, region: &str) -> Client {
        let timeout = TimeoutConfig::builder().operation_timeout(HURRIED).build();
        let config = Builder::from(&self.config).region(Region::new(region.to_owned())).timeout_config(timeout);
        Client::from_conf(config.build())
    }
}

/// Alarms of at most [`NAMES_PER_CALL_MAX`] names, at least one: without names DescribeAlarms tells of all alarms.
pub(crate) async fn describe_chunk(
    client: &Client,
    names: &[&str],
) -> Result<(Vec<MetricAlarm>, Vec<CompositeAlarm>), CloudError> {
    let (mut metric, mut composite) = (Vec::new(), Vec::new());
    let mut next_token = None;
    loop {
        let page = client
            .describe_alarms()
            .set_alarm_names(Some(names.iter().map(|name| (*name).to_owned()).collect()))
            .alarm_types(AlarmType::MetricAlarm)
            .alarm_types(AlarmType::CompositeAlarm)
            .set_next_token(next_token)
            .send()
            .await
            .map_err(|error| cloud_error(error, WHAT, &[]))?;
        metric.extend(page.metric_alarms.unwrap_or_default());
        composite.extend(page.composite_alarms.unwrap_or_default());
        next_token = page.next_token;
        if next_token.is_none() {
            return Ok((metric, composite));
        }
    }
}

impl Alarms for CloudWatchAlarms {
    async fn describe(&self, names: &[String]) -> Result<Vec<AlarmChange>, CloudError> {
        // An alarm may be asked for by its name and by its ARN: it is told of once.
        let home = self.config.region().map(Region::as_ref).unwrap_or_default();
        let mut wanted: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for name in names {
            wanted.entry(region_of(name).unwrap_or(home)).or_default().insert(name_of(name));
        }
        let mut found = BTreeMap::new();
        for (region, wanted) in wanted {
            let client = self.client(region);
            let wanted: Vec<&str> = wanted.into_iter().collect();
            for chunk in wanted.chunks(NAMES_PER_CALL_MAX) {
                let (metric, composite) = describe_chunk(&client, chunk).await?;
                for alarm in &metric {
                    let since = alarm.state_transitioned_timestamp().or(alarm.state_updated_timestamp());
                    let alarm = change(alarm.alarm_arn(), alarm.state_value(), since, alarm.state_reason())?;
                    found.insert(alarm.arn.clone(), alarm);
                }
                for alarm in &composite {
                    let is_suppressed = alarm.actions_suppressed_by().is_some();
                    // When suppression ends this stays the time at which it turned red.
                    let since = alarm.state_transitioned_timestamp().or(alarm.state_updated_timestamp());
                    let mut alarm = change(alarm.alarm_arn(), alarm.state_value(), since, alarm.state_reason())?;
                    if is_suppressed && alarm.state == AlarmState::Alarm {
                        alarm.state = AlarmState::Suppressed;
                    }
                    found.insert(alarm.arn.clone(), alarm);
                }
            }
        }
        // An ARN of another account may share its name with an alarm of ours, which nobody asked for.
        let is_wanted = |alarm: &AlarmChange| {
            let name = name_of(&alarm.arn);
            names.iter().any(|asked| *asked == alarm.arn || asked == name)
        };
        Ok(found.into_values().filter(is_wanted).collect())
    }

    async fn metric_data(
        &self,
        region: &str,
        queries: &[MetricQuery],
        since: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<Points>, CloudError> {
        metric_data::read(&self.client(region), queries, since, until).await
    }

    async fn messages_in(&self, queue: &str, since: Timestamp, until: Timestamp) -> Result<Option<u32>, CloudError> {
        let home = self.config.region().map(Region::as_ref).unwrap_or_default();
        data_points::newest_of_queue(&self.client(home), queue, since, until).await
    }

    async fn data_points(&self, arn: &str, since: Timestamp, until: Timestamp) -> Result<u32, CloudError> {
        let home = self.config.region().map(Region::as_ref).unwrap_or_default();
        let client = self.client(region_of(arn).unwrap_or(home));
        data_points::fewest(&client, name_of(arn), since, until).await
    }

    async fn series(&self, arn: &str, since: Timestamp, until: Timestamp) -> Result<Vec<AlarmSeries>, CloudError> {
        let home = self.config.region().map(Region::as_ref).unwrap_or_default();
        let client = self.hurried(region_of(arn).unwrap_or(home));
        data_points::series(&client, name_of(arn), since, until).await
    }
}

/// The name in an alarm's ARN (`arn:aws:cloudwatch:region:account:alarm:name`), or a name as it is.
pub(crate) fn name_of(name_or_arn: &str) -> &str {
    // A name may hold colons.
    let parts: Vec<&str> = name_or_arn.splitn(7, ':').collect();
    match parts.as_slice() {
        ["arn", _, "cloudwatch", _, _, "alarm", name] => name,
        _ => name_or_arn,
    }
}

/// The region in an alarm's ARN.
fn region_of(name_or_arn: &str) -> Option<&str> {
    let parts: Vec<&str> = name_or_arn.splitn(7, ':').collect();
    match parts.as_slice() {
        ["arn", _, "cloudwatch", region, _, "alarm", _] => Some(region),
        _ => None,
    }
}

fn change(
    arn: Option<&str>,
    state: Option<&StateValue>,
    since: Option<&DateTime>,
    reason: Option<&str>,
) -> Result<AlarmChange, CloudError> {
    let timestamp = |at: &DateTime| Timestamp::new(at.secs(), at.subsec_nanos().try_into().ok()?).ok();
    let (Some(arn), Some(since)) = (arn, since.and_then(timestamp)) else {
        return Err(CloudError::Refused("CloudWatch told of an alarm without its ARN or the time of its state".into()));
    };
    let state = match state {
        Some(StateValue::Ok) => AlarmState::Ok,
        Some(StateValue::Alarm) => AlarmState::Alarm,
        Some(StateValue::InsufficientData) => AlarmState::InsufficientData,
        _ => AlarmState::Unreadable,
    };
    Ok(AlarmChange { arn: arn.to_owned(), state, since, reason: reason.unwrap_or_default().to_owned() })
}

#[cfg(test)]
mod tests {
    use ciborium::Value;

    use super::*;
    use crate::replies::{Replies, reply};

    const PREFIX: &str = "arn:aws:cloudwatch:eu-west-1:123456789012:alarm:";

    fn map(members: Vec<(&str, Value)>) -> Value {
        Value::Map(members.into_iter().map(|(name, value)| (name.into(), value)).collect())
    }

    /// An alarm that took its state at second `transitioned` and was evaluated last at second 900.
    fn alarm(name: &str, state: &str, transitioned: Option<i64>) -> Value {
        let time = |second: i64| Value::Tag(1, Box::new(second.into()));
        let mut members = vec![
            ("AlarmName", name.into()),
            ("AlarmArn", format!("{PREFIX}{name}").into()),
            ("StateValue", state.into()),
            ("StateReason", "why".into()),
            ("StateUpdatedTimestamp", time(900)),
        ];
        members.extend(transitioned.map(|second| ("StateTransitionedTimestamp", time(second))));
        map(members)
    }

    fn page(
        metric: Vec<Value>,
        composite: Vec<Value>,
        next: Option<&str>,
    ) -> aws_smithy_http_client::test_util::ReplayEvent {
        let mut members = vec![("MetricAlarms", Value::Array(metric)), ("CompositeAlarms", Value::Array(composite))];
        members.extend(next.map(|next| ("NextToken", next.into())));
        answer(members)
    }

    fn answer(members: Vec<(&str, Value)>) -> aws_smithy_http_client::test_util::ReplayEvent {
        let mut body = Vec::new();
        ciborium::into_writer(&map(members), &mut body).unwrap();
        reply(200, &[("smithy-protocol", "rpc-v2-cbor"), ("content-type", "application/cbor")], body)
    }

    async fn describe(replies: &Replies, names: &[&str]) -> Vec<AlarmChange> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        CloudWatchAlarms::connect(&replies.config()).describe(&names).await.unwrap()
    }

    #[tokio::test]
    async fn both_kinds_of_alarms_are_read_over_all_pages() {
        let replies = Replies::of([
            page(vec![alarm("a", "ALARM", Some(100))], vec![], Some("more")),
            page(vec![], vec![alarm("b:1", "OK", None)], None),
        ]);
        let found = describe(&replies, &["a", "b:1", "gone"]).await;
        let seen: Vec<_> =
            found.iter().map(|alarm| (alarm.arn.as_str(), alarm.state, alarm.since.as_second())).collect();
        let (a, b) = (format!("{PREFIX}a"), format!("{PREFIX}b:1"));
        assert_eq!(seen, [(a.as_str(), AlarmState::Alarm, 100), (b.as_str(), AlarmState::Ok, 900)]);
    }

    #[tokio::test]
    async fn a_red_alarm_whose_actions_are_suppressed_says_so_and_since_when_it_is_red() {
        let of = |state: &str, by: Option<&str>| {
            let suppressed = by.map(|by| ("ActionsSuppressedBy", by.into()));
            with(alarm("a", state, Some(100)), suppressed.into_iter().collect())
        };
        for (state, by, expected) in [
            ("ALARM", Some("WaitPeriod"), AlarmState::Suppressed),
            ("ALARM", Some("ExtensionPeriod"), AlarmState::Suppressed),
            ("ALARM", Some("Alarm"), AlarmState::Suppressed),
            ("ALARM", None, AlarmState::Alarm),
            ("OK", Some("Alarm"), AlarmState::Ok),
        ] {
            let found = describe(&Replies::of([page(vec![], vec![of(state, by)], None)]), &["a"]).await;
            let seen: Vec<_> = found.iter().map(|alarm| (alarm.state, alarm.since.as_second())).collect();
            assert_eq!(seen, [(expected, 100)], "{state} {by:?}");
        }
    }

    #[tokio::test]
    async fn an_arn_finds_its_alarm_but_not_another_of_the_same_name() {
        let foreign = "arn:aws:cloudwatch:us-east-1:123456789012:alarm:a";
        let ours = format!("{PREFIX}a");
        let answer = || page(vec![alarm("a", "OK", None)], vec![], None);
        assert_eq!(describe(&Replies::of([answer()]), &[&ours]).await.len(), 1);
        assert_eq!(describe(&Replies::of([answer()]), &[foreign]).await, []);
    }

    #[tokio::test]
    async fn each_region_is_asked_for_its_own() {
        let there = "arn:aws:cloudwatch:us-east-1:123456789012:alarm:a";
        let mut abroad = alarm("a", "ALARM", Some(100));
        if let Value::Map(members) = &mut abroad {
            members[1].1 = there.into();
        }
        // In the order of their names: eu-west-1, which the client is for, and us-east-1.
        let replies = Replies::of([page(vec![alarm("a", "OK", None)], vec![], None), page(vec![abroad], vec![], None)]);
        let found = describe(&replies, &[there, "a"]).await;
        let seen: Vec<_> = found.iter().map(|alarm| (alarm.arn.as_str(), alarm.state)).collect();
        assert_eq!(seen, [(format!("{PREFIX}a").as_str(), AlarmState::Ok), (there, AlarmState::Alarm)]);
        for (request, region) in ["eu-west-1", "us-east-1"].into_iter().enumerate() {
            let signed = replies.header(request, "authorization");
            assert!(signed.contains(&format!("/{region}/monitoring/")), "{signed}");
        }
    }

    fn data(seconds: &[i64], next: Option<&str>) -> aws_smithy_http_client::test_util::ReplayEvent {
        let times = seconds.iter().map(|second| Value::Tag(1, Box::new((*second).into()))).collect();
        let values = seconds.iter().map(|_| 1.0.into()).collect();
        let result = vec![("Id", "m".into()), ("Timestamps", Value::Array(times)), ("Values", Value::Array(values))];
        let mut members = vec![("MetricDataResults", Value::Array(vec![map(result)]))];
        members.extend(next.map(|next| ("NextToken", next.into())));
        answer(members)
    }

    fn with(mut alarm: Value, more: Vec<(&str, Value)>) -> Value {
        if let (Value::Map(members), Value::Map(more)) = (&mut alarm, map(more)) {
            members.extend(more);
        }
        alarm
    }

    fn of_metric(name: &str) -> Value {
        let metric = vec![
            ("Namespace", "Shop".into()),
            ("MetricName", "Errors".into()),
            ("Statistic", "Sum".into()),
            ("Period", 60.into()),
        ];
        with(alarm(name, "OK", None), metric)
    }

    async fn data_points(replies: &Replies, name: &str) -> Result<u32, CloudError> {
        let [since, until] = [90, 400].map(|second| Timestamp::from_second(second).unwrap());
        CloudWatchAlarms::connect(&replies.config()).data_points(&format!("{PREFIX}{name}"), since, until).await
    }

    #[tokio::test]
    async fn data_points_are_counted_over_all_pages_from_the_first_whole_period() {
        let described = page(vec![of_metric("a")], vec![], None);
        let replies = Replies::of([described, data(&[60, 120, 180], Some("more")), data(&[240], None)]);
        assert_eq!(data_points(&replies, "a").await.unwrap(), 3);
        let asked: Value = ciborium::from_reader(replies.body(1).as_slice()).unwrap();
        let asked = format!("{asked:?}");
        assert!(["Shop", "Errors", "Sum"].iter().all(|part| asked.contains(part)), "{asked}");
    }

    #[tokio::test]
    async fn a_composite_alarm_has_as_many_as_the_poorest_that_it_is_of() {
        let of = |name: &str, rule: &str| with(alarm(name, "OK", None), vec![("AlarmRule", rule.into())]);
        let replies = Replies::of([
            page(vec![], vec![of("all", "ALARM(a) OR ALARM(inner)")], None),
            // One that is of itself ends nothing.
            page(vec![of_metric("a")], vec![of("inner", "ALARM(b) AND NOT OK(all)")], None),
            page(vec![of_metric("b")], vec![], None),
            data(&[120, 180], None),
            data(&[120], None),
        ]);
        assert_eq!(data_points(&replies, "all").await.unwrap(), 1);

        let replies = Replies::of([page(vec![], vec![of("all", "ALARM(gone)")], None), page(vec![], vec![], None)]);
        assert!(matches!(data_points(&replies, "all").await, Err(CloudError::NotFound(_))));
    }

    #[tokio::test]
    async fn the_newest_count_of_a_queue_is_what_waits_in_it() {
        let [since, until] = [90, 400].map(|second| Timestamp::from_second(second).unwrap());
        let replies = Replies::of([data(&[], Some("more")), data(&[300, 0], None), data(&[], None)]);
        let alarms = CloudWatchAlarms::connect(&replies.config());
        assert_eq!(alarms.messages_in("dead-letters", since, until).await.unwrap(), Some(1));
        let asked: Value = ciborium::from_reader(replies.body(1).as_slice()).unwrap();
        let asked = format!("{asked:?}");
        let parts = ["AWS/SQS", "QueueName", "dead-letters", "TimestampDescending", "more"];
        assert!(parts.iter().all(|part| asked.contains(part)), "{asked}");
        assert_eq!(alarms.messages_in("dead-letters", since, until).await.unwrap(), None);
    }

    #[tokio::test]
    async fn what_a_metric_did_comes_with_what_its_alarm_compares_it_with() {
        let compared = vec![("Threshold", 5.0.into()), ("ComparisonOperator", "LessThanThreshold".into())];
        let described = page(vec![with(of_metric("a"), compared)], vec![], None);
        let replies = Replies::of([described, data(&[180, 120], Some("more")), data(&[60, 240], None)]);
        let [since, until] = [90, 400].map(|second| Timestamp::from_second(second).unwrap());
        let alarms = CloudWatchAlarms::connect(&replies.config());
        let found = alarms.series(&format!("{PREFIX}a"), since, until).await.unwrap();
        let [series] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!((series.label.as_str(), series.period_seconds, series.low_is_bad), ("Shop Errors, Sum", 60, true));
        assert_eq!(series.threshold.map(domain::Measure::get), Some(5.0));
        assert_eq!(series.points.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [120, 180, 240]);
    }

    #[tokio::test]
    async fn no_names_ask_nothing_and_many_ask_by_the_hundred() {
        let replies = Replies::of([]);
        assert_eq!(describe(&replies, &[]).await, []);
        assert_eq!(replies.count(), 0);

        let replies = Replies::of((0..3).map(|_| page(vec![], vec![], None)));
        let names: Vec<String> = (0..201).map(|n| format!("alarm-{n}")).collect();
        describe(&replies, &names.iter().map(String::as_str).collect::<Vec<_>>()).await;
        assert_eq!(replies.count(), 3);
    }
}
