mod points;
mod settings;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::{
    AlarmState, Generation, Metric, MetricEvidence, Verdict, Watch, WatchPurpose, WatchedDeploy,
    tests::{at, id},
};

fn configuration(settings: &[(&str, &str)]) -> BTreeMap<String, String> {
    let mut all = BTreeMap::from([("WaitTime".to_owned(), "30".to_owned())]);
    all.extend(settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
    all
}

fn rule(settings: &[(&str, &str)]) -> Result<MetricRule, String> {
    MetricRule::declared(&configuration(settings))
}

fn told(metric: &WatchedMetric) -> String {
    let source = |source: &MetricSource| match source {
        MetricSource::Statistic(of) => {
            let dimensions: Vec<_> = of.dimensions.iter().map(|(name, value)| format!("{name}={value}")).collect();
            format!("{} {} {} [{}]", of.namespace, of.metric, of.statistic, dimensions.join(" "))
        }
        MetricSource::Math { expression, metrics } => {
            format!("{expression} of {}", metrics.keys().cloned().collect::<Vec<_>>().join(" "))
        }
    };
    let requests = metric.own.requests.as_ref().map(|of| format!(" / {}", source(of))).unwrap_or_default();
    format!("{:?} {:?}: {}{requests}", metric.kind, metric.direction, source(&metric.own.value))
}

#[test]
fn a_preset_is_one_word_for_what_a_service_tells() {
    for (preset, expected) in [
        (
            "lambda:shop:live",
            vec![
                "Count Increase: AWS/Lambda Errors Sum [FunctionName=shop Resource=shop:live] / AWS/Lambda Invocations Sum \
                 [FunctionName=shop Resource=shop:live]",
                "Count Increase: AWS/Lambda Throttles Sum [FunctionName=shop Resource=shop:live] / SUM([invocations, \
                 throttles]) of invocations throttles",
                "Gauge Increase: AWS/Lambda Duration p90 [FunctionName=shop Resource=shop:live]",
            ],
        ),
        (
            "sqs:orders.fifo",
            vec![
                "Gauge Increase: AWS/SQS ApproximateAgeOfOldestMessage Maximum [QueueName=orders.fifo]",
                "Count Decrease: AWS/SQS NumberOfMessagesDeleted Sum [QueueName=orders.fifo]",
            ],
        ),
        (
            "apigateway:rest:shop/prod",
            vec![
                "Count Increase: AWS/ApiGateway 5XXError Sum [ApiName=shop Stage=prod] / AWS/ApiGateway Count SampleCount \
                 [ApiName=shop Stage=prod]",
                "Count Increase: AWS/ApiGateway 4XXError Sum [ApiName=shop Stage=prod] / AWS/ApiGateway Count SampleCount \
                 [ApiName=shop Stage=prod]",
                "Gauge Increase: AWS/ApiGateway Latency p90 [ApiName=shop Stage=prod]",
            ],
        ),
        (
            "ecs:main/shop",
            vec![
                "Gauge Increase: AWS/ECS CPUUtilization Average [ClusterName=main ServiceName=shop]",
                "Gauge Increase: AWS/ECS MemoryUtilization Average [ClusterName=main ServiceName=shop]",
            ],
        ),
        (
            "emf:My Shop:Failed/Requests?Service=cart&Zone=a",
            vec![
                "Count Increase: My Shop Failed Sum [Service=cart Zone=a] / My Shop Requests Sum [Service=cart Zone=a]",
            ],
        ),
        ("emf:Shop:Latency:p99", vec!["Gauge Increase: Shop Latency p99 []"]),
        ("emf:Shop:Failed:Sum", vec!["Count Increase: Shop Failed Sum []"]),
    ] {
        // A namespace may have a blank, which is between presets in a list.
        let found = presets::expand(preset).unwrap();
        assert_eq!(found.iter().map(told).collect::<Vec<_>>(), expected, "{preset}");
    }
    for (preset, metrics) in [
        ("alb:app/shop/50dc6c495c0c9188/targetgroup/blue/6d0ecf831eec9f09", 3),
        ("apigateway:a1b2c3/$default", 3),
        ("apigateway:a1b2c3", 3),
        ("apigateway:rest:shop/prod", 3),
        ("dynamodb:orders", 6),
        ("lambda:shop", 3),
        ("lambda:shop:7, lambda:cart:3", 6),
    ] {
        assert_eq!(rule(&[("Metrics", preset)]).unwrap().metrics.len(), metrics, "{preset}");
    }
}

#[test]
fn what_is_declared_wrongly_is_refused_with_what_to_write() {
    let metric = r#"{"namespace":"Shop","metric":"Latency"}"#;
    let many = format!("[{}]", vec![metric; 21].join(","));
    let lambda = ("Metrics", "lambda:shop");
    for (settings, expected) in [
        (vec![], "has no Metrics"),
        (vec![("Metrics", "[]")], "has no metrics"),
        (vec![("Metrics", "rds:orders")], "has the unknown preset 'rds:orders'. Use lambda:"),
        (vec![("Metrics", "lambda")], "has the unknown preset 'lambda'"),
        (vec![("Metrics", "lambda:")], "has the preset 'lambda:', which has to be like lambda:FUNCTION"),
        (vec![("Metrics", "lambda:a:b:c")], "which has to be like lambda:FUNCTION"),
        (vec![("Metrics", "alb:app/shop/1")], "which has to be like alb:app/NAME"),
        (vec![("Metrics", "emf:Shop")], "which has to be like emf:NAMESPACE"),
        (vec![("Metrics", "emf:Shop:Latency:often")], "which has to be like emf:NAMESPACE"),
        (vec![("Metrics", "[{}]")], "has no namespace"),
        (vec![("Metrics", r#"[{"metrik":"a"}]"#)], "has Metrics that cannot be read: unknown field `metrik`"),
        (
            vec![("Metrics", r#"[{"namespace":"Shop","metric":"A","statistic":"median"}]"#)],
            "has the unknown statistic 'median'",
        ),
        (
            vec![("Metrics", r#"[{"expression":"a/b","metrics":{"a":{"namespace":"S","metric":"A"}}}]"#)],
            "has an expression with 'b'",
        ),
        (vec![("Metrics", r#"[{"expression":"1/2"}]"#)], "has an expression without metrics"),
        (
            vec![("Metrics", r#"[{"namespace":"S","metric":"A","expression":"a"}]"#)],
            "has an expression beside a metric",
        ),
        (
            vec![("Metrics", r#"[{"namespace":"S","metric":"A","scope":"dependency"}]"#)],
            "has no metric of what is deployed",
        ),
        (
            vec![("Metrics", r#"[{"namespace":"S","metric":"A","control":{}}]"#)],
            "has a control without a region or dimensions",
        ),
        (
            vec![("Metrics", r#"[{"namespace":"S","metric":"A","requests":{"metric":"B"}}]"#)],
            "has requests and is a gauge",
        ),
        (vec![("Metrics", many.as_str())], "has 21 metrics. Use at most 20"),
        (vec![lambda, ("WaitTime", "")], "has '' for 'WaitTime'"),
        (vec![lambda, ("WaitTime", "soon")], "has 'soon' for 'WaitTime'. Use 1 to 86400 (minutes)"),
        (vec![lambda, ("WaitTime", "2000")], "rests on 10300 values (5 series of 2060 points). Use at most 5000"),
        (vec![lambda, ("Period", "90")], "has '90' for 'Period'. Use 10, 30 or whole minutes"),
        (vec![lambda, ("Period", "7200")], "has '7200' for 'Period'. Use 10 to 3600 (seconds)"),
        (vec![lambda, ("Baseline", "+60")], "has '+60' for 'Baseline'. Use 10 to 10080 (minutes)"),
        (vec![lambda, ("EffectFloor", "2")], "has '2' for 'EffectFloor'. Use 5 to 1000 (percent)"),
        (vec![lambda, ("MinimumDataPoints", "2")], "has '2' for 'MinimumDataPoints'"),
        (vec![lambda, ("MissingData", "Breaching")], "has 'Breaching' for 'MissingData'. Use Ignore, Zero"),
        (vec![lambda, ("TooLittleData", "Hold")], "has 'Hold' for 'TooLittleData'. Use Fail, Succeed"),
        (vec![lambda, ("ControlGroup", "sqs:orders")], "has a ControlGroup with other metrics"),
        (vec![lambda, ("ControlRegion", "Ireland")], "has the unknown region 'Ireland' for 'ControlRegion'"),
    ] {
        let why = rule(&settings).expect_err(expected);
        assert!(why.contains(expected), "{settings:?}: {why}");
    }
}

#[test]
fn metrics_of_several_presets_are_told_apart_where_they_have_to_be() {
    let names = |presets: &str| -> Vec<String> {
        rule(&[("Metrics", presets)]).unwrap().metrics.into_iter().map(|metric| metric.name).collect()
    };
    assert_eq!(names("ecs:a/b, emf:Shop:Latency"), ["CPUUtilization", "MemoryUtilization", "Latency"]);
    assert_eq!(names("emf:Shop:Latency emf:Cart:Latency")[1], "Latency of emf:Cart:Latency");
}

#[test]
fn every_setting_is_read() {
    let metrics = r##"[
        {"name": "errors", "expression": "100 * e / r", "direction": "increase", "kind": "gauge",
         "namespace": "Shop", "dimensions": {"Service": "cart"},
         "metrics": {"e": {"metric": "Failed", "statistic": "Sum"}, "r": {"metric": "Requests", "statistic": "Sum"}},
         "control": {"dimensions": {"Service": "search"}}},
        {"namespace": "Shop", "metric": "Orders", "statistic": "Sum", "direction": "decrease", "missing": "zero"},
        {"name": "store", "namespace": "Shop", "metric": "StoreLatency", "statistic": "p90", "scope": "dependency"}]"##;
    let rule = rule(&[
        ("Metrics", metrics),
        ("Period", "300"),
        ("Baseline", "120"),
        ("EffectFloor", "50"),
        ("MinimumDataPoints", "6"),
        ("TooLittleData", "Fail"),
        ("ControlRegion", "us-east-1"),
    ])
    .unwrap();
    assert_eq!((rule.period_seconds, rule.baseline_points, rule.minutes, rule.fails_unseen), (300, 24, 30, true));
    assert_eq!((rule.policy.effect_floor, rule.policy.healthy_points), (0.5, 6));
    assert_eq!(rule.policy.check(), Ok(()));
    assert_eq!(
        rule.metrics.iter().map(told).collect::<Vec<_>>(),
        [
            "Gauge Increase: 100 * e / r of e r",
            "Count Decrease: Shop Orders Sum []",
            "Gauge Increase: Shop StoreLatency p90 []",
        ]
    );
    let control = rule.metrics[0].control.clone().unwrap();
    assert_eq!(control.region.as_deref(), Some("us-east-1"));
    let MetricSource::Math { metrics, .. } = &control.value else { panic!("{control:?}") };
    assert!(metrics.values().all(|metric| metric.dimensions["Service"] == "search"));
    assert_eq!(rule.metrics[1].missing, MissingPoint::Zero);
    assert_eq!(rule.metrics[2].control, None, "a dependency has no control group");
    // Two of own metrics with their control groups, and the dependency: each is asked for once.
    assert_eq!(rule.queries().len(), 5);
}

#[test]
fn who_watches_the_same_metrics_is_of_one_incident() {
    let id = |settings: &[(&str, &str)]| DeclaredMetrics { region: None, configuration: configuration(settings) }.id();
    let own = id(&[("Metrics", "lambda:shop:live")]);
    assert!(own.starts_with("lambda/shop/live/"), "{own}");
    assert_eq!(own, id(&[("Metrics", "lambda:shop:live"), ("WaitTime", "15"), ("Shadow", "true")]));
    assert_ne!(own, id(&[("Metrics", "lambda:shop:live"), ("Period", "300")]));
    assert_ne!(own, id(&[("Metrics", "lambda:shop")]));
    let arn = format!("arn:aws:lastgood:eu-west-1:111122223333:metrics:{own}");
    assert_eq!(watched_as(&arn), ("Metrics", "lambda/shop/live"));
    assert_eq!(watched_as("arn:aws:cloudwatch:eu-west-1:1:alarm:a:b"), ("Alarm", "a:b"));
    assert_eq!(watched_as("errors"), ("Alarm", "errors"));
}

#[test]
fn names_in_expressions_are_found_and_replaced_as_whole_words() {
    let used = |expression| query::used_names(expression).into_iter().collect::<Vec<_>>();
    assert_eq!(used("SUM([m1, m2]) / FILL(m10, 0) * 1e3"), ["m1", "m10", "m2"]);
    assert_eq!(used("IF(a > 0.5, a, 'b')"), ["a"]);
    assert_eq!(used("m1 + \"m2"), ["m1"]);
    let metric = MetricStatistic {
        namespace: "S".into(),
        metric: "A".into(),
        dimensions: BTreeMap::new(),
        statistic: "Sum".into(),
    };
    let metrics = ["m1", "m10"].map(|name| (name.to_owned(), metric.clone()));
    let source = MetricSource::Math { expression: "m10/m1+'m1'".into(), metrics: metrics.into() };
    let math = MetricQuery { period_seconds: 60, source };
    let part = |id: &str, is_wanted| MetricAsked::Metric { id: id.into(), metric: &metric, is_wanted };
    let whole = |expression: &str| MetricAsked::Expression { id: "q7".into(), expression: expression.into() };
    // Both names are of one metric, which is asked for once.
    assert_eq!(MetricAsked::together(&[(7, &math)]), [part("q7_m1", false), whole("q7_m1/q7_m1+'m1'")]);
    let alone = MetricQuery { period_seconds: 60, source: MetricSource::Statistic(metric.clone()) };
    let asked = MetricAsked::together(&[(7, &math), (8, &alone)]);
    assert_eq!(asked, [part("q8", true), whole("q8/q8+'m1'")]);
    assert_eq!(MetricQuery::billed([&math, &alone]), 1);
    let other = MetricQuery { period_seconds: 300, ..alone.clone() };
    assert_eq!(MetricQuery::billed([&math, &alone, &other]), 2, "of another period it is another");
}

const MINUTE: i64 = 60;
/// A deploy entered its stage here, 20 seconds into a minute, and had succeeded two minutes later.
const ENTERED: i64 = 100 * MINUTE + 20;
const SUCCEEDED: i64 = ENTERED + 2 * MINUTE;

fn latency() -> MetricRule {
    rule(&[("Metrics", "emf:Shop:Latency")]).unwrap()
}

/// Levels by minute: 100 with a little noise, and what `worse` makes of it.
fn data(rule: &MetricRule, worse: impl Fn(i64) -> f64) -> MetricData {
    let noise = [0.0, 3.0, -2.0, 1.0, -4.0, 2.0, -1.0];
    let points = (0..300).map(|minute| (minute * MINUTE, (100.0 + noise[minute as usize % 7]) * worse(minute)));
    let points: Points = points.collect();
    rule.queries().into_iter().map(|(region, query)| ((region.map(str::to_owned), query), points.clone())).collect()
}

fn deploy() -> MetricSight {
    MetricSight::of_deploy(&latency(), at(ENTERED), at(SUCCEEDED), at(SUCCEEDED + 30 * MINUTE))
}

#[test]
fn the_judge_is_shown_whole_minutes_before_and_after_and_none_of_both() {
    let rule = latency();
    let mut by_minute = data(&rule, |_| 1.0);
    for points in by_minute.values_mut() {
        points.extend((0..300).map(|minute| (minute * MINUTE, minute as f64)));
    }
    let seen = sight(&rule, &deploy(), &by_minute, at(110 * MINUTE));
    let Metric { new, .. } = &seen.evidence.metrics[0];
    let minute = |point: &Option<f64>| point.unwrap() as i64;
    assert_eq!(new.before.len(), 60);
    assert_eq!((minute(&new.before[0]), minute(&new.before[59])), (40, 99), "60 minutes until the deploy began");
    // Minute 100 had both. Minute 108 ended at 109, and is settled at 110.
    assert_eq!(new.after.iter().map(minute).collect::<Vec<_>>(), (101..109).collect::<Vec<_>>());
    assert_eq!((seen.before_end, seen.after_begin), (100 * MINUTE, 101 * MINUTE));
    let late = sight(&rule, &deploy(), &data(&rule, |_| 1.0), at(9_000 * MINUTE));
    assert_eq!(late.evidence.after_points, 31, "nothing after the end counts");
}

#[test]
fn harm_is_found_dated_and_found_again() {
    let rule = latency();
    for (worse_from, expected) in [(103, Some(103)), (90, None), (250, None)] {
        let data = data(&rule, |minute| if minute >= worse_from { 2.0 } else { 1.0 });
        let seen = sight(&rule, &deploy(), &data, at(SUCCEEDED + 31 * MINUTE));
        assert_eq!(seen.worse_since, expected.map(|minute| at(minute * MINUTE)), "{}", seen.evidence.why);
        assert_eq!(seen.state() == AlarmState::Alarm, expected.is_some());
        assert_eq!(seen.replay(), seen);
        let text = serde_json::to_string(&seen).unwrap();
        let read: Sighted = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_string(&read.replay()).unwrap(), text, "byte for byte");
    }
}

/// Nobody has to look every minute: what is found does not depend on when somebody looked.
#[test]
fn looks_that_were_missed_change_nothing() {
    let rule = latency();
    let data = data(&rule, |minute| if minute >= 104 { 2.0 } else { 1.0 });
    let found = |minute: i64| sight(&rule, &deploy(), &data, at(minute * MINUTE));
    let first = (105..130).map(found).find(|seen| seen.worse_since.is_some()).unwrap();
    assert_eq!(found(133), first);
}

#[test]
fn a_long_deploy_may_do_harm_at_any_time() {
    let rule = latency();
    let succeeded = ENTERED + 40 * MINUTE;
    let data = data(&rule, |minute| if minute >= 138 { 2.0 } else { 1.0 });
    let seen = |succeeded: i64| {
        let times = MetricSight::of_deploy(&rule, at(ENTERED), at(succeeded), at(succeeded + 60 * MINUTE));
        sight(&rule, &times, &data, at(170 * MINUTE)).worse_since
    };
    assert_eq!(seen(succeeded), Some(at(138 * MINUTE)));
    assert_eq!(seen(SUCCEEDED), None, "what begins half an hour after a deploy is not put on it");
}

#[test]
fn values_that_a_kind_cannot_have_do_not_reach_the_judge() {
    let rate = r#"[{"namespace":"S","metric":"A","kind":"rate"}]"#;
    for (metrics, expected) in [(rate, [Some(1.0), Some(0.0), None]), ("emf:S:A:Sum", [Some(1.5), None, None])] {
        let rule = rule(&[("Metrics", metrics)]).unwrap();
        let mut data = data(&rule, |_| 0.0);
        for points in data.values_mut() {
            points.extend([(97 * MINUTE, 1.5), (98 * MINUTE, -1.0), (99 * MINUTE, f64::NAN)]);
        }
        let seen = sight(&rule, &deploy(), &data, at(110 * MINUTE));
        assert_eq!(seen.evidence.metrics[0].new.before[57..], expected);
        assert!(seen.evidence.metrics.iter().all(|metric| metric.check().is_ok()));
    }
}

fn watch(from: i64) -> Watch {
    Watch {
        alarm_arn: "arn:aws:lastgood:eu-west-1:1:metrics:shop/00000000".into(),
        pipeline: "shop".parse().unwrap(),
        stage: "Deploy".parse().unwrap(),
        execution: id(2),
        rule: "judge".into(),
        from: at(from),
        until: at(from + 32 * MINUTE),
        data_points: None,
        metrics: None,
        state_at_entry: AlarmState::InsufficientData,
        purpose: WatchPurpose::Deploy,
        shadow: false,
        told: false,
        inherited: Vec::new(),
        generation: Generation(3),
        version: 0,
    }
}

/// A deploy that superseded a harmful one before that showed has the time of its own watch to mend it.
#[test]
fn harm_of_a_superseded_deploy_is_seen_until_it_is_mended() {
    let rule = latency();
    let mut watch = watch(ENTERED + 4 * MINUTE);
    watch.inherited =
        vec![crate::Unclear { execution: id(1), from: at(ENTERED), until: watch.from, state_at_entry: AlarmState::Ok }];
    let now = watch.until + SignedDuration::from_mins(2);
    for (mended, expected) in [(999, Some(at(102 * MINUTE))), (106, None)] {
        let data = data(&rule, |minute| if (102..mended).contains(&minute) { 2.0 } else { 1.0 });
        let seen = sight_watch(&rule, &watch, watch.from + SignedDuration::from_mins(1), &data, now);
        assert_eq!(seen.worse_since, expected, "{}", seen.evidence.why);
        let suspect =
            WatchedDeploy { watch: watch.clone(), live: Some(id(2)), inside: None, sighted: Some(Box::new(seen)) };
        let alarm =
            crate::AlarmChange { arn: "arn".into(), state: AlarmState::Alarm, since: now, reason: String::new() };
        let verdict = |now: Timestamp| crate::judge(&suspect, &alarm, Some(now)).verdict;
        if expected.is_some() {
            assert_eq!((verdict(watch.from), verdict(now)), (Verdict::NotEnoughData, Verdict::Degraded));
        } else {
            assert_ne!(verdict(now), Verdict::Degraded);
        }
    }
}

#[test]
fn a_rollback_is_compared_with_what_was_before_the_deploy_that_it_takes_back() {
    let rule = latency();
    let (back, until) = (at(110 * MINUTE), at(140 * MINUTE));
    for (mended, expected) in [(111, AlarmState::Ok), (999, AlarmState::Alarm)] {
        let data = data(&rule, |minute| if (102..mended).contains(&minute) { 2.0 } else { 1.0 });
        let seen = sight(&rule, &MetricSight::of_rollback(at(ENTERED), back, until), &data, at(120 * MINUTE));
        assert_eq!(seen.state(), expected, "{}", seen.evidence.why);
    }
}

#[test]
fn looks_get_rarer_with_age_and_none_is_due_that_sees_nothing() {
    let succeeded = at(0);
    let due = |until: i64, minutes: i64| {
        let is_due = |minute: &i64| is_look_due(succeeded, at(until * MINUTE), at(minute * MINUTE));
        (0..minutes).filter(is_due).count()
    };
    assert_eq!(due(10_000, 1), 0);
    assert_eq!(due(10_000, 30), 29, "every minute at first");
    assert_eq!(due(10_000, 1_440), 150, "of a day");
    assert_eq!(due(10, 13), 12, "and at the end in any case");
}

/// Two pipelines that watch the same metrics: the one whose deploy the harm follows is taken back, and where that may be
/// either a person is asked.
#[test]
fn of_several_deploys_the_one_that_the_harm_follows_is_taken_back() {
    let rule = latency();
    let data = data(&rule, |minute| if minute >= 125 { 2.0 } else { 1.0 });
    let suspect = |pipeline: &str, n: u128, from: i64| {
        let deploy = Watch { pipeline: pipeline.parse().unwrap(), execution: id(n), ..watch(from * MINUTE) };
        let seen = sight_watch(&rule, &deploy, at((from + 1) * MINUTE), &data, at(130 * MINUTE));
        WatchedDeploy { watch: deploy, live: Some(id(n)), inside: None, sighted: Some(Box::new(seen)) }
    };
    let rule_on = |suspects: Vec<WatchedDeploy>| {
        let since = suspects.iter().filter_map(|one| one.sighted.as_ref()?.worse_since).min().unwrap();
        let arn = "arn:aws:lastgood:eu-west-1:1:metrics:shop/00000000".to_owned();
        let alarm = crate::AlarmChange { arn, state: AlarmState::Alarm, since, reason: String::new() };
        crate::rule_on(&crate::Case::new(&alarm, suspects, None, at(130 * MINUTE)))
    };
    let both = |first: i64, second: i64| vec![suspect("blog", 1, first), suspect("shop", 2, second)];
    let clear = rule_on(both(105, 124));
    assert_eq!(clear.act, crate::Act::RollBack(1), "{:?}", clear.evidence);
    assert_eq!((clear.evidence[0].score, clear.evidence[1].score), (0, 1000));
    assert!(clear.evidence[1].otherwise.contains("odds of less than 1 to 200"), "{}", clear.evidence[1].otherwise);
    assert_eq!(clear.evidence[1].replay().as_ref(), Some(&clear.evidence[1]));
    assert_eq!(rule_on(both(124, 124)).act, crate::Act::Ask(vec![0, 1]));
    // One that alone would stay, with so much less of the logarithm of the odds.
    let doubted = |less: f64| {
        let mut suspects = both(124, 124);
        let best = suspects[1].sighted.as_ref().unwrap().evidence.score;
        let seen = suspects[0].sighted.as_mut().unwrap();
        (seen.worse_since, seen.evidence.verdict, seen.evidence.score) = (None, Verdict::Healthy, best - less);
        rule_on(suspects)
    };
    assert_eq!(doubted(4.0).act, crate::Act::RollBack(1));
    let held = doubted(2.0);
    assert_eq!(held.act, crate::Act::Ask(vec![1, 0]));
    assert!(held.evidence[0].otherwise.contains("held with the first"), "{}", held.evidence[0].otherwise);
}

/// Everything a verdict rests on is kept in rows that have their limit: a stage that took days, in which somebody had to
/// approve first, is looked at as far back as a deploy takes.
#[test]
fn what_is_kept_with_a_decision_has_an_end() {
    let rule = latency();
    let (entered, succeeded) = (at(0), at(3 * 24 * 60 * MINUTE));
    let times = MetricSight::of_deploy(&rule, entered, succeeded, succeeded + SignedDuration::from_mins(30));
    let seen = sight(&rule, &times, &MetricData::new(), succeeded + SignedDuration::from_hours(1));
    assert_eq!(seen.values(), 60 + 180 + 30);
}
