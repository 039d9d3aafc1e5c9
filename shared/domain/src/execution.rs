//! A pipeline execution and the runs of its actions.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    ActionExecutionId, ActionName, ActionStatus, ActionTypeId, ExecutionId, ExecutionMode, ExecutionStatus,
    ExecutionType, Generation, PipelineName, RollbackCause, StageName, StageStatus, TriggerType,
};

/// The row of a pipeline execution: the truth about where it is and what it carries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Execution {
    /// Its id; sorts by start time.
    pub id: ExecutionId,
    /// Its pipeline.
    pub pipeline: PipelineName,
    /// Version the execution started in.
    pub pipeline_version: u32,
    /// Standard or rollback.
    pub execution_type: ExecutionType,
    /// The pipeline's mode at start.
    pub mode: ExecutionMode,
    /// What started it.
    pub trigger: Trigger,
    /// When.
    pub started_at: Timestamp,
    /// Last change of this row.
    pub updated_at: Timestamp,
    /// Where it is.
    pub phase: Phase,
    /// Why it is there, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_summary: Option<String>,
    /// Number of the state machine execution that drives it; raised by a retry.
    pub attempt: u32,
    /// Pipeline-level variables, resolved.
    #[serde(default)]
    pub variables: BTreeMap<String, String>,
    /// Object versions to take, by Source action, fixed when it started.
    #[serde(default)]
    pub pins: BTreeMap<ActionName, SourcePin>,
    /// What its Source actions took.
    #[serde(default)]
    pub revisions: Vec<SourceRevision>,
    /// Output variables by namespace.
    #[serde(default)]
    pub outputs: BTreeMap<String, BTreeMap<String, String>>,
    /// Artifacts by name.
    #[serde(default)]
    pub artifacts: BTreeMap<String, ArtifactLocation>,
    /// What became of each stage it entered.
    #[serde(default)]
    pub stages: BTreeMap<StageName, StageOutcome>,
    /// For executions of type ROLLBACK.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback: Option<RollbackOf>,
    /// Row version, for conditional writes.
    #[serde(default)]
    pub version: u64,
}

/// What started an execution (spec 2.2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Trigger {
    /// Kind.
    pub trigger_type: TriggerType,
    /// Free text of at most 1024 characters: a caller's ARN, or JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger_detail: Option<String>,
}

/// The object a Source action shall take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SourcePin {
    /// Key, where it differs from the declared one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Object version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_id: Option<String>,
}

/// What a Source action took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceRevision {
    /// The Source action.
    pub action_name: ActionName,
    /// Name of the artifact it became.
    pub artifact_name: String,
    /// Object version.
    pub revision_id: String,
    /// ETag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision_change_identifier: Option<String>,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision_summary: Option<String>,
    /// When the object was stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<Timestamp>,
}

/// Where an artifact is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArtifactLocation {
    /// Bucket.
    pub bucket: String,
    /// Key.
    pub key: String,
}

/// What became of one stage in one execution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StageOutcome {
    /// Status of the stage in this execution.
    pub status: StageStatus,
    /// Digest of the stage's behaviour when it ran.
    pub fingerprint: String,
    /// When it was entered.
    pub entered_at: Timestamp,
    /// When it was left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_at: Option<Timestamp>,
    /// The rollback that took this success back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_by: Option<ExecutionId>,
}

/// What a rollback execution brings back, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RollbackOf {
    /// The stage; no other is touched.
    pub stage: StageName,
    /// The execution whose revisions, variables and artifacts are used.
    pub target: ExecutionId,
    /// The execution that is undone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undone: Option<ExecutionId>,
    /// Why.
    pub cause: RollbackCause,
}

/// One run of one action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ActionRun {
    /// Its id.
    pub id: ActionExecutionId,
    /// Its pipeline.
    pub pipeline: PipelineName,
    /// Its execution.
    pub execution: ExecutionId,
    /// Version of the pipeline the execution started in.
    pub pipeline_version: u32,
    /// Its stage.
    pub stage: StageName,
    /// Its action.
    pub action: ActionName,
    /// Its type.
    pub action_type: ActionTypeId,
    /// Generation of the stage it runs under; a newer one on the stage makes it powerless.
    pub generation: Generation,
    /// Status.
    pub status: ActionStatus,
    /// When it started.
    pub started_at: Timestamp,
    /// Last change.
    pub updated_at: Timestamp,
    /// Role it runs as: its own, or the pipeline's.
    pub role_arn: String,
    /// As declared.
    #[serde(default)]
    pub configuration: BTreeMap<String, String>,
    /// With references resolved.
    #[serde(default)]
    pub resolved_configuration: BTreeMap<String, String>,
    /// Artifacts read.
    #[serde(default)]
    pub inputs: BTreeMap<String, ArtifactLocation>,
    /// Artifacts written.
    #[serde(default)]
    pub outputs: BTreeMap<String, ArtifactLocation>,
    /// Namespace of its output variables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Output variables.
    #[serde(default)]
    pub output_variables: BTreeMap<String, String>,
    /// Id of the work at its provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// What happened, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// Failure type such as `JobFailed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_message: Option<String>,
    /// How far a run that needs several invocations has come; its action knows the form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<serde_json::Value>,
    /// Token that answers a manual approval, while it waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval_token: Option<String>,
    /// Row version, for conditional writes.
    #[serde(default)]
    pub version: u64,
}

