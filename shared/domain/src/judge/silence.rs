//! A new version that says nothing while the old one speaks.

use super::JudgePolicy;
use super::input::{Metric, MetricSeries};
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
    heard.first()?;
    let speaks = |at: isize, is_new: bool| {
        heard.iter().any(|m| {
            let series = if is_new { Some(&m.new) } else { m.old.as_ref() };
            series.and_then(|s| point(s, at)).is_some()
                // A point without requests has nothing to say, and is no silence.
                || is_new && requests(m, at) == Some(0.0)
        })
    };
    let longest = |part: fn(&MetricSeries) -> usize| heard.iter().map(|m| part(&m.new)).max().unwrap_or(0) as isize;
    let (before, after) = (longest(|s| s.before.len()), longest(|s| s.after.len()));
    let together: Vec<bool> = (-before..0).filter(|at| speaks(*at, false)).map(|at| speaks(at, true)).collect();
    let missing = together.iter().filter(|spoke| !**spoke).count();
    let chance = (missing as f64 + 1.0) / (together.len() as f64 + 2.0);
    let (mut wager, mut points) = (Wager::new(Onsets::Any), 0);
    for at in 0..after {
        if !speaks(at, false) {
            continue;
        }
        let is_silent = !speaks(at, true);
        points = if is_silent { points + 1 } else { 0 };
        let often = SILENT.max(chance);
        wager.settle(if is_silent { often / chance } else { (1.0 - often) / (1.0 - chance) });
    }
    let fortune = if points > policy.silent_points { wager.fortune() } else { 0.0 };
    Some(Silence { fortune, points })
}

fn requests(metric: &Metric, at: isize) -> Option<f64> {
    point(metric.requests.as_ref()?.new.as_ref()?, at)
}

/// The point at this place from the deploy on; negative before it.
fn point(series: &MetricSeries, at: isize) -> Option<f64> {
    match usize::try_from(at) {
        Ok(at) => series.after.get(at),
        Err(_) => series.before.len().checked_add_signed(at).and_then(|at| series.before.get(at)),
    }
    .copied()
    .flatten()
}
