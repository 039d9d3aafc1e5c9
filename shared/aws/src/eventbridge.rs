//! EventBridge: tells what happened.

use std::time::Duration;

use aws_sdk_eventbridge::Client;
use aws_sdk_eventbridge::config::retry::RetryConfig;
use aws_sdk_eventbridge::config::timeout::TimeoutConfig;
use aws_sdk_eventbridge::primitives::DateTime;
use aws_sdk_eventbridge::types::{PutEventsRequestEntry, PutEventsResultEntry};
use aws_types::SdkConfig;
use domain::{EVENT_SOURCE, Event};
use engine::ports::{CloudError, Events};
use serde_json::Value;

use crate::cloud_error::cloud_error;

/// Most entries of one request.
const ENTRIES_MAX: usize = 10;
/// Most bytes of one request, all entries together: 256 KB.
const REQUEST_BYTES_MAX: usize = 256 * 1024;
/// What EventBridge counts for the time of an entry.
const TIME_BYTES: usize = 14;
/// How often entries are sent that EventBridge took the request of, but not them.
const ROUNDS_MAX: usize = 3;
/// Longest time for one request. Who made a decision waits for it; what is not told by then stays in the outbox.
const PATIENCE: Duration = Duration::from_millis(1000);
/// Codes of entries that a later try may get through.
const PATIENCE_CODES: [&str; 3] = ["InternalFailure", "InternalException", "ThrottlingException"];
/// Parts of codes of entries that get through once somebody has mended what the bus allows.
const DENIED_WORDS: [&str; 3] = ["AccessDenied", "NotAuthorized", "InvalidAccountId"];

/// An event bus.
#[derive(Debug, Clone)]
pub struct EventBus {
    client: Client,
    name: String,
}

impl EventBus {
    /// Over a client made from `config`: one that tries once and is not patient, since the outbox tries again.
    pub fn connect(config: &SdkConfig, name: impl Into<String>) -> Self {
        let once = aws_sdk_eventbridge::config::Builder::from(config)
            .retry_config(RetryConfig::disabled())
            .timeout_config(TimeoutConfig::builder().operation_timeout(PATIENCE).build())
            .build();
        Self::new(Client::from_conf(once), name)
    }

    /// Publishes on the bus `name` through `client`.
    pub fn new(client: Client, name: impl Into<String>) -> Self {
        Self { client, name: name.into() }
    }

    fn entry(&self, pipeline_arn: &str, event: &Event) -> Result<(PutEventsRequestEntry, usize), CloudError> {
        let (kind, detail) = wire_form(event)?;
        let size = TIME_BYTES + EVENT_SOURCE.len() + kind.len() + detail.len() + pipeline_arn.len();
        let entry = PutEventsRequestEntry::builder()
            .event_bus_name(&self.name)
            .source(EVENT_SOURCE)
            .detail_type(kind)
            .detail(detail)
            .time(DateTime::from_millis(event.time.as_millisecond()))
            .resources(pipeline_arn)
            .build();
        Ok((entry, size))
    }

    fn what(&self) -> String {
        format!("the event bus {}", self.name)
    }

    /// Sends entries that fit one request, again those that were not taken. Those that are refused for good are dropped,
    /// and `refused` says why.
    async fn send(
        &self,
        mut entries: Vec<PutEventsRequestEntry>,
        refused: &mut Option<CloudError>,
    ) -> Result<(), CloudError> {
        let what = self.what();
        for _ in 0..ROUNDS_MAX {
            let request = self.client.put_events().set_entries(Some(entries.clone()));
            let answer = request.send().await;
            let answer = answer.map_err(|error| match cloud_error(error, &what, &["ResourceNotFoundException"]) {
                // That says nothing about its entries, whose form is as it should be: somebody has to mend the bus.
                CloudError::Refused(why) => CloudError::Unavailable(why.into()),
                other => other,
            })?;
            let results = answer.entries.unwrap_or_default();
            if let Some(result) = results.iter().find(|result| is_refused(result)) {
                refuse(refused, &what, code(result));
            }
            // An entry that nothing is said about was not taken, as far as anybody knows.
            let over =
                |at: usize| results.get(at).is_some_and(|result| result.error_code.is_none() || is_refused(result));
            entries = entries.into_iter().enumerate().filter(|(at, _)| !over(*at)).map(|(_, entry)| entry).collect();
            if entries.is_empty() {
                return Ok(());
            }
        }
        Err(CloudError::Unavailable(format!("{what} has not taken {} entries", entries.len()).into()))
    }
}

