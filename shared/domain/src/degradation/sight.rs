//! One look at the metrics of a deploy: when it is due, what the judge is shown, and what that means.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Group, MetricQuery, MetricRule, MetricSource, MissingPoint, Points, WatchedMetric};
use crate::{
    ALARM_SERIES_MAX, AlarmSeries, AlarmState, Direction, Evidence, JudgePolicy, Metric, MetricEvidence, MetricKind,
    MetricSeries, RequestSeries, Standing, Verdict, Watch, judge_metrics, watch_metrics,
};

/// A point is looked at so long after its period at most, since CloudWatch has the last data of a minute a little later.
const SETTLED_AFTER: SignedDuration = SignedDuration::from_mins(1);
/// The same where a point that is only late would be taken for harm. CloudWatch says that it can take two minutes until
/// what it was told can be read, and services and agents tell it of a minute up to two more after it.
const LATE_AFTER: SignedDuration = SignedDuration::from_mins(5);
/// A rollback's effect is looked for so long after it succeeded.
const ROLLBACK_TAKES: SignedDuration = SignedDuration::from_mins(2);
/// What happened in a stage more points before it succeeded is not taken for what it deployed: three hours of minutes. All
/// points are kept with a decision, so there has to be an end.
const DEPLOY_POINTS_MAX: i64 = 180;
/// A look at a deploy of this many minutes ago is due every minute; at an older one after a twentieth of its age. A metric
/// that is asked for costs the same each time, and harm that shows late can wait as much longer.
const EVERY_MINUTE: i64 = 20;
/// Minutes after the last point is known for which somebody still looks.
const LAST_LOOKS: u32 = 1;

/// The times a look is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MetricSight {
    /// Points before this are what it was like before: the deploy began.
    pub before_until: Timestamp,
    /// Points from here on are judged.
    pub after_from: Timestamp,
    /// The stage had succeeded: the deploy was whole by then.
    pub deployed: Timestamp,
    /// Nothing later counts.
    pub until: Timestamp,
    /// Whether harm that was seen at any look counts, rather than what is so now.
    pub is_final: bool,
}

/// What a look saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sighted {
    /// The verdict, with everything it rests on.
    pub evidence: MetricEvidence,
    /// When harm began, where the deploy does some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worse_since: Option<Timestamp>,
    /// Time between points in seconds.
    pub period_seconds: u32,
    /// Beginning of the period after the last point before the deploy, in seconds since 1970.
    pub before_end: i64,
    /// Beginning of the first point since the deploy.
    pub after_begin: i64,
}

impl MetricRule {
    /// How often the metrics are looked at for a deploy that does no harm.
    pub fn looks(&self) -> u32 {
        let begin = Timestamp::UNIX_EPOCH;
        let at = |minute: u32| begin + SignedDuration::from_mins(i64::from(minute));
        let minutes = 0..=self.minutes + self.last_looks();
        let looks = minutes.filter(|minute| is_look_due(begin, at(self.minutes), at(*minute)));
        // At most one a minute.
        u32::try_from(looks.count()).unwrap_or(u32::MAX)
    }

    /// How long after its period a point is taken to be whole.
    pub fn settled_after(&self) -> SignedDuration {
        if self.metrics.iter().any(WatchedMetric::misleads_while_late) {
            return LATE_AFTER;
        }
        SETTLED_AFTER.min(SignedDuration::from_secs(2 * i64::from(self.period_seconds)))
    }

    /// Whether a watch that ends at `until` is looked at any more: its last points are known a little later.
    pub fn is_over(&self, until: Timestamp, now: Timestamp) -> bool {
        now >= until + SignedDuration::from_mins(i64::from(self.last_looks()) + 1)
    }

    /// Minutes after its end for which the last points are waited for.
    fn last_looks(&self) -> u32 {
        // At most five minutes.
        u32::try_from(self.settled_after().as_secs()).unwrap_or(0).div_ceil(60) + LAST_LOOKS
    }
}

impl WatchedMetric {
    /// Whether a point that is late would look like harm, since what did not arrive is zero: where less is worse, and where
    /// others are compared with it, unless requests that have arrived bear it out.
    fn misleads_while_late(&self) -> bool {
        let is_compared = self.control.is_some() && self.own.requests.is_none();
        self.missing == MissingPoint::Zero && (self.direction != Direction::Increase || is_compared)
    }
}

