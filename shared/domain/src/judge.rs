//! Does an alarm tell that a deploy made things worse?

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{ExecutionId, StageState, Watch};

/// State of a CloudWatch alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AlarmState {
    /// Within its threshold.
    Ok,
    /// Beyond its threshold.
    Alarm,
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
    /// The alarm as it was seen.
    pub alarm: AlarmChange,
    /// The alarm when the execution entered the stage.
    pub state_at_entry: AlarmState,
    /// Start of the time that counts.
    pub from: Timestamp,
    /// End of the time that counts.
    pub until: Timestamp,
}

/// Judges one alarm for one watched execution.
///
/// Only worsening counts: the alarm must have *turned* red inside the watch, and the watched execution must still be
/// what is live in the stage. An alarm that was red before the deploy says nothing about it (design section 6).
pub fn judge(watch: &Watch, stage: &StageState, alarm: &AlarmChange) -> Evidence {
    let live = stage.live.as_ref().map(|live| live.deployed_by);
    let (verdict, reason) = match alarm.state {
        AlarmState::Ok => (Verdict::Healthy, "the alarm is OK".to_owned()),
        AlarmState::InsufficientData => (Verdict::NotEnoughData, "the alarm has too little data".to_owned()),
        AlarmState::Unreadable => (Verdict::NotEnoughData, "the alarm could not be read".to_owned()),
        AlarmState::Alarm if alarm.since < watch.from => (
            Verdict::NotThisDeploy,
            format!("it has been red since {}, before the deploy began at {}", alarm.since, watch.from),
        ),
        AlarmState::Alarm if alarm.since > watch.until => (
            Verdict::NotThisDeploy,
            format!("it turned red at {}, after the watch ended at {}", alarm.since, watch.until),
        ),
        AlarmState::Alarm if live != Some(watch.execution) => {
            (Verdict::NotThisDeploy, "another execution is live in the stage".to_owned())
        }
        AlarmState::Alarm => match &stage.occupant {
            Some(inside) => (Verdict::NotThisDeploy, format!("execution {} is in the stage already", inside.execution)),
            None => (
                Verdict::Degraded,
                format!("it was {} when the deploy began and turned red at {}", watch.state_at_entry, alarm.since),
            ),
        },
    };
    Evidence {
        verdict,
        reason,
        execution: watch.execution,
        alarm: alarm.clone(),
        state_at_entry: watch.state_at_entry,
        from: watch.from,
        until: watch.until,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ExecutionType, Generation, Live, Occupant};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn id(n: u128) -> ExecutionId {
        ExecutionId(uuid::Uuid::from_u128(n))
    }

    #[test]
    fn only_a_turn_to_red_inside_the_watch_of_what_is_live_counts() {
        let watch = Watch {
            alarm_arn: "arn".into(),
            pipeline: "shop".parse().unwrap(),
            stage: "Deploy".parse().unwrap(),
            execution: id(4),
            rule: "errors".into(),
            from: at(100),
            until: at(200),
            state_at_entry: AlarmState::Ok,
            generation: Generation(3),
            version: 0,
        };
        let mut stage = StageState::new(watch.pipeline.clone(), watch.stage.clone());
        stage.live = Some(Live { deployed_by: id(4), revision_of: id(4), since: at(110) });
        let verdict = |stage: &StageState, state, since| {
            let alarm = AlarmChange { arn: "arn".into(), state, since: at(since), reason: String::new() };
            judge(&watch, stage, &alarm).verdict
        };
        for (state, since, expected) in [
            (AlarmState::Alarm, 150, Verdict::Degraded),
            (AlarmState::Alarm, 100, Verdict::Degraded),
            (AlarmState::Alarm, 200, Verdict::Degraded),
            (AlarmState::Alarm, 99, Verdict::NotThisDeploy),
            (AlarmState::Alarm, 201, Verdict::NotThisDeploy),
            (AlarmState::Ok, 150, Verdict::Healthy),
            (AlarmState::InsufficientData, 150, Verdict::NotEnoughData),
            (AlarmState::Unreadable, 150, Verdict::NotEnoughData),
        ] {
            assert_eq!(verdict(&stage, state, since), expected, "{state:?} since {since}");
        }
        stage.live = Some(Live { deployed_by: id(5), revision_of: id(3), since: at(120) });
        assert_eq!(verdict(&stage, AlarmState::Alarm, 150), Verdict::NotThisDeploy);
        stage.live = Some(Live { deployed_by: id(4), revision_of: id(4), since: at(110) });
        stage.occupant = Some(Occupant {
            execution: id(5),
            execution_type: ExecutionType::Rollback,
            entered_at: at(140),
            alarms: Default::default(),
        });
        assert_eq!(verdict(&stage, AlarmState::Alarm, 150), Verdict::NotThisDeploy);
    }
}
