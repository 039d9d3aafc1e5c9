//! What a decision changes: rows to store in one transaction, and effects to perform after it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    ActionExecutionId, ActionRun, ActionStatus, ConditionAnswer, ConditionRun, ContentId, Event, Evidence, Execution,
    ExecutionId, ExecutionMode, ExecutionStatus, GateAnswer, Generation, Incident, Job, KeptChange, OpenHold,
    PipelineIndex, PipelineName, PipelineView, Rejected, RevokedContent, RollbackCause, RollbackDecision,
    RollbackOutcome, RuleRun, Slot, StageName, StageState, Success, Tokens, Watch, derived_uuid,
};

/// Everything one decision changes. Rows carry the version they were read at, so storing them is conditional.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Changes {
    /// Stage rows.
    pub stages: BTreeMap<StageName, StageState>,
    /// Execution rows.
    pub executions: BTreeMap<ExecutionId, Execution>,
    /// Executions as they were read, of those above that are not new: what happened to them is told.
    pub before: BTreeMap<ExecutionId, Execution>,
    /// Executions that begin to wait.
    pub waiting_added: Vec<Waiting>,
    /// Executions that wait no more.
    pub waiting_removed: Vec<Waiting>,
    /// Successes, new or revoked.
    pub successes: Vec<Success>,
    /// Content that is revoked from here on.
    pub revoked: Vec<RevokedContent>,
    /// Content whose revocation a person takes back.
    pub reinstated: Vec<RevokedContent>,
    /// Content that must not be revoked for the changes to be stored.
    pub unrevoked: BTreeSet<ContentId>,
    /// Watches that begin.
    pub watches: Vec<Watch>,
    /// Watches whose end is another.
    pub watches_changed: Vec<WatchChange>,
    /// Watches that end.
    pub watches_ended: Vec<Watch>,
    /// Incidents that begin or change.
    pub incidents: Vec<Incident>,
    /// An action run that begins, and the run that must still be the latest of its action for that.
    pub begun: Option<(ActionRun, Option<ActionExecutionId>)>,
    /// Action runs.
    pub runs: Vec<ActionRun>,
    /// Action runs that are abandoned, and whether each is the latest one of its action.
    pub abandoned: Vec<(ActionRun, bool)>,
    /// Jobs.
    pub jobs: Vec<Job>,
    /// Places among the executions under way that are taken.
    pub slots: Vec<Slot>,
    /// Conditions.
    pub conditions: Vec<ConditionRun>,
    /// Rules that were evaluated.
    pub rules: Vec<RuleRun>,
    /// Stages that must still be at this generation for the changes to be stored.
    pub fences: BTreeSet<(StageName, Generation)>,
    /// Executions that must still be as they were read for the changes to be stored.
    pub unchanged: Vec<Execution>,
    /// The pipeline, which must still be as it was read, where a rollback begins, and where a stage gets its first row: of
    /// a pipeline that was deleted meanwhile, no row may be left to the next one of its name.
    pub of_pipeline: Option<Box<PipelineIndex>>,
    /// Holds that begin.
    pub holds: Vec<OpenHold>,
    /// Holds that end.
    pub holds_ended: Vec<OpenHold>,
    /// What happened, for the history.
    pub records: Vec<Record>,
    /// What was decided about going back.
    pub decisions: Vec<RollbackDecision>,
    /// What is kept for a stage.
    pub kept: Vec<KeptChange>,
    /// What to do afterwards.
    pub effects: Vec<Effect>,
}

/// A watch as it was read, and as it is to be.
#[derive(Debug, Clone, PartialEq)]
pub struct WatchChange {
    /// As it was read.
    pub before: Watch,
    /// As it is to be.
    pub after: Watch,
}

/// An execution that waits before a stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Waiting {
    /// Its pipeline.
    pub pipeline: PipelineName,
    /// The stage it waits for.
    pub stage: StageName,
    /// Order of arrival at that stage.
    pub arrival: u64,
    /// The execution.
    pub execution: ExecutionId,
    /// Step Functions task tokens to answer when it may go on.
    pub token: Tokens,
    /// Since when.
    pub since: Timestamp,
}

