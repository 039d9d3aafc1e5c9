//! Each protocol from bytes to bytes: the official Rust client speaks CBOR, forms and JSON are written out here.

use aws_sdk_cloudwatch::{
    Client,
    config::{BehaviorVersion, Credentials, Region},
    error::ProvideErrorMetadata,
    primitives::DateTime,
    types::{
        AlarmType, ComparisonOperator, Dimension, Metric, MetricDataQuery, MetricDatum, MetricStat, StandardUnit,
        StateValue, Statistic, Tag,
    },
};
use axum::body::Body;
use http::Request;
use serde_json::json;

use crate::world::{START, World};

/// The client, and the server it speaks to, which ends with the test's runtime.
async fn client(world: &World) -> Client {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let router = world.service.router();
    tokio::spawn(async move { axum::serve(listener, router).await });
    let config = aws_sdk_cloudwatch::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("any", "any", None, None, "test"))
        .endpoint_url(format!("http://{address}"))
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .request_min_compression_size_bytes(128)
        .build();
    Client::from_conf(config)
}

fn shop() -> Dimension {
    Dimension::builder().name("Shop").value("1").build()
}

#[tokio::test]
async fn the_rust_client_puts_and_reads() {
    let dir = tempfile::tempdir().expect("a directory");
    let world = World::open(dir.path());
    let client = client(&world).await;
    let at: jiff::Timestamp = START.parse().expect("a time");
    let start = DateTime::from_secs(at.as_second());
    let datum = MetricDatum::builder()
        .metric_name("Latency")
        .dimensions(shop())
        .timestamp(start)
        .unit(StandardUnit::Milliseconds)
        .set_values(Some((1..=100).map(f64::from).collect()))
        .build();
    client.put_metric_data().namespace("Shop").metric_data(datum).send().await.expect("gzip and CBOR");

    let metrics = client.list_metrics().namespace("Shop").send().await.expect("metrics");
    assert_eq!(metrics.metrics()[0].dimensions(), [shop()]);

    let points = client
        .get_metric_statistics()
        .namespace("Shop")
        .metric_name("Latency")
        .dimensions(shop())
        .start_time(start)
        .end_time(DateTime::from_secs(at.as_second() + 60))
        .period(60)
        .statistics(Statistic::Average)
        .statistics(Statistic::SampleCount)
        .extended_statistics("p90")
        .send()
        .await
        .expect("statistics");
    let point = &points.datapoints()[0];
    assert_eq!((point.average(), point.sample_count()), (Some(50.5), Some(100.0)));
    assert_eq!(point.extended_statistics().expect("p90")["p90"], 90.0);
    assert_eq!((point.timestamp(), point.unit()), (Some(&start), Some(&StandardUnit::Milliseconds)));

    let metric = Metric::builder().namespace("Shop").metric_name("Latency").dimensions(shop()).build();
    let stat = MetricStat::builder().metric(metric).period(60).stat("Maximum").build();
    let query = MetricDataQuery::builder().id("m").metric_stat(stat).build();
    let data = client
        .get_metric_data()
        .metric_data_queries(query)
        .start_time(start)
        .end_time(DateTime::from_secs(at.as_second() + 60))
        .send()
        .await
        .expect("data");
    let result = &data.metric_data_results()[0];
    assert_eq!((result.values(), result.timestamps()), (&[100.0][..], &[start][..]));
}

#[tokio::test]
async fn the_rust_client_makes_and_reads_alarms() {
    let dir = tempfile::tempdir().expect("a directory");
    let world = World::open(dir.path());
    let client = client(&world).await;
    client
        .put_metric_alarm()
        .alarm_name("slow")
        .alarm_description("too slow")
        .namespace("Shop")
        .metric_name("Latency")
        .dimensions(shop())
        .extended_statistic("p99.9")
        .period(10)
        .evaluation_periods(3)
        .datapoints_to_alarm(2)
        .threshold(250.0)
        .comparison_operator(ComparisonOperator::GreaterThanOrEqualToThreshold)
        .tags(Tag::builder().key("team").value("web").build())
        .send()
        .await
        .expect("an alarm");
    client.put_composite_alarm().alarm_name("any").alarm_rule("ALARM(slow)").send().await.expect("a composite");
    client
        .set_alarm_state()
        .alarm_name("slow")
        .state_value(StateValue::Alarm)
        .state_reason("drill")
        .send()
        .await
        .expect("a state");

    let metric_only = client.describe_alarms().send().await.expect("alarms");
    assert!(metric_only.composite_alarms().is_empty());
    let alarm = &metric_only.metric_alarms()[0];
    assert_eq!(alarm.state_value(), Some(&StateValue::Alarm));
    assert_eq!(alarm.threshold(), Some(250.0));
    assert_eq!((alarm.period(), alarm.extended_statistic()), (Some(10), Some("p99.9")));
    let composites = client.describe_alarms().alarm_types(AlarmType::CompositeAlarm).send().await.expect("alarms");
    assert_eq!(composites.composite_alarms()[0].state_value(), Some(&StateValue::Alarm));
    let page = client
        .describe_alarms()
        .alarm_types(AlarmType::CompositeAlarm)
        .alarm_types(AlarmType::MetricAlarm)
        .max_records(1)
        .send()
        .await
        .expect("a page");
    assert!(page.metric_alarms().is_empty() && page.next_token().is_some());

    let history = client.describe_alarm_history().alarm_name("slow").send().await.expect("history");
    assert_eq!(
        history.alarm_history_items()[0].history_summary(),
        Some("Alarm updated from INSUFFICIENT_DATA to ALARM")
    );
    let arn = alarm.alarm_arn().expect("an ARN");
    client.untag_resource().resource_arn(arn).tag_keys("none").send().await.expect("untagged");
    let tags = client.list_tags_for_resource().resource_arn(arn).send().await.expect("tags");
    assert_eq!(tags.tags()[0].value(), Some("web"));
    let on_metric = client
        .describe_alarms_for_metric()
        .namespace("Shop")
        .metric_name("Latency")
        .dimensions(shop())
        .send()
        .await
        .expect("alarms of the metric");
    assert_eq!(on_metric.metric_alarms().len(), 1);
    client.disable_alarm_actions().alarm_names("slow").send().await.expect("disabled");
    client.delete_alarms().alarm_names("any").alarm_names("slow").send().await.expect("deleted together");
    assert!(client.describe_alarms().send().await.expect("none").metric_alarms().is_empty());
}

