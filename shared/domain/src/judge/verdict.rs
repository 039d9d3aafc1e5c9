//! All metrics together: the verdict, and what it rests on.

use serde::{Deserialize, Serialize};

use super::input::{Metric, MetricScope};
use super::metric::{Assessment, assess};
use super::silence::{Silence, hear};
use super::{JudgePolicy, Verdict};

/// The verdict of one look with everything it rests on: [`judge_metrics`] over `metrics` and `policy` gives the same again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MetricEvidence {
    /// The answer.
    pub verdict: Verdict,
    /// Why, in one sentence for the person on call.
    pub why: String,
    /// Points since the deploy at this look.
    pub after_points: usize,
    /// Natural logarithm of the odds won by betting on harm by this deploy; [`JudgePolicy::alpha`] is reached at `-ln(alpha)`.
    pub score: f64,
    /// What is still needed, where too little is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<Missing>,
    /// What each metric said, in the order of `metrics`.
    pub findings: Vec<MetricFinding>,
    /// How the judge was set.
    pub policy: JudgePolicy,
    /// What it was shown.
    pub metrics: Vec<Metric>,
}

// What is stored is rounded, and every number finite.
impl Eq for MetricEvidence {}
impl Eq for MetricFinding {}

/// What one metric said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MetricFinding {
    /// The metric.
    pub name: String,
    /// What became of it in the verdict.
    pub standing: Standing,
    /// Natural logarithm of the odds won on it.
    pub score: f64,
    /// The level before and since the onset, on the scale the metric is compared on.
    pub from: f64,
    /// See `from`.
    pub to: f64,
    /// Level since the onset over the level before.
    pub ratio: f64,
    /// The same over the control group's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ratio_to_control: Option<f64>,
    /// The point since the deploy, from 1, at which harm most likely began; negative for points before the deploy.
    pub onset: i64,
}

/// What became of a metric in the verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Standing {
    /// Too few points.
    Unknown,
    /// Nothing that counts.
    Calm,
    /// Worse, and nothing else explains it.
    Worse,
    /// Worse since before the deploy.
    BeganBefore,
    /// Worse, and so is the control group.
    Shared,
    /// Worse, and so is something it calls.
    ByDependency,
    /// Not the deployed service's own: context.
    Context,
}

/// What is still needed for a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Missing {
    /// Points before the deploy.
    pub points_before: u64,
    /// Points since the deploy.
    pub points_after: u64,
    /// Requests since the deploy.
    pub requests: u64,
}

/// Judges everything that is known so far. It may be asked after every point: the chance that it ever says
/// [`Verdict::Degraded`] of a harmless deploy is at most [`JudgePolicy::alpha`].
///
/// Metrics have passed [`Metric::check`] and the policy [`JudgePolicy::check`].
pub fn judge_metrics(metrics: &[Metric], policy: &JudgePolicy) -> MetricEvidence {
    judge_rounded(metrics.iter().map(Metric::rounded).collect(), policy)
}

fn judge_rounded(metrics: Vec<Metric>, policy: &JudgePolicy) -> MetricEvidence {
    let metrics = metrics.as_slice();
    let look = Look::at(metrics, policy);
    let verdict = look.verdict(policy);
    MetricEvidence {
        verdict,
        why: super::words::why(metrics, &look, verdict, policy),
        after_points: after_points(metrics),
        score: rounded(look.fortune.max(1e-9).ln()),
        missing: (verdict == Verdict::NotEnoughData).then(|| look.missing(policy)),
        findings: metrics.iter().zip(&look.parts).map(|(metric, part)| part.finding(metric)).collect(),
        policy: policy.clone(),
        metrics: metrics.to_vec(),
    }
}

/// Judges after each point since the deploy, and stops at the first [`Verdict::Degraded`]: the rollback has begun.
pub fn watch_metrics(metrics: &[Metric], policy: &JudgePolicy) -> MetricEvidence {
    let metrics: Vec<Metric> = metrics.iter().map(Metric::rounded).collect();
    let points = after_points(&metrics);
    for look in 1..points {
        let seen: Vec<Metric> = metrics.iter().map(|metric| metric.first_points(look)).collect();
        if Look::at(&seen, policy).verdict(policy) == Verdict::Degraded {
            return judge_rounded(seen, policy);
        }
    }
    judge_rounded(metrics, policy)
}

fn after_points(metrics: &[Metric]) -> usize {
    metrics.iter().map(|m| m.new.after.len()).max().unwrap_or(0)
}

/// What is stored is rounded, so that the last bits of a logarithm, which differ between machines, do not show.
fn rounded(value: f64) -> f64 {
    if value.is_finite() { format!("{value:.4e}").parse().unwrap_or(value) } else { f64::MAX.copysign(value) }
}

