//! Series at the edge of what makes sense: no panic, and no verdict that is nonsense.

use proptest::prelude::*;

use super::super::*;
use super::{errors, gauge, level, series};

fn watched(metrics: &[Metric]) -> MetricEvidence {
    let evidence = watch_metrics(metrics, &JudgePolicy::default());
    assert!(evidence.score.is_finite(), "{evidence:?}");
    evidence
}

fn kind(kind: MetricKind, direction: Direction, before: &[f64], after: &[f64]) -> Metric {
    Metric { kind, direction, ..gauge(before, after) }
}

#[test]
fn too_little_is_known() {
    let few: Vec<f64> = level(1, 4, 0.05, 0.0);
    let double = [200.0; 12];
    assert_eq!(watched(&[]).verdict, Verdict::NotEnoughData);
    assert_eq!(watched(&[gauge(&[], &[])]).verdict, Verdict::NotEnoughData);
    assert_eq!(watched(&[gauge(&[f64::NAN; 60], &[f64::NAN; 12])]).verdict, Verdict::NotEnoughData);
    assert_eq!(watched(&[gauge(&[f64::NAN; 60], &double)]).verdict, Verdict::NotEnoughData);
    for points in 0..=4 {
        assert_eq!(watched(&[gauge(&few[..points], &double)]).verdict, Verdict::NotEnoughData, "{points} before");
        let counted = errors(60.0, &vec![0.0; points], &[30.0; 12]);
        assert_eq!(watched(&[counted]).verdict, Verdict::NotEnoughData, "{points} before");
    }
}

#[test]
fn one_point_is_never_a_verdict() {
    let before = level(2, 60, 0.02, 0.0);
    for metric in [
        gauge(&before, &[1e12]),
        gauge(&[5.0; 60], &[1e12]),
        gauge(&[0.0; 60], &[1e12]),
        errors(1e6, &[0.0; 60], &[1e6]),
        kind(MetricKind::Count, Direction::Increase, &[0.0; 60], &[1e6]),
        kind(MetricKind::Rate, Direction::Either, &[0.0; 60], &[1.0]),
    ] {
        assert_ne!(watched(std::slice::from_ref(&metric)).verdict, Verdict::Degraded, "{metric:?}");
    }
}

#[test]
fn series_that_stand_still() {
    use Direction::{Decrease, Either, Increase};
    use MetricKind::{Count, Gauge, Rate};
    use Verdict::{Degraded, Healthy};
    for (of, direction, before, after, expected) in [
        (Gauge, Increase, 5.0, 5.0, Healthy),
        (Gauge, Increase, 5.0, 10.0, Degraded),
        (Gauge, Increase, 5.0, 5.5, Healthy),
        (Gauge, Increase, 5.0, 0.0, Healthy),
        (Gauge, Decrease, 5.0, 0.0, Degraded),
        (Gauge, Either, 5.0, 0.0, Degraded),
        (Gauge, Either, 0.0, 0.0, Healthy),
        (Gauge, Increase, 0.0, 5.0, Degraded),
        (Gauge, Increase, -100.0, -40.0, Degraded),
        (Gauge, Increase, -100.0, -250.0, Healthy),
        (Gauge, Decrease, -100.0, -250.0, Degraded),
        (Gauge, Increase, 1e-300, 2e-300, Degraded),
        (Gauge, Increase, 1e300, 1e300, Healthy),
        (Gauge, Increase, -1e308, 1e308, Degraded),
        (Rate, Increase, 0.0, 0.0, Healthy),
        (Rate, Increase, 0.0, 1.0, Degraded),
        (Rate, Increase, 1.0, 1.0, Healthy),
        (Rate, Decrease, 1.0, 0.0, Degraded),
        (Count, Increase, 0.0, 0.0, Healthy),
        (Count, Increase, 0.0, 6.0, Degraded),
        (Count, Decrease, 6.0, 0.0, Degraded),
    ] {
        let evidence = watched(&[kind(of, direction, &[before; 60], &[after; 12])]);
        assert_eq!(evidence.verdict, expected, "{of:?} {direction:?} {before} to {after}: {}", evidence.why);
    }
}

