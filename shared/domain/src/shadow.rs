//! How good the decisions of shadow mode were: what it would have done, and what became known afterwards.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    ExecutionId, RollbackCause, RollbackDecision, RollbackOutcome, StageName, StageStatus, Success, status::wire_enum,
};

/// How long after the end of a watch it is settled whether its alarm stayed red: what is not by then never will be.
const SETTLED_AFTER: SignedDuration = SignedDuration::from_hours(1);

wire_enum! {
    /// How the decision about a release stands.
    ShadowVerdict {
        /// It would have been rolled back, and that would have been right.
        Confirmed = "Confirmed",
        /// It would have been rolled back, and nothing confirmed that.
        Unconfirmed = "Unconfirmed",
        /// It would have been rolled back, and its watch is not over.
        Open = "Open",
        /// It would have been let be, and a person went back from it.
        Missed = "Missed",
    }
}

wire_enum! {
    /// What shows that a rollback was due.
    ShadowConfirmation {
        /// A person went back from the release.
        RolledBackByPerson = "RolledBackByPerson",
        /// The release failed in a later stage.
        LaterStageFailed = "LaterStageFailed",
        /// The alarm was still red when the watch ended.
        AlarmStayedRed = "AlarmStayedRed",
    }
}

/// What is known of one release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShadowScore {
    /// The execution.
    pub execution: ExecutionId,
    /// How the decision stands.
    pub verdict: ShadowVerdict,
    /// What shows that a rollback was due.
    pub confirmation: Option<ShadowConfirmation>,
    /// Decisions about the release in the stage, newest first.
    pub decisions: Vec<Uuid>,
}

/// Scores the releases that `successes` of a stage tell of, newest first. `decisions` are the stage's, newest first;
/// `failed` are executions that failed in a stage after it.
///
/// | shadow mode | afterwards | verdict |
/// | --- | --- | --- |
/// | would have rolled back | a person went back from it, it failed later, or the alarm stayed red | `Confirmed` |
/// | would have rolled back | the watch is over, and none of these | `Unconfirmed` |
/// | would have rolled back | the watch is not over, and none of these | `Open` |
/// | would have done nothing | a person went back from it | `Missed` |
/// | would have done nothing | no person went back from it | none: it is no entry |
///
/// That a release failed in a later stage is no miss: the stage's alarms need not have seen it.
pub fn score_shadow(
    successes: &[Success],
    decisions: &[RollbackDecision],
    failed: &BTreeSet<ExecutionId>,
    now: Timestamp,
) -> Vec<ShadowScore> {
    let mut by_execution: BTreeMap<ExecutionId, Vec<&RollbackDecision>> = BTreeMap::new();
    for decision in decisions {
        by_execution.entry(decision.execution).or_default().push(decision);
    }
    let manual: BTreeSet<ExecutionId> = decisions.iter().filter_map(manual_rollback).collect();
    let score = |success: &Success| {
        let own = by_execution.get(&success.execution).map(Vec::as_slice).unwrap_or_default();
        let shadowed = own.iter().find(|one| matches!(one.outcome, RollbackOutcome::Shadowed { .. }));
        // Going back past a release takes it back as well as the one that was live.
        let by_person = success.revoked_by.is_some_and(|by| manual.contains(&by));
        let stayed_red = |one: &&RollbackDecision| one.outcome == RollbackOutcome::ShadowEnded { still_red: true };
        let confirmation = if by_person {
            Some(ShadowConfirmation::RolledBackByPerson)
        } else if failed.contains(&success.execution) {
            Some(ShadowConfirmation::LaterStageFailed)
        } else if own.iter().any(stayed_red) {
            Some(ShadowConfirmation::AlarmStayedRed)
        } else {
            None
        };
        let verdict = match shadowed {
            Some(_) if confirmation.is_some() => ShadowVerdict::Confirmed,
            Some(shadowed) if is_open(shadowed, own, now) => ShadowVerdict::Open,
            Some(_) => ShadowVerdict::Unconfirmed,
            None if by_person => ShadowVerdict::Missed,
            None => return None,
        };
        let decisions = own.iter().map(|one| one.id()).collect();
        Some(ShadowScore { execution: success.execution, verdict, confirmation, decisions })
    };
    successes.iter().filter_map(score).collect()
}

/// The rollback that a person started.
fn manual_rollback(decision: &RollbackDecision) -> Option<ExecutionId> {
    match (&decision.outcome, &decision.cause) {
        (RollbackOutcome::Started { rollback, .. }, RollbackCause::Manual { .. }) => Some(*rollback),
        _ => None,
    }
}

/// Whether the watch that led to `shadowed` may still tell something.
fn is_open(shadowed: &RollbackDecision, own: &[&RollbackDecision], now: Timestamp) -> bool {
    let has_ended = own.iter().any(|one| matches!(one.outcome, RollbackOutcome::ShadowEnded { .. }));
    let until = shadowed.evidence.as_ref().map_or(shadowed.at, |evidence| evidence.until);
    !has_ended && now < until + SETTLED_AFTER
}

/// Whether `execution` failed in a stage that it entered after `stage`.
pub fn failed_after(execution: &crate::Execution, stage: &StageName) -> bool {
    let Some(here) = execution.stages.get(stage) else { return false };
    let mut others = execution.stages.iter().filter(|(name, _)| *name != stage);
    others.any(|(_, outcome)| outcome.status == StageStatus::Failed && outcome.entered_at >= here.entered_at)
}