/// One look at all metrics.
pub(super) struct Look {
    pub(super) parts: Vec<Part>,
    pub(super) silence: Option<Silence>,
    /// Of the bet that this deploy does harm, all own metrics together.
    pub(super) fortune: f64,
}

/// One metric at one look.
pub(super) struct Part {
    pub(super) assessment: Assessment,
    pub(super) standing: Standing,
}

/// From this fortune on a dependency is said to do badly.
const DEPENDENCY: f64 = 5.0;
/// From this fortune on harm is worth a word although it cannot be put on this deploy.
pub(super) const NOTABLE: f64 = 20.0;

impl Look {
    pub(super) fn at(metrics: &[Metric], policy: &JudgePolicy) -> Self {
        let assessments: Vec<Assessment> = metrics.iter().map(|metric| assess(metric, policy)).collect();
        let bad_dependency = metrics
            .iter()
            .zip(&assessments)
            .any(|(m, a)| m.scope() == MetricScope::Dependency && a.own.fortune >= DEPENDENCY);
        let own: Vec<&Metric> = metrics.iter().filter(|m| m.scope() == MetricScope::Own).collect();
        let silence = hear(&own, policy);
        let parts: Vec<Part> = metrics
            .iter()
            .zip(assessments)
            .map(|(metric, assessment)| Part { standing: standing(metric, &assessment, bad_dependency), assessment })
            .collect();
        // The mean of bets on different metrics is a bet itself, whatever they have to do with each other. Silence is one more.
        let bets = own.len() + usize::from(silence.is_some());
        let worse: f64 = parts.iter().filter(|p| p.standing == Standing::Worse).map(|p| p.assessment.fortune).sum();
        let total = worse + silence.as_ref().map_or(0.0, |s| s.fortune);
        Self { parts, silence, fortune: total / bets.max(1) as f64 }
    }

    pub(super) fn verdict(&self, policy: &JudgePolicy) -> Verdict {
        if self.fortune >= 1.0 / policy.alpha {
            return Verdict::Degraded;
        }
        let elsewhere =
            |p: &&Part| matches!(p.standing, Standing::BeganBefore | Standing::Shared | Standing::ByDependency);
        if self.parts.iter().any(|p| elsewhere(&p)) {
            return Verdict::NotThisDeploy;
        }
        if self.missing(policy) == Missing::default() { Verdict::Healthy } else { Verdict::NotEnoughData }
    }

    /// What keeps the best known own metric from being called healthy.
    pub(super) fn missing(&self, policy: &JudgePolicy) -> Missing {
        let own = self.parts.iter().filter(|p| p.standing != Standing::Context);
        own.map(|p| missing(&p.assessment, policy))
            .min_by_key(|m| m.points_before + m.points_after + m.requests)
            .unwrap_or(Missing { points_after: 1, ..Missing::default() })
    }
}

/// Enough requests that a deploy which fails one in five shows [`JudgePolicy::errors`] errors.
fn missing(assessment: &Assessment, policy: &JudgePolicy) -> Missing {
    let lacking = |needed: usize, known: usize| needed.saturating_sub(known) as u64;
    let (before, after) = assessment.known;
    let requests = assessment.requests.map_or(0, |r| (policy.errors * 5).saturating_sub(r as u64));
    Missing {
        points_before: lacking(policy.baseline_points, before),
        points_after: lacking(policy.healthy_points.max(policy.harmful_points + 1), after),
        requests,
    }
}

fn standing(metric: &Metric, a: &Assessment, bad_dependency: bool) -> Standing {
    if metric.scope() != MetricScope::Own {
        return Standing::Context;
    }
    if a.own.points == 0 && a.own.fortune == 0.0 {
        return Standing::Unknown;
    }
    let is_worse = a.is_large && a.fortune > 1.0;
    if !is_worse {
        let is_shared = a.control_moved && a.own.is_large && a.own.fortune >= NOTABLE;
        return if is_shared { Standing::Shared } else { Standing::Calm };
    }
    if a.own.began_before > 0 && !a.control_moved {
        return Standing::BeganBefore;
    }
    if bad_dependency {
        return Standing::ByDependency;
    }
    Standing::Worse
}

impl Part {
    fn finding(&self, metric: &Metric) -> MetricFinding {
        let a = &self.assessment;
        MetricFinding {
            name: metric.name.clone(),
            standing: self.standing,
            score: rounded(a.fortune.max(1e-9).ln()),
            from: rounded(a.own.from),
            to: rounded(a.own.to),
            ratio: rounded(a.own.ratio),
            ratio_to_control: a.against.as_ref().map(|apart| rounded(apart.ratio)),
            onset: if a.own.began_before > 0 { -(a.own.began_before as i64) } else { a.own.onset as i64 + 1 },
        }
    }
}