/// One line of an execution's history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// Whose history.
    pub execution: ExecutionId,
    /// When.
    pub at: Timestamp,
    /// What happened, such as `StageEntered`.
    pub event: String,
    /// The stage concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<StageName>,
    /// Why, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// What an automatic decision rests on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
}

/// Something to do after the rows are stored. Doing it twice is doing it once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "effect", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Effect {
    /// Start the state machine that drives an execution. Idempotent by name.
    StartMachine {
        /// Its pipeline.
        pipeline: PipelineName,
        /// The execution.
        execution: ExecutionId,
        /// Name of the state machine execution.
        name: String,
    },
    /// Let an execution that waits at a gate go on. A token can be answered once.
    AnswerGate {
        /// Step Functions task token.
        token: String,
        /// What it may do.
        answer: GateAnswer,
    },
    /// Tell the stage's state machine that an action is done.
    AnswerAction {
        /// Step Functions task token.
        token: String,
        /// How it ended.
        status: ActionStatus,
    },
    /// End a condition's wait: tell the stage's state machine what the condition says.
    AnswerCondition {
        /// Step Functions task token.
        token: String,
        /// What it says.
        answer: ConditionAnswer,
    },
    /// Keep the state machine's patience: the worker is alive and goes on in a new job.
    ExtendAction {
        /// Step Functions task token.
        token: String,
        /// The new job; it makes each extension an effect of its own.
        job: Uuid,
    },
    /// Invoke the Lambda function of a job. The job's own status makes a second invocation harmless.
    InvokeJob {
        /// The job.
        job: Uuid,
    },
    /// See to it that the state machine of a job does its work: start it, idempotent by name. It stays in the outbox as
    /// long as the job is open, so that a machine that dies without a word is found.
    DriveAction {
        /// The job.
        job: Uuid,
    },
    /// Stop the work of a job that nobody needs any more, and the state machine that did it.
    StopAction {
        /// The job.
        job: Uuid,
    },
    /// Tell those who can approve that an approval waits. They may be told twice.
    NotifyApproval {
        /// The job of the approval, whose id is the token that answers it.
        job: Uuid,
        /// Until when it can be answered.
        expires: Timestamp,
    },
    /// Abandon the runs of an execution that may not act any more, and answer whoever waits for them.
    AbandonRuns {
        /// Its pipeline.
        pipeline: PipelineName,
        /// The execution.
        execution: ExecutionId,
        /// Number of its state machine; an execution loses its runs once for each.
        attempt: u32,
    },
    /// Cancel the executions that wait and that an update of their pipeline has outdated.
    CancelWaiting {
        /// The pipeline.
        pipeline: PipelineName,
        /// Its version after the update.
        version: u32,
    },
    /// Let those in who wait before a stage: so many before them were turned away, or let in side by side, that one
    /// decision could not hold all.
    AdmitWaiting {
        /// The pipeline.
        pipeline: PipelineName,
        /// The stage.
        stage: StageName,
        /// The first of them.
        first: ExecutionId,
    },
    /// Tell what happened: all events of one decision. Their ids tell a second delivery from the first.
    PublishEvents {
        /// The pipeline they are about.
        pipeline: PipelineName,
        /// At least one.
        events: Vec<Event>,
    },
    /// See to it that what a stage can go back to is kept, and that what it cannot go back to any more is not.
    KeepArtifacts {
        /// The pipeline.
        pipeline: PipelineName,
        /// The stage.
        stage: StageName,
        /// The execution that changed what the stage can go back to; each does so once.
        after: ExecutionId,
    },
    /// Remove the history of a deleted pipeline.
    PurgeHistory {
        /// The pipeline.
        pipeline: PipelineName,
        /// When it was created: what is of it says so. Absent in effects of older versions.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        created_at: Option<Timestamp>,
        /// How many versions it had.
        #[serde(default)]
        versions: u32,
        /// Executions older than this id belonged to it.
        before: ExecutionId,
    },
}