#[test]
fn shares_of_all_and_none() {
    use Direction::{Decrease, Either, Increase};
    use Verdict::{Degraded, Healthy};
    for (direction, before, after, expected) in [
        (Increase, 0.0, 0.0, Healthy),
        (Increase, 0.0, 60.0, Degraded),
        (Increase, 60.0, 60.0, Healthy),
        (Increase, 60.0, 0.0, Healthy),
        (Decrease, 60.0, 0.0, Degraded),
        (Either, 60.0, 0.0, Degraded),
        (Either, 60.0, 60.0, Healthy),
    ] {
        for requests in [60.0, 1e15, 1e308] {
            let scale = requests / 60.0;
            let counted = errors(requests, &[before * scale; 60], &[after * scale; 12]);
            let evidence = watched(&[Metric { direction, ..counted }]);
            assert_eq!(evidence.verdict, expected, "{direction:?} {before} to {after} of {requests}: {}", evidence.why);
        }
    }
}

/// Twice as high every fourth point: twice the level all the time is harm, going on like that is not.
#[test]
fn a_level_that_jumps_by_itself() {
    let points = |from: usize, factor: f64| -> Vec<f64> {
        (from..from + 36).map(|n| if n % 4 == 3 { 0.134 } else { 0.066 } * factor + 0.0005 * (n % 3) as f64).collect()
    };
    let before = points(0, 1.0);
    assert_eq!(watched(&[gauge(&before, &points(36, 1.0)[..15])]).verdict, Verdict::Healthy);
    let evidence = watched(&[gauge(&before, &points(36, 2.0)[..15])]);
    assert_eq!(evidence.verdict, Verdict::Degraded);
    assert!(evidence.after_points <= 6, "{}", evidence.after_points);
}

#[test]
fn minutes_without_requests_say_nothing() {
    let some = |n: usize| if n.is_multiple_of(3) { 0.0 } else { 40.0 };
    let with = |after: f64| {
        let mut metric = errors(0.0, &[0.0; 60], &[0.0; 12]);
        let requests = metric.requests.as_mut().and_then(|r| r.new.as_mut()).expect("requests");
        for (n, trials) in requests.before.iter_mut().chain(&mut requests.after).enumerate() {
            *trials = Some(some(n));
        }
        for (n, hits) in metric.new.after.iter_mut().enumerate() {
            *hits = Some(if some(n) > 0.0 { after } else { 0.0 });
        }
        metric
    };
    assert_eq!(watched(&[with(0.0)]).verdict, Verdict::Healthy);
    assert_eq!(watched(&[with(20.0)]).verdict, Verdict::Degraded);
}

#[test]
fn metrics_of_different_lengths() {
    let (before, after) = (level(3, 60, 0.05, 0.3), level(4, 15, 0.05, 0.3));
    let double: Vec<f64> = after.iter().map(|v| v * 2.0).collect();
    let (calm, short, none) = (gauge(&before, &after), gauge(&before[50..], &after[..3]), gauge(&before[..2], &[]));
    assert_eq!(watched(&[calm.clone(), short.clone(), none.clone()]).verdict, Verdict::Healthy);
    let evidence = watched(&[short, none, gauge(&before, &double)]);
    assert_eq!(evidence.verdict, Verdict::Degraded);
    assert_eq!(evidence.findings[2].standing, Standing::Worse);
}

/// Both groups end at the deploy, however long they have been recorded.
#[test]
fn a_control_group_recorded_for_less_time() {
    // Both rise tenfold 35 points before the deploy.
    let day = |seed: u64, points: usize| -> Vec<f64> {
        let rise = |n: usize| if n < points - 35 { 1.0 } else { 10.0 };
        level(seed, points, 0.05, 0.0).iter().enumerate().map(|(n, v)| v * rise(n)).collect()
    };
    let now = |seed: u64, factor: f64| -> Vec<f64> { level(seed, 15, 0.05, 0.0).iter().map(|v| v * factor).collect() };
    for (factor, expected) in [(10.0, false), (30.0, true)] {
        let metric = Metric { old: Some(series(&day(6, 40), &now(8, 10.0))), ..gauge(&day(5, 60), &now(7, factor)) };
        let evidence = watched(&[metric]);
        let ratio = evidence.findings[0].ratio_to_control.expect("a control group");
        assert!((ratio - factor / 10.0).abs() < 0.2, "{ratio}");
        assert_eq!(evidence.verdict == Verdict::Degraded, expected, "{}", evidence.why);
    }
}