impl MetricSight {
    /// Of a deploy that began at `entered` and had `succeeded`.
    pub fn of_deploy(rule: &MetricRule, entered: Timestamp, succeeded: Timestamp, until: Timestamp) -> Self {
        let longest = SignedDuration::from_secs(DEPLOY_POINTS_MAX * i64::from(rule.period_seconds));
        let began = entered.max(succeeded - longest);
        Self { before_until: began, after_from: began, deployed: succeeded, until, is_final: true }
    }

    /// Of a deploy that the next one superseded at `superseded`, as it is by now: that one may have mended it.
    pub fn of_superseded(rule: &MetricRule, entered: Timestamp, superseded: Timestamp, until: Timestamp) -> Self {
        Self { is_final: false, ..Self::of_deploy(rule, entered, superseded, until) }
    }

    /// Of a rollback that had `succeeded`, against the time before the deploy that it takes back, which began at `entered`.
    pub fn of_rollback(entered: Timestamp, succeeded: Timestamp, until: Timestamp) -> Self {
        let after_from = succeeded + ROLLBACK_TAKES;
        Self { before_until: entered, after_from, deployed: after_from, until, is_final: false }
    }

    /// From when on points are read: the beginning of the first period, since CloudWatch counts periods from the start of
    /// what it is asked for.
    pub fn since(&self, rule: &MetricRule) -> Timestamp {
        let baseline = i64::from(rule.period_seconds) * i64::from(rule.baseline_points);
        Timestamp::from_second(self.before_end(rule) - baseline).unwrap_or(Timestamp::MIN)
    }

    /// Beginning of the period in which the deploy began.
    fn before_end(&self, rule: &MetricRule) -> i64 {
        let period = i64::from(rule.period_seconds);
        self.before_until.as_second().div_euclid(period) * period
    }
}

/// Whether a deploy of `succeeded` is to be looked at by whoever comes by every minute.
pub fn is_look_due(succeeded: Timestamp, until: Timestamp, now: Timestamp) -> bool {
    let age = now.duration_since(succeeded).as_mins().max(0);
    (age > 0 && age % (age / EVERY_MINUTE).max(1) == 0) || now >= until
}

/// What is read for a look.
pub type MetricData = BTreeMap<(Option<String>, MetricQuery), Points>;

/// Looks at the metrics of a deploy that `watch` observes. Where itself does no harm, one that it superseded may have done
/// some that it does not mend.
pub fn sight_watch(
    rule: &MetricRule,
    watch: &Watch,
    succeeded: Timestamp,
    data: &MetricData,
    now: Timestamp,
) -> Sighted {
    let own = sight(rule, &MetricSight::of_deploy(rule, watch.from, succeeded, watch.until), data, now);
    if own.worse_since.is_some() {
        return own;
    }
    let earlier = watch.inherited.iter().rev().map(|one| {
        let seen = sight(rule, &MetricSight::of_superseded(rule, one.from, one.until, watch.until), data, now);
        (one, seen)
    });
    let is_its = |since: Timestamp, from, until| from <= since && since < until;
    let mut guilty = earlier.filter(|(one, seen)| seen.worse_since.is_some_and(|at| is_its(at, one.from, one.until)));
    guilty.next().map_or(own, |(_, seen)| seen)
}

/// Judges by `data` all that was seen until `now`, look after look as if somebody had looked at every point: looks that were
/// missed change nothing, and whoever has the same data finds the same.
pub fn sight(rule: &MetricRule, sight: &MetricSight, data: &MetricData, now: Timestamp) -> Sighted {
    let grid = Grid::of(rule, sight, now);
    let shown = Shown { rule, data, grid: &grid };
    let mut policy = rule.policy.clone();
    // A stage deploys at any time until it has succeeded.
    let took = sight.deployed.duration_since(sight.after_from).as_secs().max(0);
    policy.onset_points += usize::try_from(took / i64::from(rule.period_seconds)).unwrap_or(0);
    let evidence = match sight.is_final {
        true => shown.watched(&policy),
        false => judge_metrics(&shown.metrics(grid.after.len()), &policy),
    };
    let worse_since = (evidence.verdict == Verdict::Degraded).then(|| grid.onset(&evidence, sight));
    let (period_seconds, before_end, after_begin) = (rule.period_seconds, grid.before_end, grid.after_begin);
    Sighted { evidence, worse_since, period_seconds, before_end, after_begin }
}

impl Sighted {
    /// The same found anew from what is kept with it.
    pub(crate) fn replay(&self) -> Self {
        let evidence = judge_metrics(&self.evidence.metrics, &self.evidence.policy);
        Self { evidence, ..self.clone() }
    }