impl Effect {
    /// What it is called, in ids and logs.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::StartMachine { .. } => "StartMachine",
            Self::AnswerGate { .. } => "AnswerGate",
            Self::AnswerAction { .. } => "AnswerAction",
            Self::AnswerCondition { .. } => "AnswerCondition",
            Self::ExtendAction { .. } => "ExtendAction",
            Self::InvokeJob { .. } => "InvokeJob",
            Self::DriveAction { .. } => "DriveAction",
            Self::StopAction { .. } => "StopAction",
            Self::NotifyApproval { .. } => "NotifyApproval",
            Self::AbandonRuns { .. } => "AbandonRuns",
            Self::CancelWaiting { .. } => "CancelWaiting",
            Self::AdmitWaiting { .. } => "AdmitWaiting",
            Self::PublishEvents { .. } => "PublishEvents",
            Self::KeepArtifacts { .. } => "KeepArtifacts",
            Self::PurgeHistory { .. } => "PurgeHistory",
        }
    }

    /// Identity of the effect: equal effects are one.
    pub fn id(&self) -> Uuid {
        let key = match self {
            Self::StartMachine { name, .. } => name.clone(),
            Self::AnswerGate { token, .. } => token.clone(),
            Self::AnswerAction { token, .. } => token.clone(),
            Self::AnswerCondition { token, .. } => token.clone(),
            Self::ExtendAction { job, .. } => job.to_string(),
            Self::InvokeJob { job } => job.to_string(),
            Self::DriveAction { job } => job.to_string(),
            Self::StopAction { job } => job.to_string(),
            Self::NotifyApproval { job, .. } => job.to_string(),
            Self::AbandonRuns { execution, attempt, .. } => format!("{execution} {attempt}"),
            Self::CancelWaiting { pipeline, version } => format!("{pipeline} {version}"),
            Self::AdmitWaiting { pipeline, stage, first } => format!("{pipeline} {stage} {first}"),
            Self::PublishEvents { events, .. } => {
                events.iter().map(|event| event.id().to_string()).collect::<Vec<_>>().join(" ")
            }
            Self::KeepArtifacts { pipeline, stage, after } => format!("{pipeline} {stage} {after}"),
            Self::PurgeHistory { pipeline, before, .. } => format!("{pipeline} {before}"),
        };
        derived_uuid(&[self.kind(), &key])
    }
}

/// A pipeline as read, and what a decision has changed of it so far.
pub(crate) struct Board<'a> {
    pub(crate) view: &'a PipelineView,
    executions: &'a BTreeMap<ExecutionId, Execution>,
    pub(crate) now: Timestamp,
    pub(crate) changes: Changes,
}

impl<'a> Board<'a> {
    pub(crate) fn new(
        view: &'a PipelineView,
        executions: &'a BTreeMap<ExecutionId, Execution>,
        now: Timestamp,
    ) -> Self {
        Self { view, executions, now, changes: Changes::default() }
    }

    /// The stage as it stands, for changing.
    pub(crate) fn stage(&mut self, name: &StageName) -> &mut StageState {
        let view = self.view;
        self.changes.stages.entry(name.clone()).or_insert_with(|| view.stage(name))
    }

    /// The execution as it stands, for changing. It must be among those read, and not have moved since the view was.
    pub(crate) fn execution(&mut self, id: ExecutionId) -> Result<&mut Execution, Rejected> {
        match self.changes.executions.entry(id) {
            std::collections::btree_map::Entry::Occupied(entry) => Ok(entry.into_mut()),
            std::collections::btree_map::Entry::Vacant(entry) => {
                let read = self.executions.get(&id).filter(|execution| self.view.agrees_with(execution));
                Ok(entry.insert(read.ok_or(Rejected::Stale)?.clone()))
            }
        }
    }

    /// Who waits before `stage` after the changes so far, in order of arrival.
    pub(crate) fn waiting(&self, stage: &StageName) -> Vec<Waiting> {
        let removed = &self.changes.waiting_removed;
        self.view
            .waiting_for(stage)
            .chain(self.changes.waiting_added.iter().filter(|waiting| waiting.stage == *stage))
            .filter(|waiting| !removed.contains(waiting))
            .cloned()
            .collect()
    }

    /// Whether the execution is among those read.
    pub(crate) fn was_read(&self, id: ExecutionId) -> bool {
        self.executions.contains_key(&id)
    }

    /// The mode of an execution, if it is among those read.
    pub(crate) fn mode_of(&self, id: ExecutionId) -> Option<ExecutionMode> {
        self.executions.get(&id).map(|execution| execution.mode)
    }

