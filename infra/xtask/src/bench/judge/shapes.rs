//! Levels of many shapes, none of which the judge's model is made for: how does it fare where it does not fit?
//!
//! Each shape is a source of its own, so that the variance reported is that between shapes.

use domain::{Direction, Metric, MetricKind, MetricSeries};

use super::draw::{AFTER, BEFORE, Dice, Noise, deploy};
use super::sets::Set;

/// A shape: its name, and the points of one series.
type Shape = (&'static str, fn(&mut Dice) -> Vec<f64>);

const POINTS: usize = BEFORE + AFTER;

const SHAPES: &[Shape] = &[
    ("heavy tails", heavy_tails),
    ("jumps between two levels", two_levels),
    ("spikes, alone or in bursts", |dice| {
        let (rate, stay) = (dice.between(0.03, 0.2), dice.pick(&[0.0, 0.2, 0.5]));
        let (usual, high) = (quiet(dice), dice.between(2.0, 15.0));
        let is_on = bursts(dice, rate, stay);
        usual.iter().zip(is_on).map(|(v, is_on)| if is_on { v * high } else { *v }).collect()
    }),
    ("idle between bursts", |dice| {
        let (rate, stay) = (dice.between(0.1, 0.5), dice.between(0.5, 0.85));
        let (idle, busy) = (dice.pick(&[0.0, 1.0, 100.0]), 10f64.powf(dice.between(3.0, 7.0)));
        let is_on = bursts(dice, rate, stay);
        is_on.into_iter().map(|is_on| if is_on { busy * dice.normal().exp() } else { idle }).collect()
    }),
    ("a daily rhythm", |dice| {
        let (period, start) = (dice.between(48.0, 288.0), dice.share());
        let height = dice.between(0.1, 0.5);
        let wave = |at: usize| (height * (std::f64::consts::TAU * (at as f64 / period + start)).sin()).exp();
        quiet(dice).iter().enumerate().map(|(at, v)| v * wave(at)).collect()
    }),
    ("steps once in 150 to 600 points", |dice| {
        let often = 1.0 / dice.between(150.0, 600.0);
        let mut step = 0.0;
        let raise = |v: f64, dice: &mut Dice| {
            step += if dice.share() < often { 0.4 * dice.normal() } else { 0.0 };
            v * f64::exp(step)
        };
        let usual = quiet(dice);
        usual.into_iter().scan(raise, |raise, v| Some(raise(v, dice))).collect()
    }),
    ("a walk", |dice| {
        let (stride, mut at) = (dice.between(0.01, 0.06), dice.between(0.0, 7.0));
        let mut step = || {
            at += stride * dice.normal();
            f64::exp(at)
        };
        (0..POINTS).map(|_| step()).collect()
    }),
    ("small whole numbers", |dice| {
        let mean = 10f64.powf(dice.between(-0.3, 1.5));
        (0..POINTS).map(|_| dice.events(mean)).collect()
    }),
    ("whole numbers that scatter", |dice| {
        let (mean, scatter) = (10f64.powf(dice.between(0.3, 2.3)), dice.between(0.2, 0.6));
        (0..POINTS)
            .map(|_| {
                let mean = mean * (scatter * dice.normal()).exp();
                dice.events(mean)
            })
            .collect()
    }),
    ("rounded", |dice| {
        let (usual, step) = (dice.between(1.0, 20.0), dice.pick(&[1.0, 0.5, 0.1]));
        let mut noise = Noise::new(0.3, dice.between(0.03, 0.2));
        (0..POINTS).map(|_| (usual * noise.next(dice) / step).round() * step).collect()
    }),
    ("standing still", |dice| {
        let (usual, blip) = (dice.pick(&[0.0, 0.25, 1.0, 100.0]), dice.pick(&[0.0, 0.5, 10.0]));
        (0..POINTS).map(|_| usual + if dice.share() < 0.03 { blip } else { 0.0 }).collect()
    }),
];

/// A kind of deploy: its name, whether it does harm, how many there are of each shape, and the part of the usual level that is
/// added at each point since the onset.
type Kind = (&'static str, bool, usize, fn(usize) -> f64);

const KINDS: &[Kind] = &[
    ("level-x2", true, 40, |_| 1.0),
    ("level-x1.5", true, 40, |_| 0.5),
    ("ramp-to-x2", true, 20, |point| (point as f64 + 1.0) / AFTER as f64),
    ("placebo", false, 300, |_| 0.0),
    ("blip", false, 20, |point| if point == 1 { 4.0 } else { 0.0 }),
];

/// Deploys of every shape, without a control group.
pub(super) fn deploys(seed: u64) -> Set {
    let mut dice = Dice::new(seed ^ 0x5AA5);
    let mut cases = Vec::new();
    for (shape, draw) in SHAPES {
        for (kind, degraded, count, harm) in KINDS {
            for _ in 0..*count {
                let onset = dice.pick(&[0, 0, 3]);
                let mut points = draw(&mut dice);
                let usual = usual(&points[..BEFORE]);
                // What is nothing is not made worse by a part of it.
                if *degraded && usual == 0.0 {
                    continue;
                }
                for (at, point) in points[BEFORE + onset..].iter_mut().enumerate() {
                    *point += usual * harm(at);
                }
                let direction = dice.pick(&[Direction::Increase, Direction::Increase, Direction::Either]);
                let (case, mut truth) = deploy(cases.len(), vec![metric(&points, direction)], kind, *degraded, onset);
                truth.source = (*shape).to_owned();
                cases.push((case, truth));
            }
        }
    }
    Set { name: "drawn-shapes".to_owned(), cases }
}

fn metric(points: &[f64], direction: Direction) -> Metric {
    let known = |points: &[f64]| points.iter().copied().map(Some).collect();
    Metric {
        name: "level".to_owned(),
        kind: MetricKind::Gauge,
        direction,
        new: MetricSeries { before: known(&points[..BEFORE]), after: known(&points[BEFORE..]) },
        old: None,
        requests: None,
        scope: None,
    }
}

/// The median, or the mean where that is zero.
fn usual(points: &[f64]) -> f64 {
    let median = super::score::quantile(points, 0.5);
    if median > 0.0 { median } else { points.iter().sum::<f64>() / points.len() as f64 }
}

/// A level with a little noise.
fn quiet(dice: &mut Dice) -> Vec<f64> {
    let usual = 10f64.powf(dice.between(0.0, 3.0));
    let mut noise = Noise::new(0.3, dice.between(0.03, 0.1));
    (0..POINTS).map(|_| usual * noise.next(dice)).collect()
}

/// Noise whose deviations are ratios of normal ones, as Student's distribution with two to five degrees of freedom.
fn heavy_tails(dice: &mut Dice) -> Vec<f64> {
    let (usual, scale) = (10f64.powf(dice.between(0.0, 3.0)), dice.between(0.03, 0.12));
    let freedom = dice.pick(&[2, 3, 5]);
    (0..POINTS)
        .map(|_| {
            let squares: f64 = (0..freedom).map(|_| dice.normal().powi(2)).sum();
            let deviation = dice.normal() / (squares / f64::from(freedom)).sqrt();
            // The worst of a million is not worse than that.
            usual * (scale * deviation.clamp(-40.0, 40.0)).exp()
        })
        .collect()
}

/// One level, and another every few points, at regular times or not.
fn two_levels(dice: &mut Dice) -> Vec<f64> {
    let (low, high) = (10f64.powf(dice.between(-1.0, 3.0)), dice.pick(&[1.5, 2.0, 3.0]));
    let (period, is_regular) = (dice.pick(&[3usize, 4, 5, 6]), dice.share() < 0.5);
    (0..POINTS)
        .map(|at| {
            let chance = if is_regular { f64::from(u8::from(at % period == 0)) } else { 1.0 / period as f64 };
            let is_high = (dice.share() < chance) != (dice.share() < 0.1);
            low * if is_high { high } else { 1.0 } * (0.01 * dice.normal()).exp()
        })
        .collect()
}

/// Which points are in a burst: a part of them, and of those in one the part that stays at the next point.
fn bursts(dice: &mut Dice, part: f64, stay: f64) -> Vec<bool> {
    let begin = part * (1.0 - stay) / (1.0 - part);
    let mut is_on = dice.share() < part;
    (0..POINTS)
        .map(|_| {
            is_on = dice.share() < if is_on { stay } else { begin };
            is_on
        })
        .collect()
}