/// Where an execution is. Each variant holds only what is true there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "name")]
pub enum Phase {
    /// Recorded; its state machine has not asked for a stage yet.
    Starting,
    /// Before a stage.
    Waiting {
        /// Which.
        stage: StageName,
    },
    /// Inside a stage.
    Running {
        /// Which.
        stage: StageName,
    },
    /// Inside a stage, to be stopped when its running actions are done.
    Stopping {
        /// Which.
        stage: StageName,
    },
    /// Every stage of its plan succeeded.
    Succeeded,
    /// A stage failed.
    Failed {
        /// Which, unless it never reached one.
        stage: Option<StageName>,
    },
    /// Stopped by a person.
    Stopped,
    /// A newer execution took its waiting place.
    Superseded,
    /// The structure changed, or a rollback took its stage.
    Cancelled,
}

/// What can happen to an execution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PhaseEvent {
    /// It has to wait before a stage.
    Wait(StageName),
    /// It takes a stage.
    Enter(StageName),
    /// Its last stage succeeded.
    Complete,
    /// Its stage failed, or its driver died.
    Fail,
    /// A newer execution takes its waiting place.
    Supersede,
    /// Its structure is gone, or a rollback fences it.
    Cancel,
    /// A person asks for a stop.
    RequestStop,
    /// Its running actions are done after a stop was asked for.
    Stop,
    /// Its failed stage runs again.
    Retry(StageName),
}

/// An event that a phase does not take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// It cannot happen here: the caller is wrong.
    #[error("the event does not fit the execution's phase")]
    Illegal,
    /// It comes too late: the right to act has passed on.
    #[error("the execution has moved on")]
    Stale,
    /// It has happened already; for an at-least-once caller this is success.
    #[error("this has been done already")]
    AlreadyDone,
}

impl Phase {
    /// The phase after `event`.
    ///
    /// # Errors
    /// [`Rejected`] tells an illegal event from a late one and from a repeated one.
    pub fn after(&self, event: &PhaseEvent) -> Result<Self, Rejected> {
        use {Phase as P, PhaseEvent as E};
        match (self, event) {
            (P::Waiting { stage }, E::Wait(to)) if stage == to => Err(Rejected::AlreadyDone),
            (P::Running { stage }, E::Enter(to)) if stage == to => Err(Rejected::AlreadyDone),
            (P::Starting | P::Running { .. }, E::Wait(to)) => Ok(P::Waiting { stage: to.clone() }),
            (P::Starting | P::Waiting { .. } | P::Running { .. }, E::Enter(to)) => Ok(P::Running { stage: to.clone() }),
            (P::Running { .. }, E::Complete) => Ok(P::Succeeded),
            (P::Starting, E::Fail) => Ok(P::Failed { stage: None }),
            (P::Waiting { stage } | P::Running { stage }, E::Fail) => Ok(P::Failed { stage: Some(stage.clone()) }),
            (P::Waiting { .. }, E::Supersede) => Ok(P::Superseded),
            (P::Starting | P::Waiting { .. } | P::Running { .. } | P::Stopping { .. }, E::Cancel) => Ok(P::Cancelled),
            (P::Starting | P::Waiting { .. }, E::RequestStop) => Ok(P::Stopped),
            (P::Running { stage }, E::RequestStop) => Ok(P::Stopping { stage: stage.clone() }),
            (P::Stopping { .. }, E::RequestStop) => Err(Rejected::AlreadyDone),
            (P::Stopping { .. }, E::Stop | E::Complete | E::Fail) => Ok(P::Stopped),
            (P::Stopping { .. }, E::Enter(_) | E::Wait(_)) => Err(Rejected::Stale),
            (P::Failed { .. } | P::Stopped, E::Retry(stage)) => Ok(P::Running { stage: stage.clone() }),
            (P::Succeeded, E::Complete)
            | (P::Failed { .. }, E::Fail)
            | (P::Superseded, E::Supersede)
            | (P::Cancelled, E::Cancel)
            | (P::Stopped, E::Stop) => Err(Rejected::AlreadyDone),
            (P::Succeeded | P::Failed { .. } | P::Stopped | P::Superseded | P::Cancelled, _) => Err(Rejected::Stale),
            (P::Starting | P::Waiting { .. } | P::Running { .. } | P::Stopping { .. }, _) => Err(Rejected::Illegal),
        }
    }

    /// The status CodePipeline's clients see: waiting is `InProgress` (spec 2.1).
    pub fn status(&self) -> ExecutionStatus {
        match self {
            Self::Starting | Self::Waiting { .. } | Self::Running { .. } => ExecutionStatus::InProgress,
            Self::Stopping { .. } => ExecutionStatus::Stopping,
            Self::Succeeded => ExecutionStatus::Succeeded,
            Self::Failed { .. } => ExecutionStatus::Failed,
            Self::Stopped => ExecutionStatus::Stopped,
            Self::Superseded => ExecutionStatus::Superseded,
            Self::Cancelled => ExecutionStatus::Cancelled,
        }
    }

