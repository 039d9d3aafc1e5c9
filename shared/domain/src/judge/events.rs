//! Errors among requests: has their share risen since the deploy?

use statrs::function::beta::ln_beta;
use statrs::function::gamma::ln_gamma;

use super::JudgePolicy;
use super::level::{BACK, BEFORE, Track};
use super::model::outlier_chance;
use super::noise::CERTAIN;
use super::wager::{Factor, Onsets, Wager};

/// One point: events out of trials.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Events {
    pub(super) hits: f64,
    pub(super) trials: f64,
}

/// How much the odds are said to have risen.
const RISES: [f64; 8] = [1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 100.0, 1000.0];
/// Part of the points that show harm once there is some.
const OFTEN: f64 = 0.95;
/// Both groups run the same program before the deploy. So many hits on either side say so against what few hits seem to show.
const ALIKE: f64 = 30.0;
/// No share is said to be beyond this.
const SHARE_MAX: f64 = 0.97;
/// Requests do not fail independently of each other: never trust a point as more than this many independent ones.
const INDEPENDENT_MAX: f64 = 400.0;

/// Bets on a higher share of hits than before.
///
/// The share before has a Beta posterior; a point has the beta-binomial distribution that follows from it and from how much
/// points scattered before. It learns from the points since the deploy too, so that few points before are no false certainty.
pub(super) fn track(before: &[Option<Events>], after: &[Option<Events>], policy: &JudgePolicy) -> Track {
    let known: Vec<Events> = before.iter().copied().flatten().filter(|e| e.trials > 0.0).collect();
    let (hits, trials) = sum(&known);
    let share = (hits + 0.5) / (trials + 1.0);
    let independent = scatter(&known, share);
    let outlier = outliers(&known, share, independent);
    let first = Null { hits: hits + 0.5, misses: trials - hits + 0.5, independent, outlier };
    let mut bets: Vec<(Shares, Wager)> =
        rises(share, policy).map(|raised| (Shares::new(raised, independent), Wager::new(Onsets::Any))).collect();
    let weight = 1.0 / bets.len().max(1) as f64;
    let mut null = first;
    let mut seen = Vec::with_capacity(after.len());
    for (at, point) in after.iter().enumerate() {
        let Some(events) = point.filter(|e| e.trials > 0.0) else { continue };
        let quiet = null.log_chance(events);
        // The same for every rise, and a third of the work.
        let together = ln_gamma(events.trials + independent);
        for (raised, wager) in &mut bets {
            wager.settle(null.over(quiet - raised.log_chance_of(events, together)));
        }
        null.learn(events);
        seen.push((at, events));
    }
    let fortune = bets.iter().map(|(_, wager)| weight * wager.fortune()).sum();
    let Some((raised, wager)) = bets.iter().max_by(|a, b| a.1.fortune().total_cmp(&b.1.fortune())) else {
        return Track::default();
    };
    let since = &seen[wager.onset().min(seen.len())..];
    let (hits_since, trials_since) = sum(&since.iter().map(|(_, e)| *e).collect::<Vec<_>>());
    let to = hits_since / trials_since.max(1.0);
    let points = since.iter().filter(|(_, e)| e.hits > 0.0 && first.factor(*e, raised) > 1.0).count();
    let error = (to * (1.0 - to) / trials_since.max(1.0)).sqrt();
    Track {
        fortune,
        onset: since.first().map_or(0, |(at, _)| *at),
        ratio: to / share,
        is_large: to + error >= share * (1.0 + policy.effect_floor)
            && points >= policy.harmful_points
            && hits_since >= policy.errors as f64,
        began_before: if fortune > 1.0 {
            began_before(&first, before, &seen[..wager.onset().min(seen.len())], raised)
        } else {
            0
        },
        from: share,
        to,
        points,
    }
}

