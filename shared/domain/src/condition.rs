//! Conditions of a stage (spec 4): what their rules found makes the condition, and a person can end its wait.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    ActionStatus, ArtifactLocation, ConditionIndex, ConditionStatus, Evidence, Execution, ExecutionId, ExecutionMode,
    FailedGate, Finding, Generation, Phase, PipelineName, RuleTypeId, RuleVerdict, StageName, StageState, StageStatus,
    Tokens, derived_uuid,
};

/// When a condition is evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ConditionKind {
    /// Before the stage's actions.
    BeforeEntry,
    /// After all of them succeeded.
    OnSuccess,
    /// After the stage failed.
    OnFailure,
}

impl ConditionKind {
    /// As people say it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BeforeEntry => "entry",
            Self::OnSuccess => "success",
            Self::OnFailure => "failure",
        }
    }
}

/// What a condition says to the stage's state machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "next", rename_all_fields = "camelCase")]
pub enum ConditionAnswer {
    /// Go on.
    Proceed,
    /// Skip the stage.
    Skip,
    /// The stage fails.
    Fail,
    /// Nothing is decided: ask again when the time is over, or when the wait was ended.
    Wait {
        /// In how many seconds at the latest.
        seconds: u32,
        /// When the condition was first looked at, seconds since the epoch.
        since: i64,
    },
}

/// Longest wait at once, in seconds: a year, as long as a state machine may run at all.
const WAIT_S_MAX: i64 = 365 * 86_400;

/// The latest evaluation of one condition of a stage: what clients see of it, beside the stage's row.
///
/// Its row is what decides about the condition: whoever changes it demands the version it read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConditionRun {
    /// Its pipeline.
    pub pipeline: PipelineName,
    /// Its stage.
    pub stage: StageName,
    /// Which of the stage's conditions.
    pub kind: ConditionKind,
    /// The execution it is evaluated for.
    pub execution: ExecutionId,
    /// The execution's mode: PARALLEL executions have their conditions side by side.
    pub mode: ExecutionMode,
    /// Generation of the stage it is evaluated under.
    pub generation: Generation,
    /// Run of the stage in the execution.
    pub attempt: u32,
    /// What its failure leads to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
    /// Status of the condition.
    pub status: ConditionStatus,
    /// Why, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// When it was first looked at.
    pub started_at: Timestamp,
    /// When its status changed last.
    pub changed_at: Timestamp,
    /// Step Functions task tokens to answer when its wait ends.
    #[serde(default, skip_serializing_if = "Tokens::is_empty")]
    pub token: Tokens,
    /// ARNs of the alarms it looks at.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alarms: Vec<String>,
    /// When its closed deployment window opens. Until then a look finds nothing new, and the wait ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_until: Option<Timestamp>,
    /// When its deployment windows were first seen open: from then on its alarms are waited for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opened_at: Option<Timestamp>,
    /// Its rules, as declared.
    pub rules: Vec<RuleState>,
    /// Row version, for conditional writes.
    #[serde(default)]
    pub version: u64,
}

/// The latest evaluation of one rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RuleState {
    /// The rule.
    pub name: String,
    /// Id of the rule's execution. Derived from what it evaluates, so that looking twice is one execution.
    pub id: Uuid,
    /// Status of the rule.
    pub status: ActionStatus,
    /// When its status changed last.
    pub changed_at: Timestamp,
    /// What it found, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// Kind of error, such as `ConfigurationError`, where it could not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
    /// Where a person sees what it looks at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entity_url: Option<String>,
    /// ARN of the alarm it looks at, where that failed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alarm: Option<String>,
    /// Who ended it, where that was a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_by: Option<String>,
    /// Until when it waits, while it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_until: Option<Timestamp>,
    /// The job by which a function or a provider was asked, the latest where it was asked again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<Uuid>,
    /// The provider whose state machine does the job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<String>,
    /// Id of the work at its provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// Where a person sees the work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_url: Option<String>,
    /// What the judge's verdict rests on, where a rule that judges metrics has failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Box<Evidence>>,
    /// How often it was asked anew.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub asked: u32,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl RuleState {
    /// What clients know the work by: its id at the provider, or the job of a function.
    pub fn external_execution_id(&self) -> Option<String> {
        self.external_id.clone().or_else(|| self.job.filter(|_| self.machine.is_none()).map(|job| job.to_string()))
    }
}

