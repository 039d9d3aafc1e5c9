//! How the judge is set.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// How the judge is set. The defaults are meant to be left alone; each says what it rests on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct JudgePolicy {
    /// Chance that a harmless deploy is rolled back at any look of its whole watch, all metrics together.
    pub alpha: f64,
    /// The smallest change that is harm, as a fraction of the level before.
    pub effect_floor: f64,
    /// Points that have to show harm before anything is said: one is a blip.
    pub harmful_points: usize,
    /// Points before the deploy that a metric needs to be compared with itself.
    pub baseline_points: usize,
    /// Points after the deploy within which harm has to begin that only a comparison with the past shows. Recorded levels
    /// shift by a quarter all by themselves about once in a thousand points, so what begins later is more likely that.
    pub onset_points: usize,
    /// Points that the new version may be silent while the old one speaks, since starting takes time.
    pub silent_points: usize,
    /// Errors that a rate or count has to show since the onset.
    pub errors: u64,
    /// Points after the deploy without which nothing is called healthy; one more than `harmful_points` at least.
    pub healthy_points: usize,
}

// Every number is finite, where `check` lets it pass.
impl Eq for JudgePolicy {}

impl Default for JudgePolicy {
    fn default() -> Self {
        Self {
            alpha: 0.005,
            effect_floor: 0.25,
            harmful_points: 2,
            baseline_points: 8,
            onset_points: 5,
            silent_points: 3,
            errors: 3,
            healthy_points: 3,
        }
    }
}

/// Why a policy cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct InvalidPolicy(&'static str);

impl JudgePolicy {
    /// Checks the ranges.
    ///
    /// # Errors
    /// The first setting out of its range.
    pub fn check(&self) -> Result<(), InvalidPolicy> {
        let rules = [
            (self.alpha > 0.0 && self.alpha <= 0.1, "alpha has to be above 0 and at most 0.1"),
            (
                (0.05..=10.0).contains(&self.effect_floor),
                "the effect floor has to be from 0.05 (5 %) to 10 (eleven times)",
            ),
            ((1..=60).contains(&self.harmful_points), "harmful points have to be from 1 to 60"),
            ((5..=1_000).contains(&self.baseline_points), "baseline points have to be from 5 to 1000"),
            ((1..=1_000).contains(&self.onset_points), "onset points have to be from 1 to 1000"),
            ((1..=60).contains(&self.silent_points), "silent points have to be from 1 to 60"),
            ((2..=1_000).contains(&self.errors), "errors have to be from 2 to 1000: one error is no reason"),
            ((1..=10_000).contains(&self.healthy_points), "healthy points have to be from 1 to 10000"),
        ];
        rules.iter().find(|(holds, _)| !holds).map_or(Ok(()), |(_, text)| Err(InvalidPolicy(text)))
    }
}