impl Events for EventBus {
    async fn publish(&self, pipeline_arn: &str, events: &[Event]) -> Result<(), CloudError> {
        let (mut batch, mut bytes, mut refused) = (Vec::new(), 0, None);
        for event in events {
            let (entry, size) = self.entry(pipeline_arn, event)?;
            if size > REQUEST_BYTES_MAX {
                refuse(&mut refused, &self.what(), &format!("an event takes {size} bytes of {REQUEST_BYTES_MAX}"));
                continue;
            }
            if batch.len() == ENTRIES_MAX || bytes + size > REQUEST_BYTES_MAX {
                self.send(std::mem::take(&mut batch), &mut refused).await?;
                bytes = 0;
            }
            batch.push(entry);
            bytes += size;
        }
        if !batch.is_empty() {
            self.send(batch, &mut refused).await?;
        }
        refused.map_or(Ok(()), Err)
    }
}

/// The detail-type and the detail.
fn wire_form(event: &Event) -> Result<(String, String), CloudError> {
    let change = serde_json::to_value(&event.change).map_err(|error| CloudError::Refused(error.to_string()))?;
    let kind = change["detail-type"].as_str().map(str::to_owned);
    match (kind, change.get("detail")) {
        (Some(kind), Some(detail @ Value::Object(_))) => Ok((kind, detail.to_string())),
        _ => Err(CloudError::Refused("an event has a detail-type and a detail".to_owned())),
    }
}

fn code(result: &PutEventsResultEntry) -> &str {
    result.error_code().unwrap_or_default()
}

/// Notes that an entry is refused: for good, unless somebody can give the permission it lacks.
fn refuse(refused: &mut Option<CloudError>, what: &str, why: &str) {
    let why = format!("{what}: {why}");
    if DENIED_WORDS.iter().any(|word| why.contains(word)) {
        *refused = Some(CloudError::Denied(why));
    } else {
        refused.get_or_insert(CloudError::Refused(why));
    }
}

fn is_refused(result: &PutEventsResultEntry) -> bool {
    result.error_code.is_some() && !PATIENCE_CODES.contains(&code(result))
}

#[cfg(test)]
mod tests {
    use domain::{EventState, ExecutionId, PipelineChange, StateChange};
    use serde_json::json;

    use super::*;
    use crate::replies::{Replies, reply};

    const ARN: &str = "arn:aws:codepipeline:eu-west-1:123456789012:shop";

    fn bus(replies: &Replies) -> EventBus {
        EventBus::connect(&replies.config(), "releases")
    }

    fn event(n: u128, comment_bytes: usize) -> Event {
        let uuid = uuid::Uuid::from_u128(n);
        Event {
            time: "2026-11-23T10:15:02.125Z".parse().unwrap(),
            change: StateChange::Pipeline(PipelineChange {
                pipeline: "shop".parse().unwrap(),
                execution_id: ExecutionId(uuid),
                start_time: "2026-11-23T10:15:02Z".parse().unwrap(),
                execution_trigger: None,
                stop_execution_comments: Some("x".repeat(comment_bytes)),
                state: EventState::Stopped,
                version: 7,
                pipeline_execution_attempt: 1,
                event_id: uuid,
                execution_type: None,
                rollback_stage: None,
                rollback_target_execution_id: None,
                rollback_undone_execution_id: None,
                rollback_cause: None,
            }),
        }
    }

    /// Execution ids of the entries of the request at `position`.
    fn sent(replies: &Replies, position: usize) -> Vec<u128> {
        let body: Value = serde_json::from_slice(&replies.body(position)).unwrap();
        let id = |entry: &Value| {
            let detail: Value = serde_json::from_str(entry["Detail"].as_str().unwrap()).unwrap();
            detail["event-id"].as_str().unwrap().parse::<uuid::Uuid>().unwrap().as_u128()
        };
        body["Entries"].as_array().unwrap().iter().map(id).collect()
    }

    fn taken(entries: usize) -> String {
        let each: Vec<Value> = (0..entries).map(|n| json!({ "EventId": n.to_string() })).collect();
        json!({ "FailedEntryCount": 0, "Entries": each }).to_string()
    }

