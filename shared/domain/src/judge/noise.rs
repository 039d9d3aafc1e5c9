//! The noise of a level: how likely is a point that lies this far off its forecast?
//!
//! Two descriptions compete, and share the density as their chances of having made the errors before the deploy. The smooth
//! one is a logistic curve, with its own scale upwards and downwards. The bumpy one has a bump at every error there was
//! (a kernel density), and knows of a level that jumps to twice its value every twenty minutes and never lies in between.

use super::model::{median, outlier_chance, quantile_of_sorted, sorted};
use super::wager::Factor;

/// Errors beyond this many scales are outliers of the smooth curve: a logistic distribution has one in 3000.
const OUTLYING: f64 = 8.0;
/// The density of an outlier, which can lie anywhere within a factor of about 150.
const ANYWHERE: f64 = 0.2;
/// Part of the errors taken for outliers when descriptions are compared, so that one error does not decide.
const STRAY: f64 = 0.02;
/// Before the errors are seen: one series in twenty is bumpy.
const BUMPY: f64 = 0.05;
/// A smaller share of the density is none.
const SHARE_LEAST: f64 = 0.001;
/// Widths of the bumps that are tried, as parts of the scale of the middle errors. Each is half of the one before.
const WIDTHS: [f64; 3] = [1.0, 0.5, 0.25];
/// Errors beyond this many of the least scales are as good as this many, so that no density is zero.
const REACH: f64 = 270.0;
/// Odds beyond this make no difference.
pub(super) const CERTAIN: f64 = 1e12;

/// What the forecast was wrong by, as a density. Errors are in the direction of harm.
#[derive(Debug, Clone)]
pub(super) struct Noise {
    /// Scales of the smooth curve upwards and downwards.
    up: f64,
    down: f64,
    /// Scale of the middle half of the errors, which those that lie far off do not change.
    centre: f64,
    bumps: Bumps,
    /// Share of the bumps in the density.
    bumpy: f64,
    /// Chance of an outlier.
    outlier: f64,
    reach: f64,
}

impl Noise {
    /// Describes the errors. `least` is the smallest scale that noise is taken to have.
    pub(super) fn of(errors: &[f64], least: f64) -> Self {
        let side = |sign: f64| sorted(&errors.iter().map(|e| (sign * e).max(0.0)).collect::<Vec<_>>());
        let both: Vec<f64> = errors.iter().map(|e| e.abs()).collect();
        // Twenty forecasters were tried and the best kept, so its errors flatter it a little.
        let flattery = 1.0 + 3.0 / errors.len() as f64;
        let centre = median(&both) / logit(0.75);
        let scale = |side: &[f64]| {
            let tail = [0.8, 0.9, 0.95].map(|q| quantile_of_sorted(side, q) / logit(q));
            flattery * tail.into_iter().fold(centre.max(least), f64::max)
        };
        let (up, down) = (scale(&side(1.0)), scale(&side(-1.0)));
        let smooth = errors.iter().map(|e| logistic(*e, if *e > 0.0 { up } else { down }));
        let beyond = errors.iter().filter(|e| **e > OUTLYING * up || **e < -OUTLYING * down).count();
        let (bumps, fit, alone) = WIDTHS
            .into_iter()
            .map(|part| {
                let bumps = Bumps::new(errors, (part * centre).max(least));
                let others = bumps.densities_by_the_others();
                let alone = others.iter().filter(|density| **density < ANYWHERE).count();
                (bumps, log_chance(others.into_iter()), alone)
            })
            .max_by(|a, b| a.1.total_cmp(&b.1))
            .expect("there are widths");
        let bumpy = BUMPY / (BUMPY + (1.0 - BUMPY) * (log_chance(smooth) - fit).exp());
        let bumpy = if bumpy < SHARE_LEAST { 0.0 } else { bumpy };
        let chance = |outliers: usize| outlier_chance(outliers, errors.len());
        let outlier = (1.0 - bumpy) * chance(beyond) + bumpy * chance(alone);
        Self { up, down, centre, bumps, bumpy, outlier, reach: REACH * least }
    }

    /// The same with outliers at least this likely.
    pub(super) fn with_outliers(mut self, chance: f64) -> Self {
        self.outlier = self.outlier.max(chance);
        self
    }

    /// How much likelier a point is without harm than with harm of each size: `error` is how far it lies beyond the forecast.
    pub(super) fn quiet_over_harmed(&self, error: f64, is_up: bool) -> impl Fn(f64) -> f64 {
        let error = error.clamp(-self.reach, self.reach);
        let quiet = self.density(error, is_up);
        move |shift| (quiet / self.density(error - shift, is_up)).min(CERTAIN)
    }

    /// The same by the smooth curve alone.
    pub(super) fn smooth_quiet_over_harmed(&self, error: f64, shift: f64, is_up: bool) -> f64 {
        let error = error.clamp(-self.reach, self.reach);
        (logistic(error, self.scale(is_up)) / logistic(error - shift, self.scale(is_up))).min(CERTAIN)
    }

    /// What a point multiplies a stake on harm by that `often`, a part of the points, show.
    ///
    /// By some chance a point is an outlier, and then looks like harm, so that one point alone multiplies by no more than one
    /// over that chance.
    pub(super) fn factor(&self, quiet_over_harmed: f64, often: f64) -> Factor {
        (often + (1.0 - often) * quiet_over_harmed) / (self.outlier + (1.0 - self.outlier) * quiet_over_harmed)
    }

