//! How quickly a pipeline, or all of them, find, decide and mend, and whether their rollbacks helped.

use std::collections::BTreeMap;

use askama::Template;
use domain::{Execution, ExecutionId, PipelineName, RollbackCause, RollbackDecision, RollbackOutcome, StageStatus};
use engine::{
    HasStore,
    ports::{DecisionList, PageRequest, Store},
};
use jiff::{SignedDuration, Timestamp};

use super::{
    decision::DecisionCard,
    frame::{Frame, Visit, render},
    parts::{Badge, ExecutionLink, When, span},
    route::{ROOT, pipeline_path},
    stage::{cause_words, load_all},
    weeks::Weeks,
};
use crate::failure::Failure;

/// Decisions that are looked through, and rollbacks among them that are drawn.
const DECISIONS_MAX: u32 = 200;
const DRAWN_MAX: usize = 30;
/// Decisions told in full below the chart.
const TOLD_MAX: usize = 15;
/// Units of a bar.
const UNITS: f64 = 1000.0;

#[derive(Template)]
#[template(path = "rollbacks.html")]
struct RollbacksPage {
    frame: Frame,
    /// Whether it is about all pipelines.
    is_of_all: bool,
    rows: Vec<Row>,
    weeks: Weeks,
    automatic: usize,
    by_hand: usize,
    helped: usize,
    did_not_help: usize,
    medians: Vec<(&'static str, &'static str, String)>,
    longest: String,
    decisions: Vec<DecisionCard>,
}

/// One rollback.
struct Row {
    link: ExecutionLink,
    pipeline: PipelineName,
    path: String,
    stage: String,
    at: When,
    cause: String,
    proof: Badge,
    detect: Part,
    decide: Part,
    restore: Part,
}

/// One part of the time, with its place in the chart.
struct Part {
    text: String,
    x: f64,
    width: f64,
}

/// How long a rollback's parts took; what is not known is absent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Times {
    /// From the bad deploy's entry to the failure or the red alarm.
    detect: Option<SignedDuration>,
    /// From there to the decision.
    decide: Option<SignedDuration>,
    /// From the decision to the end of the rollback's stage.
    restore: Option<SignedDuration>,
}

/// The page of one pipeline, or of all: one request for decisions, and one for the executions that are drawn.
pub(super) async fn show<W: HasStore>(
    world: &W,
    visit: &Visit,
    name: Option<&PipelineName>,
) -> Result<String, Failure> {
    let list = name.map_or(DecisionList::All, |name| DecisionList::Pipeline(name.clone()));
    let page = PageRequest { limit: DECISIONS_MAX, after: None };
    let decisions = world.store().list_decisions(&list, page).await?.items;
    if let Some(name) = name.filter(|_| decisions.is_empty()) {
        engine::load_view(world, name).await?;
    }
    let all: Vec<&RollbackDecision> =
        decisions.iter().filter(|one| matches!(one.outcome, RollbackOutcome::Started { .. })).collect();
    let started = &all[..all.len().min(DRAWN_MAX)];
    let of_one = |one: &RollbackDecision| {
        let ids = one.concerns().into_iter().chain(one.undone);
        ids.map(|id| (one.pipeline.clone(), id)).collect::<Vec<_>>()
    };
    let executions = load_all(world, started.iter().flat_map(|one| of_one(one)).collect()).await?;
    let times: Vec<Times> = started.iter().map(|one| times(one, &executions)).collect();
    let longest = times.iter().map(Times::whole).max().unwrap_or_default();
    let proofs = proofs(&decisions);
    let rows = started.iter().zip(&times).map(|(one, times)| row(one, *times, longest, &proofs));
    let count = |helped: bool| proofs.values().filter(|proof| **proof == helped).count();
    let by_hand = all.iter().filter(|one| matches!(one.cause, RollbackCause::Manual { .. })).count();
    let frame = visit.frame("Rollbacks");
    render(&RollbacksPage {
        frame: match name {
            Some(name) => frame.under("Pipelines", ROOT).under(name.to_string(), pipeline_path(name)),
            None => frame,
        },
        is_of_all: name.is_none(),
        weeks: Weeks::of(all.iter().map(|one| (one.at, proof_of(one, &proofs))), visit.now),
        automatic: all.len() - by_hand,
        by_hand,
        helped: count(true),
        did_not_help: count(false),
        medians: vec![
            ("detect", "from a bad deploy's entry to the failure or the red alarm", median(&times, |one| one.detect)),
            ("decide", "from there to the decision", median(&times, |one| one.decide)),
            ("restore", "from the decision until the last good release was back", median(&times, |one| one.restore)),
        ],
        rows: rows.collect(),
        longest: span(longest),
        decisions: decisions.into_iter().take(TOLD_MAX).map(|one| DecisionCard::among(one, name)).collect(),
    })
}

