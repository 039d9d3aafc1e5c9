//! Does an alarm tell that a deploy made things worse?

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Case, ExecutionId, RankedDeploy, StageName, WatchedDeploy};

/// State of a CloudWatch alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AlarmState {
    /// Within its threshold.
    Ok,
    /// Beyond its threshold.
    Alarm,
    /// A composite alarm that is in ALARM while its actions are suppressed: nobody is to act on it. Never stored, since it is
    /// nothing to decide by.
    Suppressed,
    /// Too little data to tell.
    InsufficientData,
    /// It could not be read: not there, or no permission.
    Unreadable,
}

impl fmt::Display for AlarmState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ok => "OK",
            Self::Alarm => "ALARM",
            Self::Suppressed => "ALARM with its actions suppressed",
            Self::InsufficientData => "INSUFFICIENT_DATA",
            Self::Unreadable => "unreadable",
        })
    }
}

/// An alarm's state at the moment an execution entered a stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AlarmSnapshot {
    /// The alarm.
    pub arn: String,
    /// Its state then.
    pub state: AlarmState,
}

/// What is known of an alarm: from its state change event, or by asking.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AlarmChange {
    /// The alarm.
    pub arn: String,
    /// Its state.
    pub state: AlarmState,
    /// Since when it is in that state.
    pub since: Timestamp,
    /// The alarm's own words.
    pub reason: String,
}

/// The judge's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// The deploy made things worse: roll back.
    Degraded,
    /// Nothing wrong.
    Healthy,
    /// The alarm cannot tell.
    NotEnoughData,
    /// Something is wrong, but not by this deploy.
    NotThisDeploy,
}

/// A verdict with everything it rests on, enough to reproduce it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Evidence {
    /// The answer.
    pub verdict: Verdict,
    /// Why, for people.
    pub reason: String,
    /// The watched execution.
    pub execution: ExecutionId,
    /// Its stage; absent in evidence of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<StageName>,
    /// The alarm as it was seen.
    pub alarm: AlarmChange,
    /// The alarm when the execution entered the stage.
    pub state_at_entry: AlarmState,
    /// Start of the time that counts.
    pub from: Timestamp,
    /// End of the time that counts.
    pub until: Timestamp,
    /// How much speaks against the deploy, of 1000; zero where the verdict clears it.
    #[serde(default)]
    pub score: u32,
    /// Every deploy that was watched with the alarm, the most suspect first.
    #[serde(default)]
    pub ranking: Vec<RankedDeploy>,
    /// What would have changed the answer, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub otherwise: String,
    /// What the decision was taken from, for taking it again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub case: Option<Box<Case>>,
}