    /// Scale of the middle half of the errors.
    pub(super) fn centre(&self) -> f64 {
        self.centre
    }

    /// The larger scale of the smooth curve.
    pub(super) fn widest(&self) -> f64 {
        self.up.max(self.down)
    }

    fn scale(&self, is_up: bool) -> f64 {
        if is_up { self.up } else { self.down }
    }

    fn density(&self, error: f64, is_up: bool) -> f64 {
        let smooth = logistic(error, self.scale(is_up));
        if self.bumpy == 0.0 {
            return smooth;
        }
        let bumps = self.bumps.density(if is_up { error } else { -error });
        (1.0 - self.bumpy) * smooth + self.bumpy * bumps
    }
}

/// Logarithm of the chance of errors that have these densities, a few of them strays.
fn log_chance(densities: impl Iterator<Item = f64>) -> f64 {
    let (mut sum, mut product) = (0.0, 1.0f64);
    for density in densities {
        product *= (1.0 - STRAY) * density + STRAY * ANYWHERE;
        // One logarithm for many factors.
        if !(1e-100..1e100).contains(&product) {
            (sum, product) = (sum + product.ln(), 1.0);
        }
    }
    sum + product.ln()
}

/// Density of the logistic distribution around zero.
fn logistic(x: f64, scale: f64) -> f64 {
    let falling = (-(x / scale).abs()).exp();
    falling / (scale * (1.0 + falling) * (1.0 + falling))
}

/// Quantile of the standard logistic distribution.
fn logit(q: f64) -> f64 {
    (q / (1.0 - q)).ln()
}

/// The mean of Laplace distributions around the errors there were. What all of them add up to at a point follows from the
/// sums at the errors beside it.
#[derive(Debug, Clone)]
struct Bumps {
    /// Sorted.
    errors: Vec<f64>,
    /// What the errors up to and with each one add at it.
    below: Vec<f64>,
    /// What those after each one add at it.
    above: Vec<f64>,
    width: f64,
}

impl Bumps {
    fn new(errors: &[f64], width: f64) -> Self {
        let errors = sorted(errors);
        let count = errors.len();
        let (mut below, mut above) = (vec![1.0; count], vec![0.0; count]);
        let left_of_next = |at: usize| (-(errors[at + 1] - errors[at]) / width).exp();
        for at in 1..count {
            below[at] = 1.0 + below[at - 1] * left_of_next(at - 1);
        }
        for at in (1..count).rev() {
            above[at - 1] = (1.0 + above[at]) * left_of_next(at - 1);
        }
        Self { errors, below, above, width }
    }

    fn density(&self, x: f64) -> f64 {
        let after = self.errors.partition_point(|e| *e <= x);
        let low = after.checked_sub(1).map_or(0.0, |at| self.below[at] * (-(x - self.errors[at]) / self.width).exp());
        let high = self.errors.get(after).map_or(0.0, |e| (1.0 + self.above[after]) * (-(e - x) / self.width).exp());
        (low + high) / (2.0 * self.width * self.errors.len() as f64)
    }

    /// At each error, the density that the others give it.
    fn densities_by_the_others(&self) -> Vec<f64> {
        let whole = 2.0 * self.width * (self.errors.len() as f64 - 1.0).max(1.0);
        self.below.iter().zip(&self.above).map(|(below, above)| (below - 1.0 + above) / whole).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two thirds at 0, one third at ln 2, and a little more or less.
    fn jumping() -> Vec<f64> {
        (0..48).map(|n| if n % 3 == 2 { 2f64.ln() } else { 0.0 } + f64::from(n % 5) * 0.005).collect()
    }

    #[test]
    fn the_density_is_one_altogether() {
        for errors in [jumping(), (0..40).map(|n| f64::from(n % 9) * 0.02 - 0.08).collect()] {
            let noise = Noise::of(&errors, 0.02);
            let bumps: f64 = (-4000..4000).map(|n| noise.bumps.density(f64::from(n) * 0.001) * 0.001).sum();
            assert!((bumps - 1.0).abs() < 0.01, "{bumps}");
        }
    }

    #[test]
    fn a_level_that_jumps_is_bumpy_and_one_that_wavers_is_not() {
        assert!(Noise::of(&jumping(), 0.02).bumpy > 0.99);
        let logistic: Vec<f64> = (0..48).map(|n| 0.05 * logit((f64::from(n) + 0.5) / 48.0)).collect();
        assert!(Noise::of(&logistic, 0.02).bumpy < 0.1);
    }

    #[test]
    fn what_never_was_is_harm_and_what_was_is_not() {
        let noise = Noise::of(&jumping(), 0.02);
        let ratio = |error: f64| noise.quiet_over_harmed(error, true)(0.67);
        assert!(ratio(3f64.ln()) < 0.1, "three times as high, which it never was: {}", ratio(3f64.ln()));
        assert!(ratio(0.01) > 10.0, "as low as mostly: {}", ratio(0.01));
        assert!(ratio(2f64.ln()) > 0.2, "twice, as one in three were: {}", ratio(2f64.ln()));
    }

    #[test]
    fn huge_errors_have_a_density() {
        let noise = Noise::of(&[0.0; 20], 0.02);
        for error in [1e300, -1e300, 50.0] {
            let ratio = noise.quiet_over_harmed(error, true)(2.0);
            assert!(ratio.is_finite() && ratio >= 0.0, "{error}: {ratio}");
        }
    }
}