fn any_value(of: MetricKind) -> BoxedStrategy<f64> {
    match of {
        MetricKind::Gauge => prop_oneof![
            -10.0..10.0f64,
            prop::sample::select(vec![0.0, -0.0, 1.0, 1e308, -1e308, 5e-324, f64::MIN_POSITIVE, 1e-9])
        ]
        .boxed(),
        MetricKind::Rate => prop_oneof![0.0..=1.0f64, prop::sample::select(vec![0.0, 1.0, 5e-324, 0.5])].boxed(),
        MetricKind::Count => {
            prop_oneof![0.0..50.0f64, prop::sample::select(vec![0.0, 1.0, 1e15, 1e308, 5e-324])].boxed()
        }
    }
}

fn any_points(of: MetricKind, points: usize) -> impl Strategy<Value = Vec<Option<f64>>> {
    prop::collection::vec(prop::option::weighted(0.8, any_value(of)), points)
}

fn any_metric() -> impl Strategy<Value = Metric> {
    let kinds = prop::sample::select(vec![MetricKind::Gauge, MetricKind::Rate, MetricKind::Count]);
    let directions = prop::sample::select(vec![Direction::Increase, Direction::Decrease, Direction::Either]);
    (kinds, directions, 0usize..24, 0usize..24, 0usize..8, any::<bool>(), any::<bool>()).prop_flat_map(
        |(of, direction, before, old_before, after, has_control, has_requests)| {
            let pair = move |of, before| {
                (any_points(of, before), any_points(of, after)).prop_map(|(b, a)| MetricSeries { before: b, after: a })
            };
            let requests = (pair(MetricKind::Count, before), pair(MetricKind::Count, old_before));
            (pair(of, before), pair(of, old_before), requests).prop_map(move |(new, old, requests)| Metric {
                kind: of,
                direction,
                new,
                old: has_control.then_some(old),
                requests: has_requests
                    .then_some(RequestSeries { new: Some(requests.0), old: has_control.then_some(requests.1) }),
                ..gauge(&[], &[])
            })
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// Whatever is valid is judged, the same way at each look, and never by one point.
    #[test]
    fn whatever_is_valid_is_judged(metrics in prop::collection::vec(any_metric(), 0..3)) {
        let policy = JudgePolicy::default();
        for metric in &metrics {
            prop_assert_eq!(metric.check(), Ok(()));
        }
        let watched = watch_metrics(&metrics, &policy);
        prop_assert!(watched.score.is_finite());
        let text = serde_json::to_string(&watched).unwrap();
        let read: MetricEvidence = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(serde_json::to_string(&judge_metrics(&read.metrics, &read.policy)).unwrap(), text);
        let look = |points: usize| {
            let seen: Vec<Metric> = metrics.iter().map(|m| m.first_points(points)).collect();
            judge_metrics(&seen, &policy).verdict == Verdict::Degraded
        };
        prop_assert_eq!((0..=7).find(|points| look(*points)), (watched.verdict == Verdict::Degraded).then_some(watched.after_points));
        prop_assert!(!look(1));
        let suspects: Vec<Suspect> = (0..3)
            .map(|n| Suspect { id: n.to_string(), deployed_at: f64::from(n), metrics: metrics.clone() })
            .collect();
        let ranked = rank_suspects(&suspects, &[], None, &policy);
        prop_assert_eq!(ranked.ranking.len(), 3);
        prop_assert!(ranked.ranking.iter().all(|r| r.score.is_finite()));
        prop_assert!(ranked.act.is_none(), "three with the same metrics");
    }
}
