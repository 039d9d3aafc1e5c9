//! A new version that says nothing while the old one speaks.

use super::JudgePolicy;
use super::input::Metric;
use super::wager::{Onsets, Wager};

/// The fortune of a bet on silence.
pub(super) struct Silence {
    pub(super) fortune: f64,
    /// Points in a row, up to the last, at which only the old version spoke.
    pub(super) points: usize,
}

/// How often a version that has gone silent says nothing.
const SILENT: f64 = 0.95;

/// Bets on silence. `None` without an old version to hear.
pub(super) fn hear(metrics: &[&Metric], policy: &JudgePolicy) -> Option<Silence> {
    let heard: Vec<&Metric> = metrics.iter().copied().filter(|m| m.old.is_some()).collect();
    let first = *heard.first()?;
    let speaks = |at: usize, is_after: bool, is_new: bool| {
        heard.iter().any(|m| {
            let series = if is_new { Some(&m.new) } else { m.old.as_ref() };
            let part = series.map(|s| if is_after { &s.after } else { &s.before });
            part.and_then(|p| p.get(at).copied().flatten()).is_some()
                // A point without requests has nothing to say, and is no silence.
                || is_new && requests(m, at, is_after) == Some(0.0)
        })
    };
    let together: Vec<bool> =
        (0..first.new.before.len()).filter(|at| speaks(*at, false, false)).map(|at| speaks(at, false, true)).collect();
    let missing = together.iter().filter(|spoke| !**spoke).count();
    let chance = (missing as f64 + 1.0) / (together.len() as f64 + 2.0);
    let (mut wager, mut points) = (Wager::new(Onsets::Any), 0);
    for at in 0..first.new.after.len() {
        if !speaks(at, true, false) {
            continue;
        }
        let is_silent = !speaks(at, true, true);
        points = if is_silent { points + 1 } else { 0 };
        let often = SILENT.max(chance);
        wager.settle(if is_silent { often / chance } else { (1.0 - often) / (1.0 - chance) });
    }
    let fortune = if points > policy.silent_points { wager.fortune() } else { 0.0 };
    Some(Silence { fortune, points })
}

fn requests(metric: &Metric, at: usize, is_after: bool) -> Option<f64> {
    let series = metric.requests.as_ref()?.new.as_ref()?;
    if is_after { &series.after } else { &series.before }.get(at).copied().flatten()
}