    /// Values that it rests on, all of which are kept with it.
    pub fn values(&self) -> usize {
        let of = |series: &MetricSeries| series.before.len() + series.after.len();
        let all = self.evidence.metrics.iter().flat_map(|metric| {
            let requests = metric.requests.iter().flat_map(|requests| [requests.new.as_ref(), requests.old.as_ref()]);
            [Some(&metric.new), metric.old.as_ref()].into_iter().chain(requests).flatten()
        });
        all.map(of).sum()
    }

    /// What its metrics did, for people: the worst of them first.
    pub fn series(&self) -> Vec<AlarmSeries> {
        let period = i64::from(self.period_seconds);
        let mut order: Vec<usize> = (0..self.evidence.metrics.len()).collect();
        let score = |at: &usize| self.evidence.findings.get(*at).map_or(f64::MIN, |finding| finding.score);
        order.sort_by(|a, b| score(b).total_cmp(&score(a)));
        let of = |metric: &Metric| {
            let lead = i64::try_from(metric.new.before.len()).unwrap_or(0);
            let before =
                metric.new.before.iter().zip(0..).map(|(value, n)| (self.before_end + (n - lead) * period, value));
            let after = metric.new.after.iter().zip(0..).map(|(value, n)| (self.after_begin + n * period, value));
            let known =
                before.chain(after).filter_map(|(at, value)| Some((Timestamp::from_second(at).ok()?, (*value)?)));
            let low_is_bad = metric.direction == Direction::Decrease;
            AlarmSeries::of(&metric.name, self.period_seconds, None, low_is_bad, known)
        };
        order.iter().filter_map(|at| of(self.evidence.metrics.get(*at)?)).take(ALARM_SERIES_MAX).collect()
    }

    /// What it would be of an alarm.
    pub fn state(&self) -> AlarmState {
        match self.evidence.verdict {
            Verdict::Degraded => AlarmState::Alarm,
            Verdict::Healthy => AlarmState::Ok,
            Verdict::NotEnoughData | Verdict::NotThisDeploy => AlarmState::InsufficientData,
        }
    }
}

impl Evidence {
    /// What the judge saw of the deploy, if it rests on metrics.
    pub fn sighted(&self) -> Option<&Sighted> {
        let mut suspects = self.case.iter().flat_map(|case| &case.suspects);
        suspects.find(|one| one.watch.execution == self.execution)?.sighted.as_deref()
    }

    /// What the metrics did that it rests on, if it rests on metrics.
    pub fn series(&self) -> Vec<AlarmSeries> {
        self.sighted().map(Sighted::series).unwrap_or_default()
    }
}

/// Beginnings of periods, in seconds since 1970.
struct Grid {
    before_end: i64,
    after_begin: i64,
    before: Vec<i64>,
    after: Vec<i64>,
}

impl Grid {
    /// A period that the deploy began in is neither before nor after it.
    fn of(rule: &MetricRule, sight: &MetricSight, now: Timestamp) -> Self {
        let period = i64::from(rule.period_seconds);
        let end = sight.before_end(rule);
        let before = (1..=i64::from(rule.baseline_points)).rev().map(|n| end - n * period).collect();
        let from = sight.after_from.as_second() + i64::from(sight.after_from.subsec_nanosecond() > 0);
        let first = -(-from).div_euclid(period) * period;
        let known = sight.until.min(now - rule.settled_after()).as_second();
        let after = (0..).map(|n| first + n * period).take_while(|begin| begin + period <= known).collect();
        Self { before_end: end, after_begin: first, before, after }
    }

    /// When the point began from which on the worst of the metrics did harm.
    fn onset(&self, evidence: &MetricEvidence, sight: &MetricSight) -> Timestamp {
        let worse = evidence.findings.iter().filter(|finding| finding.standing == Standing::Worse);
        let worst = worse.max_by(|a, b| a.score.total_cmp(&b.score));
        let at = worst.and_then(|finding| self.after.get(usize::try_from(finding.onset - 1).ok()?));
        at.and_then(|second| Timestamp::from_second(*second).ok()).unwrap_or(sight.after_from).max(sight.after_from)
    }
}

/// What is shown to the judge.
struct Shown<'a> {
    rule: &'a MetricRule,
    data: &'a MetricData,
    grid: &'a Grid,
}

