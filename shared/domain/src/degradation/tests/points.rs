//! Points that did not arrive, and when they are read.

use super::*;

/// Points of every series of the rule, by what is asked for: a metric's name, or the expression.
fn data_by(rule: &MetricRule, points: impl Fn(&str) -> Points) -> MetricData {
    let of = |query: &MetricQuery| match &query.source {
        MetricSource::Statistic(metric) => points(&metric.metric),
        MetricSource::Math { expression, .. } => points(expression),
    };
    let queries = rule.queries().into_iter();
    queries.map(|(region, query)| ((region.map(str::to_owned), query.clone()), of(&query))).collect()
}

/// A point a minute.
fn minutes(of: impl Iterator<Item = i64>, value: impl Fn(i64) -> f64) -> Points {
    of.map(|minute| (minute * MINUTE, value(minute))).collect()
}

fn seen(rule: &MetricRule, data: &MetricData, now: i64) -> MetricEvidence {
    let until = at(SUCCEEDED + i64::from(rule.minutes) * MINUTE);
    sight(rule, &MetricSight::of_deploy(rule, at(ENTERED), at(SUCCEEDED), until), data, at(now)).evidence
}

const END: i64 = SUCCEEDED + 40 * MINUTE;

#[test]
fn what_is_asked_for_begins_with_a_period() {
    for (period, baseline, expected) in [("60", "60", 40), ("300", "60", 40), ("420", "70", 28)] {
        let rule = rule(&[("Metrics", "emf:Shop:Latency"), ("Period", period), ("Baseline", baseline)]).unwrap();
        let times = MetricSight::of_deploy(&rule, at(ENTERED), at(SUCCEEDED), at(END));
        let since = times.since(&rule).as_second();
        assert_eq!((since / MINUTE, since % i64::from(rule.period_seconds)), (expected, 0), "{period}");
        // The first point that is shown, and none before it.
        let points = Points::from([(since - 1, 7.0), (since, 1.0)]);
        let data = data_by(&rule, |_| points.clone());
        assert_eq!(seen(&rule, &data, END).metrics[0].new.before[0], Some(1.0), "{period}");
    }
}

#[test]
fn points_that_did_not_arrive_are_nothing_or_zero() {
    let found = |missing: &str, points: &[(i64, f64)]| {
        let rule = rule(&[("Metrics", "emf:Shop:Failed:Sum"), ("MissingData", missing)]).unwrap();
        seen(&rule, &data_by(&rule, |_| points.iter().copied().collect()), END)
    };
    let one = [(50 * MINUTE, 3.0)];
    assert_eq!(found("Ignore", &one).verdict, Verdict::NotEnoughData);
    assert_eq!(found("Ignore", &one).metrics[0].new.before.iter().flatten().count(), 1);
    assert_eq!(found("Zero", &one).verdict, Verdict::Healthy);
    assert_eq!(found("Zero", &one).metrics[0].new.before[9..12], [Some(0.0), Some(3.0), Some(0.0)]);
    // Nobody knows whether there is such a metric: its name may be mistyped.
    let never = found("Zero", &[]);
    assert_eq!(never.verdict, Verdict::NotEnoughData);
    assert!(never.metrics[0].new.before.iter().chain(&never.metrics[0].new.after).all(Option::is_none));
    // Nor does it help that there was one before anything is read.
    assert_eq!(found("Zero", &[(39 * MINUTE, 3.0)]).verdict, Verdict::NotEnoughData);
}

#[test]
fn events_that_there_never_were_before_are_found() {
    let rule = rule(&[("Metrics", "dynamodb:orders")]).unwrap();
    let data = data_by(&rule, |metric| match metric {
        "WriteThrottleEvents" => minutes(104..140, |minute| 40.0 + (minute % 3) as f64),
        _ => Points::new(),
    });
    let seen = seen(&rule, &data, END);
    assert_eq!(seen.verdict, Verdict::Degraded, "{}", seen.why);
    let [reads, writes] = [0, 1].map(|metric| &seen.metrics[metric].new.before);
    assert!(reads.iter().all(Option::is_none) && writes.iter().all(|point| *point == Some(0.0)));
}

/// Where all is throttled nothing is invoked.
#[test]
fn throttling_of_everything_is_seen() {
    let rule = rule(&[("Metrics", "lambda:shop:live")]).unwrap();
    let all = |minute: i64| 50.0 + (minute % 7) as f64;
    let data = data_by(&rule, |metric| match metric {
        "Errors" => minutes(40..103, |_| 0.0),
        "Invocations" => minutes(40..103, all),
        "Throttles" => minutes(103..140, all),
        "Duration" => minutes(40..103, |minute| 20.0 + (minute % 5) as f64),
        _ => minutes(40..140, all),
    });
    let seen = seen(&rule, &data, END);
    assert_eq!(seen.verdict, Verdict::Degraded, "{}", seen.why);
    assert!(seen.why.contains("Throttles"), "{}", seen.why);
    assert_eq!(seen.metrics[1].new.before[0], Some(0.0), "it was asked, and throttled nothing");
}