    /// The execution, which has ended, waits nowhere any more, and its state machine is told under all tokens that it
    /// waits with: who asks now may be a late call whose own token nobody waits for any more.
    pub(crate) fn dismiss(&mut self, id: ExecutionId, status: ExecutionStatus) {
        let removed = &self.changes.waiting_removed;
        let own = |row: &&Waiting| row.execution == id && !removed.contains(row);
        let own: Vec<Waiting> = self.view.waiting.iter().filter(own).cloned().collect();
        for waiting in &own {
            self.answer_all(&waiting.token, &GateAnswer::End { status });
        }
        self.changes.waiting_removed.extend(own);
    }

    pub(crate) fn record(&mut self, execution: ExecutionId, event: &str, stage: Option<&StageName>, detail: String) {
        self.changes.records.push(Record {
            execution,
            at: self.now,
            event: event.to_owned(),
            stage: stage.cloned(),
            detail,
            evidence: None,
        });
    }

    pub(crate) fn decide(
        &mut self,
        stage: &StageName,
        cause: &RollbackCause,
        execution: ExecutionId,
        undone: Option<ExecutionId>,
        outcome: RollbackOutcome,
    ) {
        self.changes.decisions.push(RollbackDecision {
            pipeline: self.view.index.name.clone(),
            stage: stage.clone(),
            at: self.now,
            execution,
            cause: cause.clone(),
            undone,
            outcome,
            evidence: None,
            series: Vec::new(),
        });
    }

    /// What `stage` can go back to has changed by `after`.
    pub(crate) fn keep_artifacts(&mut self, stage: &StageName, after: ExecutionId) {
        let (pipeline, stage) = (self.view.index.name.clone(), stage.clone());
        self.changes.effects.push(Effect::KeepArtifacts { pipeline, stage, after });
    }

    /// Answers whoever waits under one of `tokens`.
    pub(crate) fn answer_all(&mut self, tokens: &Tokens, answer: &GateAnswer) {
        tokens.iter().for_each(|token| self.answer(token, answer.clone()));
    }

    /// Answers `token`, unless it is answered already: who asks may wait under the same token since an earlier delivery.
    pub(crate) fn answer(&mut self, token: &str, answer: GateAnswer) {
        let answers =
            |effect: &Effect| matches!(effect, Effect::AnswerGate { token: answered, .. } if answered == token);
        if !self.changes.effects.iter().any(answers) {
            self.changes.effects.push(Effect::AnswerGate { token: token.to_owned(), answer });
        }
    }

    /// The execution has lost the right to act: what its actions still do does not count.
    pub(crate) fn abandon_runs(&mut self, id: ExecutionId) -> Result<(), Rejected> {
        let execution = self.execution(id)?;
        let (pipeline, attempt) = (execution.pipeline.clone(), execution.attempt);
        self.changes.effects.push(Effect::AbandonRuns { pipeline, execution: id, attempt });
        Ok(())
    }

    /// The changes, without rows that were looked at but stayed as they were.
    pub(crate) fn into_changes(mut self) -> Changes {
        let (view, executions) = (self.view, self.executions);
        // Rows of those who wait have no version. They were read together with their stage's row, so its version tells
        // whether another decision about them was faster: it is stored even if it stays as it is. (An execution's row
        // does not tell: it is read after them.)
        let waiting = self.changes.waiting_removed.iter().chain(&self.changes.waiting_added);
        let queues: BTreeSet<StageName> = waiting.map(|waiting| waiting.stage.clone()).collect();
        for stage in queues.iter().filter(|stage| view.stages.contains_key(*stage)) {
            self.stage(stage);
        }
        self.changes.stages.retain(|name, stage| queues.contains(name) || *stage != view.stage(name));
        self.changes.executions.retain(|id, execution| executions.get(id) != Some(execution));
        let changed = self.changes.executions.keys();
        self.changes.before = changed.filter_map(|id| Some((*id, executions.get(id)?.clone()))).collect();
        if self.changes.stages.values().any(|stage| stage.version == 0) {
            self.changes.of_pipeline = Some(Box::new(view.index.clone()));
        }
        self.changes
    }
}
