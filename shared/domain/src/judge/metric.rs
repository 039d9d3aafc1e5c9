//! One metric: moved since the deploy, and not with its control group?

use super::JudgePolicy;
use super::events::{self, Events};
use super::input::{Direction, Metric, MetricKind, MetricSeries};
use super::level::{self, Track};
use super::model::Model;
use super::wager::Onsets;

/// What one metric says.
#[derive(Debug, Clone, Default)]
pub(super) struct Assessment {
    /// Against its own past, in the direction of harm that shows more.
    pub(super) own: Track,
    /// Against the control group.
    pub(super) against: Option<Track>,
    /// Whether the control group moved too.
    pub(super) control_moved: bool,
    /// The fortune of the bet that this deploy did it.
    pub(super) fortune: f64,
    /// Whether the size and the points since the onset allow a verdict.
    pub(super) is_large: bool,
    /// Known points before, and since the deploy.
    pub(super) known: (usize, usize),
    /// Requests since the deploy, where they are known.
    pub(super) requests: Option<f64>,
}

/// Size of a value beside that of the usual ones at most, so that every number has a logarithm.
const VALUE_MAX: f64 = 1e150;
/// Requests that a point counts for at most.
const TRIALS_MAX: f64 = 1e9;
/// From this fortune on the control group is said to have moved. A hint is enough, since it only asks for more evidence.
const MOVED: f64 = 3.0;
/// What the comparison with a control group that did not move has to reach.
const APART: f64 = 10.0;

/// Assesses all points there are.
pub(super) fn assess(metric: &Metric, policy: &JudgePolicy) -> Assessment {
    let sides: &[bool] = match metric.direction {
        Direction::Increase => &[true],
        Direction::Decrease => &[false],
        Direction::Either => &[true, false],
    };
    let known = |series: &[Option<f64>]| series.iter().flatten().count();
    let assessed = sides.iter().filter_map(|is_up| one_way(metric, *is_up, policy)).map(|mut a| {
        // Each way has its share of the stake.
        a.fortune /= sides.len() as f64;
        a
    });
    let best = assessed.max_by(|a, b| a.is_large.cmp(&b.is_large).then(a.fortune.total_cmp(&b.fortune)));
    let requests = metric.requests.as_ref().and_then(|r| r.new.as_ref()).map(|r| r.after.iter().flatten().sum());
    Assessment { known: (known(&metric.new.before), known(&metric.new.after)), requests, ..best.unwrap_or_default() }
}