/// One evaluation of a rule, as the history keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RuleRun {
    /// Its pipeline.
    pub pipeline: PipelineName,
    /// Its execution.
    pub execution: ExecutionId,
    /// Version of the pipeline the execution started in.
    pub pipeline_version: u32,
    /// Its stage.
    pub stage: StageName,
    /// Which of the stage's conditions it belongs to.
    pub kind: ConditionKind,
    /// Its type.
    pub rule_type: RuleTypeId,
    /// When the evaluation began.
    pub started_at: Timestamp,
    /// Role it runs as: its own, or the pipeline's.
    pub role_arn: String,
    /// Region of what it looks at.
    pub region: String,
    /// As declared.
    #[serde(default)]
    pub configuration: BTreeMap<String, String>,
    /// With references resolved.
    #[serde(default)]
    pub resolved_configuration: BTreeMap<String, String>,
    /// Its input artifacts.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub inputs: BTreeMap<String, ArtifactLocation>,
    /// How it stands.
    #[serde(flatten)]
    pub state: RuleState,
}

/// Longest summary of a condition or a rule that is kept, in characters. CodePipeline allows 2048; a pipeline shows
/// up to 150 conditions of 5 rules in one read.
const SUMMARY_CHARS_MAX: usize = 500;

/// For whom a condition is evaluated.
#[derive(Debug, Clone)]
pub struct ConditionOrder<'a> {
    /// The pipeline.
    pub pipeline: &'a PipelineName,
    /// The stage.
    pub stage: &'a StageName,
    /// Which of its conditions.
    pub kind: ConditionKind,
    /// The execution.
    pub execution: ExecutionId,
    /// The execution's mode.
    pub mode: ExecutionMode,
    /// Generation of the stage.
    pub generation: Generation,
    /// Run of the stage in the execution.
    pub attempt: u32,
}

impl ConditionOrder<'_> {
    /// What the condition comes to where it fails: as `declared`, but for a stage that this execution has entered before,
    /// by the word of `before`, the last look at its entry condition. What has begun there cannot be skipped any more: it
    /// failed, and the stage's own way to deal with that is due.
    pub fn result<'a>(&self, declared: Option<&'a str>, before: Option<&ConditionRun>) -> Option<&'a str> {
        let before =
            before.filter(|run| (&run.stage, run.kind) == (self.stage, self.kind) && run.execution == self.execution);
        let has_entered = before.is_some_and(|run| run.answer() == ConditionAnswer::Proceed || run.result.is_none());
        declared.filter(|declared| *declared != "SKIP" || !has_entered)
    }
}

impl ConditionRun {
    /// An evaluation that begins at `since`. It takes the row of the one before, which was read at `version`.
    pub fn new(
        order: &ConditionOrder<'_>,
        result: Option<&str>,
        rules: &[&str],
        since: Timestamp,
        version: u64,
    ) -> Self {
        let rule = |name: &&str| RuleState {
            name: (*name).to_owned(),
            id: derived_uuid(&[
                "rule",
                &order.execution.to_string(),
                order.stage.as_str(),
                &order.generation.0.to_string(),
                &order.attempt.to_string(),
                order.kind.as_str(),
                name,
            ]),
            status: ActionStatus::InProgress,
            changed_at: since,
            summary: None,
            error_code: None,
            entity_url: None,
            alarm: None,
            updated_by: None,
            waits_until: None,
            job: None,
            machine: None,
            external_id: None,
            external_url: None,
            evidence: None,
            asked: 0,
        };
        Self {
            pipeline: order.pipeline.clone(),
            stage: order.stage.clone(),
            kind: order.kind,
            execution: order.execution,
            mode: order.mode,
            generation: order.generation,
            attempt: order.attempt,
            result: result.map(str::to_owned),
            status: ConditionStatus::InProgress,
            summary: None,
            started_at: since,
            changed_at: since,
            token: Tokens::none(),
            alarms: Vec::new(),
            closed_until: None,
            opened_at: None,
            rules: rules.iter().map(rule).collect(),
            version,
        }
    }

