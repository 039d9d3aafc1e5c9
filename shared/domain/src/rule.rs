//! What one rule of a condition says at one look (spec 4.3 and 4.4).

use jiff::{SignedDuration, Timestamp};

use crate::{AlarmChange, AlarmState, ConditionKind};

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

    /// Until when it waits, if it does.
    pub fn pending_until(&self) -> Option<Timestamp> {
        match self.verdict {
            RuleVerdict::Pending(until) => Some(until),
            _ => None,
        }
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
    /// When the condition was first looked at.
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
