//! Requests that are refused, and with which words.

use axum::body::Body;
use http::{Request, StatusCode};
use serde_json::{Value, json};

use crate::world::{World, alarm};

fn with(mut value: Value, member: &str, new: Value) -> Value {
    value[member] = new;
    value
}

#[tokio::test]
async fn bad_input_is_named() {
    let dir = tempfile::tempdir().expect("a directory");
    let world = World::open(dir.path());
    world.put_alarm("a").await;
    world.call("PutCompositeAlarm", json!({"AlarmName": "c", "AlarmRule": "ALARM(a)"})).await;
    let math = json!([{"Id": "e", "Expression": "1"}]);
    let datum = |datum: Value| json!({"Namespace": "Shop", "MetricData": [datum]});
    let put = "PutMetricAlarm";
    let rows = [
        (put, json!({}), "ValidationError", "Value null at 'alarmName'"),
        (put, with(alarm("b"), "Period", json!(45)), "ValidationError", "multiple of 60"),
        (put, with(alarm("b"), "Period", json!(86_460)), "ValidationError", "more than a day"),
        (put, with(alarm("b"), "DatapointsToAlarm", json!(2)), "ValidationError", "DatapointsToAlarm"),
        (put, with(alarm("b"), "Statistic", json!("Mean")), "ValidationError", "enum value set"),
        (put, with(alarm("b"), "ExtendedStatistic", json!("p99")), "ValidationError", "Exactly one of"),
        (put, with(alarm("b"), "TreatMissingData", json!("x")), "ValidationError", "notBreaching"),
        (put, with(alarm("b"), "ComparisonOperator", json!("LessThanLowerThreshold")), "ValidationError", "anomaly"),
        (put, with(alarm("b"), "Threshold", json!("NaN")), "InvalidParameterValueException", "NaN"),
        (
            put,
            json!({"AlarmName": "b", "Metrics": math, "EvaluationPeriods": 1, "Threshold": 1,
            "ComparisonOperator": "GreaterThanThreshold"}),
            "ValidationError",
            "metric math",
        ),
        (put, alarm("c"), "ValidationError", "other kind"),
        ("PutCompositeAlarm", json!({"AlarmName": "d", "AlarmRule": "ALARM(gone)"}), "ValidationError", "[gone]"),
        ("PutCompositeAlarm", json!({"AlarmName": "d", "AlarmRule": "ALARM("}), "ValidationError", "AlarmRule"),
        ("PutCompositeAlarm", json!({"AlarmName": "c", "AlarmRule": "OK(c)"}), "ValidationError", "itself"),
        ("DeleteAlarms", json!({"AlarmNames": ["a"]}), "ValidationError", "depending on it: [c]"),
        ("DeleteAlarms", json!({"AlarmNames": ["gone"]}), "ResourceNotFound", "gone"),
        (
            "SetAlarmState",
            json!({"AlarmName": "gone", "StateValue": "OK", "StateReason": ""}),
            "ResourceNotFound",
            "gone",
        ),
        (
            "SetAlarmState",
            json!({"AlarmName": "a", "StateValue": "OK", "StateReason": "", "StateReasonData": "{"}),
            "InvalidFormatFault",
            "JSON",
        ),
        ("PutMetricData", json!({"Namespace": "Shop"}), "MissingRequiredParameterException", "MetricData"),
        ("PutMetricData", datum(json!({"MetricName": "m"})), "MissingRequiredParameterException", "one of Value"),
        (
            "PutMetricData",
            datum(json!({"MetricName": "m", "Value": 1, "Values": [1]})),
            "InvalidParameterCombinationException",
            "exclusive",
        ),
        (
            "PutMetricData",
            datum(json!({"MetricName": "m", "Value": 1, "Timestamp": 0})),
            "InvalidParameterValueException",
            "two weeks",
        ),
        (
            "PutMetricData",
            datum(json!({"MetricName": "m", "Value": 1, "StorageResolution": 5})),
            "InvalidParameterValueException",
            "StorageResolution",
        ),
        ("PutMetricData", datum(json!({"MetricName": "m", "Value": "1"})), "SerializationException", "number"),
        (
            "GetMetricData",
            json!({"MetricDataQueries": math, "StartTime": 0, "EndTime": 60}),
            "ValidationError",
            "Error in expression 'e'",
        ),
        ("DescribeAlarms", json!({"NextToken": "!"}), "InvalidNextToken", "NextToken"),
        (
            "ListTagsForResource",
            json!({"ResourceARN": "arn:aws:s3:::b"}),
            "ResourceNotFoundException",
            "arn:aws:s3:::b",
        ),
        ("Nothing", json!({}), "UnknownOperationException", "Nothing"),
    ];
    for (operation, input, shape, message) in rows {
        let (status, answer) = world.answer(operation, input.clone()).await;
        assert!(status.is_client_error(), "{operation} {input}: {answer}");
        assert_eq!(answer["__type"], format!("com.amazonaws.cloudwatch#{shape}"), "{operation} {input}: {answer}");
        let text = answer["message"].as_str().expect("a message");
        assert!(text.contains(message), "{operation} {input}: {text}");
    }
}

#[tokio::test]
async fn bodies_that_no_protocol_can_read_are_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let world = World::open(dir.path());
    let target = "GraniteServiceVersion20100801.DescribeAlarms";
    let deep = "a.".repeat(100_000);
    let requests = [
        Request::post("/").header("x-amz-target", target).body(Body::from("{")),
        Request::post("/").header("x-amz-target", target).body(Body::from("[".repeat(100_000))),
        Request::post("/service/GraniteServiceVersion20100801/operation/DescribeAlarms").body(Body::from("\u{9f}")),
        Request::post("/").body(Body::from("")),
        Request::post("/").body(Body::from(format!("Action=DescribeAlarms&{deep}=1"))),
        Request::post("/").body(Body::from("Action=DescribeAlarms&AlarmNames=x&AlarmNames.member.1=y")),
        Request::post("/").header("content-encoding", "gzip").body(Body::from("Action=DescribeAlarms")),
        Request::post("/").header("content-encoding", "br").body(Body::from("Action=DescribeAlarms")),
        Request::get("/?Action=DescribeAlarms").body(Body::empty()),
    ];
    for request in requests {
        let (status, body) = world.send(request.expect("a request")).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{}", String::from_utf8_lossy(&body));
    }
    let huge = Request::post("/").body(Body::from(vec![b'a'; 5 << 20])).expect("a request");
    assert_eq!(world.send(huge).await.0, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn a_rule_cannot_depend_on_itself() {
    let dir = tempfile::tempdir().expect("a directory");
    let world = World::open(dir.path());
    for (name, rule) in [("x", "TRUE"), ("y", "ALARM(x)"), ("z", "ALARM(y)")] {
        world.call("PutCompositeAlarm", json!({"AlarmName": name, "AlarmRule": rule})).await;
    }
    let (status, answer) = world.answer("PutCompositeAlarm", json!({"AlarmName": "x", "AlarmRule": "OK(z)"})).await;
    assert_eq!(
        (status, answer["message"].as_str()),
        (StatusCode::BAD_REQUEST, Some("Could not save the composite alarm as x would depend on itself."))
    );
}
