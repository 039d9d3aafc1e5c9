//! EventBridge's part: takes events, shows the newest to people, and hands each to a function of the user's.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use axum::body::Body;
use engine::ports::Entropy;
use http::{Method, Request, Response, StatusCode, header::CONTENT_TYPE};
use http_body_util::{BodyExt, Limited};
use jiff::Timestamp;
use local_lambda::Functions;
use runtime::Timer;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{ACCOUNT, REGION};

/// Where people read the newest events. No bucket's name begins with `_`.
pub(crate) const EVENTS_PATH: &str = "/_events";
/// Events kept for reading: those of some tens of releases.
const KEPT_MAX: usize = 1000;
/// Most entries of one request, and most bytes of all of them, as EventBridge's.
const ENTRIES_MAX: usize = 10;
const ENTRIES_BYTES_MAX: usize = 256 * 1024;
/// Largest body read: escaping may double the bytes that count.
const BODY_BYTES_MAX: usize = 1024 * 1024;
const BUS: &str = "default";

/// What happens to events besides their being kept.
#[derive(Debug, Clone, Default)]
pub struct EventOptions {
    /// Each is printed, as one line of JSON.
    pub print: bool,
    /// The function that gets each.
    pub on_event: Option<String>,
}

/// The only bus.
#[derive(Clone)]
pub(crate) struct EventBus(Arc<Inner>);

struct Inner {
    options: EventOptions,
    functions: Functions,
    clock: Arc<dyn Timer>,
    entropy: Arc<dyn Entropy>,
    /// Newest first.
    kept: Mutex<VecDeque<Value>>,
    taken: AtomicU64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PutEvents {
    entries: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    #[serde(default)]
    source: String,
    #[serde(default)]
    detail_type: String,
    #[serde(default)]
    detail: String,
    #[serde(default)]
    resources: Vec<String>,
    event_bus_name: Option<String>,
    /// Seconds since the epoch.
    time: Option<f64>,
}

impl EventBus {
    pub(crate) fn new(
        options: EventOptions,
        functions: Functions,
        clock: Arc<dyn Timer>,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        Self(Arc::new(Inner { options, functions, clock, entropy, kept: Mutex::default(), taken: AtomicU64::new(0) }))
    }

    /// The newest events, newest first.
    pub(crate) fn newest(&self) -> Vec<Value> {
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// Events taken since the start.
    pub(crate) fn taken(&self) -> u64 {
        self.0.taken.load(Relaxed)
    }

    pub(crate) async fn call(&self, request: Request<Body>) -> Response<Body> {
        let (head, body) = request.into_parts();
        if head.method == Method::GET && head.uri.path() == EVENTS_PATH {
            return answer(StatusCode::OK, "application/json", &json!({ "events": self.newest() }));
        }
        let target = head.headers.get("x-amz-target").and_then(|value| value.to_str().ok()).unwrap_or_default();
        if target != "AWSEvents.PutEvents" {
            return refuse("UnknownOperationException", "The local event bus knows PutEvents alone.");
        }
        let Ok(body) = Limited::new(body, BODY_BYTES_MAX).collect().await else {
            return refuse("ValidationException", "The request is too large.");
        };
        match serde_json::from_slice::<PutEvents>(&body.to_bytes()) {
            Ok(request) => self.put(request.entries).await,
            Err(error) => refuse("SerializationException", &error.to_string()),
        }
    }

    async fn put(&self, entries: Vec<Entry>) -> Response<Body> {
        if !(1..=ENTRIES_MAX).contains(&entries.len()) {
            return refuse("ValidationException", &format!("A request has 1 to {ENTRIES_MAX} entries."));
        }
        if entries.iter().map(Entry::bytes).sum::<usize>() > ENTRIES_BYTES_MAX {
            return refuse("ValidationException", "Total size of the entries in the request is over the limit.");
        }
        let mut results = Vec::with_capacity(entries.len());
        for entry in entries {
            results.push(match self.take(entry).await {
                Ok(id) => json!({ "EventId": id }),
                Err((code, why)) => json!({ "ErrorCode": code, "ErrorMessage": why }),
            });
        }
        let failed = results.iter().filter(|result| result.get("ErrorCode").is_some()).count();
        let answered = json!({ "FailedEntryCount": failed, "Entries": results });
        answer(StatusCode::OK, "application/x-amz-json-1.1", &answered)
    }

    /// Takes one entry; it is handed on before it is answered for, so that what was taken is not lost.
    async fn take(&self, entry: Entry) -> Result<String, (&'static str, String)> {
        let detail = entry.check()?;
        let id = self.0.entropy.uuid().to_string();
        let time = entry.time.and_then(instant).unwrap_or_else(|| self.0.clock.now());
        let event = json!({
            "version": "0",
            "id": id,
            "detail-type": entry.detail_type,
            "source": entry.source,
            "account": ACCOUNT,
            "time": format!("{time:.0}"),
            "region": REGION,
            "resources": entry.resources,
            "detail": detail,
        });
        if let Some(function) = &self.0.options.on_event {
            let handed = self.0.functions.invoke_async(function, event.clone()).await;
            handed.map_err(|error| ("InternalFailure", format!("{function}: {}", error.error)))?;
        }
        if self.0.options.print {
            println!("{event}");
        }
        let mut kept = self.0.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push_front(event);
        kept.truncate(KEPT_MAX);
        self.0.taken.fetch_add(1, Relaxed);
        Ok(id)
    }
}

impl Entry {
    /// What EventBridge counts.
    fn bytes(&self) -> usize {
        let resources: usize = self.resources.iter().map(String::len).sum();
        let time = if self.time.is_some() { 14 } else { 0 };
        time + self.source.len() + self.detail_type.len() + self.detail.len() + resources
    }

