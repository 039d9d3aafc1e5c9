//! What one rule of a condition says at one look (spec 4.3 and 4.4).

use std::ops::RangeInclusive;

use jiff::{SignedDuration, Timestamp};

use crate::{AlarmChange, AlarmState, ConditionKind, DeploymentWindow, Job, JobStatus};

/// Longest silence of a function that was asked, as for Lambda actions (spec 6.3).
const FUNCTION_SILENCE: SignedDuration = SignedDuration::from_mins(20);

/// How often a rule asks its function anew, where no answer came while the deployment window beside it was open: a state
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
/// success, and ALARM alone meets the criteria of a failure.
fn is_among(kind: ConditionKind, state: AlarmState, declared: &str) -> bool {
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

/// Whether `job` is still the one to hear for a rule: its function was asked since the windows beside it opened, or not
/// twenty minutes ago, so that one that takes longer than a short window stays open is not asked again and again.
pub fn is_current(job: &Job, opened: Timestamp, now: Timestamp) -> bool {
    job.rule.as_ref().is_some_and(|rule| rule.asked_at >= opened) || now < job.created_at + FUNCTION_SILENCE
}

/// What a rule finds that has to ask its function once more.
pub fn judge_unasked(function: &str, asked: u32, now: Timestamp) -> Finding {
    if asked >= ASKED_MAX {
        let why = "never answered while the deployment window was open";
        return Finding::failed(format!("Function {function} was asked {asked} times and {why}."));
    }
    judge_function(function, None, now)
}

/// Judges what a function answered to its `job`; without one it is about to be asked.
pub fn judge_function(function: &str, job: Option<&Job>, now: Timestamp) -> Finding {
    let Some((job, rule)) = job.and_then(|job| Some((job, job.rule.as_deref()?))) else {
        return Finding::pending(now + FUNCTION_SILENCE, format!("Function {function} is about to be asked."));
    };
    let (code, text) =
        rule.answer.as_ref().map_or((None, None), |answer| (answer.error_code.as_deref(), answer.text.as_deref()));
    let says = |default: &str| text.map_or_else(|| format!("Function {function} {default}."), str::to_owned);
    let silent = || {
        Finding::failed(format!("Function {function} did not answer within {} minutes.", FUNCTION_SILENCE.as_mins()))
    };
    match (job.status, code) {
        (JobStatus::Succeeded, _) => Finding::succeeded(says("agreed")),
        (JobStatus::Failed, Some("PermissionError")) => Finding::errored("PermissionError", says("may not be invoked")),
        (JobStatus::Failed, Some(_)) => Finding::errored("ConfigurationError", says("cannot be invoked")),
        (JobStatus::Failed, None) => Finding::failed(says("refused")),
        (JobStatus::TimedOut, _) => silent(),
        (JobStatus::Created | JobStatus::Queued | JobStatus::Dispatched | JobStatus::InProgress, _) => {
            let in_all = rule.asked_at + FUNCTION_TIME_MAX;
            let until = (job.created_at + FUNCTION_SILENCE).min(in_all);
            if now < until {
                Finding::pending(until, format!("Function {function} was asked. It has until {until} to answer."))
            } else if until == in_all {
                Finding::failed(format!(
                    "Function {function} did not end within {} hours.",
                    FUNCTION_TIME_MAX.as_hours()
                ))
            } else {
                silent()
            }
        }
    }
}