    #[tokio::test]
    async fn an_entry_carries_the_event_as_codepipeline_writes_it() {
        let replies = Replies::of([reply(200, &[], taken(1))]);
        bus(&replies).publish(ARN, &[event(1, 3)]).await.unwrap();
        let body: Value = serde_json::from_slice(&replies.body(0)).unwrap();
        let entry = &body["Entries"][0];
        assert_eq!(replies.header(0, "x-amz-target"), "AWSEvents.PutEvents");
        assert_eq!(entry["EventBusName"], "releases");
        assert_eq!(entry["Source"], "lastgood");
        assert_eq!(entry["DetailType"], "CodePipeline Pipeline Execution State Change");
        assert_eq!(entry["Resources"], json!([ARN]));
        assert_eq!(entry["Time"], json!(1_795_428_902.125));
        let detail = entry["Detail"].as_str().unwrap();
        assert!(detail.contains(r#""version":7.0"#) && detail.contains(r#""start-time":"2026-11-23T10:15:02.000Z""#));
    }

    #[tokio::test]
    async fn requests_hold_what_eventbridge_takes() {
        let replies = Replies::of([10, 2].map(|entries| reply(200, &[], taken(entries))));
        let events: Vec<Event> = (0..12).map(|n| event(n, 0)).collect();
        bus(&replies).publish(ARN, &events).await.unwrap();
        assert_eq!(sent(&replies, 0).len() + sent(&replies, 1).len(), 12);
        let replies = Replies::of([2, 1].map(|entries| reply(200, &[], taken(entries))));
        bus(&replies).publish(ARN, &[event(1, 100_000), event(2, 100_000), event(3, 100_000)]).await.unwrap();
        assert_eq!((sent(&replies, 0), sent(&replies, 1)), (vec![1, 2], vec![3]));
    }

    #[tokio::test]
    async fn only_what_was_not_taken_is_sent_again() {
        let partly = r#"{"FailedEntryCount":1,"Entries":[{"EventId":"a"},{"ErrorCode":"ThrottlingException"}]}"#;
        let replies = Replies::of([reply(200, &[], partly), reply(200, &[], taken(1))]);
        bus(&replies).publish(ARN, &[event(1, 0), event(2, 0)]).await.unwrap();
        assert_eq!((sent(&replies, 0), sent(&replies, 1)), (vec![1, 2], vec![2]));
        let never = r#"{"FailedEntryCount":1,"Entries":[{"ErrorCode":"InternalFailure"}]}"#;
        let replies = Replies::of((0..ROUNDS_MAX).map(|_| reply(200, &[], never)));
        let error = bus(&replies).publish(ARN, &[event(1, 0)]).await.unwrap_err();
        assert!(matches!(error, CloudError::Unavailable(_)), "{error}");
        let malformed = r#"{"FailedEntryCount":1,"Entries":[{"ErrorCode":"MalformedDetail"}]}"#;
        let error = bus(&Replies::of([reply(200, &[], malformed)])).publish(ARN, &[event(1, 0)]).await.unwrap_err();
        assert_eq!(error.to_string(), "refused: the event bus releases: MalformedDetail");
    }

    #[tokio::test]
    async fn an_entry_that_is_refused_for_good_keeps_no_other_from_being_sent() {
        let mixed = r#"{"FailedEntryCount":2,"Entries":[{"ErrorCode":"MalformedDetail"},
            {"ErrorCode":"ThrottlingException"},{"EventId":"a"}]}"#;
        let replies = Replies::of([reply(200, &[], mixed), reply(200, &[], taken(1))]);
        let error = bus(&replies).publish(ARN, &[event(1, 0), event(2, 0), event(3, 0)]).await.unwrap_err();
        assert!(matches!(error, CloudError::Refused(_)), "{error}");
        assert_eq!(sent(&replies, 1), [2]);

        let replies = Replies::of([reply(200, &[], taken(1))]);
        let error = bus(&replies).publish(ARN, &[event(1, REQUEST_BYTES_MAX), event(2, 0)]).await.unwrap_err();
        assert!(matches!(error, CloudError::Refused(_)), "{error}");
        assert_eq!((replies.count(), sent(&replies, 0)), (1, vec![2]));

        // What a person can mend is no reason to lose an event, and neither is a request that is refused as a whole.
        let closed = r#"{"FailedEntryCount":1,"Entries":[{"ErrorCode":"NotAuthorizedForSourceException"}]}"#;
        let error = bus(&Replies::of([reply(200, &[], closed)])).publish(ARN, &[event(1, 0)]).await.unwrap_err();
        assert!(matches!(error, CloudError::Denied(_)), "{error}");
        let whole = r#"{"__type":"ValidationException","message":"no such name of a bus"}"#;
        let error = bus(&Replies::of([reply(400, &[], whole)])).publish(ARN, &[event(1, 0)]).await.unwrap_err();
        assert!(matches!(error, CloudError::Unavailable(_)), "{error}");
    }

    #[tokio::test]
    async fn a_bus_that_is_not_there_or_closed_is_told_from_one_that_is_away() {
        let answer = |status, code: &str| Replies::of([reply(status, &[], format!(r#"{{"__type":"{code}"}}"#))]);
        let absent = bus(&answer(400, "ResourceNotFoundException")).publish(ARN, &[event(1, 0)]).await.unwrap_err();
        assert!(matches!(absent, CloudError::NotFound(_)), "{absent}");
        let denied = bus(&answer(400, "AccessDeniedException")).publish(ARN, &[event(1, 0)]).await.unwrap_err();
        assert!(matches!(denied, CloudError::Denied(_)), "{denied}");
        let replies = answer(500, "InternalException");
        let away = bus(&replies).publish(ARN, &[event(1, 0)]).await.unwrap_err();
        assert!(matches!(away, CloudError::Unavailable(_)) && replies.count() == 1, "{away}");
    }
}
