//! State of one stage: who is inside, who may come in, what is live.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    AlarmSnapshot, ExecutionId, ExecutionType, Generation, Observed, PipelineName, RetryTrigger, RollbackCause,
    StageName, StageStatus,
};

/// The row of a stage. Its conditional write is the lock: nothing else decides who is inside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StageState {
    /// Its pipeline.
    pub pipeline: PipelineName,
    /// Its name.
    pub name: StageName,
    /// Raised whenever the right to act on the stage changes hands.
    pub generation: Generation,
    /// Who is inside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub occupant: Option<Occupant>,
    /// What clients see as `latestExecution`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latest: Option<LatestRun>,
    /// What is deployed: the newest success not taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live: Option<Live>,
    /// Whether executions may come in.
    pub inbound: TransitionState,
    /// How many executions ever arrived to wait; orders the waiting ones.
    #[serde(default)]
    pub arrivals: u64,
    /// Row version, for conditional writes.
    #[serde(default)]
    pub version: u64,
}

/// The execution inside a stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Occupant {
    /// Which.
    pub execution: ExecutionId,
    /// Its type.
    pub execution_type: ExecutionType,
    /// When it came in.
    pub entered_at: Timestamp,
    /// Alarms of the stage's watches when it came in, by their declared name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub alarms: BTreeMap<String, AlarmSnapshot>,
}

/// The newest execution that was in the stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LatestRun {
    /// Which.
    pub execution: ExecutionId,
    /// Its type.
    pub execution_type: ExecutionType,
    /// How the stage stands in it.
    pub status: StageStatus,
    /// Automatic retries of the stage in it.
    #[serde(default)]
    pub auto_retries: u32,
    /// Retries of the stage in it that a person asked for.
    #[serde(default)]
    pub manual_retries: u32,
    /// What caused the latest retry, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latest_retry: Option<RetryTrigger>,
}

/// What a stage last brought out successfully.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Live {
    /// The execution that deployed it.
    pub deployed_by: ExecutionId,
    /// The execution whose revisions it is: the same, or a rollback's target.
    pub revision_of: ExecutionId,
    /// Since when.
    pub since: Timestamp,
    /// The deploys that are or were watched, what is live last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub observed: Vec<Observed>,
}

/// Whether executions may come into a stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TransitionState {
    /// `false`: executions wait before the stage.
    pub enabled: bool,
    /// Who changed it last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed_by: Option<String>,
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed_at: Option<Timestamp>,
    /// Why it is disabled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled_reason: Option<String>,
    /// Since when it is disabled, by however many in turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled_since: Option<Timestamp>,
    /// Set where a rollback, or the question whether there should be one, disabled it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Hold>,
    /// What a person has disabled it for, where a hold lies over that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed: Option<Closing>,
}

/// A person's word that nothing comes into a stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Closing {
    /// Who.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl TransitionState {
    /// What a person has disabled it for, whether a hold lies over that or not.
    pub fn closing(&self) -> Option<Closing> {
        if self.enabled || self.hold.is_some() {
            return self.closed.clone();
        }
        Some(Closing { by: self.changed_by.clone(), at: self.changed_at, reason: self.disabled_reason.clone() })
    }

    /// Since when it is disabled, if it is.
    pub(crate) fn disabled_since(&self) -> Option<Timestamp> {
        // Rows of before this was kept have the time of the last change.
        self.disabled_since.or(self.changed_at).filter(|_| !self.enabled)
    }

    /// Let everybody in, and lift what holds them.
    pub(crate) fn opened(by: &str, now: Timestamp) -> Self {
        Self {
            enabled: true,
            changed_by: Some(by.to_owned()),
            changed_at: Some(now),
            disabled_reason: None,
            disabled_since: None,
            hold: None,
            closed: None,
        }
    }

    /// Closed by a person. A hold stays one, but lifts for nobody: whoever closes the way says so for everything that comes.
    pub(crate) fn closed(&self, by: &str, reason: &str, now: Timestamp) -> Self {
        let closing = Closing { by: Some(by.to_owned()), at: Some(now), reason: Some(reason.to_owned()) };
        Self {
            enabled: false,
            changed_by: closing.by.clone(),
            changed_at: closing.at,
            disabled_reason: closing.reason.clone(),
            disabled_since: self.disabled_since().or(Some(now)),
            hold: self.hold.clone().map(|hold| Hold { lifts_for_other_content: false, ..hold }),
            closed: self.hold.is_some().then_some(closing),
        }
    }

    /// With `hold` over what a person may have closed, which stays below it.
    pub(crate) fn held(&self, hold: Hold, reason: String, now: Timestamp) -> Self {
        let closed = self.closing();
        Self {
            enabled: false,
            changed_by: Some("lastgood".to_owned()),
            changed_at: Some(now),
            disabled_reason: Some(reason),
            disabled_since: self.disabled_since().or(Some(now)),
            hold: Some(Hold { lifts_for_other_content: hold.lifts_for_other_content && closed.is_none(), ..hold }),
            closed,
        }
    }

    /// Without its hold: open, unless a person has closed it.
    pub(crate) fn released(&self, by: &str, now: Timestamp) -> Self {
        let Some(Closing { by, at, reason }) = self.closing() else { return Self::opened(by, now) };
        Self {
            enabled: false,
            changed_by: by,
            changed_at: at,
            disabled_reason: reason,
            disabled_since: self.disabled_since(),
            hold: None,
            closed: None,
        }
    }
}