/// Bets that the new group has more of the hits of both groups than its share of the trials; a rise that both share says nothing.
pub(super) fn track_against(
    before: &[Option<(Events, Events)>],
    after: &[Option<(Events, Events)>],
    policy: &JudgePolicy,
) -> Track {
    let fresh = Events { hits: ALIKE, trials: 0.0 };
    let (mut new, mut old) = (fresh, fresh);
    for (n, o) in before.iter().flatten() {
        new = Events { hits: new.hits + n.hits, trials: new.trials + n.trials };
        old = Events { hits: old.hits + o.hits, trials: old.trials + o.trials };
    }
    let odds =
        if new.trials > 0.0 && old.trials > 0.0 { (new.hits / new.trials) / (old.hits / old.trials) } else { 1.0 };
    let odds = odds.clamp(0.5, 2.0);
    let mut bets: Vec<(f64, Wager)> =
        RISES[..6].iter().filter(|r| **r > 1.0 + policy.effect_floor).map(|r| (*r, Wager::new(Onsets::Any))).collect();
    let weight = 1.0 / bets.len().max(1) as f64;
    let (mut seen_new, mut seen_old) = (Events { hits: 0.0, trials: 0.0 }, Events { hits: 0.0, trials: 0.0 });
    for (n, o) in after.iter().flatten() {
        if n.trials <= 0.0 || o.trials <= 0.0 {
            continue;
        }
        seen_new = Events { hits: seen_new.hits + n.hits, trials: seen_new.trials + n.trials };
        seen_old = Events { hits: seen_old.hits + o.hits, trials: seen_old.trials + o.trials };
        let both = Events { hits: n.hits, trials: n.hits + o.hits };
        let share = |rise: f64| {
            let mine = n.trials * odds * rise;
            mine / (mine + o.trials)
        };
        let null = Null { hits: 0.0, misses: 0.0, independent: 60.0, outlier: 0.02 };
        let quiet = Shares::new(share(1.0), null.independent).log_chance(both);
        for (rise, wager) in &mut bets {
            let harmed = Shares::new(share(*rise), null.independent).log_chance(both);
            wager.settle(null.over(quiet - harmed));
        }
    }
    let (a, b) = (seen_new.hits / seen_new.trials.max(1.0), seen_old.hits / seen_old.trials.max(1.0));
    Track {
        fortune: bets.iter().map(|(_, wager)| weight * wager.fortune()).sum(),
        is_large: true,
        ratio: if b > 0.0 { a / b } else { f64::INFINITY },
        from: b,
        to: a,
        ..Track::default()
    }
}

/// What points do when nothing changed.
#[derive(Clone, Copy)]
struct Null {
    hits: f64,
    misses: f64,
    independent: f64,
    outlier: f64,
}

impl Null {
    fn share(&self) -> f64 {
        self.hits / (self.hits + self.misses)
    }

    /// Logarithm of the chance of a point, with what is uncertain about the share.
    fn log_chance(&self, events: Events) -> f64 {
        let known = self.hits + self.misses;
        Shares::new(self.share(), 1.0 / (1.0 / known + 1.0 / self.independent)).log_chance(events)
    }

    /// What a point multiplies a stake on harm by that is so much likelier without harm than with it, as a logarithm. By the
    /// chance of an outlier it looks like harm without being any, so that one point alone multiplies by no more than one over
    /// that chance.
    fn over(&self, log_quiet_over_harmed: f64) -> Factor {
        let quiet_over_harmed = log_quiet_over_harmed.exp().min(CERTAIN);
        (OFTEN + (1.0 - OFTEN) * quiet_over_harmed) / (self.outlier + (1.0 - self.outlier) * quiet_over_harmed)
    }

    fn factor(&self, events: Events, raised: &Shares) -> Factor {
        self.over(self.log_chance(events) - raised.log_chance(events))
    }

