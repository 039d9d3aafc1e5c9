//! Levels: has this one moved up, or down, since the deploy?

use super::JudgePolicy;
use super::model::{Model, median};
use super::wager::{Onsets, Wager};

/// What was found in one direction of one series.
#[derive(Debug, Clone, Default)]
pub(super) struct Track {
    /// The fortune of the bet on harm: 1 when nothing is known.
    pub(super) fortune: f64,
    /// The point since the deploy at which it most likely began.
    pub(super) onset: usize,
    /// Level since the onset over the level before.
    pub(super) ratio: f64,
    /// Whether that may be as large as the floor, and enough points show it.
    pub(super) is_large: bool,
    /// Points before the deploy at which it began already; 0 if it did not.
    pub(super) began_before: usize,
    /// Level before.
    pub(super) from: f64,
    /// Level since the onset.
    pub(super) to: f64,
    /// Points that show it.
    pub(super) points: usize,
}

/// Sizes of harm that are bet on, as multiples of the floor.
const SIZES: [(f64, f64); 5] = [(1.0, 0.3), (1.7, 0.3), (3.0, 0.2), (5.0, 0.1), (9.0, 0.1)];
/// How many of the points show it: nearly all, or one in three (spikes); and the part of the stake.
const OFTEN: [(f64, f64); 2] = [(0.95, 0.8), (0.3, 0.2)];

/// One bet: the points lie this much beyond the forecast.
struct Bet {
    shift: f64,
    often: f64,
    weight: f64,
    wager: Wager,
}

impl Bet {
    fn worth(&self) -> f64 {
        self.weight * self.wager.fortune()
    }
}

/// Bets on `after` with what was learned of the time before. Values are logarithms, or differences of them.
pub(super) fn track(
    model: &Model,
    before: &[Option<f64>],
    after: &[Option<f64>],
    is_up: bool,
    onsets: Onsets,
    policy: &JudgePolicy,
) -> Track {
    let floor = (1.0 + policy.effect_floor).ln();
    let sign = if is_up { 1.0 } else { -1.0 };
    let mut bets: Vec<Bet> = SIZES
        .iter()
        .flat_map(|(size, part)| {
            OFTEN.iter().map(move |(often, weight)| Bet {
                shift: size * floor,
                often: *often,
                weight: weight * part,
                wager: Wager::new(onsets),
            })
        })
        .collect();
    let mut forecaster = model.forecaster.clone();
    // What each known point lies beyond the level before, in the direction of harm.
    let mut beyond = Vec::with_capacity(after.len());
    for (at, point) in after.iter().enumerate() {
        let by_itself = (sign * model.moved_by_itself(at)).max(0.0);
        if let Some(value) = *point {
            let forecast = forecaster.next() + sign * by_itself.min(floor);
            let error = sign * (value - forecast);
            let quiet_over_harmed = model.noise.quiet_over_harmed(error, is_up);
            // The bets on one size differ in how often it shows.
            for bets in bets.chunks_mut(OFTEN.len()) {
                let shift = bets[0].shift;
                let harmed = forecaster.next_at(model.forecaster.level() + sign * (shift + by_itself));
                let (begun, begins) =
                    (quiet_over_harmed((sign * (harmed - forecast)).max(0.0)), quiet_over_harmed(shift));
                for bet in bets {
                    bet.wager
                        .settle_either(model.noise.factor(begun, bet.often), model.noise.factor(begins, bet.often));
                }
            }
            beyond.push((at, sign * (value - model.forecaster.level()) - by_itself));
        }
        forecaster.learn(*point);
    }
    let fortune = bets.iter().map(Bet::worth).sum();
    let best = bets.iter().max_by(|a, b| a.worth().total_cmp(&b.worth())).expect("there are bets");
    let since = &beyond[best.wager.onset().min(beyond.len())..];
    let harmful: Vec<f64> = since.iter().map(|(_, v)| *v).filter(|v| *v >= 0.8 * floor).collect();
    // Where harm comes and goes, its size is that of the points that show it.
    let values: Vec<f64> = if best.often < 0.5 { harmful.clone() } else { since.iter().map(|(_, v)| *v).collect() };
    let size = median(&values);
    // One standard error of a median: of the middle errors, since those far off do not move it.
    let error = 2.0 * model.noise.centre() / (values.len().max(1) as f64).sqrt();
    let base = model.forecaster.level();
    Track {
        fortune,
        onset: since.first().map_or(0, |(at, _)| *at),
        ratio: (sign * size).exp(),
        is_large: size >= floor + error && harmful.len() >= policy.harmful_points && onsets.allow(best.wager.onset()),
        began_before: if fortune > 1.0 { began_before(model, before, &beyond, best, sign) } else { 0 },
        from: base,
        to: base + sign * size,
        points: harmful.len(),
    }
}

/// Carries the winning bet back over the time before the deploy: how many of its last points does it win?
fn began_before(model: &Model, before: &[Option<f64>], beyond: &[(usize, f64)], best: &Bet, sign: f64) -> usize {
    let is_up = sign > 0.0;
    let onset = best.wager.onset().min(beyond.len());
    // The points before made the bumps, those looked at too, so the smooth curve has to agree that they were usual.
    let factor = |beyond: f64| {
        let smooth = model.noise.smooth_quiet_over_harmed(beyond, best.shift, is_up);
        model.noise.factor(smooth.min(model.noise.quiet_over_harmed(beyond, is_up)(best.shift)), best.often)
    };
    let mut odds: f64 = beyond[..onset].iter().map(|(_, v)| factor(*v)).product();
    let (mut most, mut began) = (BEFORE, 0);
    for (back, point) in before.iter().rev().take(BACK).enumerate() {
        let Some(value) = *point else { continue };
        odds *= factor(sign * (value - model.middle()));
        if odds >= most {
            (most, began) = (odds, back + 1);
        }
    }
    began
}

/// Odds from which on harm is said to have begun before the deploy.
pub(super) const BEFORE: f64 = 100.0;
/// Points that this is looked for.
pub(super) const BACK: usize = 30;
