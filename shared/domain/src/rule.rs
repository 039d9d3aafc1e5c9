//! What one rule of a condition says at one look (spec 4.3 and 4.4).

use std::{fmt, ops::RangeInclusive};

use jiff::{SignedDuration, Timestamp};

use crate::{
    AlarmChange, AlarmState, ConditionKind, DeploymentWindow, Job, JobStatus, RuleAnswer, RuleJob, failure_type,
};

/// Longest silence of a function that was asked, as for Lambda actions (spec 6.3).
const FUNCTION_SILENCE: SignedDuration = SignedDuration::from_mins(20);

/// How often a rule asks anew, where no answer came while the deployment window beside it was open: a state
/// machine must not go round for ever.
const ASKED_MAX: u32 = 100;

/// Longest time a function may take with all its continuations.
const FUNCTION_TIME_MAX: SignedDuration = SignedDuration::from_hours(24);

/// CodePipeline's range of `WaitTime`; the unit is minutes (spec 4.4).
const WAIT_MINUTES: RangeInclusive<u32> = 1..=86_400;
const ALARM_STATES: &[&str] = &["ALARM", "OK", "INSUFFICIENT_DATA"];

/// The minutes that a `WaitTime` says.
///
/// # Errors
/// What is wrong and what to write, as it follows "the rule ".
pub fn wait_minutes(value: &str) -> Result<u32, String> {
    // Digits only: parse alone would take a plus sign.
    let minutes = value.parse().ok().filter(|_| value.bytes().all(|byte| byte.is_ascii_digit()));
    minutes.filter(|minutes| WAIT_MINUTES.contains(minutes)).ok_or_else(|| {
        let (least, most) = (WAIT_MINUTES.start(), WAIT_MINUTES.end());
        format!("has '{value}' for 'WaitTime'. Use {least} to {most} (minutes)")
    })
}

/// An `AlarmStates` of states that alarms can have, with commas.
///
/// # Errors
/// As [`wait_minutes`].
pub fn check_alarm_states(value: &str) -> Result<&str, String> {
    if value.split(',').all(|state| ALARM_STATES.contains(&state.trim())) {
        return Ok(value);
    }
    Err(format!("has '{value}' for 'AlarmStates'. Use one or more of {}, with commas", ALARM_STATES.join(", ")))
}
/// Longest time of the commands of a rule (spec 4.3).
const COMMANDS_TIME_MAX: SignedDuration = SignedDuration::from_mins(55);

/// Longest time of any other work, as long as CodeBuild lets a build run (spec 1.10).
const WORK_TIME_MAX: SignedDuration = SignedDuration::from_hours(36);

/// What a rule found, with a text for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What it found.
    pub verdict: RuleVerdict,
    /// In words.
    pub text: String,
}

/// What a rule can find.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RuleVerdict {
    /// What it demands is so.
    Succeeded,
    /// It is not.
    Failed,
    /// The rule could not tell. The code is CodePipeline's failure type, such as `ConfigurationError`.
    Errored(&'static str),
    /// Not decided, and by itself not before then.
    Pending(Timestamp),
}

impl Finding {
    /// The rule is satisfied.
    pub fn succeeded(text: impl Into<String>) -> Self {
        Self { verdict: RuleVerdict::Succeeded, text: text.into() }
    }

    /// The rule is not satisfied.
    pub fn failed(text: impl Into<String>) -> Self {
        Self { verdict: RuleVerdict::Failed, text: text.into() }
    }

    /// The rule could not tell.
    pub fn errored(code: &'static str, text: impl Into<String>) -> Self {
        Self { verdict: RuleVerdict::Errored(code), text: text.into() }
    }

    /// Nothing is decided before `until`.
    pub fn pending(until: Timestamp, text: impl Into<String>) -> Self {
        Self { verdict: RuleVerdict::Pending(until), text: text.into() }
    }

    /// Whether the rule is satisfied.
    pub fn is_success(&self) -> bool {
        self.verdict == RuleVerdict::Succeeded
    }

    /// Until when it waits, if it does.
    pub fn pending_until(&self) -> Option<Timestamp> {
        match self.verdict {
            RuleVerdict::Pending(until) => Some(until),
            _ => None,
        }
    }

