//! A service on a fresh directory, driven by a manual clock.

use std::{
    collections::HashMap,
    future::Future,
    path::Path,
    pin::Pin,
    sync::{Arc, Mutex},
};

use axum::{body::Body, http::Request};
use http_body_util::BodyExt;
use jiff::{SignedDuration, Timestamp};
use runtime::{ManualClock, SeededEntropy};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tower::ServiceExt;

use crate::{FunctionError, Functions, ServiceCall, States};
use engine::ports::Clock;

/// Turns of the scheduler after which nothing is left to do without time passing.
const TURNS: usize = 100;

type Script = Box<dyn Fn(&Value, usize) -> Result<Value, FunctionError> + Send + Sync>;

/// Functions by name; each sees its payload and how often it was called before.
#[derive(Default)]
pub(super) struct Fakes {
    scripts: HashMap<String, Script>,
    pub(super) calls: Mutex<Vec<(String, Value)>>,
}

impl Fakes {
    pub(super) fn with(
        mut self,
        name: &str,
        script: impl Fn(&Value, usize) -> Result<Value, FunctionError> + Send + Sync + 'static,
    ) -> Self {
        self.scripts.insert(name.to_owned(), Box::new(script));
        self
    }

    pub(super) fn calls(&self, name: &str) -> Vec<Value> {
        let calls = self.calls.lock().expect("no test panics while holding it");
        calls.iter().filter(|(called, _)| called == name).map(|(_, payload)| payload.clone()).collect()
    }
}

pub(super) fn error(error: &str) -> FunctionError {
    FunctionError { error: error.to_owned(), cause: json!({"errorType": error, "errorMessage": "as told"}).to_string() }
}

impl Functions for Fakes {
    fn invoke(
        &self,
        function: String,
        payload: Value,
    ) -> Pin<Box<dyn Future<Output = Result<Value, FunctionError>> + Send>> {
        let before = self.calls(&function).len();
        let answer = match self.scripts.get(&function) {
            Some(script) => script(&payload, before),
            None => Err(error("ResourceNotFoundException")),
        };
        self.calls.lock().expect("no test panics while holding it").push((function, payload));
        Box::pin(std::future::ready(answer))
    }

    /// A service's operation is scripted under `<service>:<operation>`.
    fn call_service(&self, call: ServiceCall) -> Pin<Box<dyn Future<Output = Result<Value, FunctionError>> + Send>> {
        assert_eq!(call.role.as_deref(), Some("arn:aws:iam::111122223333:role/pipeline"));
        self.invoke(format!("{}:{}", call.service, call.operation), call.parameters)
    }
}

/// One running service.
pub(super) struct World {
    pub(super) states: States,
    pub(super) clock: Arc<ManualClock>,
    pub(super) functions: Arc<Fakes>,
    driver: JoinHandle<()>,
    _dir: Option<TempDir>,
}

impl Drop for World {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

pub(super) fn start_of_time() -> Timestamp {
    "2026-11-23T00:00:00Z".parse().expect("a timestamp")
}

impl World {
    pub(super) fn new(functions: Fakes) -> Self {
        let dir = TempDir::new().expect("a directory");
        let mut world = Self::open(dir.path(), start_of_time(), Arc::new(functions), 7);
        world._dir = Some(dir);
        world
    }

    /// Opens the service on existing data.
    pub(super) fn open(dir: &Path, now: Timestamp, functions: Arc<Fakes>, seed: u64) -> Self {
        Self::open_with(dir, now, functions, seed, crate::run::STATES_PER_STEP_MAX)
    }

    /// Opens the service so that each stored step enters at most `states_max` states.
    pub(super) fn open_with(dir: &Path, now: Timestamp, functions: Arc<Fakes>, seed: u64, states_max: usize) -> Self {
        let clock = Arc::new(ManualClock::new(now));
        let entropy = Arc::new(SeededEntropy::new(seed));
        let states =
            States::open_with(dir, clock.clone(), entropy, functions.clone(), states_max).expect("the store opens");
        let driver = tokio::spawn(states.clone().run());
        Self { states, clock, functions, driver, _dir: None }
    }

