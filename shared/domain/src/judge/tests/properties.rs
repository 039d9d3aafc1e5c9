//! What holds for every series.

use proptest::prelude::*;

use super::super::*;
use super::{gauge, level, series};

fn any_metric() -> impl Strategy<Value = Metric> {
    (any::<u32>(), 0.5..4.0f64, 0usize..12, 0.01..0.3f64, 0.0..0.8f64, any::<bool>()).prop_map(
        |(seed, factor, onset, scale, persistence, has_control)| {
            let (before, mut after) =
                (level(seed.into(), 40, scale, persistence), level(u64::from(seed) + 1, 12, scale, persistence));
            after[onset..].iter_mut().for_each(|v| *v *= factor);
            let mut metric = gauge(&before, &after);
            let control = (level(u64::from(seed) + 2, 40, scale, 0.0), level(u64::from(seed) + 3, 12, scale, 0.0));
            metric.old = has_control.then(|| series(&control.0, &control.1));
            metric
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A look uses nothing that came later.
    #[test]
    fn a_watch_is_its_looks(metric in any_metric()) {
        let policy = JudgePolicy::default();
        let watched = watch_metrics(std::slice::from_ref(&metric), &policy);
        let first = (1..=12).find(|look| judge_metrics(&[metric.first_points(*look)], &policy).verdict == Verdict::Degraded);
        prop_assert_eq!(first, (watched.verdict == Verdict::Degraded).then_some(watched.after_points));
    }

    /// Milliseconds or seconds, the verdict is the same.
    #[test]
    fn the_unit_does_not_matter(metric in any_metric(), scale in prop::sample::select(vec![0.001, 8.0, 1024.0])) {
        let policy = JudgePolicy::default();
        let mut other = metric.clone();
        for series in [Some(&mut other.new), other.old.as_mut()].into_iter().flatten() {
            series.before.iter_mut().chain(&mut series.after).for_each(|v| *v = v.map(|v| v * scale));
        }
        let (a, b) = (watch_metrics(&[metric], &policy), watch_metrics(&[other], &policy));
        prop_assert_eq!((a.verdict, a.after_points), (b.verdict, b.after_points));
    }

    /// What is found at some harm is found at three times that harm.
    #[test]
    fn worse_is_not_less_degraded(seed in any::<u32>(), factor in 1.5..3.0f64, scale in 0.01..0.15f64) {
        let policy = JudgePolicy::default();
        let (before, after) = (level(seed.into(), 60, scale, 0.3), level(u64::from(seed) + 1, 12, scale, 0.3));
        let harmed = |factor: f64| gauge(&before, &after.iter().map(|v| v * factor).collect::<Vec<_>>());
        let (less, more) = (watch_metrics(&[harmed(factor)], &policy), watch_metrics(&[harmed(factor * 3.0)], &policy));
        if less.verdict == Verdict::Degraded {
            prop_assert_eq!(more.verdict, Verdict::Degraded);
        }
    }

    /// Stored evidence gives the same evidence, byte for byte.
    #[test]
    fn evidence_is_replayed_byte_for_byte(metric in any_metric()) {
        let stored = serde_json::to_string(&watch_metrics(&[metric], &JudgePolicy::default())).unwrap();
        let read: MetricEvidence = serde_json::from_str(&stored).unwrap();
        let again = judge_metrics(&read.metrics, &read.policy);
        prop_assert_eq!(serde_json::to_string(&again).unwrap(), stored);
    }

    /// No input makes it panic.
    #[test]
    fn anything_is_judged(
        before in prop::collection::vec(prop::option::of(-1e9..1e9f64), 0..30),
        after in prop::collection::vec(prop::option::of(-1e9..1e9f64), 0..10),
        direction in prop::sample::select(vec![Direction::Increase, Direction::Decrease, Direction::Either]),
    ) {
        let metric = Metric { new: MetricSeries { before, after }, direction, ..gauge(&[], &[]) };
        prop_assert!(metric.check().is_ok());
        prop_assert!(watch_metrics(&[metric], &JudgePolicy::default()).score.is_finite());
    }
}
