//! A decision about going back, with what it rests on.

use domain::{
    AlarmState, Evidence, ExecutionId, Metric, MetricEvidence, MetricFinding, MetricKind, PipelineName,
    RollbackDecision, RollbackOutcome, Standing, Verdict,
};

use super::{
    parts::{Badge, ExecutionLink, Prose, When, alarm_name, words},
    plot::Plot,
    route::{execution_path, pipeline_path},
    stage::cause_words,
};

/// A decision.
pub(super) struct DecisionCard {
    pub(super) badge: Badge,
    /// Name and address of its pipeline, where that is not said already.
    pub(super) pipeline: Option<(String, String)>,
    pub(super) stage: String,
    pub(super) at: When,
    pub(super) cause: String,
    pub(super) text: Prose,
    pub(super) undone: Option<ExecutionLink>,
    pub(super) target: Option<ExecutionLink>,
    pub(super) rollback: Option<ExecutionLink>,
    /// Verdict and reason, where the evidence is shown elsewhere, and where.
    pub(super) brief: Option<(Badge, Prose, String)>,
    pub(super) evidence: Option<EvidenceCard>,
}

/// What the judgement of an alarm rests on.
pub(super) struct EvidenceCard {
    pub(super) verdict: Badge,
    pub(super) reason: Prose,
    pub(super) alarm: String,
    pub(super) state: String,
    pub(super) since: When,
    pub(super) words: String,
    pub(super) at_entry: String,
    pub(super) entered: When,
    pub(super) until: When,
    pub(super) score: u32,
    pub(super) ranking: Vec<Suspect>,
    pub(super) otherwise: Prose,
    pub(super) plot: Plot,
    /// What each metric said, where metrics were judged and no alarm.
    pub(super) metrics: Vec<JudgedMetric>,
}

/// What the judge found in one metric.
pub(super) struct JudgedMetric {
    pub(super) name: String,
    pub(super) before: String,
    pub(super) since: String,
    pub(super) times: String,
    pub(super) odds: String,
    pub(super) standing: Badge,
}

impl JudgedMetric {
    fn of((found, metric): (&MetricFinding, &Metric)) -> Self {
        let look = match found.standing {
            Standing::Worse => "bad",
            Standing::Calm => "good",
            _ => "off",
        };
        let known = found.standing != Standing::Unknown;
        let number = |value: f64| if known { tidy(value) } else { "-".to_owned() };
        // The judge compares levels, as those are that have no requests, on a scale of its own: people are shown the metric's.
        let requests = metric.requests.as_ref().and_then(|requests| requests.new.as_ref());
        let (before, since) = if metric.kind == MetricKind::Gauge || requests.is_none() {
            let onset = usize::try_from(found.onset - 1).unwrap_or(0).min(metric.new.after.len());
            (median(&metric.new.before), median(&metric.new.after[onset..]))
        } else {
            (Some(found.from), Some(found.to))
        };
        let level = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), number);
        Self {
            name: found.name.clone(),
            before: level(before),
            since: level(since),
            times: number(found.ratio),
            odds: if known { format!("{} to 1", tidy(found.score.exp())) } else { "-".to_owned() },
            standing: Badge::new(look, words(&format!("{:?}", found.standing))),
        }
    }
}

fn median(points: &[Option<f64>]) -> Option<f64> {
    let mut known: Vec<f64> = points.iter().flatten().copied().collect();
    known.sort_by(f64::total_cmp);
    known.get(known.len() / 2).copied()
}

/// With as many digits as a person reads.
fn tidy(value: f64) -> String {
    match value.abs() {
        size if size >= 1e6 || (size > 0.0 && size < 1e-3) => format!("{value:.1e}"),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.3}").trim_end_matches('0').trim_end_matches('.').to_owned(),
    }
}

/// A deploy that may be to blame.
pub(super) struct Suspect {
    pub(super) pipeline: String,
    pub(super) stage: String,
    pub(super) link: ExecutionLink,
    pub(super) score: u32,
    pub(super) verdict: Badge,
}

impl DecisionCard {
    pub(super) fn of(decision: RollbackDecision) -> Self {
        let link = |id: ExecutionId| ExecutionLink::new(&decision.pipeline, id);
        let (badge, text, rollback, target) = outcome(&decision.outcome);
        Self {
            pipeline: None,
            stage: decision.stage.to_string(),
            at: decision.at.into(),
            cause: cause_words(&decision.cause),
            undone: decision.undone.map(link),
            rollback: rollback.map(link),
            target: target.map(link),
            brief: None,
            evidence: decision.evidence.as_ref().map(|evidence| EvidenceCard::of(evidence, &decision)),
            text: Prose::new(&decision.pipeline, &text),
            badge,
        }
    }
}

impl DecisionCard {
    /// The same among many, on a page about `pipeline` or about all: its evidence is on its execution's page.
    pub(super) fn among(decision: RollbackDecision, pipeline: Option<&PipelineName>) -> Self {
        let name = &decision.pipeline;
        let named = pipeline.is_none().then(|| (name.to_string(), pipeline_path(name)));
        let shown = format!("{}#h-decisions", execution_path(name, decision.execution));
        let brief = decision
            .evidence
            .as_ref()
            .map(|evidence| (verdict(evidence.verdict), Prose::new(name, &sentence(&evidence.reason)), shown));
        let without = RollbackDecision { evidence: None, series: Vec::new(), ..decision };
        Self { pipeline: named, brief, ..Self::of(without) }
    }
}