    /// Whether this evaluation is the one `order` asks for.
    pub fn is_of(&self, order: &ConditionOrder<'_>) -> bool {
        let same_place = self.stage == *order.stage && self.kind == order.kind;
        same_place
            && self.execution == order.execution
            && self.generation == order.generation
            && self.attempt == order.attempt
    }

    /// Whether it is of the last attempt of `execution` at its stage, which stands as `stage` says: one of an earlier
    /// attempt does not tell how that ended.
    pub fn is_of_last_attempt(&self, execution: &Execution, stage: &StageState) -> bool {
        let attempt = execution.stages.get(&self.stage).map(|outcome| outcome.attempt);
        self.execution == execution.id
            && self.generation == execution.generation_in(stage)
            && attempt == Some(self.attempt)
    }

    /// Whether nothing is decided yet.
    pub fn is_open(&self) -> bool {
        self.status == ConditionStatus::InProgress
    }

    /// Takes in what each rule found at one look. Any failed rule makes the condition Failed; without one, any rule that
    /// could not tell makes it Errored; all must succeed (spec 4.1). Returns until when at the latest nothing changes by
    /// itself, while it waits.
    pub fn apply(&mut self, findings: &[Finding], now: Timestamp) -> Option<Timestamp> {
        let mut is_news = false;
        for (rule, finding) in self.rules.iter_mut().zip(findings) {
            let (status, code) = match &finding.verdict {
                RuleVerdict::Succeeded => (ActionStatus::Succeeded, None),
                RuleVerdict::Failed => (ActionStatus::Failed, None),
                RuleVerdict::Errored(code) => (ActionStatus::Failed, Some((*code).to_owned())),
                RuleVerdict::Pending(_) => (ActionStatus::InProgress, None),
            };
            let until = finding.pending_until();
            let is_changed = (rule.status, &rule.error_code) != (status, &code);
            if is_changed || rule.summary.is_none() {
                rule.changed_at = now;
            }
            // What a rule says while it waits may change in words alone; that is no change.
            if is_changed || rule.waits_until != until || rule.summary.is_none() {
                is_news = true;
                rule.status = status;
                rule.error_code = code;
                rule.summary = Some(shortened(&finding.text));
                rule.waits_until = until;
            }
        }
        let decisive = |is: fn(&RuleVerdict) -> bool| findings.iter().find(|finding| is(&finding.verdict));
        let failed = decisive(|verdict| *verdict == RuleVerdict::Failed);
        let errored = decisive(|verdict| matches!(verdict, RuleVerdict::Errored(_)));
        let until = findings.iter().filter_map(Finding::pending_until).min();
        match (failed, errored, until) {
            (Some(finding), _, _) => self.end(ConditionStatus::Failed, &finding.text, None, now),
            (None, Some(finding), _) => self.end(ConditionStatus::Errored, &finding.text, None, now),
            (None, None, None) => self.end(ConditionStatus::Succeeded, "All rules succeeded.", None, now),
            (None, None, Some(_)) => {
                let waiting = findings.iter().find(|finding| finding.pending_until().is_some());
                if is_news {
                    self.summary = waiting.map(|finding| shortened(&finding.text));
                }
            }
        }
        until.filter(|_| self.is_open())
    }

    /// Ends the condition; rules that are still running are abandoned. `by` is the person who ended it, if one did.
    pub fn end(&mut self, status: ConditionStatus, why: &str, by: Option<&str>, now: Timestamp) {
        self.status = status;
        self.summary = Some(shortened(why));
        self.changed_at = now;
        self.closed_until = None;
        for rule in self.rules.iter_mut().filter(|rule| rule.status == ActionStatus::InProgress) {
            rule.status = ActionStatus::Abandoned;
            rule.waits_until = None;
            rule.changed_at = now;
            rule.updated_by = by.map(str::to_owned);
        }
    }

    /// What a condition says that waits until then; asked a little later rather than too early, when it would have to
    /// wait once more.
    pub fn wait(&self, until: Timestamp, now: Timestamp) -> ConditionAnswer {
        let rest = until.duration_since(now);
        let seconds = (rest.as_secs() + i64::from(rest.subsec_nanos() > 0)).clamp(1, WAIT_S_MAX);
        ConditionAnswer::Wait { seconds: u32::try_from(seconds).unwrap_or(1), since: self.started_at.as_second() }
    }

