//! A bet against the deploy being harmless, one stake per possible onset.

/// What one point multiplies the stake by. When nothing happened, its expectation is at most 1.
pub(super) type Factor = f64;

/// A fortune that starts at 1 and is bet on harm, whatever the point at which it begins.
///
/// `Σ over onsets of weight(onset) × product of the factors since that onset`, plus the weights not yet staked. If each
/// factor's expectation is at most 1 given the past when nothing happened, the fortune is a supermartingale, and by
/// Ville's inequality it ever reaches `1 / alpha` with a chance of at most `alpha`, however often one looks.
#[derive(Debug, Clone)]
pub(super) struct Wager {
    onsets: Onsets,
    staked: f64,
    points: usize,
    /// Best onset by its product alone, and that product.
    onset: usize,
    run: f64,
}

/// When harm is said to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Onsets {
    /// A third of the stake on the first point, the rest falling off slowly: a late onset costs some points of evidence
    /// and no more.
    Any,
    /// At one of the first points, the first being the likeliest; later beginnings are not put on the deploy.
    Within(usize),
}

/// A fortune beyond this stays there; the verdict was clear long before.
const FORTUNE_MAX: f64 = 1e30;

impl Wager {
    pub(super) fn new(onsets: Onsets) -> Self {
        Self { onsets, staked: 0.0, points: 0, onset: 0, run: 0.0 }
    }

    /// Settles one more point, for which it makes no difference whether harm began at it or before.
    pub(super) fn settle(&mut self, factor: Factor) {
        self.settle_either(factor, factor);
    }

    /// Settles one more point: `begun` if harm began before it, `begins` if it begins here.
    pub(super) fn settle_either(&mut self, begun: Factor, begins: Factor) {
        let fresh = self.onsets.weight(self.points);
        self.staked = (self.staked * begun + fresh * begins).min(FORTUNE_MAX);
        if self.run * begun <= begins {
            (self.onset, self.run) = (self.points, begins);
        } else {
            self.run = (self.run * begun).min(FORTUNE_MAX);
        }
        self.points += 1;
    }

    /// What the stake has become.
    pub(super) fn fortune(&self) -> f64 {
        self.staked + self.onsets.unstaked(self.points)
    }

    /// The settled point at which harm most likely began.
    pub(super) fn onset(&self) -> usize {
        self.onset
    }
}

impl Onsets {
    /// Part of the stake put on an onset at this point. All of them sum to 1.
    fn weight(self, point: usize) -> f64 {
        self.unstaked(point) - self.unstaked(point + 1)
    }

    /// Whether harm may begin at this point.
    pub(super) fn allow(self, point: usize) -> bool {
        match self {
            Self::Any => true,
            Self::Within(points) => point < points,
        }
    }

    /// The part kept back for onsets from this point on.
    fn unstaked(self, point: usize) -> f64 {
        match self {
            Self::Any => 2.0 / (point as f64 + 2.0),
            Self::Within(points) => (1.0 - point as f64 / points as f64).max(0.0).powi(2),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bet_without_information_keeps_its_fortune() {
        for onsets in [Onsets::Any, Onsets::Within(6)] {
            let mut wager = Wager::new(onsets);
            for _ in 0..100 {
                wager.settle(1.0);
                assert!((wager.fortune() - 1.0).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn dates_the_onset() {
        let mut wager = Wager::new(Onsets::Any);
        for factor in [-0.5, 0.4, -1.0, 2.0, 1.0, -0.5, 2.0] {
            wager.settle(f64::exp(factor));
        }
        assert_eq!(wager.onset(), 3);
    }
}
