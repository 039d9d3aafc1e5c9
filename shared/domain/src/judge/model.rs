//! What a level does by itself: drift and autocorrelation, learned from the time before the deploy.

use super::noise::Noise;

/// How fast the level may follow, per point.
const GAINS: [f64; 4] = [0.0, 0.05, 0.15, 0.4];
/// How much of a deviation remains at the next point.
const PERSISTENCES: [f64; 5] = [0.0, 0.3, 0.5, 0.7, 0.9];
/// Deviations beyond this many scales pull the forecast no further: an outlier, or harm, must not become the new normal.
const CLIP: f64 = 3.0;
/// Points a trend is read from.
const TREND_POINTS: usize = 12;
/// How much of a trend is left at the next point.
const TREND_LEFT: f64 = 0.9;
/// Points before the forecast counts.
const BURN_IN: usize = 4;

/// Forecasts the next point of a series from those before it.
#[derive(Debug, Clone)]
pub(super) struct Forecaster {
    level: f64,
    deviation: f64,
    last: Option<f64>,
    gain: f64,
    persistence: f64,
    clip: f64,
}

impl Forecaster {
    /// What the next point should be.
    pub(super) fn next(&self) -> f64 {
        self.level + self.persistence * self.deviation
    }

    /// The level without the deviation of the moment.
    pub(super) fn level(&self) -> f64 {
        self.level
    }

    /// What the next point should be had the level been `level` all along, given the last point's deviation from it.
    pub(super) fn next_at(&self, level: f64) -> f64 {
        let deviation = self.last.map_or(0.0, |last| last - level);
        level + self.persistence * deviation.clamp(-self.clip, self.clip)
    }

    /// Learns a point; `None` where none arrived.
    pub(super) fn learn(&mut self, point: Option<f64>) {
        self.last = point;
        match point {
            Some(value) => {
                let surprise = (value - self.next()).clamp(-self.clip, self.clip);
                self.level += self.gain * surprise;
                self.deviation = (value - self.level).clamp(-self.clip, self.clip);
            }
            None => self.deviation *= self.persistence,
        }
    }
}

/// A forecaster with what it was wrong by, before the deploy.
#[derive(Debug, Clone)]
pub(super) struct Model {
    /// As it stood when the deploy began.
    pub(super) forecaster: Forecaster,
    /// What it was wrong by.
    pub(super) noise: Noise,
    /// How much the level rises or falls by itself at the next point; it wears off.
    trend: f64,
    /// Middle of the points before.
    middle: f64,
}

impl Model {
    /// Fits the points before the deploy. `least` is the smallest scale that noise is taken to have. `None` with fewer
    /// known points than `needed`.
    pub(super) fn fit(before: &[Option<f64>], needed: usize, least: f64) -> Option<Self> {
        let known: Vec<f64> = before.iter().copied().flatten().collect();
        if known.len() < needed.max(BURN_IN + 1) {
            return None;
        }
        let middle = median(&known);
        let spread: Vec<f64> = known.iter().map(|v| (v - middle).abs()).collect();
        let steps: Vec<f64> = known.windows(2).map(|w| (w[1] - w[0]).abs()).collect();
        let clip = CLIP * (1.4826 * median(&spread).min(median(&steps) * 2.0)).max(least);
        let start = median(&known[..known.len().min(7)]);
        let forecasters =
            GAINS.iter().flat_map(|gain| PERSISTENCES.iter().map(move |persistence| (*gain, *persistence)));
        let forecasters = forecasters.map(|(gain, persistence)| {
            let level = if gain == 0.0 { middle } else { start };
            Forecaster { level, deviation: 0.0, last: None, gain, persistence, clip }
        });
        let (forecaster, errors) = run(forecasters, before).into_iter().min_by(|a, b| loss(a).total_cmp(&loss(b)))?;
        // A level that does not follow stands from the first point on.
        let settled = if forecaster.gain == 0.0 { 0 } else { BURN_IN };
        let noise = Noise::of(&errors[settled..], least);
        let trend = trend(before, noise.widest());
        Some(Self { forecaster, noise, trend, middle })
    }

    /// The same with outliers at least this likely.
    pub(super) fn with_outliers(self, chance: f64) -> Self {
        Self { noise: self.noise.with_outliers(chance), ..self }
    }

    /// How far the level has moved by itself `points` after the deploy.
    pub(super) fn moved_by_itself(&self, points: usize) -> f64 {
        self.trend * (1.0 - TREND_LEFT.powi(points as i32 + 1)) / (1.0 - TREND_LEFT)
    }

    /// Middle of the points before.
    pub(super) fn middle(&self) -> f64 {
        self.middle
    }
}

/// Lets each forecast every point before the deploy; the errors.
fn run(forecasters: impl Iterator<Item = Forecaster>, before: &[Option<f64>]) -> Vec<(Forecaster, Vec<f64>)> {
    let mut all: Vec<_> = forecasters.map(|forecaster| (forecaster, Vec::with_capacity(before.len()))).collect();
    // Point by point, since a processor works on several forecasters at once, and on one point of one after the other.
    for point in before {
        for (forecaster, errors) in &mut all {
            errors.extend(point.map(|value| value - forecaster.next()));
            forecaster.learn(*point);
        }
    }
    all
}

/// Mean absolute error, which a few outliers do not decide. Short series make deviations look less persistent than they are,
/// so persistence is cheap.
fn loss((forecaster, errors): &(Forecaster, Vec<f64>)) -> f64 {
    let settled = &errors[BURN_IN..];
    let mean = settled.iter().map(|e| e.abs()).sum::<f64>() / settled.len() as f64;
    mean * (1.0 - 0.04 * forecaster.persistence)
}

/// The slope of the last points, where it is more than noise.
fn trend(before: &[Option<f64>], scale: f64) -> f64 {
    let last: Vec<(f64, f64)> = (before.len().saturating_sub(TREND_POINTS)..before.len())
        .filter_map(|at| Some((at as f64, before[at]?)))
        .collect();
    let mut slopes: Vec<f64> = Vec::new();
    for (n, (at, value)) in last.iter().enumerate() {
        slopes.extend(last[n + 1..].iter().map(|(later, next)| (next - value) / (later - at)));
    }
    let slope = median(&slopes);
    // The slope's own error, as of so many points that depend on each other a little.
    let error = 2.0 * 1.8 * scale * (12.0 / (last.len() as f64).powi(3).max(1.0)).sqrt();
    if slope.abs() > error { slope } else { 0.0 }
}

/// The middle value; 0 of none.
pub(super) fn median(values: &[f64]) -> f64 {
    quantile_of_sorted(&sorted(values), 0.5)
}

/// From the least to the greatest.
pub(super) fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted
}

/// Interpolated between the neighbouring values; 0 of none.
pub(super) fn quantile_of_sorted(sorted: &[f64], q: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return 0.0 };
    let at = q * last as f64;
    let (low, high) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    low + (high - low) * at.fract()
}

/// The chance of an outlier after so many among so many points: the mean of Jeffreys' posterior, which is not zero where
/// none were seen.
pub(super) fn outlier_chance(seen: usize, points: usize) -> f64 {
    (seen as f64 + 0.5) / (points as f64 + 1.0)
}
