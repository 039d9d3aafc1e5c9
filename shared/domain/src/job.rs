//! Jobs: work handed to somebody who answers later, and what can happen to it (spec 2.1, 6.3).

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    ActionExecutionId, ActionName, ActionTypeId, ArtifactLocation, ConditionKind, ExecutionId, Generation,
    PipelineName, Rejected, Script, StageName, Tokens, phase::table_of,
};

/// How long a worker may take to acknowledge a job before another one can get it. Its first words say that it has it,
/// so this covers a batch on a slow line, and one worker's death costs the others no more.
const ACKNOWLEDGE_WITHIN: SignedDuration = SignedDuration::from_secs(30);

/// Work handed to somebody who answers later: a Lambda function, a job worker, a state machine, or a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Job {
    /// Id that the worker answers with; for an approval, the approval token.
    pub id: Uuid,
    /// The action run it works on; for a rule's job, the rule's execution.
    pub run: ActionExecutionId,
    /// Its pipeline.
    pub pipeline: PipelineName,
    /// Its execution.
    pub execution: ExecutionId,
    /// Its stage.
    pub stage: StageName,
    /// Its action, or its rule.
    pub action: ActionName,
    /// Generation of the stage it runs under.
    pub generation: Generation,
    /// Step Functions task tokens to answer when the action is done; none for a rule's job, whose condition has them.
    pub token: Tokens,
    /// What is asked for a rule of a condition; absent for actions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<Box<RuleJob>>,
    /// The Lambda function to invoke; absent for others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function: Option<String>,
    /// Where job workers find it; absent for others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<JobQueue>,
    /// The provider whose state machine does it; absent for others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<String>,
    /// The commands that the machine runs, where these are its work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub script: Option<Box<Script>>,
    /// Run of the stage in the execution: the machine reports with it.
    #[serde(default)]
    pub attempt: u32,
    /// KMS key of the artifact store, which the worker has to encrypt with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kms_key: Option<String>,
    /// What the worker handed over to its continuation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continuation: Option<String>,
    /// Status.
    pub status: JobStatus,
    /// Tells the latest poll that gave it away from those before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,
    /// From when on a poll may give it away again, while nobody has acknowledged it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_until: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// Row version, for conditional writes.
    #[serde(default)]
    pub version: u64,
}

/// What a function or a provider's machine is asked for a rule of a condition, and what it answered: an action has a run
/// for that, a rule has its job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RuleJob {
    /// Which of the stage's conditions.
    pub kind: ConditionKind,
    /// Run of the stage in the execution.
    pub attempt: u32,
    /// Role whose keys the function gets, or that the provider's work is started with.
    pub role_arn: String,
    /// Region of the function; absent, the installation's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// The rule's configuration with references resolved.
    pub configuration: BTreeMap<String, String>,
    /// Its input artifacts.
    pub inputs: BTreeMap<String, ArtifactLocation>,
    /// When it was asked first; continuations keep it.
    pub asked_at: Timestamp,
    /// Id of the work at its provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// Where a person sees the work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_url: Option<String>,
    /// What it answered, or why it could not be asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<RuleAnswer>,
}

/// How a rule's job ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RuleAnswer {
    /// Why nothing was found out, such as `PermissionError`; absent where it answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
    /// In words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// Jobs that the same poll finds: those of one custom action type and, where that has a queryable property, of one value.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobQueue {
    /// The type of their actions.
    pub action_type: ActionTypeId,
    /// The queryable property's value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

/// Who a job is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Addressee<'a> {
    /// A Lambda function, which is invoked.
    Function(&'a str),
    /// Job workers, who poll.
    Workers(&'a JobQueue),
    /// The state machine of this provider, which is started.
    Machine(&'a str),
    /// A person, who sees it in the pipeline's state.
    Person,
}

/// Status of a job (spec 2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum JobStatus {
    /// Made for a function or a person, who answer without acknowledging.
    Created,
    /// Waits for a worker.
    Queued,
    /// Given to a worker that has not acknowledged it.
    Dispatched,
    /// Acknowledged.
    InProgress,
    /// Nobody answered in time.
    TimedOut,
    /// Answered well.
    Succeeded,
    /// Answered badly.
    Failed,
}

/// What can happen to a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobEvent {
    /// A poll gives it to a worker.
    Dispatch,
    /// The worker says that it has it.
    Acknowledge,
    /// A good answer.
    Succeed,
    /// A bad answer.
    Fail,
    /// Its time is over, or nobody needs it any more.
    TimeOut,
}

