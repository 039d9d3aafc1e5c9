//! The three shapes in which CloudWatch tells that an alarm changed (spec 10.1).
//!
//! A composite alarm with an actions suppressor takes its states all the same, and tells of them: the state says whether its
//! actions are suppressed. When they are not any more it tells once more, of the state that it had, and its time is then that
//! of the end of the suppression.

use domain::{AlarmChange, AlarmState};
use jiff::{Timestamp, fmt::strtime};
use serde::Deserialize;
use serde_json::{Value, json};

/// The event cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a CloudWatch alarm event: {0}. Send \"CloudWatch Alarm State Change\" of EventBridge to this function")]
pub struct InvalidEvent(String);

/// What an event tells of an alarm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// It took this state.
    Took(AlarmChange),
    /// The alarm with this ARN is red as before, and its actions are not suppressed. Since when it is red, it has to be asked.
    StillRed(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct State {
    value: AlarmState,
    #[serde(default)]
    reason: String,
    timestamp: String,
    /// What suppresses its actions: `WaitPeriod`, `Alarm` or `ExtensionPeriod`.
    actions_suppressed_by: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Detail {
    state: State,
    #[serde(default)]
    previous_state: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Direct {
    alarm_arn: String,
    alarm_data: Detail,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Notification {
    alarm_arn: String,
    new_state_value: AlarmState,
    #[serde(default)]
    new_state_reason: String,
    state_change_time: String,
    #[serde(default)]
    old_state_value: Value,
}

/// What an event tells.
///
/// # Errors
/// [`InvalidEvent`] for anything that is not from CloudWatch.
pub fn changes(event: &Value) -> Result<Vec<Told>, InvalidEvent> {
    if let Some(records) = event["Records"].as_array() {
        return records.iter().map(|record| notification(&record["Sns"]["Message"])).collect();
    }
    if event.get("alarmData").is_some() {
        let direct = Direct::deserialize(event).map_err(invalid)?;
        return Ok(vec![told(direct.alarm_arn, direct.alarm_data)?]);
    }
    if event["detail-type"] != "CloudWatch Alarm State Change" {
        return Err(InvalidEvent("its detail-type is another".to_owned()));
    }
    let Some(arn) = event["resources"][0].as_str() else {
        return Err(InvalidEvent("it names no alarm in \"resources\"".to_owned()));
    };
    let detail = Detail::deserialize(&event["detail"]).map_err(invalid)?;
    Ok(vec![told(arn.to_owned(), detail)?])
}

fn notification(message: &Value) -> Result<Told, InvalidEvent> {
    let Some(message) = message.as_str() else {
        return Err(InvalidEvent("a record has no SNS message".to_owned()));
    };
    let message: Notification = serde_json::from_str(message).map_err(invalid)?;
    // It is an action, so nothing suppresses it.
    let state = State {
        value: message.new_state_value,
        reason: message.new_state_reason,
        timestamp: message.state_change_time,
        actions_suppressed_by: None,
    };
    told(message.alarm_arn, Detail { state, previous_state: json!({ "value": message.old_state_value }) })
}

fn told(arn: String, detail: Detail) -> Result<Told, InvalidEvent> {
    let Detail { state, previous_state } = detail;
    let since = timestamp(&state.timestamp)?;
    let state_now = match (state.value, state.actions_suppressed_by) {
        (AlarmState::Alarm, Some(_)) => AlarmState::Suppressed,
        (AlarmState::Alarm, None) if previous_state["value"] == "ALARM" => return Ok(Told::StillRed(arn)),
        (value, _) => value,
    };
    Ok(Told::Took(AlarmChange { arn, state: state_now, since, reason: state.reason }))
}

/// CloudWatch writes `2026-11-23T10:14:40.000+0000`, without a colon in the offset.
fn timestamp(text: &str) -> Result<Timestamp, InvalidEvent> {
    text.parse()
        .or_else(|_| strtime::parse("%Y-%m-%dT%H:%M:%S%.f%z", text).and_then(|parsed| parsed.to_timestamp()))
        .map_err(|_| InvalidEvent("a timestamp is not one".to_owned()))
}

fn invalid(error: serde_json::Error) -> InvalidEvent {
    // serde's text may quote the value; the category and the place do not.
    InvalidEvent(format!("{:?} error at line {} column {}", error.classify(), error.line(), error.column()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARN: &str = "arn:aws:cloudwatch:eu-west-1:111122223333:alarm:shop-5xx";

    #[test]
    fn all_three_shapes_tell_of_the_same_change() {
        let state =
            json!({"value": "ALARM", "reason": "Threshold Crossed", "timestamp": "2026-11-23T10:14:40.000+0000"});
        let message = json!({"AlarmName": "shop-5xx", "AlarmArn": ARN, "NewStateValue": "ALARM",
            "NewStateReason": "Threshold Crossed", "StateChangeTime": "2026-11-23T10:14:40.000+0000"});
        let expected = AlarmChange {
            arn: ARN.into(),
            state: AlarmState::Alarm,
            since: "2026-11-23T10:14:40Z".parse().unwrap(),
            reason: "Threshold Crossed".into(),
        };
        for event in [
            json!({"source": "aws.cloudwatch", "detail-type": "CloudWatch Alarm State Change", "resources": [ARN],
                "detail": {"alarmName": "shop-5xx", "state": state}}),
            json!({"source": "aws.cloudwatch", "alarmArn": ARN, "alarmData": {"alarmName": "shop-5xx", "state": state}}),
            json!({"Records": [{"EventSource": "aws:sns", "Sns": {"Message": message.to_string()}}]}),
        ] {
            assert_eq!(changes(&event).unwrap(), [Told::Took(expected.clone())], "{event}");
        }
    }

    /// As CloudWatch tells of a composite alarm that is red, by what suppresses its actions now and before.
    fn composite(by: Option<&str>, before: &str, by_before: Option<&str>) -> [Value; 2] {
        let state = |value: &str, by: Option<&str>, timestamp: &str| {
            let mut state = json!({"value": value, "reason": "a child transitioned to ALARM", "timestamp": timestamp});
            if let Some(by) = by {
                state["actionsSuppressedBy"] = json!(by);
                state["actionsSuppressedReason"] = json!(format!("Actions suppressed by {by}"));
            }
            state
        };
        let (now, before) = (
            state("ALARM", by, "2026-11-23T10:14:40.000+0000"),
            state(before, by_before, "2026-11-23T10:12:40.000+0000"),
        );
        let configuration = json!({"alarmRule": "ALARM(child)", "actionsSuppressor": "maintenance",
            "actionsSuppressorWaitPeriod": 120, "actionsSuppressorExtensionPeriod": 180});
        [
            json!({"source": "aws.cloudwatch", "detail-type": "CloudWatch Alarm State Change", "resources": [ARN],
                "detail": {"alarmName": "shop-5xx", "state": now, "previousState": before,
                    "configuration": configuration}}),
            json!({"source": "aws.cloudwatch", "alarmArn": ARN, "alarmData": {"alarmName": "shop-5xx",
                "state": now, "previousState": before, "configuration": configuration}}),
        ]
    }

    #[test]
    fn an_alarm_whose_actions_are_suppressed_is_not_one_to_act_on() {
        let suppressed = [
            (Some("WaitPeriod"), "OK", None),
            (Some("Alarm"), "ALARM", Some("WaitPeriod")),
            (Some("ExtensionPeriod"), "ALARM", Some("Alarm")),
        ];
        for event in suppressed.into_iter().flat_map(|(by, before, by_before)| composite(by, before, by_before)) {
            let found = changes(&event).unwrap();
            let [Told::Took(change)] = found.as_slice() else { panic!("{event}") };
            assert_eq!((change.arn.as_str(), change.state), (ARN, AlarmState::Suppressed), "{event}");
        }
        let [bridge, direct] = composite(None, "OK", None);
        for event in [bridge, direct] {
            let found = changes(&event).unwrap();
            let [Told::Took(change)] = found.as_slice() else { panic!("{event}") };
            assert_eq!(change.state, AlarmState::Alarm, "{event}");
        }
    }

    #[test]
    fn what_is_red_when_its_suppression_ends_does_not_turn_red_then() {
        let message = json!({"AlarmName": "shop-5xx", "AlarmArn": ARN, "NewStateValue": "ALARM", "OldStateValue": "ALARM",
            "StateChangeTime": "2026-11-23T10:14:40.000+0000"});
        let notified = json!({"Records": [{"EventSource": "aws:sns", "Sns": {"Message": message.to_string()}}]});
        let [bridge, direct] = composite(None, "ALARM", Some("ExtensionPeriod"));
        for event in [bridge, direct, notified] {
            assert_eq!(changes(&event).unwrap(), [Told::StillRed(ARN.into())], "{event}");
        }
    }

    #[test]
    fn anything_else_is_refused_with_what_to_send() {
        for event in [
            json!(null),
            json!({"detail-type": "Object Created"}),
            json!({"detail-type": "CloudWatch Alarm State Change"}),
            json!({"detail-type": "CloudWatch Alarm State Change", "resources": [ARN],
                "detail": {"state": {"value": "PURPLE", "timestamp": "2026-11-23T10:14:40.000+0000"}}}),
            json!({"detail-type": "CloudWatch Alarm State Change", "resources": [ARN],
                "detail": {"state": {"value": "OK", "timestamp": "yesterday"}}}),
            json!({"Records": [{"Sns": {"Message": "not json"}}]}),
        ] {
            assert!(changes(&event).unwrap_err().to_string().contains("EventBridge"), "{event}");
        }
    }
}
