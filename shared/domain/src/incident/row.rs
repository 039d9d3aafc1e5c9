//! The row of an incident: one alarm that is red, and what was done about it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Proof;
use crate::{AlarmChange, ExecutionId, PipelineName, StageName, status::wire_enum};

/// Automatic rollbacks of one incident. A third would be guessing: a person decides.
pub const ROLLBACKS_MAX: u32 = 2;

wire_enum! {
    /// How an incident stands.
    IncidentStatus {
        /// A rollback was started and is still to show whether it helps.
        RollingBack = "RollingBack",
        /// Nobody was clearly to blame, or there was nothing to go back to: a person is asked.
        Asking = "Asking",
        /// The alarm is red although the rollback is done and was given its time.
        NotHelped = "NotHelped",
        /// The alarm has cleared.
        Recovered = "Recovered",
    }
}

/// An incident. There is one row for each alarm, which a new incident takes over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Incident {
    /// The alarm.
    pub alarm_arn: String,
    /// When the alarm turned red first.
    pub onset: Timestamp,
    /// When the alarm turned red last.
    pub red_since: Timestamp,
    /// How it stands.
    pub status: IncidentStatus,
    /// Automatic rollbacks, oldest first; at most [`ROLLBACKS_MAX`].
    #[serde(default)]
    pub rollbacks: Vec<IncidentRollback>,
    /// Until when an alarm that turns red again, and was not seen to clear, belongs to this incident.
    pub quiet_until: Timestamp,
    /// Last change of this row.
    pub changed_at: Timestamp,
    /// Row version, for conditional writes.
    #[serde(default)]
    pub version: u64,
}

/// An automatic rollback of an incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IncidentRollback {
    /// The pipeline.
    pub pipeline: PipelineName,
    /// The stage.
    pub stage: StageName,
    /// The rollback.
    pub rollback: ExecutionId,
    /// The execution it undoes.
    pub undone: ExecutionId,
    /// When it was started.
    pub at: Timestamp,
    /// Whether it helped, once that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<Proof>,
}

impl Incident {
    /// An incident that begins with `alarm`, or the one that is there where it goes on.
    pub fn of(alarm: &AlarmChange, there: Option<&Self>, now: Timestamp) -> Self {
        let version = there.map_or(0, |there| there.version);
        let mut incident = match there.filter(|there| there.goes_on(alarm, now)) {
            Some(there) => there.clone(),
            None => Self {
                alarm_arn: alarm.arn.clone(),
                onset: alarm.since,
                red_since: alarm.since,
                status: IncidentStatus::RollingBack,
                rollbacks: Vec::new(),
                quiet_until: now,
                changed_at: now,
                version,
            },
        };
        incident.red_since = alarm.since;
        incident.changed_at = now;
        incident
    }

    /// Whether `alarm`, which is red, is still this incident: it has been red ever since, or turned red again soon after
    /// the last rollback without anybody having seen it clear.
    pub fn goes_on(&self, alarm: &AlarmChange, now: Timestamp) -> bool {
        self.red_since == alarm.since || self.is_open() && now <= self.quiet_until
    }

    /// Whether the alarm has not cleared.
    pub fn is_open(&self) -> bool {
        self.status != IncidentStatus::Recovered
    }

    /// The rollback that is still to show whether it helps.
    pub fn proving(&self) -> Option<ExecutionId> {
        self.rollbacks.last().filter(|last| last.proof.is_none()).map(|last| last.rollback)
    }

    /// Notes whether `rollback` helped.
    pub fn note(&mut self, rollback: ExecutionId, proof: Proof, now: Timestamp) {
        for one in self.rollbacks.iter_mut().filter(|one| one.rollback == rollback && one.proof.is_none()) {
            one.proof = Some(proof);
        }
        self.status = match proof {
            Proof::Helped => IncidentStatus::Recovered,
            Proof::DidNotHelp if self.status == IncidentStatus::Asking => IncidentStatus::Asking,
            Proof::DidNotHelp => IncidentStatus::NotHelped,
        };
        self.changed_at = now;
    }
}
