//! What a deploy's watch takes over from the watches of the deploys that it supersedes: whether one of them made things
//! worse may not be known yet.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{AlarmState, Execution, ExecutionId, ExecutionType, Live, Occupant, Watch, WatchRule};

/// A superseded deploy whose watch was not over when the next one began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Unclear {
    /// The execution that deployed.
    pub execution: ExecutionId,
    /// When it entered the stage.
    pub from: Timestamp,
    /// When the next deploy entered: what turned red from there on is that one's.
    pub until: Timestamp,
    /// The alarm when it entered.
    pub state_at_entry: AlarmState,
}

/// A deploy that is live, or was when the next one began, as far as its watches are concerned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Observed {
    /// How it came into the stage, with the alarms as they were.
    pub entered: Occupant,
    /// When it had succeeded: its watches last from here.
    pub succeeded_at: Timestamp,
    /// When watches end that waited for data points and have seen them, by rule.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub saw_data: BTreeMap<String, Timestamp>,
    /// When it was decided, by rule, that it is to blame and cannot be taken back: its watch has ended.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub blamed: BTreeMap<String, Timestamp>,
    /// Why nothing could be said of it in all the time of a watch, by rule.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unjudged: BTreeMap<String, String>,
    /// When the next deploy entered; absent while it is live.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub superseded_at: Option<Timestamp>,
}

/// Most superseded deploys that are remembered, the newest.
const OBSERVED_MAX: usize = 5;

/// The deploys that are observed once `execution`, which `entered` the stage, has succeeded where `before` was live. What
/// was rolled back to is observed for whether it helps, and begins anew: nothing before it is unclear.
pub(crate) fn observed_after(
    before: Option<&Live>,
    execution: &Execution,
    entered: Option<&Occupant>,
    watches: &[WatchRule],
    now: Timestamp,
) -> Vec<Observed> {
    let Some(entered) = entered.filter(|_| execution.execution_type == ExecutionType::Standard) else {
        return Vec::new();
    };
    let superseded =
        |one: &Observed| Observed { superseded_at: one.superseded_at.or(Some(entered.entered_at)), ..one.clone() };
    let was_watched = |one: &Observed| watches.iter().any(|rule| one.over_at(rule) > entered.entered_at);
    let others = |one: &&Observed| one.entered.execution != execution.id && was_watched(one);
    let before = before.map(|before| before.observed.as_slice()).unwrap_or_default();
    let mut observed: Vec<Observed> = before.iter().filter(others).map(superseded).collect();
    let excess = observed.len().saturating_sub(OBSERVED_MAX);
    observed.drain(..excess);
    observed.push(Observed {
        entered: entered.clone(),
        succeeded_at: now,
        saw_data: BTreeMap::new(),
        blamed: BTreeMap::new(),
        unjudged: BTreeMap::new(),
        superseded_at: None,
    });
    observed
}

impl Observed {
    /// When its watch of `rule` is over, at the latest.
    pub(crate) fn over_at(&self, rule: &WatchRule) -> Timestamp {
        self.saw_data.get(&rule.rule).copied().unwrap_or_else(|| rule.over_at(self.succeeded_at))
    }

    /// What is unclear of it for the watch of `rule` of a deploy that began at `next`; nothing where its own watch was over
    /// by then, or the alarm was red before it.
    pub(crate) fn unclear(&self, rule: &WatchRule, next: Timestamp) -> Option<Unclear> {
        let until = self.superseded_at?;
        let alarm = self.entered.alarms.get(&rule.alarm)?;
        let is_unclear = self.over_at(rule) > next && alarm.state != AlarmState::Alarm;
        is_unclear.then_some(Unclear {
            execution: self.entered.execution,
            from: self.entered.entered_at,
            until,
            state_at_entry: alarm.state,
        })
    }
}

impl Watch {
    /// The superseded deploy in whose time the alarm turned red, where that is still unclear.
    pub fn inherited_at(&self, onset: Timestamp) -> Option<&Unclear> {
        let inside = |one: &&Unclear| one.from <= onset && onset < one.until;
        self.inherited.iter().rev().find(inside).filter(|_| onset < self.from)
    }

    /// Where the time began in which the alarm turned red, and how it was then.
    pub(crate) fn blamed_for(&self, onset: Timestamp) -> (Timestamp, AlarmState) {
        let inherited = self.inherited_at(onset).map(|one| (one.from, one.state_at_entry));
        inherited.unwrap_or((self.from, self.state_at_entry))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        AlarmChange, AlarmSnapshot, ExecutionMode, Generation, Verdict, WatchPurpose, WatchedDeploy, judge,
        tests::{at, execution, id},
    };

    const STATES: [AlarmState; 4] =
        [AlarmState::Ok, AlarmState::Alarm, AlarmState::InsufficientData, AlarmState::Unreadable];

    fn entered(n: u128, second: i64, state: AlarmState) -> Occupant {
        let alarm = AlarmSnapshot { arn: "arn".into(), state };
        Occupant {
            execution: id(n),
            execution_type: ExecutionType::Standard,
            entered_at: at(second),
            alarms: BTreeMap::from([("errors".to_owned(), alarm)]),
        }
    }