    /// The finding of an alarm while a window of the same condition is closed: whatever the alarm says, it is asked again
    /// when the window opens, so a bad state at night is no reason to give up.
    #[must_use]
    pub fn deferred_to(self, opens: Timestamp) -> Self {
        if self.verdict != RuleVerdict::Failed && self.pending_until().is_none() {
            return self;
        }
        Self::pending(opens, format!("{} It is looked at again when the window opens.", self.text))
    }

    /// The finding under the rule's own time limit: who waits longer has failed.
    #[must_use]
    pub fn limited(self, since: Timestamp, timeout_in_minutes: Option<u32>, now: Timestamp) -> Self {
        let (Some(minutes), Some(until)) = (timeout_in_minutes, self.pending_until()) else {
            return self;
        };
        let limit = since + SignedDuration::from_mins(minutes.into());
        if now >= limit {
            return Self::failed(format!("The rule did not end within {minutes} minutes. {}", self.text));
        }
        Self { verdict: RuleVerdict::Pending(until.min(limit)), ..self }
    }
}

/// What a CloudWatchAlarm rule demands.
#[derive(Debug, Clone)]
pub struct AlarmDemand<'a> {
    /// The condition it belongs to.
    pub kind: ConditionKind,
    /// `AlarmName` as declared.
    pub name: &'a str,
    /// `AlarmStates` as declared; empty for the default.
    pub states: &'a str,
    /// `WaitTime`, in minutes.
    pub wait_minutes: u32,
    /// From when on it waits: when the condition was first looked at, or when the windows beside it opened.
    pub since: Timestamp,
}

/// Judges an alarm. Entry waits until the alarm is good, success demands that it stays good for the wait time, and a
/// failure is of the declared kind where the alarm is in ALARM (spec 4.4).
pub fn judge_alarm(demand: &AlarmDemand<'_>, alarm: &AlarmChange, now: Timestamp) -> Finding {
    let state = alarm.state;
    if state == AlarmState::Unreadable {
        return Finding::errored("ConfigurationError", format!("Alarm {} has no state.", demand.name));
    }
    let good = is_among(demand.kind, state, demand.states);
    let until = demand.since + SignedDuration::from_mins(demand.wait_minutes.into());
    let is = format!("Alarm {} is in state {state}", demand.name);
    match (demand.kind, good, now >= until) {
        (ConditionKind::BeforeEntry | ConditionKind::OnFailure, true, _) | (ConditionKind::OnSuccess, true, true) => {
            Finding::succeeded(format!("{is}."))
        }
        (ConditionKind::BeforeEntry, false, false) => {
            Finding::pending(until, format!("{is}. Waiting for it to change until {until}."))
        }
        (ConditionKind::OnSuccess, true, false) => {
            Finding::pending(until, format!("{is}. It must stay good until {until}."))
        }
        (_, false, _) => Finding::failed(format!("{is}.")),
    }
}

/// Whether `state` is among the declared `AlarmStates`. Without any, everything but ALARM is good for an entry and a
/// success, and ALARM alone meets the criteria of a failure. An alarm whose actions are suppressed stands in nobody's way,
/// whatever is declared.
fn is_among(kind: ConditionKind, state: AlarmState, declared: &str) -> bool {
    if state == AlarmState::Suppressed {
        return kind != ConditionKind::OnFailure;
    }
    if !declared.trim().is_empty() {
        return declared.split(',').any(|one| one.trim() == state.to_string());
    }
    (kind == ConditionKind::OnFailure) == (state == AlarmState::Alarm)
}

/// Judges a deployment window: it is open, or waited for until it opens. A failure is of its kind now or not at all.
pub fn judge_window(kind: ConditionKind, cron: &str, zone: &str, now: Timestamp) -> Finding {
    let window = match DeploymentWindow::parse(cron, zone) {
        Ok(window) => window,
        Err(why) => return Finding::errored("ConfigurationError", format!("The rule has {why}.")),
    };
    match window.next_opening(now) {
        Some(opens) if opens <= now => Finding::succeeded("The deployment window is open."),
        Some(opens) if kind == ConditionKind::OnFailure => {
            Finding::failed(format!("The deployment window is closed until {opens}."))
        }
        Some(opens) => Finding::pending(opens, format!("The deployment window is closed. It opens at {opens}.")),
        None => Finding::failed(format!("The deployment window '{cron}' does not open any more.")),
    }
}