fn one_way(metric: &Metric, is_up: bool, policy: &JudgePolicy) -> Option<Assessment> {
    let old = metric.old.as_ref();
    let (own, own_back, control, against, part_apart) = match trials(metric) {
        Some((new, old)) => {
            let turn = |side: &[Option<Events>], is_up: bool| -> Vec<Option<Events>> {
                let turned = |e: Events| if is_up { e } else { Events { hits: e.trials - e.hits, ..e } };
                side.iter().map(|e| e.map(turned)).collect()
            };
            let way =
                |s: &Sides<Events>, is_up: bool| events::track(&turn(&s.before, is_up), &turn(&s.after, is_up), policy);
            let pair = |n: &[Option<Events>], o: &[Option<Events>]| -> Vec<Option<(Events, Events)>> {
                together(&turn(n, is_up), &turn(o, is_up)).map(|(n, o)| (*n).zip(*o)).collect()
            };
            if known(&new.before) < policy.baseline_points {
                return None;
            }
            let old = old.filter(|old| is_heard(&new, old, |e| e.trials > 0.0, policy));
            let against = old
                .as_ref()
                .map(|o| events::track_against(&pair(&new.before, &o.before), &pair(&new.after, &o.after), policy));
            let control = old.as_ref().map(|o| way(o, true).fortune.max(way(o, false).fortune));
            // Errors are so rare that two groups differ by little more than chance.
            (way(&new, is_up), old.is_some().then(|| way(&new, !is_up).fortune), control, against, 0.0)
        }
        None => {
            let scale = Scale::of(metric);
            let new = scale.sides(&metric.new);
            let old = old.map(|old| scale.sides(old)).filter(|old| is_heard(&new, old, |_| true, policy));
            let model = fit(&new.before, policy)?.with_outliers(scale.outliers(metric));
            // A control group would have moved too if the level had shifted by itself, so it allows harm to begin at any time.
            let onsets = if old.is_some() { Onsets::Any } else { Onsets::Within(policy.onset_points) };
            let way =
                |model: &Model, s: &Sides<f64>, is_up| level::track(model, &s.before, &s.after, is_up, onsets, policy);
            let control = old.as_ref().and_then(|o| {
                let model = fit(&o.before, policy)?;
                Some(way(&model, o, true).fortune.max(way(&model, o, false).fortune))
            });
            let against = old.as_ref().and_then(|o| {
                let apart =
                    |a: &[Option<f64>], b: &[Option<f64>]| together(a, b).map(|(a, b)| Some((*a)? - (*b)?)).collect();
                let apart = Sides { before: apart(&new.before, &o.before), after: apart(&new.after, &o.after) };
                Some(way(&fit(&apart.before, policy)?, &apart, is_up))
            });
            (way(&model, &new, is_up), old.is_some().then(|| way(&model, &new, !is_up).fortune), control, against, 0.5)
        }
    };
    let control_moved = control.is_some_and(|fortune| fortune >= MOVED);
    let is_enough = is_enough(metric, is_up, own.onset, policy);
    let (fortune, is_large) = match &against {
        None => (own.fortune, own.is_large),
        // Something happened to both. What differs between them is all that counts, and this group has to have moved.
        Some(apart) if control_moved => {
            (if own.fortune.max(own_back.unwrap_or(0.0)) >= MOVED { apart.fortune } else { 0.0 }, apart.is_large)
        }
        Some(apart) if apart.fortune < APART => (own.fortune.min(1.0), own.is_large),
        // Both comparisons point the same way, and are bets on the same harm: a part of the stake is on each.
        Some(apart) if own.fortune >= MOVED => {
            (part_apart * apart.fortune + (1.0 - part_apart) * own.fortune, own.is_large)
        }
        Some(_) => (own.fortune, own.is_large),
    };
    Some(Assessment { own, against, control_moved, fortune, is_large: is_large && is_enough, ..Assessment::default() })
}

/// Whether the control group says anything of the newest points. One that has gone silent since the deploy, or was drained, is
/// none any more: nothing would ever differ from it. One that is as sparse as it was before the deploy still is one.
fn is_heard<T>(new: &Sides<T>, old: &Sides<T>, speaks: impl Fn(&T) -> bool, policy: &JudgePolicy) -> bool {
    let alone = |new: &[Option<T>], old: &[Option<T>]| -> Vec<bool> {
        let spoken = together(new, old).filter(|(new, _)| new.as_ref().is_some_and(&speaks));
        spoken.map(|(_, old)| !old.as_ref().is_some_and(&speaks)).collect()
    };
    let before = alone(&new.before, &old.before);
    let usual =
        if before.contains(&false) { before.split(|alone| !alone).map(<[bool]>::len).max().unwrap_or(0) } else { 0 };
    let now = alone(&new.after, &old.after).into_iter().rev().take_while(|alone| *alone).count();
    now <= policy.silent_points + usual
}

/// Whether there are as many events as it takes, where their number is all that is known.
fn is_enough(metric: &Metric, is_up: bool, onset: usize, policy: &JudgePolicy) -> bool {
    let has_requests = metric.requests.as_ref().is_some_and(|requests| requests.new.is_some());
    if metric.kind != MetricKind::Count || !is_up || has_requests {
        return true;
    }
    metric.new.after.iter().skip(onset).flatten().sum::<f64>() >= policy.errors as f64
}

fn fit(before: &[Option<f64>], policy: &JudgePolicy) -> Option<Model> {
    // Noise far below the floor cannot matter, and series that stand still have none.
    Model::fit(before, policy.baseline_points, (1.0 + policy.effect_floor).ln() / 10.0)
}

/// Before and since the deploy.
struct Sides<T> {
    before: Vec<Option<T>>,
    after: Vec<Option<T>>,
}

