//! Samples of one bucket of time and the statistics over them. Pure.

/// How many different values a bucket keeps exactly; beyond, values are rounded to two significant digits, which moves a
/// percentile by at most five parts in a hundred and bounds what one bucket can take.
const DISTINCT_VALUES_MAX: usize = 500;

/// What is known of the samples of one bucket.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Samples {
    /// How many.
    pub(crate) count: f64,
    /// Their sum.
    pub(crate) sum: f64,
    /// The smallest.
    pub(crate) minimum: f64,
    /// The largest.
    pub(crate) maximum: f64,
    /// Values with their counts, ascending; `None` if only a summary was given, so that percentiles are unknown.
    pub(crate) values: Option<Vec<(f64, f64)>>,
}

impl Samples {
    /// `count` samples of the same value.
    pub(crate) fn of(value: f64, count: f64) -> Self {
        Self { count, sum: value * count, minimum: value, maximum: value, values: Some(vec![(value, count)]) }
    }

    /// A summary whose single values nobody sent. One sample, or all alike, is known exactly.
    pub(crate) fn summary(count: f64, sum: f64, minimum: f64, maximum: f64) -> Self {
        let exact = count == 1.0 || minimum == maximum;
        Self { count, sum, minimum, maximum, values: exact.then(|| vec![(minimum, count)]) }
    }

    /// Both together.
    pub(crate) fn merged(self, other: Self) -> Self {
        Self {
            count: self.count + other.count,
            sum: self.sum + other.sum,
            minimum: self.minimum.min(other.minimum),
            maximum: self.maximum.max(other.maximum),
            values: self.values.zip(other.values).map(|(mut ours, theirs)| {
                ours.extend(theirs);
                bounded(compacted(ours))
            }),
        }
    }
}

fn compacted(mut values: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    values.sort_by(|a, b| a.0.total_cmp(&b.0));
    values.dedup_by(|later, earlier| {
        let same = later.0 == earlier.0;
        if same {
            earlier.1 += later.1;
        }
        same
    });
    values
}

fn bounded(values: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    if values.len() <= DISTINCT_VALUES_MAX {
        return values;
    }
    let mut rounded = compacted(values.into_iter().map(|(v, count)| (two_digits(v), count)).collect());
    // Two digits over many magnitudes can still be too many; then the smallest ones by magnitude share one entry.
    if rounded.len() > DISTINCT_VALUES_MAX {
        let excess = rounded.len() - DISTINCT_VALUES_MAX;
        let start = rounded.iter().position(|(v, _)| *v >= 0.0).unwrap_or(0).min(DISTINCT_VALUES_MAX - 1);
        let shared: f64 = rounded[start..=start + excess].iter().map(|(_, count)| count).sum();
        let value = rounded[start].0;
        rounded.splice(start..=start + excess, [(value, shared)]);
    }
    rounded
}

fn two_digits(value: f64) -> f64 {
    // Rust's own scientific form rounds to the digits asked for and always parses back.
    format!("{value:.1e}").parse().unwrap_or(value)
}

/// A statistic that alarms and queries ask for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Statistic {
    /// How many samples.
    SampleCount,
    /// Sum divided by count.
    Average,
    /// The sum.
    Sum,
    /// The smallest.
    Minimum,
    /// The largest.
    Maximum,
    /// The value that this percentage (above 0, up to 100) of the samples does not exceed.
    Percentile(f64),
}