    /// The detail of an entry that the bus takes.
    fn check(&self) -> Result<Value, (&'static str, String)> {
        let bus = self.event_bus_name.as_deref().unwrap_or(BUS);
        if bus.rsplit('/').next() != Some(BUS) {
            return Err(("ResourceNotFound", format!("There is no event bus {bus} here, only {BUS}.")));
        }
        if self.source.starts_with("aws.") {
            return Err(("NotAuthorizedForSource", format!("Not authorized for the source {}.", self.source)));
        }
        for (member, value) in [("Source", &self.source), ("DetailType", &self.detail_type), ("Detail", &self.detail)] {
            if value.is_empty() {
                return Err(("InvalidArgument", format!("Parameter {member} is not valid. Reason: it is required.")));
            }
        }
        match serde_json::from_str(&self.detail) {
            Ok(detail @ Value::Object(_)) => Ok(detail),
            _ => Err(("MalformedDetail", "Detail is malformed.".to_owned())),
        }
    }
}

fn instant(seconds: f64) -> Option<Timestamp> {
    #[expect(clippy::cast_possible_truncation, reason = "milliseconds of any year jiff knows fit")]
    Timestamp::from_millisecond((seconds * 1000.0).round() as i64).ok()
}

fn refuse(code: &str, message: &str) -> Response<Body> {
    let body = json!({ "__type": code, "message": message });
    answer(StatusCode::BAD_REQUEST, "application/x-amz-json-1.1", &body)
}

fn answer(status: StatusCode, content_type: &'static str, body: &Value) -> Response<Body> {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static(content_type));
    response
}

#[cfg(test)]
mod tests {
    use local_lambda::{InvocationContext, Owner};
    use runtime::{ManualClock, SeededEntropy};

    use super::*;

    fn bus(options: EventOptions) -> EventBus {
        listened_to(options).0
    }

    /// A bus, and what its function `listener` was given.
    fn listened_to(options: EventOptions) -> (EventBus, tokio::sync::mpsc::UnboundedReceiver<Value>) {
        let (heard, hears) = tokio::sync::mpsc::unbounded_channel();
        let clock: Arc<dyn Timer> = Arc::new(ManualClock::new("2026-11-23T10:15:02Z".parse().unwrap()));
        let entropy: Arc<dyn Entropy> = Arc::new(SeededEntropy::new(1));
        let owner = Owner { account: ACCOUNT.to_owned(), region: REGION.to_owned() };
        let data = tempfile::tempdir().unwrap();
        let functions = Functions::open(data.path(), owner, clock.clone(), entropy.clone()).unwrap();
        let handler = move |event: Value, _: InvocationContext| {
            let heard = heard.clone();
            async move {
                heard.send(event).expect("somebody waits for it");
                Ok(Value::Null)
            }
        };
        functions.add_handler("listener", Arc::new(handler)).unwrap();
        tokio::spawn(functions.clone().run());
        (EventBus::new(options, functions, clock, entropy), hears)
    }

