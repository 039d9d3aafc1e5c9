//! Streams in which nothing happens: how often does the judge say that something did, when it looks sixty times?

use domain::{Direction, JudgePolicy, Metric, MetricKind, MetricSeries, Verdict, watch_metrics};
use serde::Serialize;

use super::draw::{Dice, Noise, errors};

/// How many of the streams of a kind were rolled back.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Streams {
    pub(crate) kind: &'static str,
    pub(crate) streams: u32,
    pub(crate) rolled_back: u32,
}

/// Points before the deploy, and looks since.
const POINTS: usize = 60;

/// A kind of stream: its name, and how one is drawn.
type Kind = (&'static str, fn(&mut Dice) -> Metric);

const KINDS: &[Kind] = &[
    ("independent noise", |dice| level(dice, 0.0, false)),
    ("AR(1) noise of 0.5", |dice| level(dice, 0.5, false)),
    ("AR(1) 0.5, shared outage", |dice| level(dice, 0.5, true)),
    ("errors per request", |dice| rate(dice, false)),
    ("errors, shared outage", |dice| rate(dice, true)),
];

/// Runs `streams` of each kind.
pub(super) fn run(seed: u64, streams: u32, policy: &JudgePolicy) -> Vec<Streams> {
    KINDS
        .iter()
        .enumerate()
        .map(|(n, (kind, draw))| {
            let mut dice = Dice::new(seed.wrapping_add(1000 + n as u64));
            let rolled_back = (0..streams)
                .filter(|_| watch_metrics(&[draw(&mut dice)], policy).verdict == Verdict::Degraded)
                .count() as u32;
            Streams { kind, streams, rolled_back }
        })
        .collect()
}

/// A level with 10 % noise; with an outage, both groups triple from a random point on.
fn level(dice: &mut Dice, persistence: f64, has_outage: bool) -> Metric {
    let onset = (dice.share() * 20.0) as usize;
    let mut group = || {
        let mut noise = Noise::new(persistence, 0.1);
        let before = (0..POINTS).map(|_| Some(100.0 * noise.next(dice))).collect();
        let after = (0..POINTS)
            .map(|at| Some(if has_outage && at >= onset { 300.0 } else { 100.0 } * noise.next(dice)))
            .collect();
        MetricSeries { before, after }
    };
    let new = group();
    Metric {
        name: "level".to_owned(),
        kind: MetricKind::Gauge,
        direction: Direction::Increase,
        old: has_outage.then(group),
        new,
        requests: None,
        scope: None,
    }
}

fn rate(dice: &mut Dice, has_outage: bool) -> Metric {
    let mut metric = errors(dice, 1.0, 0, has_outage);
    let onset = (dice.share() * 10.0) as usize;
    let requests = metric.requests.as_ref().map(|r| (r.new.clone(), r.old.clone()));
    let Some((new_requests, old_requests)) = requests else { return metric };
    for (series, requests) in [(Some(&mut metric.new), new_requests), (metric.old.as_mut(), old_requests)] {
        let (Some(series), Some(requests), true) = (series, requests, has_outage) else { continue };
        for (hits, trials) in series.after.iter_mut().zip(&requests.after).skip(onset) {
            let trials = trials.unwrap_or(0.0);
            *hits = Some((0..trials as u32).filter(|_| dice.share() < 0.15).count() as f64);
        }
    }
    metric
}