    fn rule() -> WatchRule {
        let (rule, alarm) = ("errors".to_owned(), "errors".to_owned());
        WatchRule { rule, alarm, minutes: 10, data_points: 0, shadow: false, hold_until_other: false, metrics: None }
    }

    fn live(observed: Vec<Observed>) -> Live {
        Live { deployed_by: id(1), revision_of: id(1), since: at(0), observed }
    }

    #[test]
    fn a_watch_that_was_not_over_is_inherited_unless_the_alarm_was_red_before_it() {
        for state in STATES {
            // The first deploy entered at 0, succeeded at 60 and is watched until 660.
            for (next, is_over) in [(100, false), (659, false), (660, true), (9_000, true)] {
                let first = observed_after(
                    None,
                    &execution(1, ExecutionMode::Queued),
                    Some(&entered(1, 0, state)),
                    &[rule()],
                    at(60),
                );
                let of_second = entered(2, next, AlarmState::Alarm);
                let second = execution(2, ExecutionMode::Queued);
                let observed = observed_after(Some(&live(first)), &second, Some(&of_second), &[rule()], at(next + 5));
                let unclear: Vec<Unclear> = observed.iter().filter_map(|one| one.unclear(&rule(), at(next))).collect();
                let expected = Unclear { execution: id(1), from: at(0), until: at(next), state_at_entry: state };
                let is_unclear = !is_over && state != AlarmState::Alarm;
                assert_eq!(unclear, Vec::from_iter(is_unclear.then_some(expected)), "{state} then at {next}");
            }
        }
    }

    #[test]
    fn what_is_unclear_is_handed_on_and_a_rollback_begins_anew() {
        let mut observed = Vec::new();
        for n in 1..=9 {
            let second = i64::try_from(n).unwrap() * 20;
            let of = execution(n, ExecutionMode::Queued);
            let entered = entered(n, second, AlarmState::Ok);
            observed = observed_after(Some(&live(observed)), &of, Some(&entered), &[rule()], at(second + 5));
        }
        let unclear: Vec<_> = observed.iter().filter_map(|one| one.unclear(&rule(), at(180))).collect();
        let executions: Vec<_> = unclear.iter().map(|one| one.execution).collect();
        assert_eq!(executions, [4, 5, 6, 7, 8].map(id), "the newest five");
        assert!(
            unclear.windows(2).all(|pair| pair[0].until == pair[1].from),
            "their times do not overlap: {unclear:?}"
        );
        let mut back = execution(10, ExecutionMode::Queued);
        back.execution_type = ExecutionType::Rollback;
        let entered = entered(10, 200, AlarmState::Alarm);
        assert_eq!(observed_after(Some(&live(observed)), &back, Some(&entered), &[rule()], at(205)), []);
    }

    #[test]
    fn what_turned_red_in_a_superseded_watch_counts_when_the_next_deploy_has_not_mended_it() {
        let unclear = |n: u128, from: i64, until: i64| Unclear {
            execution: id(n),
            from: at(from),
            until: at(until),
            state_at_entry: AlarmState::Ok,
        };
        let watch = Watch {
            alarm_arn: "arn".into(),
            pipeline: "shop".parse().unwrap(),
            stage: "Deploy".parse().unwrap(),
            execution: id(3),
            rule: "errors".into(),
            from: at(100),
            until: at(200),
            data_points: None,
            metrics: None,
            state_at_entry: AlarmState::Alarm,
            purpose: WatchPurpose::Deploy,
            shadow: false,
            told: false,
            inherited: vec![unclear(1, 20, 60), unclear(2, 60, 100)],
            generation: Generation(3),
            version: 0,
        };
        let suspect = |inside: Option<u128>, live: u128| WatchedDeploy {
            watch: watch.clone(),
            live: Some(id(live)),
            inside: inside.map(id),
            sighted: None,
        };
        use Verdict as V;
        for (onset, now, expected, blamed) in [
            (10, 250, V::NotThisDeploy, None),
            // The next deploy may be the cure: it has the time of its own watch.
            (20, 150, V::NotEnoughData, Some(1)),
            (20, 199, V::NotEnoughData, Some(1)),
            (20, 200, V::Degraded, Some(1)),
            (59, 200, V::Degraded, Some(1)),
            (60, 200, V::Degraded, Some(2)),
            (99, 900, V::Degraded, Some(2)),
            // Its own time needs no patience.
            (100, 101, V::Degraded, None),
            (201, 300, V::NotThisDeploy, None),
        ] {
            let alarm =
                AlarmChange { arn: "arn".into(), state: AlarmState::Alarm, since: at(onset), reason: String::new() };
            let found = judge(&suspect(None, 3), &alarm, Some(at(now)));
            assert_eq!(found.verdict, expected, "red at {onset}, seen at {now}: {}", found.reason);
            assert_eq!(watch.inherited_at(at(onset)).map(|one| one.execution), blamed.map(id));
            for other in [suspect(Some(9), 3), suspect(None, 9)] {
                assert_ne!(judge(&other, &alarm, Some(at(now))).verdict, V::Degraded, "somebody else is there");
            }
            let cleared = AlarmChange { state: AlarmState::Ok, ..alarm };
            assert_eq!(judge(&suspect(None, 3), &cleared, Some(at(now))).verdict, V::Healthy);
        }
    }
}