impl Shown<'_> {
    /// Looks after every point with what was known by then: a series that has been silent so far was nothing until its
    /// first point, and turned into zeros with it.
    fn watched(&self, policy: &JudgePolicy) -> MetricEvidence {
        for points in self.silences() {
            let seen = watch_metrics(&self.metrics(points), policy);
            if seen.verdict == Verdict::Degraded {
                return seen;
            }
        }
        watch_metrics(&self.metrics(self.grid.after.len()), policy)
    }

    /// Points since the deploy after which the next is the first ever of a series whose gaps are zeros.
    fn silences(&self) -> BTreeSet<usize> {
        let filled = self.rule.metrics.iter().filter(|watched| watched.missing == MissingPoint::Zero);
        let groups = filled.flat_map(|watched| {
            let groups = std::iter::once(&watched.own).chain(&watched.control);
            groups.filter(|group| group.requests.is_none()).map(move |group| (watched.kind, group))
        });
        let all = self.grid.after.len();
        let first = groups.filter_map(|(kind, group)| self.first(kind, self.read(group, &group.value), all));
        let silent = first.map(|first| self.grid.after.partition_point(|begin| *begin < first));
        silent.filter(|points| (1..all).contains(points)).collect()
    }

    /// All metrics, as they were known so many points after the deploy.
    fn metrics(&self, points: usize) -> Vec<Metric> {
        self.rule.metrics.iter().map(|watched| self.metric(watched, points)).collect()
    }

    fn metric(&self, watched: &WatchedMetric, points: usize) -> Metric {
        let (new, requests) = self.group(watched, &watched.own, points);
        let control = watched.control.as_ref().map(|group| self.group(watched, group, points));
        let (old, old_requests) = control.unzip();
        Metric {
            name: watched.name.clone(),
            kind: watched.kind,
            direction: watched.direction,
            new,
            old,
            requests: requests.map(|requests| RequestSeries { new: Some(requests), old: old_requests.flatten() }),
            scope: Some(watched.scope),
        }
    }

    /// The values of a group, and the requests that they are out of, which are never guessed. A value that did not arrive
    /// is zero where its requests have, or where it is of a series that ever spoke: else nobody knows whether there is such
    /// a metric.
    fn group(&self, watched: &WatchedMetric, group: &Group, points: usize) -> (MetricSeries, Option<MetricSeries>) {
        let values = self.read(group, &group.value);
        let requests = group.requests.as_ref().map(|source| self.read(group, source));
        let value = |begin: i64| fitting(watched.kind, *values?.get(&begin)?);
        let asked = |begin: i64| fitting(MetricKind::Count, *requests.flatten()?.get(&begin)?);
        let speaks = self.first(watched.kind, values, points).is_some();
        let is_zero = |begin: i64| {
            let is_borne_out = if requests.is_some() { asked(begin).is_some() } else { speaks };
            watched.missing == MissingPoint::Zero && is_borne_out
        };
        let shown = self.series(points, |begin| value(begin).or(is_zero(begin).then_some(0.0)));
        (shown, requests.map(|_| self.series(points, asked)))
    }

    fn series(&self, points: usize, at: impl Fn(i64) -> Option<f64>) -> MetricSeries {
        let part = |begins: &[i64]| begins.iter().map(|begin| at(*begin)).collect();
        MetricSeries { before: part(&self.grid.before), after: part(&self.grid.after[..points]) }
    }

    /// Beginning of the first period with a value of those that are known so many points after the deploy.
    fn first(&self, kind: MetricKind, values: Option<&Points>, points: usize) -> Option<i64> {
        // Also of the deploy's own time, which is shown to nobody.
        let begin = self.grid.before.first().copied().unwrap_or(self.grid.before_end);
        let end = self.grid.after[..points].last().map_or(self.grid.after_begin, |last| last + 1);
        let mut known = values?.range(begin..end.max(begin));
        known.find(|(_, value)| fitting(kind, **value).is_some()).map(|(at, _)| *at)
    }

    fn read(&self, group: &Group, source: &MetricSource) -> Option<&Points> {
        self.data.get(&(group.region.clone(), self.rule.query(source)))
    }
}

/// A value as the metric's kind has it: metric math may come to a little more than one, or to less than nothing.
fn fitting(kind: MetricKind, value: f64) -> Option<f64> {
    match kind {
        _ if !value.is_finite() => None,
        MetricKind::Gauge => Some(value),
        MetricKind::Rate => Some(value.clamp(0.0, 1.0)),
        MetricKind::Count => (value >= 0.0).then_some(value),
    }
}