impl JobStatus {
    /// Every status.
    const ALL: [Self; 7] = [
        Self::Created,
        Self::Queued,
        Self::Dispatched,
        Self::InProgress,
        Self::TimedOut,
        Self::Succeeded,
        Self::Failed,
    ];

    /// The status after `event`.
    ///
    /// # Errors
    /// [`Rejected`] tells an illegal event from a late one and from a repeated one.
    pub fn after(self, event: JobEvent) -> Result<Self, Rejected> {
        use {JobEvent as E, JobStatus as S};
        match (self, event) {
            (S::Queued | S::Dispatched, E::Dispatch) => Ok(S::Dispatched),
            (S::Dispatched, E::Acknowledge) => Ok(S::InProgress),
            (S::Created | S::InProgress, E::Succeed) => Ok(S::Succeeded),
            (S::Created | S::InProgress, E::Fail) => Ok(S::Failed),
            (S::Created | S::Queued | S::Dispatched | S::InProgress, E::TimeOut) => Ok(S::TimedOut),
            (S::InProgress, E::Acknowledge)
            | (S::Succeeded, E::Succeed)
            | (S::Failed, E::Fail)
            | (S::TimedOut, E::TimeOut) => Err(Rejected::AlreadyDone),
            (S::InProgress, E::Dispatch) | (S::Succeeded | S::Failed | S::TimedOut, _) => Err(Rejected::Stale),
            (S::Created | S::Queued | S::Dispatched, _) => Err(Rejected::Illegal),
        }
    }

    /// Whether nothing can happen to the job any more.
    pub fn is_ended(self) -> bool {
        matches!(self, Self::TimedOut | Self::Succeeded | Self::Failed)
    }

    /// Whether a poll can give the job away.
    pub fn is_waiting(self) -> bool {
        matches!(self, Self::Queued | Self::Dispatched)
    }

    /// As CodePipeline spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "Created",
            Self::Queued => "Queued",
            Self::Dispatched => "Dispatched",
            Self::InProgress => "InProgress",
            Self::TimedOut => "TimedOut",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
        }
    }
}

impl Job {
    /// Who it is for.
    pub fn addressee(&self) -> Addressee<'_> {
        match (&self.function, &self.queue, &self.machine) {
            (Some(function), _, _) => Addressee::Function(function),
            (None, Some(queue), _) => Addressee::Workers(queue),
            (None, None, Some(provider)) => Addressee::Machine(provider),
            (None, None, None) => Addressee::Person,
        }
    }

    /// Whether clients of the API answer it by its id: functions and job workers do.
    pub fn is_answered_by_id(&self) -> bool {
        matches!(self.addressee(), Addressee::Function(_) | Addressee::Workers(_))
    }

    /// The job after `event`.
    ///
    /// # Errors
    /// As [`JobStatus::after`].
    pub fn after(&self, event: JobEvent) -> Result<Self, Rejected> {
        Ok(Self { status: self.status.after(event)?, ..self.clone() })
    }

    /// The job as given to the worker that has to acknowledge it with `nonce`. One that was given away and never
    /// acknowledged can be given to the next after a while; the nonce of the one before is worth nothing then.
    ///
    /// # Errors
    /// [`Rejected::Stale`] while another worker has it.
    pub fn dispatch(&self, nonce: String, now: Timestamp) -> Result<Self, Rejected> {
        if self.held_until.is_some_and(|until| now < until) {
            return Err(Rejected::Stale);
        }
        let dispatched = self.after(JobEvent::Dispatch)?;
        Ok(Self { nonce: Some(nonce), held_until: Some(now + ACKNOWLEDGE_WITHIN), ..dispatched })
    }
}

