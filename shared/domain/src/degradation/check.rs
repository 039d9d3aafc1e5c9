//! Rules of which no verdict could ever come: refused while somebody is there who reads why.

use super::{METRICS_MAX, MetricRule, VALUES_MAX};
use crate::MetricScope;

/// For how many minutes CloudWatch keeps points, and of which seconds a period has to be a multiple that reaches further
/// back: three hours, 15 days and 63 days.
const KEPT: &[(u32, u32)] = &[(63 * 1_440, 3_600), (15 * 1_440, 300), (180, 60)];

impl MetricRule {
    /// # Errors
    /// What is wrong and what to write, as it follows "the rule ".
    pub(super) fn check(&self) -> Result<(), String> {
        self.check_size()?;
        self.check_points()?;
        self.check_reach()?;
        self.check_control(None)
    }

    fn check_size(&self) -> Result<(), String> {
        if self.metrics.len() > METRICS_MAX {
            return Err(format!("has {} metrics. Use at most {METRICS_MAX}", self.metrics.len()));
        }
        if self.metrics.iter().all(|metric| metric.scope != MetricScope::Own) {
            return Err("has no metric of what is deployed. Give one of them the scope own, or none".to_owned());
        }
        let groups = self.metrics.iter().flat_map(|metric| [Some(&metric.own), metric.control.as_ref()]).flatten();
        let series: u64 = groups.map(|group| 1 + u64::from(group.requests.is_some())).sum();
        let points = u64::from(self.baseline_points) + u64::from(self.points_after());
        let values = series * points;
        if values > VALUES_MAX {
            return Err(format!(
                "rests on {values} values ({series} series of {points} points). Use at most {VALUES_MAX}: a longer \
                 Period, a shorter WaitTime or Baseline, or fewer metrics"
            ));
        }
        Ok(())
    }

    /// Points since the deploy in WaitTime.
    fn points_after(&self) -> u32 {
        // WaitTime is at most 60 days.
        self.minutes.saturating_mul(60) / self.period_seconds
    }

    /// The judge says nothing of fewer points before and since the deploy than it needs.
    fn check_points(&self) -> Result<(), String> {
        let points = |needed: usize| u32::try_from(needed).unwrap_or(u32::MAX);
        let minutes = |points: u32| points.saturating_mul(self.period_seconds).div_ceil(60);
        let (before, since) = (points(self.policy.baseline_points), points(self.points_needed()));
        if self.baseline_points < before {
            return Err(format!(
                "has a Baseline of {} points of {} seconds, and the judge needs {before}. Use {} for 'Baseline' or more \
                 (minutes), or a shorter Period",
                self.baseline_points,
                self.period_seconds,
                minutes(before)
            ));
        }
        let after = self.points_after();
        if after < since {
            return Err(format!(
                "has a WaitTime of {after} points of {} seconds, and the judge needs {since}. Use {} for 'WaitTime' or \
                 more (minutes), a shorter Period, or a smaller MinimumDataPoints",
                self.period_seconds,
                minutes(since)
            ));
        }
        Ok(())
    }

    /// Points since the deploy without which nothing is called healthy.
    fn points_needed(&self) -> usize {
        self.policy.healthy_points.max(self.policy.harmful_points + 1)
    }

    /// The last look asks for all points from the first on, and CloudWatch has none of a shorter period than it keeps for
    /// that long.
    fn check_reach(&self) -> Result<(), String> {
        let baseline = u64::from(self.baseline_points) * u64::from(self.period_seconds) / 60;
        let reach = baseline + u64::from(self.minutes);
        let lost =
            |(kept, least): &&(u32, u32)| reach > u64::from(*kept) && !self.period_seconds.is_multiple_of(*least);
        match KEPT.iter().find(lost) {
            None => Ok(()),
            Some((kept, least)) => Err(format!(
                "looks {reach} minutes back at its end, with Baseline and WaitTime, and CloudWatch keeps points of {} \
                 seconds for {kept}. Use a multiple of {least} for 'Period', or less for one of these",
                self.period_seconds
            )),
        }
    }

    /// Whether something else stands in the place of a control group than what is deployed itself, in region `own`.
    ///
    /// # Errors
    /// What is wrong and what to write, as it follows "the rule ".
    pub fn check_control(&self, own: Option<&str>) -> Result<(), String> {
        let is_itself = self.metrics.iter().find(|metric| {
            let control = metric.control.as_ref();
            control.is_some_and(|control| {
                (control.region.is_none() || control.region.as_deref() == own) && control.value == metric.own.value
            })
        });
        match is_itself {
            None => Ok(()),
            Some(metric) => Err(format!(
                "compares '{}' with itself: nothing could ever differ. Name in ControlGroup what was not deployed to, \
                 or another region in ControlRegion",
                metric.name
            )),
        }
    }
}
