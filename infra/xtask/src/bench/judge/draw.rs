//! Cases drawn from stated rates and levels, so that their truth is exact.
//!
//! They are drawn otherwise than the judge models them: levels have lognormal noise with autocorrelation, errors are
//! binomial with a share that wanders, and nothing in them knows of bets.

use domain::{Direction, Metric, MetricKind, MetricSeries, RequestSeries, Suspect};

use super::sets::{Set, Truth};
use crate::judge::{Case, DeployCase, SuspectsCase};

/// Numbers that are the same for the same seed (SplitMix64).
pub(super) struct Dice(u64);

impl Dice {
    /// Starts at the seed's own place: with seeds beside each other as places, each would draw what the next one draws.
    pub(super) fn new(seed: u64) -> Self {
        Self(Self(seed).bits())
    }

    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// From 0 up to 1.
    pub(super) fn share(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    pub(super) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.share()
    }

    pub(super) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[(self.share() * from.len() as f64) as usize]
    }

    /// From the standard normal distribution.
    pub(super) fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.share()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.share()).cos()
    }

    /// From the Poisson distribution, as a sum of chances; of means up to some hundreds.
    pub(super) fn events(&mut self, mean: f64) -> f64 {
        let (mut left, mut count) = (mean, -1.0);
        while left >= 0.0 {
            left += (1.0 - self.share()).ln();
            count += 1.0;
        }
        count
    }

    fn hits(&mut self, trials: f64, share: f64) -> f64 {
        (0..trials as u32).filter(|_| self.share() < share).count() as f64
    }
}

/// Points before and since the deploy.
pub(super) const BEFORE: usize = 60;
pub(super) const AFTER: usize = 15;

/// Autocorrelated noise around 1.
pub(super) struct Noise {
    persistence: f64,
    scale: f64,
    at: f64,
}

impl Noise {
    pub(super) fn new(persistence: f64, scale: f64) -> Self {
        Self { persistence, scale, at: 0.0 }
    }

    pub(super) fn next(&mut self, dice: &mut Dice) -> f64 {
        let fresh = self.scale * (1.0 - self.persistence.powi(2)).sqrt();
        self.at = self.persistence * self.at + fresh * dice.normal();
        self.at.exp()
    }
}

/// What is done to the new version at a point since the deploy: a factor on its level.
type Harm = fn(usize) -> f64;

/// Kinds of harm, of which the last three are none.
const LEVELS: &[(&str, bool, Harm)] = &[
    ("level-x2", true, |_| 2.0),
    ("level-x1.5", true, |_| 1.5),
    ("ramp-to-x2", true, |point| 1.0 + (point as f64 + 1.0) / AFTER as f64),
    ("placebo", false, |_| 1.0),
    ("placebo", false, |_| 1.0),
    ("blip", false, |point| if point == 2 { 5.0 } else { 1.0 }),
];

/// Deploys: levels and errors, with and without a control group, harmed at once or after three points.
pub(super) fn deploys(seed: u64) -> Set {
    let mut dice = Dice::new(seed);
    let mut cases = Vec::new();
    for round in 0..100 {
        for (kind, degraded, harm) in LEVELS {
            let onset = dice.pick(&[0, 3]);
            let metric = level(&mut dice, *harm, onset, round % 2 == 0);
            cases.push(deploy(cases.len(), vec![metric], kind, *degraded, onset));
        }
        for (kind, degraded, factor) in [("errors-x3", true, 3.0), ("errors-x10", true, 10.0), ("placebo", false, 1.0)]
        {
            let onset = dice.pick(&[0, 3]);
            let metric = errors(&mut dice, factor, onset, round % 2 == 0);
            cases.push(deploy(cases.len(), vec![metric], kind, degraded, onset));
        }
    }
    Set { name: "drawn".to_owned(), cases }
}

pub(super) fn deploy(number: usize, metrics: Vec<Metric>, kind: &str, degraded: bool, onset: usize) -> (Case, Truth) {
    let id = format!("drawn-{number:05}");
    let truth = Truth {
        id: id.clone(),
        kind: kind.to_owned(),
        source: String::new(),
        degraded,
        onset,
        guilty: None,
        expect: None,
    };
    (Case::Deploy(DeployCase { id, metrics }), truth)
}