/// An inbound transition that a rollback disabled, or the question whether there should be one, until a person lifts it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hold {
    /// The rollback; absent where a person is asked whether there should be one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback: Option<ExecutionId>,
    /// The execution it brings back; absent as above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<ExecutionId>,
    /// The execution that may be to blame, where a person is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspect: Option<ExecutionId>,
    /// Why.
    pub cause: RollbackCause,
    /// Whether the next execution that carries other content lifts it, by the rule's HoldUntil.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub lifts_for_other_content: bool,
    /// Since when.
    pub since: Timestamp,
}

impl Hold {
    /// The execution in whose history it belongs: the rollback, or the suspect.
    pub fn about(&self) -> ExecutionId {
        // One of them is always there.
        self.rollback.or(self.suspect).unwrap_or(ExecutionId(uuid::Uuid::nil()))
    }
}

impl StageState {
    /// The latest execution, where it skipped the stage.
    pub fn skipped_by(&self) -> Option<ExecutionId> {
        self.latest.as_ref().filter(|latest| latest.status == StageStatus::Skipped).map(|latest| latest.execution)
    }

    /// A stage nobody has entered.
    pub fn new(pipeline: PipelineName, name: StageName) -> Self {
        Self {
            pipeline,
            name,
            generation: Generation::default(),
            occupant: None,
            latest: None,
            live: None,
            inbound: TransitionState {
                enabled: true,
                changed_by: None,
                changed_at: None,
                disabled_reason: None,
                disabled_since: None,
                hold: None,
                closed: None,
            },
            arrivals: 0,
            version: 0,
        }
    }

    /// Whether `execution` is inside and acts under the current generation.
    pub fn is_held_by(&self, execution: ExecutionId, generation: Generation) -> bool {
        self.generation == generation && self.is_occupied_by(execution)
    }

    /// Whether `execution` is inside, or the stage is reserved for it.
    pub(crate) fn is_occupied_by(&self, execution: ExecutionId) -> bool {
        self.occupant.as_ref().is_some_and(|inside| inside.execution == execution)
    }

    /// Gives the stage to `occupant` and raises the generation, so that whoever held it before is powerless.
    pub(crate) fn give_to(&mut self, occupant: Occupant) {
        self.generation = self.generation.next();
        self.latest = Some(LatestRun {
            execution: occupant.execution,
            execution_type: occupant.execution_type,
            status: StageStatus::InProgress,
            auto_retries: 0,
            manual_retries: 0,
            latest_retry: None,
        });
        self.occupant = Some(occupant);
    }

    /// Gives the stage once more to `occupant`, whose run of it is the latest one.
    pub(crate) fn give_again_to(&mut self, occupant: Occupant) {
        self.generation = self.generation.next();
        if let Some(latest) = &mut self.latest {
            latest.status = StageStatus::InProgress;
        }
        self.occupant = Some(occupant);
    }

    /// Counts a retry of its latest run that a person asked for.
    pub(crate) fn count_manual_retry(&mut self) {
        if let Some(latest) = &mut self.latest {
            latest.manual_retries += 1;
            latest.latest_retry = Some(RetryTrigger::ManualStageRetry);
        }
    }

    /// Frees the stage; its latest run ended with `status`.
    pub(crate) fn release(&mut self, status: StageStatus) {
        self.occupant = None;
        if let Some(latest) = &mut self.latest {
            latest.status = status;
        }
    }
}
