//! `GetMetricData`: metric math over stored metrics, and pages.

use http::StatusCode;
use serde_json::{Value, json};

use crate::world::{START, World};

/// 2026-11-23T10:10:00Z, four minutes before a world begins.
const FIRST: i64 = 1_795_428_600;

/// A world with requests in each of five minutes, the one under way included, and errors in two of them.
async fn shop(dir: &std::path::Path) -> World {
    let world = World::open(dir);
    let requests = [100.0, 200.0, 0.0, 400.0, 50.0].into_iter().enumerate();
    let errors = [(1, 10.0), (3, 4.0), (3, 6.0)].into_iter();
    let data = |name: &str, minute: usize, value: f64| {
        let at = FIRST + 60 * i64::try_from(minute).expect("a small number");
        json!({"MetricName": name, "Value": value, "Timestamp": at})
    };
    let datums: Vec<Value> = requests
        .map(|(minute, value)| data("Requests", minute, value))
        .chain(errors.map(|(minute, value)| data("Errors", minute, value)))
        .collect();
    world.call("PutMetricData", json!({"Namespace": "Shop", "MetricData": datums})).await;
    world
}

fn metric(id: &str, name: &str) -> Value {
    let metric = json!({"Namespace": "Shop", "MetricName": name});
    json!({"Id": id, "ReturnData": false, "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Sum"}})
}

/// A request about the five minutes.
fn request(queries: Value) -> Value {
    json!({"MetricDataQueries": queries, "StartTime": FIRST, "EndTime": FIRST + 300, "ScanBy": "TimestampAscending"})
}

fn with(mut request: Value, member: &str, value: Value) -> Value {
    request[member] = value;
    request
}

#[tokio::test]
async fn expressions_are_computed_over_metrics_and_each_other() {
    let dir = tempfile::tempdir().expect("a directory");
    let world = shop(dir.path()).await;
    let queries = json!([
        {"Id": "bad", "Expression": "rate > 2", "Label": "too many"},
        {"Id": "rate", "Expression": "100 * FILL(errors, 0) / requests", "Period": 60},
        metric("errors", "Errors"),
        metric("requests", "Requests"),
        {"Id": "halves", "Expression": "METRICS() / 2", "Label": "half of"},
    ]);
    let answer = world.call("GetMetricData", request(queries.clone())).await;
    let minute = |minute: i64| json!((FIRST + 60 * minute) as f64);
    let all = [0, 1, 2, 3, 4].map(minute);
    let served = [0, 1, 3, 4].map(minute);
    let result = |id: &str, label: &str, times: &[Value], values: &[f64]| {
        let (times, values) = (json!(times), json!(values));
        json!({"Id": id, "Label": label, "Timestamps": times, "Values": values, "StatusCode": "Complete"})
    };
    assert_eq!(
        answer,
        json!({"Messages": [], "MetricDataResults": [
            result("bad", "too many", &served, &[0.0, 1.0, 1.0, 0.0]),
            // Nobody asked in the third minute: a division by zero is no point.
            result("rate", "rate", &served, &[0.0, 5.0, 2.5, 0.0]),
            result("halves", "half of Errors", &[minute(1), minute(3)], &[5.0, 5.0]),
            result("halves", "half of Requests", &all, &[50.0, 100.0, 0.0, 200.0, 25.0]),
        ]})
    );

    let newest_first = with(request(queries), "ScanBy", Value::Null);
    let answer = world.call("GetMetricData", newest_first).await;
    assert_eq!(answer["MetricDataResults"][1]["Values"], json!([0.0, 2.5, 5.0, 0.0]));
}

#[tokio::test]
async fn the_start_is_included_the_end_is_not_and_gaps_end_with_the_present() {
    let dir = tempfile::tempdir().expect("a directory");
    let world = shop(dir.path()).await;
    let queries = json!([
        {"Id": "filled", "Expression": "FILL(none, 1)"},
        metric("none", "Nothing"),
        with(metric("requests", "Requests"), "ReturnData", json!(true)),
    ]);
    let within = |start: i64, end: i64| {
        let (start, end) = (FIRST + start, FIRST + end);
        json!({"MetricDataQueries": queries, "StartTime": start, "EndTime": end})
    };
    let now: jiff::Timestamp = START.parse().expect("a time");
    assert_eq!(now.as_second(), FIRST + 240);
    let rows = [
        (60, 120, json!([200.0]), 1),
        // The period that the start lies in is the first.
        (90, 121, json!([0.0, 200.0]), 2),
        (0, 3600, json!([50.0, 400.0, 0.0, 200.0, 100.0]), 5),
        (300, 3600, json!([]), 0),
    ];
    for (start, end, requests, filled) in rows {
        let answer = world.call("GetMetricData", within(start, end)).await;
        let results = &answer["MetricDataResults"];
        assert_eq!(results[1]["Values"], requests, "{start} to {end}");
        assert_eq!(results[0]["Values"], json!(vec![1.0; filled]), "{start} to {end}");
    }
}

