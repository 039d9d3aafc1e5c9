//! Simpler rules to compare with, written from published descriptions.
//!
//! - **m of n**: an alarm when the last points all lie more than three standard deviations off the time before.
//! - **Mann-Whitney canary**: the rule of Spinnaker's canary judge with its published defaults: a 98 % interval of the location
//!   shift between the new and the old version has to clear a quarter of the estimated shift. Compared are both versions
//!   since the deploy or, without an old version, after and before.
//! - **last before alarm**: blames the deploy that came last before the alarm.
//! - **error difference**: blames whose errors rose most.

use domain::{Direction, Metric, MetricKind, MetricScope};

use crate::judge::{DeployCase, SuspectsCase};

/// A rule that says at one look whether to roll back.
type Rule = fn(&DeployCase, usize) -> bool;

/// Points before the first look of a rule that compares two samples.
const FIRST_LOOK: usize = 3;
/// The normal distribution's quantile at 0.99: both ends of a 98 % interval.
const QUANTILE: f64 = 2.326_347_874_040_841;

/// A rule over a whole watch: the first look that rolls back.
type Judge = fn(&DeployCase) -> Option<usize>;
/// A rule for several suspects: ranks them, and names whom to roll back.
type Ranker = fn(&SuspectsCase) -> (Vec<String>, Option<String>);

/// Every rule for one deploy.
pub(super) const JUDGES: &[(&str, Judge)] = &[
    ("mean + 3 sd, 1 of 1", |case| every_look(case, 1, |case, look| alarm(case, look, 1))),
    ("mean + 3 sd, 3 of 3", |case| every_look(case, FIRST_LOOK, |case, look| alarm(case, look, 3))),
    ("Mann-Whitney, once", |case| {
        let end = length(case);
        canary(case, end).then_some(end)
    }),
    ("Mann-Whitney, every look", |case| every_look(case, FIRST_LOOK, canary)),
];

/// Every rule for several suspects.
pub(super) const RANKERS: &[(&str, Ranker)] =
    &[("last before alarm", last_before_alarm), ("error difference", error_difference)];

fn every_look(case: &DeployCase, first: usize, rule: Rule) -> Option<usize> {
    (first..=length(case)).find(|look| rule(case, *look))
}

fn length(case: &DeployCase) -> usize {
    case.metrics.iter().map(|m| m.new.after.len()).max().unwrap_or(0)
}

fn own(metrics: &[Metric]) -> impl Iterator<Item = &Metric> {
    metrics.iter().filter(|m| m.scope() == MetricScope::Own)
}

/// Known points; counts per request where requests are known.
fn known(metric: &Metric, is_new: bool, is_after: bool, look: usize) -> Vec<f64> {
    let Some(series) = (if is_new { Some(&metric.new) } else { metric.old.as_ref() }) else { return Vec::new() };
    let requests = metric.requests.as_ref().and_then(|r| if is_new { r.new.as_ref() } else { r.old.as_ref() });
    let part = |s: &domain::MetricSeries| {
        if is_after { s.after[..look.min(s.after.len())].to_vec() } else { s.before.clone() }
    };
    let values = part(series);
    match requests.filter(|_| metric.kind == MetricKind::Count) {
        Some(requests) => {
            values.iter().zip(part(requests)).filter_map(|(v, r)| Some((*v)? / r.filter(|r| *r > 0.0)?)).collect()
        }
        None => values.into_iter().flatten().collect(),
    }
}

// -- m of n