/// Whether this rollback helped, where that was seen.
fn proof_of(decision: &RollbackDecision, proofs: &BTreeMap<ExecutionId, bool>) -> Option<bool> {
    let RollbackOutcome::Started { rollback, .. } = decision.outcome else { return None };
    proofs.get(&rollback).copied()
}

/// Whether rollbacks helped, of those of which it was seen.
fn proofs(decisions: &[RollbackDecision]) -> BTreeMap<ExecutionId, bool> {
    let proof = |one: &RollbackDecision| match one.outcome {
        RollbackOutcome::Helped { rollback } => Some((rollback, true)),
        RollbackOutcome::DidNotHelp { rollback } => Some((rollback, false)),
        _ => None,
    };
    decisions.iter().rev().filter_map(proof).collect()
}

fn times(decision: &RollbackDecision, executions: &BTreeMap<ExecutionId, Execution>) -> Times {
    let RollbackOutcome::Started { rollback, .. } = decision.outcome else { return Times::default() };
    let outcome = |id: ExecutionId| executions.get(&id).and_then(|one| one.stages.get(&decision.stage));
    let restored = outcome(rollback).filter(|outcome| outcome.status == StageStatus::Succeeded);
    let (entered, noticed) = match (&decision.cause, &decision.evidence) {
        (RollbackCause::Alarm { .. }, Some(evidence)) => (Some(evidence.from), Some(evidence.alarm.since)),
        (RollbackCause::StageFailed { .. }, _) => {
            let failed = decision.undone.and_then(outcome);
            (failed.map(|failed| failed.entered_at), failed.and_then(|failed| failed.left_at))
        }
        _ => (None, None),
    };
    let between = |from: Option<Timestamp>, to: Option<Timestamp>| {
        from.zip(to).map(|(from, to)| to.duration_since(from).max(SignedDuration::ZERO))
    };
    Times {
        detect: between(entered, noticed),
        decide: between(noticed, Some(decision.at)),
        restore: between(Some(decision.at), restored.and_then(|outcome| outcome.left_at)),
    }
}

impl Times {
    fn parts(&self) -> [Option<SignedDuration>; 3] {
        [self.detect, self.decide, self.restore]
    }

    fn whole(&self) -> SignedDuration {
        self.parts().into_iter().flatten().fold(SignedDuration::ZERO, |whole, part| whole.saturating_add(part))
    }
}

fn row(
    decision: &RollbackDecision,
    times: Times,
    longest: SignedDuration,
    proofs: &BTreeMap<ExecutionId, bool>,
) -> Row {
    let rollback = match decision.outcome {
        RollbackOutcome::Started { rollback, .. } => rollback,
        _ => decision.execution,
    };
    let mut x = 0.0;
    let [detect, decide, restore] = times.parts().map(|time| {
        let whole = longest.as_secs_f64().max(0.001);
        let width = time.map_or(0.0, |time| time.as_secs_f64() / whole * UNITS);
        let part = Part { text: time.map_or_else(|| "—".to_owned(), span), x, width };
        x += width;
        part
    });
    Row {
        link: ExecutionLink::new(&decision.pipeline, rollback),
        pipeline: decision.pipeline.clone(),
        path: pipeline_path(&decision.pipeline),
        stage: decision.stage.to_string(),
        at: decision.at.into(),
        cause: cause_words(&decision.cause),
        proof: match proof_of(decision, proofs) {
            Some(true) => Badge::new("good", "Helped"),
            Some(false) => Badge::new("bad", "Did not help"),
            None => Badge::new("off", "Not measured"),
        },
        detect,
        decide,
        restore,
    }
}

fn median(times: &[Times], part: impl Fn(&Times) -> Option<SignedDuration>) -> String {
    let mut known: Vec<SignedDuration> = times.iter().filter_map(part).collect();
    known.sort_unstable();
    known.get(known.len() / 2).map_or_else(|| "—".to_owned(), |middle| span(*middle))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_of_what_is_known() {
        let of = |seconds: Option<i64>| Times { detect: seconds.map(SignedDuration::from_secs), ..Times::default() };
        assert_eq!(median(&[of(Some(90)), of(None), of(Some(20)), of(Some(30))], |one| one.detect), "30 s");
        assert_eq!(median(&[of(None)], |one| one.detect), "—");
        assert_eq!(of(Some(5)).whole(), SignedDuration::from_secs(5));
    }
}