    /// What an ended condition says. Only a failure leads to the declared result: what could not be evaluated, or was
    /// given up, fails the stage and nothing more.
    pub fn answer(&self) -> ConditionAnswer {
        match self.status {
            ConditionStatus::Succeeded | ConditionStatus::Overridden => ConditionAnswer::Proceed,
            ConditionStatus::Failed if self.result.as_deref() == Some("SKIP") => ConditionAnswer::Skip,
            _ => ConditionAnswer::Fail,
        }
    }

    /// The first alarm or metrics that failed it, where a rule found so.
    pub fn failed_gate(&self) -> Option<FailedGate> {
        let mut failed =
            self.rules.iter().filter(|rule| rule.status == ActionStatus::Failed && rule.error_code.is_none());
        failed.find_map(|rule| {
            let judged = || rule.evidence.as_ref().map(|evidence| evidence.alarm.arn.clone());
            let alarm_arn = rule.alarm.clone().or_else(judged)?;
            Some(FailedGate { alarm_arn, reason: rule.summary.clone().unwrap_or_default() })
        })
    }

    /// The condition as it stands while `stage` is as it is: who lost the stage is evaluated no more.
    #[must_use]
    pub fn seen_in(&self, stage: &StageState) -> Self {
        let mut seen = self.clone();
        if self.is_open() && !stage.is_held_by(self.execution, self.generation) {
            let own = stage.latest.as_ref().filter(|latest| latest.execution == self.execution);
            let is_stopped = own.is_some_and(|latest| latest.status == StageStatus::Stopped);
            let status = if is_stopped { ConditionStatus::Abandoned } else { ConditionStatus::Cancelled };
            seen.end(status, LOST, None, self.changed_at);
        }
        seen
    }
}

/// What a condition ends as that is open when its execution begins nothing more in the stage, or is not in it any more:
/// a person who stops the execution gives it up, as its actions (spec 6.1); an update of the pipeline, or whoever takes the
/// stage, cancels it.
pub fn given_up(execution: Option<&Execution>) -> ConditionStatus {
    match execution.map(|execution| &execution.phase) {
        Some(Phase::Stopping { .. } | Phase::Stopped) => ConditionStatus::Abandoned,
        _ => ConditionStatus::Cancelled,
    }
}

/// Why a condition ends whose execution is not in its stage any more.
pub const LOST: &str = "The execution is not in the stage any more.";

fn shortened(text: &str) -> String {
    text.chars().take(SUMMARY_CHARS_MAX).collect()
}

/// What overriding a condition does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Override {
    /// It ends the condition's wait.
    EndWait,
    /// The condition has failed the stage: the execution goes into it again.
    Resume,
}

/// What overriding a condition does (spec 4.2).
///
/// # Errors
/// Why a person cannot override it.
pub fn check_overridable(declared: Option<&ConditionIndex>, run: Option<&ConditionRun>) -> Result<Override, String> {
    let Some(declared) = declared else {
        return Err("The stage declares no such condition.".to_owned());
    };
    // What this look at it leads to, which may be another result than the declared one.
    let result = run.map_or(&declared.result, |run| &run.result);
    if result.as_deref() == Some("SKIP") {
        return Err("The condition's result is SKIP, which cannot be overridden.".to_owned());
    }
    let Some(run) = run else {
        return Err("The condition is not being evaluated for this execution.".to_owned());
    };
    match run.status {
        ConditionStatus::InProgress => Ok(Override::EndWait),
        ConditionStatus::Failed | ConditionStatus::Errored => Ok(Override::Resume),
        ConditionStatus::Overridden => Err("The condition has been overridden already.".to_owned()),
        ConditionStatus::Succeeded => Err("The condition has succeeded: there is nothing to override.".to_owned()),
        ConditionStatus::Cancelled | ConditionStatus::Abandoned => {
            Err(format!("The condition has ended ({}) with its execution in the stage.", run.status))
        }
    }
}