    /// Learns a point, but not an outlier or harm: hits beyond three deviations are left out.
    fn learn(&mut self, events: Events) {
        let share = self.share();
        let most = events.trials * share + 3.0 * (events.trials * share * (1.0 - share)).sqrt() + 1.0;
        self.hits += events.hits.min(most);
        self.misses += events.trials - events.hits;
    }
}

/// Shares that are bet on: from the floor up, as far as a share can go.
fn rises(share: f64, policy: &JudgePolicy) -> impl Iterator<Item = f64> {
    let odds = share / (1.0 - share);
    let least = 1.0 + policy.effect_floor;
    RISES
        .into_iter()
        .filter(move |rise| *rise >= least)
        .map(move |rise| {
            let raised = odds * rise;
            raised / (1.0 + raised)
        })
        .filter(move |raised| *raised < SHARE_MAX)
}

/// To how many independent requests a point's requests amount, from how much the points before scattered: the moment
/// estimate of the beta-binomial's size, drawn towards [`INDEPENDENT_MAX`] where there is little to go by.
fn scatter(known: &[Events], share: f64) -> f64 {
    let (mut square, mut expected, mut excess) = (0.0, 0.0, 0.0);
    for e in known {
        let variance = e.trials * share * (1.0 - share);
        square += (e.hits - e.trials * share).powi(2);
        expected += variance;
        excess += variance * (e.trials - 1.0);
    }
    if excess <= 0.0 {
        return INDEPENDENT_MAX;
    }
    let correlation = ((square - expected) / excess).max(0.0) + 1.0 / INDEPENDENT_MAX;
    (1.0 / correlation).clamp(4.0, INDEPENDENT_MAX)
}

/// The chance of an outlier, from those seen.
fn outliers(known: &[Events], share: f64, independent: f64) -> f64 {
    let seen = known.iter().filter(|e| {
        let variance = e.trials * share * (1.0 - share) * (1.0 + (e.trials - 1.0) / (independent + 1.0));
        e.hits > e.trials * share + 6.0 * variance.sqrt() + 1.0
    });
    outlier_chance(seen.count(), known.len())
}

/// Carries the winning bet back over the time before the deploy: how many of its last points does it win?
fn began_before(null: &Null, before: &[Option<Events>], until: &[(usize, Events)], raised: &Shares) -> usize {
    let mut odds: f64 = until.iter().map(|(_, events)| null.factor(*events, raised)).product();
    let (mut most, mut began) = (BEFORE, 0);
    for (back, point) in before.iter().rev().take(BACK).enumerate() {
        let Some(events) = point.filter(|e| e.trials > 0.0) else { continue };
        odds *= null.factor(events, raised);
        if odds >= most {
            (most, began) = (odds, back + 1);
        }
    }
    began
}

/// Shares of hits: a Beta distribution.
struct Shares {
    a: f64,
    b: f64,
    whole: f64,
}

impl Shares {
    /// With this mean, and as certain as after `size` trials.
    fn new(mean: f64, size: f64) -> Self {
        // Neither is ever quite impossible, whatever rounding makes of it.
        let mean = mean.clamp(1e-12, 1.0 - 1e-12);
        let (a, b) = (mean * size, (1.0 - mean) * size);
        Self { a, b, whole: ln_beta(a, b) }
    }

    /// Logarithm of the chance of these hits, but for the ways to choose them, which cancel in a ratio.
    fn log_chance(&self, events: Events) -> f64 {
        self.log_chance_of(events, ln_gamma(events.trials + self.a + self.b))
    }

    /// The same with `together`, the logarithm of the gamma function of all trials, known.
    fn log_chance_of(&self, events: Events, together: f64) -> f64 {
        ln_gamma(events.hits + self.a) + ln_gamma(events.trials - events.hits + self.b) - together - self.whole
    }
}

fn sum(events: &[Events]) -> (f64, f64) {
    events.iter().fold((0.0, 0.0), |(hits, trials), e| (hits + e.hits, trials + e.trials))
}