impl Statistic {
    /// Reads a statistic's name, `pNN` with up to ten decimals included.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "SampleCount" => Statistic::SampleCount,
            "Average" => Statistic::Average,
            "Sum" => Statistic::Sum,
            "Minimum" => Statistic::Minimum,
            "Maximum" => Statistic::Maximum,
            _ => {
                let digits = name.strip_prefix('p')?;
                let plain = digits.len() <= 14 && digits.chars().all(|c| c.is_ascii_digit() || c == '.');
                let percent: f64 = plain.then(|| digits.parse().ok()).flatten()?;
                (percent > 0.0 && percent <= 100.0).then_some(Statistic::Percentile(percent))?
            }
        })
    }

    /// The statistic of these samples; `None` for a percentile of a summary.
    pub(crate) fn of(self, samples: &Samples) -> Option<f64> {
        Some(match self {
            Statistic::SampleCount => samples.count,
            Statistic::Average => samples.sum / samples.count,
            Statistic::Sum => samples.sum,
            Statistic::Minimum => samples.minimum,
            Statistic::Maximum => samples.maximum,
            Statistic::Percentile(percent) => percentile(samples, percent)?,
        })
    }

    /// Whether `count` samples are too few for this percentile to mean much (ten samples beyond it, as CloudWatch documents).
    pub(crate) fn is_low_sample(self, count: f64) -> bool {
        match self {
            Statistic::Percentile(percent) => {
                let share = percent.min(100.0 - percent) / 100.0;
                count * share < 10.0
            }
            _ => false,
        }
    }
}

fn percentile(samples: &Samples, percent: f64) -> Option<f64> {
    let values = samples.values.as_ref()?;
    let rank = samples.count * percent / 100.0;
    let mut seen = 0.0;
    values
        .iter()
        .find(|(_, count)| {
            seen += count;
            seen >= rank
        })
        .or(values.last())
        .map(|(value, _)| *value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one_to(n: u32) -> Samples {
        (2..=n).fold(Samples::of(1.0, 1.0), |all, value| all.merged(Samples::of(f64::from(value), 1.0)))
    }

    #[test]
    fn statistics_of_one_to_a_hundred() {
        let samples = one_to(100);
        let rows = [
            ("SampleCount", 100.0),
            ("Average", 50.5),
            ("Sum", 5050.0),
            ("Minimum", 1.0),
            ("Maximum", 100.0),
            ("p50", 50.0),
            ("p99", 99.0),
            ("p99.9", 100.0),
            ("p100", 100.0),
            ("p0.5", 1.0),
        ];
        for (name, expected) in rows {
            assert_eq!(Statistic::parse(name).expect(name).of(&samples), Some(expected), "{name}");
        }
        for name in ["p", "p0", "p101", "p1e1", "p-5", "tm99", "average", "pNaN", "p.."] {
            assert_eq!(Statistic::parse(name), None, "{name}");
        }
    }

    #[test]
    fn a_summary_has_no_percentile_unless_all_are_alike() {
        let p90 = Statistic::Percentile(90.0);
        assert_eq!(p90.of(&Samples::summary(3.0, 6.0, 1.0, 3.0)), None);
        assert_eq!(p90.of(&Samples::summary(3.0, 6.0, 2.0, 2.0)), Some(2.0));
        assert_eq!(p90.of(&Samples::summary(3.0, 6.0, 1.0, 3.0).merged(Samples::of(1.0, 1.0))), None);
    }

    #[test]
    fn a_bucket_stays_bounded_and_its_percentiles_stay_close() {
        let samples = one_to(20_000);
        let kept = samples.values.as_ref().expect("single values");
        assert!(kept.len() <= DISTINCT_VALUES_MAX);
        assert_eq!(kept.iter().map(|(_, count)| count).sum::<f64>(), 20_000.0);
        let p90 = Statistic::Percentile(90.0).of(&samples).expect("single values");
        assert!((17_100.0..=18_900.0).contains(&p90), "{p90}");
    }

    #[test]
    fn values_over_every_magnitude_stay_bounded() {
        let spread = (0..300_i32)
            .flat_map(|power| (10..20).map(move |digits| f64::from(digits) * 10f64.powi(power - 150)))
            .fold(Samples::of(-1.0, 1.0), |all, value| all.merged(Samples::of(value, 1.0)));
        assert!(spread.values.expect("single values").len() <= DISTINCT_VALUES_MAX);
    }
}