/// The points of both that are of the same time. Series before the deploy end together, however long each has been recorded.
fn together<'a, T>(a: &'a [T], b: &'a [T]) -> impl Iterator<Item = (&'a T, &'a T)> {
    let points = a.len().min(b.len());
    a[a.len() - points..].iter().zip(&b[b.len() - points..])
}

fn known<T>(points: &[Option<T>]) -> usize {
    points.iter().flatten().count()
}

/// Hits and requests of both groups, where requests are known.
fn trials(metric: &Metric) -> Option<(Sides<Events>, Option<Sides<Events>>)> {
    if metric.kind == MetricKind::Gauge {
        return None;
    }
    let requests = metric.requests.as_ref()?;
    let join = |values: &[Option<f64>], trials: &[Option<f64>]| {
        values
            .iter()
            .zip(trials)
            .map(|(value, trials)| {
                let (value, trials) = ((*value)?, (*trials)?);
                let hits = if metric.kind == MetricKind::Rate { (value * trials).round() } else { value };
                // More than a billion requests tell no more than a billion, and their sum has no end.
                let part = (TRIALS_MAX / trials).min(1.0);
                Some(Events { hits: hits.min(trials) * part, trials: trials * part })
            })
            .collect()
    };
    let sides = |series: &MetricSeries, trials: &MetricSeries| Sides {
        before: join(&series.before, &trials.before),
        after: join(&series.after, &trials.after),
    };
    let new = sides(&metric.new, requests.new.as_ref()?);
    let old = metric.old.as_ref().zip(requests.old.as_ref()).map(|(series, trials)| sides(series, trials));
    Some((new, old))
}

/// How values become levels whose differences are ratios.
#[derive(Clone, Copy)]
enum Scale {
    /// Logarithm of the value plus an offset; below the least value it is cut.
    Logarithm { offset: f64, least: f64 },
    /// Like a logarithm on both sides of zero, straight within this size. Idle are series that are zero at least half of the time.
    Both { size: f64, is_idle: bool },
}

impl Scale {
    fn of(metric: &Metric) -> Self {
        match metric.kind {
            MetricKind::Count => return Self::Logarithm { offset: 1.0, least: 0.0 },
            MetricKind::Rate => return Self::Logarithm { offset: 0.01, least: 0.0 },
            MetricKind::Gauge => {}
        }
        let before: Vec<f64> =
            metric.new.before.iter().chain(metric.old.iter().flat_map(|o| &o.before)).copied().flatten().collect();
        let least = before.iter().copied().fold(f64::INFINITY, f64::min);
        if least > 0.0 {
            // A thousandth of the least value is as low as a level can seem to fall.
            return Self::Logarithm { offset: 0.0, least: (least / 1000.0).max(f64::MIN_POSITIVE) };
        }
        let sizes: Vec<f64> = before.iter().map(|v| v.abs()).filter(|v| *v > 0.0).collect();
        let size = if sizes.is_empty() {
            // All zeros: the first other value is the measure of what follows.
            metric.new.after.iter().copied().flatten().map(f64::abs).find(|v| *v > 0.0).unwrap_or(1.0)
        } else {
            super::model::median(&sizes) / 4.0
        };
        let size = size.max(f64::MIN_POSITIVE);
        Self::Both { size, is_idle: 2 * sizes.len() <= before.len() }
    }

    /// A history of mostly zeros does not tell what other values look like.
    fn outliers(self, metric: &Metric) -> f64 {
        let is_idle = match self {
            Self::Both { is_idle, .. } => is_idle,
            Self::Logarithm { .. } => {
                let zeros = metric.new.before.iter().flatten().filter(|value| **value == 0.0).count();
                metric.kind == MetricKind::Count && 2 * zeros >= known(&metric.new.before)
            }
        };
        if is_idle { 0.15 } else { 0.0 }
    }

    fn value(self, value: f64) -> f64 {
        match self {
            Self::Logarithm { offset, least } => (value + offset).max(least).ln(),
            Self::Both { size, .. } => (value / size).clamp(-VALUE_MAX, VALUE_MAX).asinh(),
        }
    }

    fn sides(self, series: &MetricSeries) -> Sides<f64> {
        let part = |points: &[Option<f64>]| points.iter().map(|p| p.map(|v| self.value(v))).collect();
        Sides { before: part(&series.before), after: part(&series.after) }
    }
}
