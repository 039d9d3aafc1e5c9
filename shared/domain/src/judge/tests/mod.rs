//! Tests of the judge of metrics.

mod edges;
mod properties;
mod streams;
mod tables;

use super::{Direction, Metric, MetricKind, MetricSeries, RequestSeries};

fn series(before: &[f64], after: &[f64]) -> MetricSeries {
    let known = |values: &[f64]| values.iter().map(|v| (!v.is_nan()).then_some(*v)).collect();
    MetricSeries { before: known(before), after: known(after) }
}

fn gauge(before: &[f64], after: &[f64]) -> Metric {
    Metric {
        name: "latency".to_owned(),
        kind: MetricKind::Gauge,
        direction: Direction::Increase,
        new: series(before, after),
        old: None,
        requests: None,
        scope: None,
    }
}

/// Errors, each point out of `requests` of them.
fn errors(requests: f64, before: &[f64], after: &[f64]) -> Metric {
    let of = |values: &[f64]| vec![requests; values.len()];
    Metric {
        name: "errors".to_owned(),
        kind: MetricKind::Count,
        requests: Some(RequestSeries { new: Some(series(&of(before), &of(after))), old: None }),
        ..gauge(before, after)
    }
}

/// Numbers that look random and are the same each time, from -1 to 1.
fn noise(seed: u64, points: usize) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(1);
    (0..points)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as f64 / f64::from(1u32 << 30) - 1.0
        })
        .collect()
}

/// A level of 100 with lognormal noise of this scale, and AR(1) persistence.
fn level(seed: u64, points: usize, scale: f64, persistence: f64) -> Vec<f64> {
    let fresh = scale * (1.0 - persistence * persistence).sqrt();
    let mut at = 0.0;
    noise(seed, points * 12)
        .chunks(12)
        .map(|dozen| {
            // The sum of twelve uniform numbers with variance 1/3 is close to normal, with variance 4.
            at = persistence * at + fresh * dozen.iter().sum::<f64>() / 2.0;
            100.0 * at.exp()
        })
        .collect()
}