fn alarm(case: &DeployCase, look: usize, needed: usize) -> bool {
    own(&case.metrics).any(|metric| {
        let (before, since) = (known(metric, true, false, look), known(metric, true, true, look));
        if before.len() < 5 || since.len() < needed {
            return false;
        }
        let centre = mean(&before);
        let variance = before.iter().map(|v| (v - centre).powi(2)).sum::<f64>() / (before.len() - 1) as f64;
        let reach = 3.0 * variance.sqrt().max(1e-9);
        let last = &since[since.len() - needed..];
        metric.direction != Direction::Decrease && last.iter().all(|v| *v > centre + reach)
            || metric.direction != Direction::Increase && last.iter().all(|v| *v < centre - reach)
    })
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

// -- Mann-Whitney

fn canary(case: &DeployCase, look: usize) -> bool {
    own(&case.metrics).any(|metric| {
        let new = known(metric, true, true, look);
        let old = known(metric, false, true, look);
        let old = if old.is_empty() { known(metric, true, false, look) } else { old };
        let Some((low, high, shift)) = location_shift(&new, &old) else { return false };
        let tolerance = 0.25 * shift.abs();
        metric.direction != Direction::Decrease && low > tolerance
            || metric.direction != Direction::Increase && high < -tolerance
    })
}

/// The 98 % interval of how far `x` lies above `y`, and the estimate. `None` where there is nothing to compare.
fn location_shift(x: &[f64], y: &[f64]) -> Option<(f64, f64, f64)> {
    let mut shifts: Vec<f64> = x.iter().flat_map(|a| y.iter().map(move |b| a - b)).collect();
    shifts.sort_by(f64::total_cmp);
    let (first, last) = (*shifts.first()?, *shifts.last()?);
    if first == last {
        // Without any spread the difference is exact.
        return (first != 0.0).then_some((first, first, first));
    }
    let (n, m) = (x.len() as f64, y.len() as f64);
    let spread = (n * m / 12.0 * ((n + m + 1.0) - (ties(x) + ties(y)) / ((n + m) * (n + m - 1.0)))).max(0.0).sqrt();
    if spread == 0.0 {
        return None;
    }
    // The standardised rank sum after passing `k` of the pairwise shifts, with its correction for continuity.
    let standardised = |k: usize| {
        let d = n * m / 2.0 - k as f64;
        let correction = if d == 0.0 { 0.0 } else { 0.5f64.copysign(d) };
        (d - correction) / spread
    };
    let cross = |quantile: f64| {
        let k = (1..=shifts.len()).find(|k| standardised(*k) <= quantile).unwrap_or(shifts.len());
        if standardised(0) <= quantile { first } else { shifts[k - 1] }
    };
    Some((cross(QUANTILE), cross(-QUANTILE), cross(0.0)))
}

/// Sum of t³ - t over groups of equal values.
fn ties(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.chunk_by(|a, b| a == b).map(|group| (group.len() as f64).powi(3) - group.len() as f64).sum()
}

// -- attribution

fn last_before_alarm(case: &SuspectsCase) -> (Vec<String>, Option<String>) {
    let onset = case.alarm_onset.unwrap_or(f64::MAX);
    ranked(case, |s| if s.deployed_at <= onset { s.deployed_at } else { -1.0 }, 0.0)
}

fn error_difference(case: &SuspectsCase) -> (Vec<String>, Option<String>) {
    let difference = |suspect: &domain::Suspect| {
        own(&suspect.metrics)
            .filter(|m| m.kind != MetricKind::Gauge)
            .map(|metric| {
                let now = known(metric, true, true, usize::MAX);
                let old = known(metric, false, true, usize::MAX);
                let then = if old.is_empty() { known(metric, true, false, usize::MAX) } else { old };
                if now.is_empty() { 0.0 } else { mean(&now) - mean(&then) }
            })
            .fold(0.0, f64::max)
    };
    ranked(case, difference, 0.01)
}

fn ranked(case: &SuspectsCase, score: impl Fn(&domain::Suspect) -> f64, least: f64) -> (Vec<String>, Option<String>) {
    let mut scored: Vec<(f64, &domain::Suspect)> = case.suspects.iter().map(|s| (score(s), s)).collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(b.1.deployed_at.total_cmp(&a.1.deployed_at)));
    let act = scored.first().filter(|(best, _)| *best > least).map(|(_, s)| s.id.clone());
    (scored.into_iter().map(|(_, s)| s.id.clone()).collect(), act)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clear_shift_has_an_interval_around_it() {
        let old: Vec<f64> = (0..20).map(|n| 10.0 + f64::from(n % 5) * 0.1).collect();
        let new: Vec<f64> = (0..10).map(|n| 15.0 + f64::from(n % 5) * 0.1).collect();
        let (low, high, shift) = location_shift(&new, &old).expect("points");
        assert!(low > 4.5 && low <= shift && shift <= high && high < 5.5, "{low} {shift} {high}");
    }

    #[test]
    fn the_same_values_have_an_interval_around_zero() {
        let old: Vec<f64> = (0..20).map(|n| f64::from(n % 7)).collect();
        let (low, high, _) = location_shift(&old[..10], &old).expect("points");
        assert!(low <= 0.0 && high >= 0.0, "{low} {high}");
    }
}