/// The whole status-by-event table as Markdown, for `statemachine/README.md`.
pub fn job_table() -> String {
    let events = [
        ("Dispatch", JobEvent::Dispatch),
        ("Acknowledge", JobEvent::Acknowledge),
        ("Succeed", JobEvent::Succeed),
        ("Fail", JobEvent::Fail),
        ("TimeOut", JobEvent::TimeOut),
    ];
    table_of(&JobStatus::ALL, |status| status.as_str(), &events, |status, event| status.after(*event))
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENTS: [JobEvent; 5] =
        [JobEvent::Dispatch, JobEvent::Acknowledge, JobEvent::Succeed, JobEvent::Fail, JobEvent::TimeOut];

    fn queued() -> Job {
        serde_json::from_value(serde_json::json!({
            "id": Uuid::nil(), "run": Uuid::nil(), "pipeline": "shop", "execution": Uuid::nil(), "stage": "Build",
            "action": "Make", "generation": 1, "token": "", "status": "Queued", "createdAt": at(0),
            "queue": {"actionType": {"category": "Build", "owner": "Custom", "provider": "Make", "version": "1"}},
        }))
        .unwrap()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn what_has_ended_stays_as_it_is() {
        for status in JobStatus::ALL.into_iter().filter(|status| status.is_ended()) {
            for event in EVENTS {
                assert!(status.after(event).is_err(), "{status:?} {event:?}");
            }
        }
    }

    #[test]
    fn every_job_can_end_and_times_out_wherever_it_is() {
        for status in JobStatus::ALL.into_iter().filter(|status| !status.is_ended()) {
            assert_eq!(status.after(JobEvent::TimeOut), Ok(JobStatus::TimedOut), "{status:?}");
        }
    }

    #[test]
    fn a_workers_answer_counts_only_after_it_acknowledged() {
        for (status, counts) in JobStatus::ALL.map(|status| (status, status.after(JobEvent::Succeed).is_ok())) {
            assert_eq!(counts, matches!(status, JobStatus::Created | JobStatus::InProgress), "{status:?}");
            assert_eq!(status.after(JobEvent::Fail).is_ok(), counts, "{status:?}");
        }
    }

    #[test]
    fn a_job_that_nobody_acknowledges_goes_to_the_next_and_devalues_the_first_nonce() {
        let first = queued().dispatch("one".into(), at(0)).unwrap();
        assert_eq!((first.status, first.nonce.as_deref()), (JobStatus::Dispatched, Some("one")));
        assert_eq!(first.dispatch("two".into(), at(29)), Err(Rejected::Stale));
        let second = first.dispatch("two".into(), at(30)).unwrap();
        assert_eq!((second.status, second.nonce.as_deref()), (JobStatus::Dispatched, Some("two")));
        let acknowledged = second.after(JobEvent::Acknowledge).unwrap();
        assert_eq!(acknowledged.dispatch("three".into(), at(3_600)), Err(Rejected::Stale));
    }

    #[test]
    fn a_job_is_for_a_function_workers_a_machine_or_a_person() {
        let job = queued();
        let queue = job.queue.clone().unwrap();
        assert_eq!(job.addressee(), Addressee::Workers(&queue));
        let person = Job { queue: None, ..job.clone() };
        assert_eq!(person.addressee(), Addressee::Person);
        let machine = Job { machine: Some("CodeBuild".into()), ..person.clone() };
        assert_eq!(machine.addressee(), Addressee::Machine("CodeBuild"));
        let function = Job { function: Some("smoke".into()), ..person.clone() };
        assert_eq!(function.addressee(), Addressee::Function("smoke"));
        let answered = [&job, &function, &machine, &person].map(Job::is_answered_by_id);
        assert_eq!(answered, [true, true, false, false]);
    }

    #[test]
    fn the_table_has_a_cell_for_every_pair() {
        let table = job_table();
        assert_eq!(table.lines().count(), 2 + EVENTS.len());
        assert!(table.lines().all(|line| line.matches('|').count() == 2 + JobStatus::ALL.len()), "{table}");
    }
}
