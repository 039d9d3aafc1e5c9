//! State changes: the new state, its history item and its event are stored together, and composite alarms follow.

use std::collections::{BTreeMap, VecDeque};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::{
    alarm::{Alarm, Watched, arn},
    error::ApiError,
    evaluate::{Datapoint, State, evaluate, evaluation_range},
    event, reason,
    rule::Rule,
    statistics::Samples,
    store::{Sampled, Work},
};

/// A state with its reason.
#[derive(Debug, Clone)]
pub(crate) struct NewState {
    /// The state.
    pub(crate) state: State,
    /// Why, for people.
    pub(crate) reason: String,
    /// Why, as a JSON document.
    pub(crate) reason_data: Option<String>,
}

impl Work<'_> {
    /// Evaluates a metric alarm now, and schedules its next evaluation.
    pub(crate) fn evaluate_alarm(&self, name: &str) -> Result<(), ApiError> {
        let Some(alarm) = self.alarm(name)? else {
            return Ok(());
        };
        let watched = Watched::of(&alarm.config)?;
        let end = window_end(&watched, self.now);
        self.schedule(name, seconds_after(end, watched.step_s()))?;

        let range = self.range(&watched, end)?;
        let evaluation = evaluate(&watched.condition, &range);
        let has_data = !evaluation.datapoints.is_empty();
        if alarm.forced && !has_data {
            return Ok(());
        }
        let too_few = |point: &Datapoint| watched.statistic.is_low_sample(point.samples);
        if watched.ignores_low_samples && evaluation.datapoints.iter().any(too_few) {
            return Ok(());
        }
        let settled = Alarm { forced: false, ..alarm.clone() };
        match evaluation.state {
            Some(state) if state != alarm.state => {
                let new = reason::of_metric_alarm(&watched, &evaluation, state, self.now);
                self.change_state(&settled, new)
            }
            _ if alarm.forced => self.store_state(&settled),
            _ => Ok(()),
        }
    }

    /// The datapoints of the evaluation range that ends at `end`, oldest first.
    fn range(&self, watched: &Watched, end: Timestamp) -> Result<Vec<Option<Datapoint>>, ApiError> {
        let periods = evaluation_range(&watched.condition);
        let period_s = watched.period_s;
        let start = seconds_after(end, -period_s * i64::try_from(periods).unwrap_or(i64::MAX / period_s));
        let sampled = self.samples(&watched.metric, watched.unit.as_deref(), start, end)?;
        let mut buckets: Vec<Option<Samples>> = vec![None; periods];
        for Sampled { at, samples, .. } in sampled {
            let index = usize::try_from((at.as_second() - start.as_second()) / period_s).unwrap_or(usize::MAX);
            if let Some(bucket) = buckets.get_mut(index) {
                *bucket = Some(match bucket.take() {
                    Some(before) => before.merged(samples),
                    None => samples,
                });
            }
        }
        Ok((0..)
            .zip(buckets)
            .map(|(index, samples)| {
                let samples = samples?;
                Some(Datapoint {
                    at: seconds_after(start, index * period_s),
                    value: watched.statistic.of(&samples)?,
                    samples: samples.count,
                })
            })
            .collect())
    }

    /// Gives an alarm a new state. A changed one is recorded, announced, and followed by the composite alarms that look at it;
    /// the same one only takes the new reason.
    pub(crate) fn change_state(&self, alarm: &Alarm, new: NewState) -> Result<(), ApiError> {
        if self.store_transition(alarm, new)? {
            self.evaluate_parents(&alarm.name)?;
        }
        Ok(())
    }

    /// Evaluates a new or changed composite alarm.
    pub(crate) fn evaluate_new_composite(&self, name: &str) -> Result<(), ApiError> {
        if self.evaluate_composite(name, None)? {
            self.evaluate_parents(name)?;
        }
        Ok(())
    }

    fn evaluate_parents(&self, name: &str) -> Result<(), ApiError> {
        // Rules cannot form a cycle, so this ends; a queue because chains may be longer than the stack is deep.
        let mut changed = VecDeque::from([name.to_owned()]);
        while let Some(child) = changed.pop_front() {
            for parent in self.parents(&child)? {
                if self.evaluate_composite(&parent, Some(&child))? {
                    changed.push_back(parent);
                }
            }
        }
        Ok(())
    }

    fn evaluate_composite(&self, name: &str, trigger: Option<&str>) -> Result<bool, ApiError> {
        let Some(alarm) = self.alarm(name)? else {
            return Ok(false);
        };
        let text = alarm.config["AlarmRule"].as_str().unwrap_or_default();
        let rule = Rule::parse(text).map_err(|error| ApiError::internal(&error))?;
        let mut states = BTreeMap::new();
        for child in rule.children() {
            if let Some(child) = self.alarm(child)? {
                states.insert(child.name, child.state);
            }
        }
        let holds = rule.holds(&|name| states.get(name).copied());
        let state = if holds { State::Alarm } else { State::Ok };
        if state == alarm.state {
            return Ok(false);
        }
        let trigger = trigger.map(|name| self.alarm(name)).transpose()?.flatten();
        let new = reason::of_composite_alarm(&alarm, state, trigger.as_ref());
        self.store_transition(&Alarm { forced: false, ..alarm }, new)
    }

    /// Stores state, history and event; whether the state differs.
    fn store_transition(&self, before: &Alarm, new: NewState) -> Result<bool, ApiError> {
        let changed = before.state != new.state;
        let after = Alarm {
            state: new.state,
            reason: new.reason,
            reason_data: new.reason_data,
            updated: self.now,
            transitioned: if changed { self.now } else { before.transitioned },
            ..before.clone()
        };
        self.store_state(&after)?;
        if changed {
            let (old, new) = (before.state.as_str(), after.state.as_str());
            let summary = format!("Alarm updated from {old} to {new}");
            let data = json!({"version": "1.0", "oldState": state_data(before), "newState": state_data(&after)});
            self.add_history(&after.name, after.kind, "StateUpdate", &summary, &data)?;
            self.enqueue(&event::state_change(&self.id(), before, &after)?)?;
        }
        Ok(changed)
    }

    /// Records that an alarm was created, updated or deleted.
    pub(crate) fn record_configuration(&self, alarm: &Alarm, what: &str) -> Result<(), ApiError> {
        let summary = format!("Alarm \"{}\" {what}", alarm.name);
        // A summary holds 255 characters, and a name alone may be that long.
        let summary: String = summary.chars().take(255).collect();
        let data = json!({
            "version": "1.0",
            "type": match what { "created" => "Create", "deleted" => "Delete", _ => "Update" },
            "alarmArn": arn(&alarm.name),
            "alarmType": alarm.kind.as_str(),
        });
        self.add_history(&alarm.name, alarm.kind, "ConfigurationUpdate", &summary, &data)
    }
}

fn state_data(alarm: &Alarm) -> Value {
    let mut data = json!({"stateValue": alarm.state.as_str(), "stateReason": alarm.reason});
    if let Some(document) = &alarm.reason_data {
        data["stateReasonData"] = serde_json::from_str(document).unwrap_or(Value::Null);
    }
    data
}

/// End of the newest complete window of what an alarm watches.
pub(crate) fn window_end(watched: &Watched, now: Timestamp) -> Timestamp {
    floor(now, watched.step_s())
}

/// `at` rounded down to a whole multiple of `step_s` seconds.
pub(crate) fn floor(at: Timestamp, step_s: i64) -> Timestamp {
    let second = at.as_second();
    Timestamp::from_second(second - second.rem_euclid(step_s)).unwrap_or(Timestamp::MIN)
}

/// `at` and so many seconds, as far as timestamps reach.
pub(crate) fn seconds_after(at: Timestamp, seconds: i64) -> Timestamp {
    let end = if seconds < 0 { Timestamp::MIN } else { Timestamp::MAX };
    at.saturating_add(SignedDuration::from_secs(seconds)).unwrap_or(end)
}