#[tokio::test]
async fn periods_are_counted_from_the_minute_of_the_start() {
    let dir = tempfile::tempdir().expect("a directory");
    let world = shop(dir.path()).await;
    let mut whole = with(metric("requests", "Requests"), "ReturnData", json!(true));
    whole["MetricStat"]["Period"] = json!(120);
    let queries = json!([whole, {"Id": "filled", "Expression": "FILL(requests, 7)"}]);
    let rows: [(i64, &[i64], Value); 3] = [
        // The clock has even minutes: 10:10 and 10:12.
        (0, &[0, 120, 240], json!([300.0, 400.0, 50.0])),
        (60, &[60, 180], json!([200.0, 450.0])),
        (95, &[60, 180], json!([200.0, 450.0])),
    ];
    for (start, times, values) in rows {
        let within = json!({"MetricDataQueries": queries, "StartTime": FIRST + start, "EndTime": FIRST + 300,
            "ScanBy": "TimestampAscending"});
        let answer = world.call("GetMetricData", within).await;
        let times: Vec<Value> = times.iter().map(|at| json!((FIRST + at) as f64)).collect();
        for result in answer["MetricDataResults"].as_array().expect("results") {
            assert_eq!((&result["Timestamps"], &result["Values"]), (&json!(times), &values), "from {start}");
        }
    }
}

#[tokio::test]
async fn pages_hold_as_many_datapoints_as_asked_for_and_lose_none() {
    let dir = tempfile::tempdir().expect("a directory");
    let world = shop(dir.path()).await;
    let queries = json!([
        with(metric("requests", "Requests"), "ReturnData", json!(true)),
        {"Id": "empty", "Expression": "IF(requests < 0, 1)"},
        {"Id": "twice", "Expression": "requests * 2"},
    ]);
    for scan_by in ["TimestampAscending", "TimestampDescending"] {
        let request = with(request(queries.clone()), "ScanBy", json!(scan_by));
        let whole = world.call("GetMetricData", request.clone()).await;
        assert!(whole.get("NextToken").is_none());
        for size in 1..=10 {
            let mut next = with(request.clone(), "MaxDatapoints", json!(size));
            let mut pages = 0;
            let mut points = vec![Vec::new(); 3];
            loop {
                let page = world.call("GetMetricData", next.clone()).await;
                pages += 1;
                let mut held = 0;
                for result in page["MetricDataResults"].as_array().expect("results") {
                    let index =
                        ["requests", "empty", "twice"].iter().position(|id| result["Id"] == **id).expect("known");
                    let values = result["Values"].as_array().expect("values");
                    held += values.len();
                    points[index].extend(values.clone());
                    let all = points[index].len() == if index == 1 { 0 } else { 5 };
                    assert_eq!(result["StatusCode"], if all { "Complete" } else { "PartialData" });
                }
                assert!(held <= size);
                match page.get("NextToken") {
                    Some(token) => next["NextToken"] = token.clone(),
                    None => break,
                }
            }
            assert_eq!(pages, 10_usize.div_ceil(size), "{size} to a page");
            for (index, points) in points.into_iter().enumerate() {
                assert_eq!(Value::from(points), whole["MetricDataResults"][index]["Values"], "{size} to a page");
            }
        }
    }
}

#[tokio::test]
async fn queries_that_have_no_answer_are_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let world = shop(dir.path()).await;
    let math = |text: &str| json!([metric("m1", "Requests"), {"Id": "e1", "Expression": text}]);
    let both = with(metric("m1", "Requests"), "Expression", json!("m1"));
    let many: Vec<Value> = (0..=500).map(|index| metric(&format!("m{index}"), "Requests")).collect();
    let rows = [
        (request(math("m1 +")), "Error in expression 'e1': The expression ends too early."),
        (request(math("SEARCH('{Shop}', 'Sum')")), "SEARCH is not offered here"),
        (request(math("m1 + m2")), "no query of the request has the Id m2"),
        (request(math("e1 + m1")), "it depends on itself: e1 -> e1"),
        (request(math("SUM(m1)")), "must be a time series"),
        (request(json!([both])), "either MetricStat or Expression"),
        (request(json!([{"Id": "m1"}])), "either MetricStat or Expression"),
        (request(json!([metric("M1", "Requests")])), "^[a-z][a-zA-Z0-9_]*$"),
        (request(json!([metric("m-1", "Requests")])), "^[a-z][a-zA-Z0-9_]*$"),
        (request(json!([metric("m1", "Requests"), metric("m1", "Errors")])), "that of two queries"),
        (request(json!([with(metric("m1", "Requests"), "Period", json!(300))])), "its MetricStat another"),
        (request(Value::from(many)), "more than 500"),
        (with(request(math("m1")), "MaxDatapoints", json!(0)), "maxDatapoints"),
        (with(request(math("m1")), "MaxDatapoints", json!(100_801)), "maxDatapoints"),
    ];
    for (request, expected) in rows {
        let (status, answer) = world.answer("GetMetricData", request).await;
        let message = answer["message"].as_str().expect("a message");
        assert_eq!(
            (status, answer["__type"].as_str()),
            (StatusCode::BAD_REQUEST, Some("com.amazonaws.cloudwatch#ValidationError")),
            "{message}"
        );
        assert!(message.contains(expected), "{expected}: {message}");
    }
    for token in ["!", "eA", "OQ", "MTph"] {
        let (_, answer) = world.answer("GetMetricData", with(request(math("m1")), "NextToken", json!(token))).await;
        assert_eq!(answer["__type"], "com.amazonaws.cloudwatch#InvalidNextToken", "{token}");
    }
}