fn level(dice: &mut Dice, harm: Harm, onset: usize, has_control: bool) -> Metric {
    let usual = 10f64.powf(dice.between(0.0, 3.0));
    let (persistence, scale) = (dice.pick(&[0.0, 0.3, 0.5, 0.7]), dice.pick(&[0.03, 0.06, 0.1, 0.15]));
    let mut group = |is_new: bool| {
        let mut noise = Noise::new(persistence, scale);
        let mut point = |factor: f64, dice: &mut Dice| Some(usual * factor * noise.next(dice));
        MetricSeries {
            before: (0..BEFORE).map(|_| point(1.0, dice)).collect(),
            after: (0..AFTER)
                .map(|at| point(if is_new && at >= onset { harm(at - onset) } else { 1.0 }, dice))
                .collect(),
        }
    };
    Metric {
        name: "latency".to_owned(),
        kind: MetricKind::Gauge,
        direction: Direction::Increase,
        new: group(true),
        old: has_control.then(|| group(false)),
        requests: None,
        scope: None,
    }
}

/// `factor` on the share of errors from `onset` on.
pub(super) fn errors(dice: &mut Dice, factor: f64, onset: usize, has_control: bool) -> Metric {
    let share = dice.pick(&[0.002, 0.005, 0.01, 0.02]);
    let per_point = dice.pick(&[60.0, 200.0, 600.0]);
    let mut group = |is_new: bool| {
        let mut side = |points: usize, is_after: bool| -> (Vec<Option<f64>>, Vec<Option<f64>>) {
            (0..points)
                .map(|at| {
                    let requests = (per_point * dice.between(0.8, 1.2)).round();
                    let raised = if is_new && is_after && at >= onset { factor } else { 1.0 };
                    let wandering = share * raised * dice.between(0.8, 1.2);
                    (Some(dice.hits(requests, wandering)), Some(requests))
                })
                .unzip()
        };
        let ((before, requests_before), (after, requests_after)) = (side(BEFORE, false), side(AFTER, true));
        (MetricSeries { before, after }, MetricSeries { before: requests_before, after: requests_after })
    };
    let (new, new_requests) = group(true);
    let old = has_control.then(|| group(false));
    let (old, old_requests) = old.unzip();
    Metric {
        name: "errors".to_owned(),
        kind: MetricKind::Count,
        direction: Direction::Increase,
        new,
        old,
        requests: Some(RequestSeries { new: Some(new_requests), old: old_requests }),
        scope: None,
    }
}

/// Two to six suspects, of which one made its latency or errors worse, or none did.
pub(super) fn suspects(seed: u64) -> Set {
    let mut dice = Dice::new(seed ^ 0x5u64);
    let cases = (0..200)
        .map(|number| {
            let count = 2 + number % 5;
            let guilty = (number % 4 != 3).then(|| (dice.share() * count as f64) as usize);
            let onset = dice.pick(&[0, 2, 4]);
            let suspects: Vec<Suspect> = (0..count)
                .map(|n| {
                    let is_guilty = guilty == Some(n);
                    let by_errors = dice.share() < 0.5;
                    let harm: Harm = if is_guilty && !by_errors { |_| 2.0 } else { |_| 1.0 };
                    let factor = if is_guilty && by_errors { 10.0 } else { 1.0 };
                    Suspect {
                        id: format!("service-{n}"),
                        deployed_at: (3600 + 60 * n) as f64,
                        metrics: vec![level(&mut dice, harm, onset, true), errors(&mut dice, factor, onset, true)],
                    }
                })
                .collect();
            let id = format!("drawn-attribution-{number:05}");
            let truth = Truth {
                id: id.clone(),
                kind: if guilty.is_some() { "one-guilty" } else { "nobody" }.to_owned(),
                source: String::new(),
                degraded: guilty.is_some(),
                onset,
                guilty: guilty.map(|n| format!("service-{n}")),
                expect: None,
            };
            (Case::Suspects(SuspectsCase { id, alarm_onset: Some(3900.0), calls: None, suspects }), truth)
        })
        .collect();
    Set { name: "drawn-attribution".to_owned(), cases }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_draw_different_numbers() {
        let first = |seed: u64| Dice::new(seed).bits();
        let mut one = Dice::new(1);
        let of_one: Vec<u64> = (0..1000).map(|_| one.bits()).collect();
        assert!((0..20).filter(|seed| *seed != 1).all(|seed| !of_one.contains(&first(seed))));
        assert_eq!(first(1), of_one[0]);
    }

    #[test]
    fn events_have_their_mean() {
        let mut dice = Dice::new(3);
        for mean in [0.5, 6.0, 200.0] {
            let drawn: f64 = (0..2000).map(|_| dice.events(mean)).sum::<f64>() / 2000.0;
            assert!((drawn - mean).abs() < 5.0 * (mean / 2000.0).sqrt(), "{drawn} for {mean}");
        }
    }
}