/// What was decided, in a word or two.
pub(super) fn outcome_badge(decided: &RollbackOutcome) -> Badge {
    outcome(decided).0
}

type Outcome = (Badge, String, Option<ExecutionId>, Option<ExecutionId>);

fn outcome(outcome: &RollbackOutcome) -> Outcome {
    use RollbackOutcome as O;
    let plain = |look, word: &str| (Badge::new(look, word), String::new(), None, None);
    match outcome {
        O::Started { rollback, target } => {
            (Badge::new("back", "Rolled back"), String::new(), Some(*rollback), Some(*target))
        }
        O::Declined { reason } => (Badge::new("off", "Did not roll back"), reason.clone(), None, None),
        O::Asked { reason } => (Badge::new("hold", "Asked a person"), reason.clone(), None, None),
        O::Shadowed { target } => {
            (Badge::new("watch", "Would have rolled back"), "The stage is in shadow mode.".into(), None, *target)
        }
        O::ShadowEnded { still_red: true } => plain("bad", "Shadow confirmed: still red at the watch's end"),
        O::ShadowEnded { still_red: false } => plain("off", "Shadow cleared: green at the watch's end"),
        O::Helped { rollback } => (Badge::new("good", "Rollback helped"), String::new(), Some(*rollback), None),
        O::DidNotHelp { rollback } => {
            (Badge::new("bad", "Rollback did not help"), String::new(), Some(*rollback), None)
        }
        O::Reinstated { rollback, comment, .. } => {
            (Badge::new("good", "Revision reinstated"), comment.clone(), Some(*rollback), None)
        }
        O::HoldReleased { rollback, comment } => (Badge::new("good", "Hold lifted"), comment.clone(), *rollback, None),
    }
}

impl EvidenceCard {
    fn of(evidence: &Evidence, decision: &RollbackDecision) -> Self {
        let ranking = evidence.ranking.iter().map(|one| Suspect {
            pipeline: one.pipeline.to_string(),
            stage: one.stage.to_string(),
            link: ExecutionLink::new(&one.pipeline, one.execution),
            score: one.score,
            verdict: verdict(one.verdict),
        });
        Self {
            verdict: verdict(evidence.verdict),
            reason: Prose::new(&decision.pipeline, &sentence(&evidence.reason)),
            alarm: alarm_name(&evidence.alarm.arn).to_owned(),
            state: evidence.alarm.state.to_string(),
            since: evidence.alarm.since.into(),
            words: evidence.alarm.reason.clone(),
            at_entry: evidence.state_at_entry.to_string(),
            entered: evidence.from.into(),
            until: evidence.until.into(),
            score: evidence.score,
            ranking: ranking.collect(),
            otherwise: Prose::new(&decision.pipeline, &sentence(&evidence.otherwise)),
            plot: Plot::of(evidence, &decision.series, decision.at),
            metrics: evidence.sighted().map(|seen| &seen.evidence).into_iter().flat_map(judged).collect(),
        }
    }
}

fn judged(seen: &MetricEvidence) -> impl Iterator<Item = JudgedMetric> {
    seen.findings.iter().zip(&seen.metrics).map(JudgedMetric::of)
}

fn verdict(verdict: Verdict) -> Badge {
    let look = match verdict {
        Verdict::Degraded => "bad",
        Verdict::Healthy => "good",
        Verdict::NotEnoughData | Verdict::NotThisDeploy => "off",
    };
    Badge::new(look, words(&format!("{verdict:?}")))
}

/// A reason with a capital and a full stop.
fn sentence(reason: &str) -> String {
    let mut chars = reason.chars();
    let Some(first) = chars.next() else { return String::new() };
    let stop = if reason.ends_with('.') { "" } else { "." };
    format!("{}{}{stop}", first.to_uppercase(), chars.as_str())
}

/// How an alarm's state looks.
pub(super) fn look_of(state: AlarmState) -> &'static str {
    match state {
        AlarmState::Ok => "good",
        AlarmState::Alarm => "bad",
        AlarmState::InsufficientData | AlarmState::Suppressed | AlarmState::Unreadable => "off",
    }
}

#[cfg(test)]
mod tests {
    use domain::{Direction, MetricSeries, RequestSeries};

    use super::*;

    fn shown(kind: MetricKind, requests: Option<f64>) -> (String, String) {
        let series =
            |before: f64, after: f64| MetricSeries { before: vec![Some(before); 9], after: vec![Some(after); 4] };
        let requests = requests.map(|each| RequestSeries { new: Some(series(each, each)), old: None });
        let metric = Metric {
            name: "m".to_owned(),
            kind,
            direction: Direction::Decrease,
            new: series(1_000.0, 500.0),
            old: None,
            requests,
            scope: None,
        };
        // As the judge compares them: logarithms, or shares where there are requests.
        let found = MetricFinding {
            name: "m".to_owned(),
            standing: Standing::Worse,
            score: 6.0,
            from: 0.5,
            to: 0.25,
            ratio: 0.5,
            ratio_to_control: None,
            onset: 1,
        };
        let judged = JudgedMetric::of((&found, &metric));
        (judged.before, judged.since)
    }

    #[test]
    fn levels_are_shown_as_they_are_and_what_is_out_of_requests_as_its_share() {
        let own = ("1000".to_owned(), "500".to_owned());
        assert_eq!(shown(MetricKind::Gauge, None), own);
        assert_eq!(shown(MetricKind::Count, None), own);
        assert_eq!(shown(MetricKind::Count, Some(2_000.0)), ("0.5".to_owned(), "0.25".to_owned()));
    }
}