/// Judges one alarm for one watched execution alone.
///
/// Only worsening counts: the alarm must have *turned* red inside the watch, and the watched execution must still be
/// what is live in the stage. An alarm that was red before the deploy says nothing about it (design section 6), until it
/// has cleared and turns red again. Without data an alarm is no reason to go back; one that had no data when the deploy
/// began and turns red counts, since nothing says that it was red before. Nor is an alarm a reason whose actions are
/// suppressed; when they are not any more, it counts from when it turned red.
///
/// What turned red in the time of a deploy that this one superseded counts too, where that one's watch was not over: the
/// superseded deploy is part of this one. But this one may be the cure, so it has the time of its own watch to mend it.
/// `now` is when that is asked; unknown in cases of older versions, which inherit nothing.
pub fn judge(suspect: &WatchedDeploy, alarm: &AlarmChange, now: Option<Timestamp>) -> Evidence {
    let watch = &suspect.watch;
    let (state, since) = suspect.own_alarm(alarm);
    let inherited = watch.inherited_at(since);
    let by_metrics = suspect.sighted.as_ref().map(|seen| &seen.evidence);
    let (verdict, reason) = match state {
        AlarmState::Ok | AlarmState::InsufficientData if let Some(found) = by_metrics => {
            (found.verdict, found.why.clone())
        }
        AlarmState::Ok => (Verdict::Healthy, "the alarm is OK".to_owned()),
        AlarmState::InsufficientData => (Verdict::NotEnoughData, "the alarm has too little data".to_owned()),
        AlarmState::Unreadable => (Verdict::NotEnoughData, "the alarm could not be read".to_owned()),
        AlarmState::Suppressed => {
            (Verdict::NotEnoughData, "the alarm is red and its actions are suppressed".to_owned())
        }
        AlarmState::Alarm if inherited.is_some() && now.is_none_or(|now| now < watch.until) => (
            Verdict::NotEnoughData,
            format!(
                "it turned red at {since}, in the watch of a deploy that this one superseded; it has until {} to clear",
                watch.until
            ),
        ),
        AlarmState::Alarm if since < watch.from && inherited.is_none() => (
            Verdict::NotThisDeploy,
            format!("it has been red since {}, before the deploy began at {}", since, watch.from),
        ),
        AlarmState::Alarm if since > watch.until => {
            (Verdict::NotThisDeploy, format!("it turned red at {}, after the watch ended at {}", since, watch.until))
        }
        AlarmState::Alarm if suspect.live != Some(watch.execution) => {
            (Verdict::NotThisDeploy, "another execution is live in the stage".to_owned())
        }
        AlarmState::Alarm => match suspect.inside {
            Some(inside) => (Verdict::NotThisDeploy, format!("execution {inside} is in the stage already")),
            None if inherited.is_some() => (
                Verdict::Degraded,
                format!(
                    "it turned red at {}, in the watch of execution {} that this deploy superseded, and this one did not \
                     mend it until {}",
                    since,
                    inherited.map(|one| one.execution.to_string()).unwrap_or_default(),
                    watch.until
                ),
            ),
            None if let Some(found) = by_metrics => (Verdict::Degraded, found.why.clone()),
            None => (
                Verdict::Degraded,
                format!("it was {} when the deploy began and turned red at {}", watch.state_at_entry, since),
            ),
        },
    };
    Evidence {
        verdict,
        reason,
        execution: watch.execution,
        stage: Some(watch.stage.clone()),
        alarm: match by_metrics {
            Some(found) => AlarmChange { arn: alarm.arn.clone(), state, since, reason: found.why.clone() },
            None => alarm.clone(),
        },
        state_at_entry: watch.state_at_entry,
        from: watch.from,
        until: watch.until,
        score: 0,
        ranking: Vec::new(),
        otherwise: String::new(),
        case: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Generation, Watch};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn id(n: u128) -> ExecutionId {
        ExecutionId(uuid::Uuid::from_u128(n))
    }

    const STATES: [AlarmState; 4] =
        [AlarmState::Ok, AlarmState::Alarm, AlarmState::InsufficientData, AlarmState::Unreadable];

    /// A deploy that entered at 100 and is watched until 200.
    fn suspect(state_at_entry: AlarmState) -> WatchedDeploy {
        let watch = Watch {
            alarm_arn: "arn".into(),
            pipeline: "shop".parse().unwrap(),
            stage: "Deploy".parse().unwrap(),
            execution: id(4),
            rule: "errors".into(),
            from: at(100),
            until: at(200),
            data_points: None,
            metrics: None,
            state_at_entry,
            purpose: crate::WatchPurpose::Deploy,
            shadow: false,
            told: false,
            inherited: Vec::new(),
            generation: Generation(3),
            version: 0,
        };
        WatchedDeploy { watch, live: Some(id(4)), inside: None, sighted: None }
    }

    #[test]
    fn every_pair_of_states_before_and_after_has_its_verdict() {
        use AlarmState as S;
        use Verdict as V;
        // Rows: the alarm when the deploy entered. Columns: the alarm now, turned so before, in and after the watch.
        for before in STATES {
            for (now, since, expected) in [
                (S::Ok, 50, V::Healthy),
                (S::Ok, 150, V::Healthy),
                (S::Ok, 250, V::Healthy),
                (S::Alarm, 50, V::NotThisDeploy),
                (S::Alarm, 99, V::NotThisDeploy),
                // Green, silent or unknown before: it got worse. Red before: it cleared and came back.
                (S::Alarm, 100, V::Degraded),
                (S::Alarm, 150, V::Degraded),
                (S::Alarm, 200, V::Degraded),
                (S::Alarm, 201, V::NotThisDeploy),
                (S::InsufficientData, 50, V::NotEnoughData),
                (S::InsufficientData, 150, V::NotEnoughData),
                (S::Unreadable, 150, V::NotEnoughData),
                (S::Suppressed, 50, V::NotEnoughData),
                (S::Suppressed, 150, V::NotEnoughData),
            ] {
                let alarm = AlarmChange { arn: "arn".into(), state: now, since: at(since), reason: String::new() };
                let found = judge(&suspect(before), &alarm, None);
                assert_eq!(found.verdict, expected, "{before} then {now} since {since}");
                assert!(!found.reason.is_empty());
            }
        }
    }

    #[test]
    fn what_is_not_live_or_not_alone_is_not_judged_degraded() {
        let alarm = AlarmChange { arn: "arn".into(), state: AlarmState::Alarm, since: at(150), reason: String::new() };
        let mut one = suspect(AlarmState::Ok);
        one.live = Some(id(5));
        assert_eq!(judge(&one, &alarm, None).verdict, Verdict::NotThisDeploy);
        one.live = None;
        assert_eq!(judge(&one, &alarm, None).verdict, Verdict::NotThisDeploy);
        let mut one = suspect(AlarmState::Ok);
        one.inside = Some(id(5));
        assert_eq!(judge(&one, &alarm, None).verdict, Verdict::NotThisDeploy);
    }
}