#[tokio::test]
async fn the_rust_client_knows_our_errors() {
    let dir = tempfile::tempdir().expect("a directory");
    let world = World::open(dir.path());
    let client = client(&world).await;
    let error =
        client.delete_alarms().alarm_names("gone").send().await.expect_err("no such alarm").into_service_error();
    assert!(error.is_resource_not_found());
    assert_eq!(error.message(), Some("There is no alarm named gone."));
    let datum = MetricDatum::builder().metric_name("m").build();
    let error = client.put_metric_data().namespace("Shop").metric_data(datum).send().await.expect_err("no value");
    assert!(error.into_service_error().is_missing_required_parameter_exception());
}

async fn form(world: &World, form: &str) -> String {
    let request = Request::post("/")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Body::from(form.to_owned()))
        .expect("a request");
    String::from_utf8(world.send(request).await.1).expect("UTF-8")
}

#[tokio::test]
async fn query_is_forms_in_and_xml_out() {
    let dir = tempfile::tempdir().expect("a directory");
    let world = World::open(dir.path());
    let put = form(
        &world,
        "Action=PutMetricAlarm&Version=2010-08-01&AlarmName=a%26b&Namespace=Shop&MetricName=Errors&Statistic=Sum&Period=60\
         &EvaluationPeriods=1&Threshold=1&ComparisonOperator=GreaterThanThreshold&AlarmActions=&ActionsEnabled=false\
         &Dimensions.member.1.Name=Shop&Dimensions.member.1.Value=1&Dimensions.member.2.Name=Zone&Dimensions.member.2.Value=x",
    )
    .await;
    assert!(put.starts_with(
        "<PutMetricAlarmResponse xmlns=\"http://monitoring.amazonaws.com/doc/2010-08-01/\"><ResponseMetadata>"
    ));
    let described = form(&world, "Action=DescribeAlarms&Version=2010-08-01&AlarmNames.member.1=a%26b").await;
    for part in [
        "<DescribeAlarmsResult><CompositeAlarms></CompositeAlarms><MetricAlarms><member><AlarmName>a&amp;b</AlarmName>",
        "<ActionsEnabled>false</ActionsEnabled>",
        "<StateUpdatedTimestamp>2026-11-23T10:14:00Z</StateUpdatedTimestamp>",
        "<Dimensions><member><Name>Shop</Name><Value>1</Value></member><member><Name>Zone</Name><Value>x</Value></member></Dimensions>",
        "<Threshold>1.0</Threshold>",
    ] {
        assert!(described.contains(part), "{part} in {described}");
    }
    let refused = form(&world, "Action=DeleteAlarms&Version=2010-08-01&AlarmNames.member.1=gone").await;
    assert!(refused.contains("<Type>Sender</Type><Code>ResourceNotFound</Code><Message>There is no alarm named gone."));
}

#[tokio::test]
async fn json_times_are_numbers_and_data_survives_a_restart() {
    let dir = tempfile::tempdir().expect("a directory");
    let world = World::open(dir.path());
    for value in [1.0, 2.0] {
        world.put_errors(value).await;
    }
    let world = World::open(dir.path());
    let query = json!({"Namespace": "Shop", "MetricName": "Errors", "StartTime": 1_795_428_840.0, "EndTime": 1_795_428_900,
        "Period": 60, "Statistics": ["Sum"]});
    assert_eq!(
        world.call("GetMetricStatistics", query).await,
        json!({"Label": "Errors", "Datapoints": [{"Timestamp": 1_795_428_840.0, "Sum": 3.0, "Unit": "None"}]})
    );
}
