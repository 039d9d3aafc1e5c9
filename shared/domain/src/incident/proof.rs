//! Did a rollback help? The alarms that were red when it came are observed until they clear or its time is over.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Incident;
use crate::{
    AlarmChange, AlarmState, Changes, Execution, ExecutionId, PipelineName, Record, RollbackCause, RollbackDecision,
    RollbackOutcome, StageName, Watch, status::wire_enum, watched_as,
};

wire_enum! {
    /// Whether a rollback helped.
    Proof {
        /// The alarm has cleared.
        Helped = "Helped",
        /// The alarm is still red.
        DidNotHelp = "DidNotHelp",
    }
}

/// Whether the rollback that `watch` observes helped; none while that is still to be seen.
///
/// An alarm without data is not red any more, but that alone proves nothing: it counts as cleared when the time is over.
pub fn prove(watch: &Watch, alarm: AlarmState, now: Timestamp) -> Option<Proof> {
    match (alarm, now >= watch.until) {
        (AlarmState::Ok, _) | (AlarmState::InsufficientData, true) => Some(Proof::Helped),
        (AlarmState::Alarm, true) => Some(Proof::DidNotHelp),
        // An alarm that cannot be read proves nothing either way, nor one whose actions are suppressed: whoever looks next sees.
        (AlarmState::Alarm | AlarmState::InsufficientData, false)
        | (AlarmState::Unreadable | AlarmState::Suppressed, _) => None,
    }
}

/// A rollback that has shown whether it helps.
#[derive(Debug, Clone)]
pub struct Proven<'a> {
    /// Its pipeline.
    pub pipeline: &'a PipelineName,
    /// Its stage.
    pub stage: &'a StageName,
    /// The rollback.
    pub rollback: ExecutionId,
    /// Its row, if it is still there.
    pub execution: Option<&'a Execution>,
    /// What observed it, if it is observed still.
    pub watch: Option<&'a Watch>,
    /// What was seen.
    pub proof: Proof,
}

/// What is stored of a rollback that has shown whether it helps. `incident` is that of the alarm.
pub fn settle_proof(of: &Proven<'_>, alarm: &AlarmChange, incident: Option<&Incident>, now: Timestamp) -> Changes {
    let rollback = of.rollback;
    let (what, name) = watched_as(&alarm.arn);
    let (has, is) = if what == "Metrics" { ("have", "are") } else { ("has", "is") };
    let (outcome, event, detail) = match of.proof {
        Proof::Helped => {
            let outcome = RollbackOutcome::Helped { rollback };
            (outcome, "RollbackHelped", format!("{what} {name} {has} cleared."))
        }
        Proof::DidNotHelp => {
            let outcome = RollbackOutcome::DidNotHelp { rollback };
            let detail = format!("{what} {name} {is} still red, since {}. The incident stays open.", alarm.since);
            (outcome, "RollbackDidNotHelp", detail)
        }
    };
    let mut changes = Changes { watches_ended: of.watch.into_iter().cloned().collect(), ..Changes::default() };
    changes.decisions.push(RollbackDecision {
        pipeline: of.pipeline.clone(),
        stage: of.stage.clone(),
        at: now,
        execution: rollback,
        cause: RollbackCause::Alarm { alarm_arn: alarm.arn.clone(), reason: alarm.reason.clone() },
        undone: of.execution.and_then(|execution| execution.rollback.as_ref()?.undone),
        outcome,
        evidence: None,
        series: Vec::new(),
    });
    changes.records.push(Record {
        execution: rollback,
        at: now,
        event: event.to_owned(),
        stage: Some(of.stage.clone()),
        detail: detail.clone(),
        evidence: None,
    });
    if let Some(execution) = of.execution.filter(|execution| execution.phase.is_ended()) {
        changes.before.insert(execution.id, execution.clone());
        let told = Execution { status_summary: Some(detail), updated_at: now, ..execution.clone() };
        changes.executions.insert(execution.id, told);
    }
    let noted = incident.filter(|incident| incident.proving() == Some(rollback));
    changes.incidents.extend(noted.cloned().map(|mut incident| {
        incident.note(rollback, of.proof, now);
        incident
    }));
    changes
}