    /// A world with one machine called `machine`.
    pub(super) fn with_machine(functions: Fakes, states: Value, start_at: &str) -> Self {
        let world = Self::new(functions);
        world.put("machine", start_at, states);
        world
    }

    pub(super) fn put(&self, name: &str, start_at: &str, states: Value) {
        let definition = json!({"QueryLanguage": "JSONata", "StartAt": start_at, "States": states});
        self.states.put_state_machine(name, &definition.to_string()).expect("inside the subset");
    }

    /// One API call: HTTP status and body.
    pub(super) async fn call(&self, operation: &str, body: Value) -> (u16, Value) {
        self.call_raw(operation, body.to_string()).await
    }

    pub(super) async fn call_raw(&self, operation: &str, body: String) -> (u16, Value) {
        let request =
            Request::post("/").header("x-amz-target", format!("AWSStepFunctions.{operation}")).body(Body::from(body));
        let response = self.states.router().oneshot(request.expect("a request")).await.expect("the router never fails");
        assert_eq!(response.headers()["content-type"], "application/x-amz-json-1.0");
        assert_eq!(response.headers()["x-amzn-requestid"].len(), 36);
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.expect("a body").to_bytes();
        (status, serde_json::from_slice(&body).expect("JSON"))
    }

    /// A call that succeeds.
    pub(super) async fn ok(&self, operation: &str, body: Value) -> Value {
        let (status, answer) = self.call(operation, body).await;
        assert_eq!(status, 200, "{operation}: {answer}");
        answer
    }

    pub(super) async fn refused(&self, operation: &str, body: Value) -> String {
        let (status, answer) = self.call(operation, body).await;
        assert_eq!(status, 400, "{operation}: {answer}");
        answer["__type"].as_str().expect("a type").to_owned()
    }

    pub(super) async fn start(&self, machine: &str, name: &str, input: Value) -> String {
        let machine = crate::arn::machine_arn(machine);
        let started = self
            .ok("StartExecution", json!({"stateMachineArn": machine, "name": name, "input": input.to_string()}))
            .await;
        started["executionArn"].as_str().expect("an ARN").to_owned()
    }

    pub(super) async fn describe(&self, arn: &str) -> Value {
        self.ok("DescribeExecution", json!({"executionArn": arn})).await
    }

    /// Lets everything happen that needs no time.
    pub(super) async fn settle(&self) {
        for _ in 0..TURNS {
            tokio::task::yield_now().await;
        }
    }

    /// Moves the clock by `seconds` and lets happen what follows.
    pub(super) async fn pass(&self, seconds: i64) {
        self.clock.advance_to(self.clock.now() + SignedDuration::from_secs(seconds));
        self.settle().await;
    }

    /// Lets time pass from deadline to deadline until `arn` has ended.
    pub(super) async fn finish(&self, arn: &str) -> Value {
        for _ in 0..TURNS * 40 {
            self.settle().await;
            let described = self.describe(arn).await;
            if described["status"] != "RUNNING" {
                return described;
            }
            let wake = self.states.store().next_wake().expect("the store answers");
            self.clock.advance_to(wake.unwrap_or_else(|| panic!("{arn} waits for nothing that will come")));
        }
        panic!("{arn} does not end");
    }

    /// Runs `machine` to its end.
    pub(super) async fn run(&self, input: Value) -> Value {
        let arn = self.start("machine", "run", input).await;
        self.finish(&arn).await
    }

    pub(super) async fn history(&self, arn: &str) -> Vec<Value> {
        let answer = self.ok("GetExecutionHistory", json!({"executionArn": arn, "maxResults": 1000})).await;
        answer["events"].as_array().expect("events").clone()
    }

    pub(super) async fn event_types(&self, arn: &str) -> Vec<String> {
        self.history(arn).await.iter().map(|event| event["type"].as_str().expect("a type").to_owned()).collect()
    }
}

/// The parsed output of a described execution.
pub(super) fn output(described: &Value) -> Value {
    assert_eq!(described["status"], "SUCCEEDED", "{described}");
    serde_json::from_str(described["output"].as_str().expect("an output")).expect("JSON")
}
