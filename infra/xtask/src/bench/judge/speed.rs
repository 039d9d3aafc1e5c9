//! How long a verdict takes.

use std::hint::black_box;

use domain::{JudgePolicy, Metric, Suspect, rank_suspects};
use serde::Serialize;

use super::draw::{Dice, errors};
use super::score::quantile;

/// Milliseconds to rank ten suspects of twenty metrics with sixty points each: two hundred series judged.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Speed {
    pub(crate) runs: usize,
    pub(crate) median_ms: f64,
    pub(crate) p99_ms: f64,
}

/// The limit, in milliseconds: a verdict is one of many things that a function does within a second.
pub(super) const P99_MS_MAX: f64 = 10.0;
const RUNS: usize = 300;

/// What `work` comes to, and the seconds it took.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures the time that passes")]
pub(super) fn timed<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let begin = std::time::Instant::now();
    let done = work();
    (done, begin.elapsed().as_secs_f64())
}

/// Measures on this machine, with this build.
pub(super) fn measure(policy: &JudgePolicy) -> Speed {
    let mut dice = Dice::new(7);
    let metrics: Vec<Metric> = (0..20).map(|n| metric(&mut dice, n)).collect();
    let suspects: Vec<Suspect> =
        (0..10).map(|n| Suspect { id: n.to_string(), deployed_at: f64::from(n), metrics: metrics.clone() }).collect();
    let times: Vec<f64> = (0..RUNS)
        .map(|_| {
            let (ranked, seconds) = timed(|| rank_suspects(black_box(&suspects), &[], None, policy));
            black_box(ranked);
            seconds * 1000.0
        })
        .collect();
    Speed { runs: RUNS, median_ms: quantile(&times, 0.5), p99_ms: quantile(&times, 0.99) }
}

/// Forty-five points before and fifteen since; every second metric is a level, the others are errors.
fn metric(dice: &mut Dice, n: u32) -> Metric {
    let mut metric = errors(dice, 1.0, 0, false);
    metric.name = n.to_string();
    if n.is_multiple_of(2) {
        metric.kind = domain::MetricKind::Gauge;
        metric.requests = None;
        let positive = |points: &mut Vec<Option<f64>>| points.iter_mut().for_each(|p| *p = p.map(|v| v + 10.0));
        positive(&mut metric.new.before);
        positive(&mut metric.new.after);
    } else if let Some(requests) = metric.requests.as_mut().and_then(|r| r.new.as_mut()) {
        requests.before.truncate(45);
    }
    metric.new.before.truncate(45);
    metric
}