    /// Whether nothing but a retry can happen any more.
    pub fn is_ended(&self) -> bool {
        !matches!(self.status(), ExecutionStatus::InProgress | ExecutionStatus::Stopping)
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Starting => "Starting",
            Self::Waiting { .. } => "Waiting",
            Self::Running { .. } => "Running",
            Self::Stopping { .. } => "Stopping",
            Self::Succeeded => "Succeeded",
            Self::Failed { .. } => "Failed",
            Self::Stopped => "Stopped",
            Self::Superseded => "Superseded",
            Self::Cancelled => "Cancelled",
        }
    }
}

impl Execution {
    /// Applies `event` to the phase.
    ///
    /// # Errors
    /// As [`Phase::after`]; the execution is unchanged then.
    pub fn advance(&mut self, event: &PhaseEvent, now: Timestamp) -> Result<(), Rejected> {
        self.phase = self.phase.after(event)?;
        self.updated_at = now;
        Ok(())
    }

    /// Name that makes starting its state machine idempotent (at most 80 characters, spec 10.5).
    pub fn machine_name(&self) -> String {
        format!("{}-{}", self.id, self.attempt)
    }

    /// The execution whose revisions this one deploys: itself, or the target of a rollback.
    pub fn revision_of(&self) -> ExecutionId {
        self.rollback.as_ref().map_or(self.id, |rollback| rollback.target)
    }
}

/// The whole phase-by-event table as Markdown, for `statemachine/README.md`.
pub fn phase_table() -> String {
    // The names only have to be equal (a) or different (b).
    let (Ok(a), Ok(b)) = ("A".parse::<StageName>(), "B".parse::<StageName>()) else { return String::new() };
    let phases = [
        Phase::Starting,
        Phase::Waiting { stage: a.clone() },
        Phase::Running { stage: a.clone() },
        Phase::Stopping { stage: a.clone() },
        Phase::Succeeded,
        Phase::Failed { stage: Some(a.clone()) },
        Phase::Stopped,
        Phase::Superseded,
        Phase::Cancelled,
    ];
    let events = [
        ("Wait (other stage)", PhaseEvent::Wait(b.clone())),
        ("Enter (same stage)", PhaseEvent::Enter(a)),
        ("Enter (other stage)", PhaseEvent::Enter(b.clone())),
        ("Complete", PhaseEvent::Complete),
        ("Fail", PhaseEvent::Fail),
        ("Supersede", PhaseEvent::Supersede),
        ("Cancel", PhaseEvent::Cancel),
        ("RequestStop", PhaseEvent::RequestStop),
        ("Stop", PhaseEvent::Stop),
        ("Retry", PhaseEvent::Retry(b)),
    ];
    let mut table = String::from("| event |");
    for phase in &phases {
        table += &format!(" {} |", phase.name());
    }
    table += "\n|---|";
    table += &"---|".repeat(phases.len());
    for (name, event) in &events {
        table += &format!("\n| {name} |");
        for phase in &phases {
            let cell = match phase.after(event) {
                Ok(next) => format!("**{}**", next.name()),
                Err(Rejected::Illegal) => "illegal".to_owned(),
                Err(Rejected::Stale) => "stale".to_owned(),
                Err(Rejected::AlreadyDone) => "done".to_owned(),
            };
            table += &format!(" {cell} |");
        }
    }
    table + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ended_phases_absorb_everything_but_a_retry() {
        let stage: StageName = "S".parse().unwrap();
        let events = [PhaseEvent::Enter(stage.clone()), PhaseEvent::Cancel, PhaseEvent::Fail, PhaseEvent::Supersede];
        for phase in [Phase::Succeeded, Phase::Superseded, Phase::Cancelled, Phase::Failed { stage: None }, Phase::Stopped] {
            assert!(phase.is_ended());
            for event in &events {
                assert!(phase.after(event).is_err(), "{phase:?} {event:?}");
            }
        }
        assert!(Phase::Failed { stage: None }.after(&PhaseEvent::Retry(stage.clone())).is_ok());
        assert_eq!(Phase::Succeeded.after(&PhaseEvent::Retry(stage)), Err(Rejected::Stale));
    }

    #[test]
    fn only_a_waiting_execution_is_ever_superseded() {
        let stage: StageName = "S".parse().unwrap();
        assert_eq!(Phase::Waiting { stage: stage.clone() }.after(&PhaseEvent::Supersede), Ok(Phase::Superseded));
        assert_eq!(Phase::Running { stage }.after(&PhaseEvent::Supersede), Err(Rejected::Illegal));
    }

    #[test]
    fn the_table_has_a_cell_for_every_pair() {
        let table = phase_table();
        assert_eq!(table.lines().count(), 12);
        assert!(table.lines().all(|line| line.matches('|').count() == 11), "{table}");
    }
}
