//! A service on a clock that tests move, spoken to in AWS JSON unless a test says otherwise.

use std::{
    future::Future,
    path::Path,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::body::Body;
use engine::ports::Clock;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use local_cloudwatch::{CloudWatch, Notify};
use runtime::{ManualClock, SeededEntropy};
use serde_json::{Value, json};
use tokio::{sync::mpsc, task::JoinHandle};
use tower::ServiceExt;

/// The moment at which every world begins.
pub(crate) const START: &str = "2026-11-23T10:14:00Z";

pub(crate) struct World {
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) service: CloudWatch,
}

/// Hands events to the test; refuses them while told to.
pub(crate) struct Receiver {
    events: mpsc::UnboundedSender<Value>,
    refuses: Arc<AtomicBool>,
}

impl Notify for Receiver {
    fn alarm_changed(&self, event: Value) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>> {
        self.events.send(event).expect("the test listens");
        let refuses = self.refuses.load(Ordering::SeqCst);
        Box::pin(async move { if refuses { Err("not now".to_owned()) } else { Ok(()) } })
    }
}

/// A service that runs, and what it announces.
pub(crate) struct Running {
    pub(crate) events: mpsc::UnboundedReceiver<Value>,
    pub(crate) refuses: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Running {
    /// Ends the loops where they are, as the death of the process would.
    pub(crate) async fn kill(self) {
        self.task.abort();
        let ended = self.task.await;
        assert!(ended.is_err_and(|error| error.is_cancelled()));
    }

    pub(crate) async fn event(&mut self) -> Value {
        self.events.recv().await.expect("the service runs")
    }
}

impl World {
    pub(crate) fn open(dir: &Path) -> Self {
        let clock = Arc::new(ManualClock::new(START.parse().expect("a time")));
        Self::open_with(dir, clock)
    }

    pub(crate) fn open_with(dir: &Path, clock: Arc<ManualClock>) -> Self {
        let entropy = Arc::new(SeededEntropy::new(7));
        let service = CloudWatch::open(dir, clock.clone(), entropy).expect("a fresh directory");
        Self { clock, service }
    }

    pub(crate) fn run(&self) -> Running {
        let (sender, events) = mpsc::unbounded_channel();
        let refuses = Arc::new(AtomicBool::new(false));
        let receiver = Receiver { events: sender, refuses: refuses.clone() };
        let task = tokio::spawn(self.service.clone().run(Arc::new(receiver)));
        Running { events, refuses, task }
    }

    pub(crate) fn advance(&self, seconds: i64) {
        let now = self.clock.now();
        self.clock.advance_to(now + jiff::SignedDuration::from_secs(seconds));
    }

    /// The answer's status and document.
    pub(crate) async fn answer(&self, operation: &str, input: Value) -> (StatusCode, Value) {
        let request = Request::post("/")
            .header("content-type", "application/x-amz-json-1.0")
            .header("x-amz-target", format!("GraniteServiceVersion20100801.{operation}"))
            .body(Body::from(input.to_string()))
            .expect("a request");
        let (status, bytes) = self.send(request).await;
        (status, serde_json::from_slice(&bytes).expect("JSON"))
    }

    pub(crate) async fn call(&self, operation: &str, input: Value) -> Value {
        let (status, answer) = self.answer(operation, input).await;
        assert_eq!(status, StatusCode::OK, "{operation}: {answer}");
        answer
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> (StatusCode, Vec<u8>) {
        let response = self.service.router().oneshot(request).await.expect("the router always answers");
        let status = response.status();
        let body = response.into_body().collect().await.expect("a body").to_bytes();
        (status, body.to_vec())
    }

    /// An alarm on `Shop/Errors`: more than one in the last minute.
    pub(crate) async fn put_alarm(&self, name: &str) {
        self.call("PutMetricAlarm", alarm(name)).await;
    }

    /// One datum of `Shop/Errors`, now.
    pub(crate) async fn put_errors(&self, value: f64) {
        let datum = json!({"MetricName": "Errors", "Value": value});
        self.call("PutMetricData", json!({"Namespace": "Shop", "MetricData": [datum]})).await;
    }

    pub(crate) async fn state(&self, name: &str) -> String {
        let types = ["MetricAlarm", "CompositeAlarm"];
        let answer = self.call("DescribeAlarms", json!({"AlarmNames": [name], "AlarmTypes": types})).await;
        let alarm = [&answer["MetricAlarms"][0], &answer["CompositeAlarms"][0]]
            .into_iter()
            .find(|alarm| alarm.is_object())
            .expect("the alarm");
        alarm["StateValue"].as_str().expect("a state").to_owned()
    }
}

pub(crate) fn alarm(name: &str) -> Value {
    json!({
        "AlarmName": name, "Namespace": "Shop", "MetricName": "Errors", "Statistic": "Sum", "Period": 60,
        "EvaluationPeriods": 1, "Threshold": 1.0, "ComparisonOperator": "GreaterThanThreshold",
        "TreatMissingData": "ignore",
    })
}