    async fn put(bus: &EventBus, entries: Value) -> (StatusCode, Value) {
        let body = json!({ "Entries": entries }).to_string();
        let request = Request::builder().method("POST").header("x-amz-target", "AWSEvents.PutEvents");
        let response = bus.call(request.body(Body::from(body)).unwrap()).await;
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap())
    }

    fn entry(n: usize) -> Value {
        let detail = json!({ "n": n }).to_string();
        json!({ "Source": "lastgood", "DetailType": "Test", "Detail": detail, "Resources": ["arn"], "Time": 1.5 })
    }

    #[tokio::test]
    async fn the_newest_events_are_kept_newest_first() {
        let bus = bus(EventOptions::default());
        for n in 0..KEPT_MAX + 5 {
            let (status, answer) = put(&bus, json!([entry(n)])).await;
            assert_eq!((status, &answer["FailedEntryCount"]), (StatusCode::OK, &json!(0)));
        }
        let newest = bus.newest();
        assert_eq!(newest.len(), KEPT_MAX);
        assert_eq!(newest[0]["detail"]["n"], KEPT_MAX + 4);
        assert_eq!(newest[0]["time"], "1970-01-01T00:00:01Z");
        assert_eq!(newest[0]["resources"], json!(["arn"]));
    }

    #[tokio::test]
    async fn entries_are_judged_one_by_one_and_requests_as_a_whole() {
        let bus = bus(EventOptions::default());
        let with = |member: &str, value: &str| {
            let mut entry = entry(0);
            entry[member] = json!(value);
            entry
        };
        let entries = json!([
            entry(1),
            with("Source", "aws.codepipeline"),
            with("Detail", "[]"),
            with("DetailType", ""),
            with("EventBusName", "other"),
            with("EventBusName", "arn:aws:events:us-east-1:000000000000:event-bus/default"),
        ]);
        let (_, answer) = put(&bus, entries).await;
        let codes: Vec<&str> =
            answer["Entries"].as_array().unwrap().iter().map(|one| one["ErrorCode"].as_str().unwrap_or("")).collect();
        let expected = ["", "NotAuthorizedForSource", "MalformedDetail", "InvalidArgument", "ResourceNotFound", ""];
        assert_eq!((codes.as_slice(), &answer["FailedEntryCount"]), (expected.as_slice(), &json!(4)));
        for entries in [json!([]), json!(vec![entry(0); 11]), json!([with("Detail", &"x".repeat(ENTRIES_BYTES_MAX))])] {
            let (status, answer) = put(&bus, entries).await;
            assert_eq!((status, &answer["__type"]), (StatusCode::BAD_REQUEST, &json!("ValidationException")));
        }
    }

    #[tokio::test]
    async fn a_function_gets_the_whole_event_and_one_that_is_not_there_takes_nothing() {
        let to = |function: &str| EventOptions { on_event: Some(function.to_owned()), ..EventOptions::default() };
        let (listened, mut hears) = listened_to(to("listener"));
        let (_, answer) = put(&listened, json!([entry(1)])).await;
        assert_eq!(answer["FailedEntryCount"], 0);
        let event = hears.recv().await.expect("the listener is there");
        let expected = json!({
            "version": "0", "id": answer["Entries"][0]["EventId"], "detail-type": "Test", "source": "lastgood",
            "account": ACCOUNT, "time": "1970-01-01T00:00:01Z", "region": REGION, "resources": ["arn"],
            "detail": { "n": 1 },
        });
        assert_eq!(event, expected);
        assert_eq!(listened.newest(), [expected]);
        let absent = bus(to("nobody"));
        let (_, answer) = put(&absent, json!([entry(1)])).await;
        assert_eq!(answer["Entries"][0]["ErrorCode"], "InternalFailure");
        assert!(absent.newest().is_empty());
    }
}
