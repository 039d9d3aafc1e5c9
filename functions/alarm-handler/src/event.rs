//! The three shapes in which CloudWatch tells that an alarm changed (spec 10.1).

use domain::{AlarmChange, AlarmState};
use jiff::{Timestamp, fmt::strtime};
use serde::Deserialize;
use serde_json::Value;

/// The event cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a CloudWatch alarm event: {0}. Send \"CloudWatch Alarm State Change\" of EventBridge to this function")]
pub struct InvalidEvent(String);

#[derive(Deserialize)]
struct State {
    value: AlarmState,
    #[serde(default)]
    reason: String,
    timestamp: String,
}

#[derive(Deserialize)]
struct Detail {
    state: State,
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
}

/// The changes an event tells of.
///
/// # Errors
/// [`InvalidEvent`] for anything that is not from CloudWatch.
pub fn changes(event: &Value) -> Result<Vec<AlarmChange>, InvalidEvent> {
    if let Some(records) = event["Records"].as_array() {
        return records.iter().map(|record| notification(&record["Sns"]["Message"])).collect();
    }
    if event.get("alarmData").is_some() {
        let direct = Direct::deserialize(event).map_err(invalid)?;
        return Ok(vec![change(direct.alarm_arn, direct.alarm_data.state)?]);
    }
    if event["detail-type"] != "CloudWatch Alarm State Change" {
        return Err(InvalidEvent("its detail-type is another".to_owned()));
    }
    let Some(arn) = event["resources"][0].as_str() else {
        return Err(InvalidEvent("it names no alarm in \"resources\"".to_owned()));
    };
    let detail = Detail::deserialize(&event["detail"]).map_err(invalid)?;
    Ok(vec![change(arn.to_owned(), detail.state)?])
}

fn notification(message: &Value) -> Result<AlarmChange, InvalidEvent> {
    let Some(message) = message.as_str() else {
        return Err(InvalidEvent("a record has no SNS message".to_owned()));
    };
    let message: Notification = serde_json::from_str(message).map_err(invalid)?;
    change(
        message.alarm_arn,
        State {
            value: message.new_state_value,
            reason: message.new_state_reason,
            timestamp: message.state_change_time,
        },
    )
}

fn change(arn: String, state: State) -> Result<AlarmChange, InvalidEvent> {
    Ok(AlarmChange { arn, state: state.value, since: timestamp(&state.timestamp)?, reason: state.reason })
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
    use serde_json::json;

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
            assert_eq!(changes(&event).unwrap(), std::slice::from_ref(&expected), "{event}");
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