/// Who is asked for a rule, and answers later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Consulted {
    /// The Lambda function of this name.
    Function(String),
    /// The state machine of this provider.
    Machine(&'static str),
}

impl fmt::Display for Consulted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Function(name) => write!(f, "Function {name}"),
            Self::Machine(provider) => f.write_str(provider),
        }
    }
}

impl Consulted {
    /// From when on a job that was made at `created` and asked for at `asked` is not waited for any more.
    fn heard_until(&self, asked: Timestamp, created: Timestamp) -> Timestamp {
        match self {
            Self::Function(_) => (created + FUNCTION_SILENCE).min(asked + FUNCTION_TIME_MAX),
            Self::Machine("Commands") => asked + COMMANDS_TIME_MAX,
            Self::Machine(_) => asked + WORK_TIME_MAX,
        }
    }

    /// It took too long.
    fn late(&self, asked: Timestamp, created: Timestamp) -> Finding {
        let took = self.heard_until(asked, created).duration_since(asked);
        match self {
            Self::Function(_) if took < FUNCTION_TIME_MAX => {
                Finding::failed(format!("{self} did not answer within {} minutes.", FUNCTION_SILENCE.as_mins()))
            }
            _ if took < SignedDuration::from_hours(2) => {
                Finding::failed(format!("{self} did not end within {} minutes.", took.as_mins()))
            }
            _ => Finding::failed(format!("{self} did not end within {} hours.", took.as_hours())),
        }
    }
}

/// Whether `job` is still the one to hear for a rule: it was asked for since the windows beside it opened, or not twenty
/// minutes ago, so that one that takes longer than a short window stays open is not asked again and again. Work that is
/// under way goes on.
pub fn is_current(job: &Job, opened: Timestamp, now: Timestamp) -> bool {
    job.rule.as_ref().is_some_and(|rule| rule.asked_at >= opened)
        || now < job.created_at + FUNCTION_SILENCE
        || (job.machine.is_some() && !job.status.is_ended())
}

/// What a rule finds that has to ask once more.
pub fn judge_unasked(who: &Consulted, asked: u32, now: Timestamp) -> Finding {
    if asked >= ASKED_MAX {
        let why = "never answered while the deployment window was open";
        return Finding::failed(format!("{who} was asked {asked} times and {why}."));
    }
    judge_answer(who, None, now)
}

/// Judges what was answered to the `job` of a rule; without one, it is about to be asked for.
pub fn judge_answer(who: &Consulted, job: Option<&Job>, now: Timestamp) -> Finding {
    let Some((job, rule)) = job.and_then(|job| Some((job, job.rule.as_deref()?))) else {
        return Finding::pending(who.heard_until(now, now), format!("{who} is about to be asked."));
    };
    let text = rule.answer.as_ref().and_then(|answer| answer.text.as_deref());
    let says = |default: &str| text.map_or_else(|| format!("{who} {default}."), str::to_owned);
    match (job.status, rule.answer.as_ref().and_then(RuleAnswer::error_type)) {
        (JobStatus::Succeeded, _) => Finding::succeeded(says("agreed")),
        (JobStatus::Failed | JobStatus::TimedOut, Some(code)) => Finding::errored(code, says("cannot be asked")),
        (JobStatus::Failed, None) => Finding::failed(says("refused")),
        (JobStatus::TimedOut, None) => who.late(rule.asked_at, job.created_at),
        (JobStatus::Created | JobStatus::Queued | JobStatus::Dispatched | JobStatus::InProgress, _) => {
            judge_open(who, job, rule, now)
        }
    }
}

fn judge_open(who: &Consulted, job: &Job, rule: &RuleJob, now: Timestamp) -> Finding {
    let until = who.heard_until(rule.asked_at, job.created_at);
    match who {
        _ if now >= until => who.late(rule.asked_at, job.created_at),
        Consulted::Function(_) => Finding::pending(until, format!("{who} was asked. It has until {until} to answer.")),
        Consulted::Machine(_) => Finding::pending(until, format!("{who} is at work. It has until {until}.")),
    }
}

impl RuleAnswer {
    /// Why nothing was found out; absent where the answer is what was found.
    fn error_type(&self) -> Option<&'static str> {
        self.error_code.as_deref().map(|code| failure_type(code, "")).filter(|code| *code != "JobFailed")
    }
}