/// A version that says nothing at all throttles nothing, but that is not what it says.
#[test]
fn silence_is_heard_where_throttles_are_zero_unless_told() {
    let rule = rule(&[("Metrics", "lambda:shop:live"), ("ControlGroup", "lambda:cart:live")]).unwrap();
    let queries = rule.queries().into_iter();
    let data: MetricData = queries
        .map(|(_, query)| {
            let metric = match &query.source {
                MetricSource::Statistic(metric) => metric,
                MetricSource::Math { metrics, .. } => &metrics["invocations"],
            };
            let last = if metric.dimensions["FunctionName"] == "shop" { 101 } else { 140 };
            let points = match metric.metric.as_str() {
                "Throttles" => Points::new(),
                "Errors" => minutes(40..last, |_| 0.0),
                _ => minutes(40..last, |minute| 50.0 + (minute % 7) as f64),
            };
            ((None, query), points)
        })
        .collect();
    let seen = seen(&rule, &data, END);
    assert_eq!(seen.metrics[1].name, "Throttles");
    assert_eq!(seen.metrics[1].new.before.last(), Some(&Some(0.0)));
    assert!(seen.metrics[1].new.after.iter().all(Option::is_none), "nothing was asked that could be throttled");
    assert_eq!(seen.metrics[1].requests.as_ref().unwrap().new.as_ref().unwrap().after.iter().flatten().count(), 0);
    assert_eq!(seen.verdict, Verdict::Degraded, "{}", seen.why);
}

/// Orders come to CloudWatch some minutes late: at each look the newest are not there yet, and that is no harm.
#[test]
fn what_is_late_is_no_harm_where_less_would_be() {
    let orders =
        r#"[{"namespace":"Shop","metric":"Orders","statistic":"Sum","direction":"decrease","missing":"zero"}]"#;
    let rule = rule(&[("Metrics", orders)]).unwrap();
    assert_eq!(rule.settled_after(), SignedDuration::from_mins(5));
    for minute in 101..145 {
        let arrived = |late: i64| data_by(&rule, |_| minutes(40..minute - late, |minute| 100.0 + (minute % 7) as f64));
        let found = seen(&rule, &arrived(4), minute * MINUTE + 59);
        assert_ne!(found.verdict, Verdict::Degraded, "minute {minute}: {}", found.why);
    }
    // That they stay away is harm, and zero what is shown of it.
    let gone = data_by(&rule, |_| minutes(40..103, |minute| 100.0 + (minute % 7) as f64));
    let found = |minute: i64| seen(&rule, &gone, minute * MINUTE);
    let first = (103..140).map(found).find(|found| found.verdict == Verdict::Degraded).unwrap();
    assert_eq!(first.metrics[0].new.after.last(), Some(&Some(0.0)));
    assert_eq!(found(150), first, "whenever somebody looks");
}

#[test]
fn only_what_would_look_like_harm_is_waited_for_and_the_end_comes_after_it() {
    let settled = |settings: &[(&str, &str)]| rule(settings).unwrap().settled_after().as_mins();
    let zero = ("MissingData", "Zero");
    assert_eq!(settled(&[("Metrics", "lambda:shop"), ("ControlGroup", "lambda:cart")]), 1);
    assert_eq!(settled(&[("Metrics", "dynamodb:orders")]), 1);
    assert_eq!(settled(&[("Metrics", "dynamodb:orders"), ("ControlGroup", "dynamodb:carts")]), 5);
    assert_eq!(settled(&[("Metrics", "sqs:orders")]), 1);
    assert_eq!(settled(&[("Metrics", "sqs:orders"), zero]), 5);
    let late = rule(&[("Metrics", "sqs:orders"), zero]).unwrap();
    let soon = rule(&[("Metrics", "sqs:orders")]).unwrap();
    let until = at(0);
    for (rule, minute, expected) in [(&soon, 2, false), (&soon, 3, true), (&late, 6, false), (&late, 7, true)] {
        assert_eq!(rule.is_over(until, at(minute * MINUTE)), expected, "{minute}");
    }
    assert_eq!(late.looks() - soon.looks(), 4);
}

/// A series that speaks for the first time turns what it did not say into zeros. What a look said before that is not undone.
#[test]
fn a_series_that_speaks_late_changes_no_look_before_it() {
    let metrics = r#"[{"namespace":"S","metric":"Latency","control":{"dimensions":{"Z":"b"}}},
        {"namespace":"S","metric":"Failed","statistic":"Sum","missing":"zero","control":{"dimensions":{"Z":"b"}}}]"#;
    let rule = rule(&[("Metrics", metrics)]).unwrap();
    let level = |until: i64| minutes(40..until, |minute| 100.0 + (minute * 7 % 5) as f64);
    let queries = rule.queries().into_iter();
    // What is deployed has fallen silent with the deploy, while its control group speaks; then it fails once.
    let data: MetricData = queries
        .map(|(_, query)| {
            let MetricSource::Statistic(metric) = &query.source else { panic!("no math") };
            let points = match (metric.metric.as_str(), metric.dimensions.is_empty()) {
                ("Latency", true) => level(101),
                ("Latency", false) => level(140),
                (_, true) => Points::from([(120 * MINUTE, 1.0)]),
                (_, false) => Points::new(),
            };
            ((None, query), points)
        })
        .collect();
    let found = |minute: i64| seen(&rule, &data, minute * MINUTE);
    let first = (102..120).map(found).find(|found| found.verdict == Verdict::Degraded).expect("it is heard");
    assert!(first.metrics[1].new.before.iter().all(Option::is_none));
    for minute in [124, 128, 150] {
        assert_eq!(found(minute), first, "{minute}");
    }
}
