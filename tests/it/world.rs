//! A whole system in this process, and what tests do with it: everything through its address, as a user would.

use std::{
    collections::BTreeMap,
    io::{Cursor, Write},
    sync::Arc,
    time::Duration,
};

use aws_sdk_s3::types::{BucketVersioningStatus, VersioningConfiguration};
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use hyper_util::{
    client::legacy::{Client as Http, connect::HttpConnector},
    rt::TokioExecutor,
};
use local::{
    Access, Endpoint, EventOptions, Options, System,
    demo::{ApiError, Client},
};
use local_lambda::{FunctionError, InvocationContext};
use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};
use tokio::runtime::Handle;
use zip::{ZipWriter, write::SimpleFileOptions};

use crate::secrets;

/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Longest time to wait for something to be seen, on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running system on a directory of its own.
pub(crate) struct World {
    pub(crate) system: System,
    pub(crate) client: Client,
    http: Http<HttpConnector, String>,
    _data: TempDir,
}

/// Whatever a test is about, nothing secret may be in what was logged meanwhile.
impl Drop for World {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            secrets::assert_none_logged();
        }
    }
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::with(Vec::new(), Vec::new()).await
    }

    /// A system that finds these services elsewhere.
    pub(crate) async fn with_endpoints(endpoints: Vec<Endpoint>) -> Self {
        Self::with(endpoints, Vec::new()).await
    }

    /// A system that serves these regions as well.
    pub(crate) async fn with_regions(regions: &[&str]) -> Self {
        Self::with(Vec::new(), regions.iter().map(|region| (*region).to_owned()).collect()).await
    }

    async fn with(endpoints: Vec<Endpoint>, regions: Vec<String>) -> Self {
        secrets::listen();
        let data = tempdir().expect("a temporary directory");
        let options = Options {
            data: data.path().join("data"),
            port: 0,
            regions,
            functions: Vec::new(),
            endpoints,
            events: EventOptions::default(),
            access: Access::default(),
        };
        let system = System::start(options).await.expect("nothing is in the way");
        let client = Client::new(&system.endpoint()).expect("constant settings");
        let http = Http::builder(TokioExecutor::new()).build_http();
        Self { system, client, http, _data: data }
    }

    /// Buckets for the pipeline `name`: releases (which keeps versions), artifacts, site.
    pub(crate) async fn buckets(&self, name: &str) {
        for of in ["releases", "artifacts", "site"] {
            self.client.s3.create_bucket().bucket(format!("{name}-{of}")).send().await.expect("it is new");
        }
        let versioned = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled).build();
        let put = self.client.s3.put_bucket_versioning().bucket(format!("{name}-releases"));
        put.versioning_configuration(versioned).send().await.expect("it is there");
    }

    /// Uploads what the pipeline `name` takes; returns its version.
    pub(crate) async fn upload(&self, name: &str, body: Vec<u8>) -> String {
        let put = self.client.s3.put_object().bucket(format!("{name}-releases")).key("app.zip").body(body.into());
        put.send().await.expect("the bucket is there").version_id().unwrap_or_default().to_owned()
    }

    /// Uploads a release whose page says `text`, and waits for the end of the execution that the upload starts.
    pub(crate) async fn release(&self, name: &str, text: &str) -> Value {
        let version = self.upload(name, release(text)).await;
        let id = self.started_by(name, &version).await;
        self.ended(name, &id).await
    }

    /// The execution that the upload of `version` started, once it has taken it.
    pub(crate) async fn started_by(&self, name: &str, version: &str) -> String {
        let is = |one: &Value| one["sourceRevisions"][0]["revisionId"] == version && one["executionType"] != "ROLLBACK";
        let started = self.execution(name, "the upload's execution", is).await;
        text(&started["pipelineExecutionId"])
    }

    /// Creates a pipeline, and waits for the end of the execution that this starts.
    pub(crate) async fn create(&self, pipeline: &Value) -> Value {
        self.call("CreatePipeline", json!({ "pipeline": pipeline })).await;
        let first = |one: &Value| one["trigger"]["triggerType"] == "CreatePipeline" && one["status"] != "InProgress";
        self.execution(&text(&pipeline["name"]), "the end of the first execution", first).await
    }

    /// Calls an operation that must succeed.
    pub(crate) async fn call(&self, operation: &str, input: Value) -> Value {
        match self.client.call(operation, &input).await {
            Ok(output) => output,
            Err(error) => panic!("{operation} of {input}: {error:#}"),
        }
    }

    /// Calls an operation that must be refused; returns the exception and its text.
    pub(crate) async fn refused(&self, operation: &str, input: Value) -> (String, String) {
        match self.client.call(operation, &input).await {
            Ok(output) => panic!("{operation} of {input} is not refused: {output}"),
            Err(error) => {
                let ApiError { exception, message } = error.downcast().expect("the system answers");
                (exception, message)
            }
        }
    }

    /// Sends `body` as it is to `operation`; returns the status and the answer.
    pub(crate) async fn send(&self, operation: &str, body: &str) -> (StatusCode, Value) {
        let target = format!("CodePipeline_20150709.{operation}");
        self.post("/", &[("x-amz-target", &target), ("content-type", "application/x-amz-json-1.1")], body).await
    }

    /// Invokes a function through the Lambda API; `Err` is what it reports as its error: type and message.
    pub(crate) async fn invoke(&self, function: &str, event: &Value) -> Result<Value, (String, String)> {
        let path = format!("/2015-03-31/functions/{function}/invocations");
        let (status, answer) = self.post(&path, &[], &event.to_string()).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        match answer.get("errorType") {
            Some(error) => Err((text(error), text(&answer["errorMessage"]))),
            None => Ok(answer),
        }
    }

    pub(crate) async fn post(&self, path: &str, headers: &[(&str, &str)], body: &str) -> (StatusCode, Value) {
        let mut request = Request::builder().method(Method::POST).uri(format!("{}{path}", self.system.endpoint()));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body.to_owned()).expect("constant headers");
        let response = self.http.request(request).await.expect("the system answers");
        let status = response.status();
        let body = response.into_body().collect().await.expect("the answer is whole").to_bytes();
        (status, serde_json::from_slice(&body).expect("answers are JSON"))
    }

    /// Registers a function that gets CodePipeline's jobs. Each gets a thread: what clients do is not `Send`.
    pub(crate) fn on_job<F>(&self, function: &str, answer: impl Fn(Client, Value) -> F + Send + Sync + 'static)
    where
        F: Future<Output = anyhow::Result<Value>>,
    {
        self.on_job_in(None, function, answer);
    }

    /// The same in another region.
    pub(crate) fn on_job_in<F>(
        &self,
        region: Option<&str>,
        function: &str,
        answer: impl Fn(Client, Value) -> F + Send + Sync + 'static,
    ) where
        F: Future<Output = anyhow::Result<Value>>,
    {
        let (client, answer) = (self.client.clone(), Arc::new(answer));
        let handler = move |mut event: Value, _: InvocationContext| {
            let (client, answer, job) = (client.clone(), Arc::clone(&answer), event["CodePipeline.job"].take());
            let answering = tokio::task::spawn_blocking(move || Handle::current().block_on(answer(client, job)));
            async move {
                let answered = answering.await.map_err(anyhow::Error::from).flatten();
                answered.map_err(|error| FunctionError::new("JobError", format!("{error:#}")))
            }
        };
        let added = match region {
            None => self.system.add_handler(function, Arc::new(handler)),
            Some(region) => self.system.add_handler_in(region, function, Arc::new(handler)),
        };
        added.expect("Lambda accepts the name");
    }

    /// All executions, newest first.
    pub(crate) async fn executions(&self, name: &str) -> Vec<Value> {
        let listed = self.call("ListPipelineExecutions", json!({ "pipelineName": name })).await;
        listed["pipelineExecutionSummaries"].as_array().cloned().expect("a list")
    }

    /// The newest execution that `is` it, once there is one.
    pub(crate) async fn execution(&self, name: &str, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        eventually(what, async || self.executions(name).await.into_iter().find(&is)).await
    }

    /// The execution, once it has ended.
    pub(crate) async fn ended(&self, name: &str, id: &str) -> Value {
        let is = |one: &Value| one["pipelineExecutionId"] == id && one["status"] != "InProgress";
        self.execution(name, &format!("the end of execution {id}"), is).await
    }

    /// Starts an execution and waits for its end.
    pub(crate) async fn run(&self, input: Value) -> Value {
        let name = text(&input["name"]);
        let started = self.call("StartPipelineExecution", input).await;
        self.ended(&name, &text(&started["pipelineExecutionId"])).await
    }

    /// What events told of an execution, such as `Deploy/Publish STARTED`, sorted: the bus keeps no order. Each once.
    pub(crate) fn told(&self, execution: &Value) -> Vec<String> {
        let mut told = BTreeMap::new();
        for event in self.system.events() {
            let detail = &event["detail"];
            if detail["execution-id"] == execution["pipelineExecutionId"] {
                let place = match (detail["stage"].as_str(), detail["action"].as_str()) {
                    (Some(stage), Some(action)) => format!("{stage}/{action} "),
                    (Some(stage), None) => format!("{stage} "),
                    _ => String::new(),
                };
                told.insert(text(&detail["event-id"]), place + &text(&detail["state"]));
            }
        }
        let mut told: Vec<String> = told.into_values().collect();
        told.sort();
        told
    }

    /// All rollbacks, newest first.
    pub(crate) async fn rollbacks(&self, name: &str) -> Vec<Value> {
        let mut executions = self.executions(name).await;
        executions.retain(|one| one["executionType"] == "ROLLBACK");
        executions
    }

    /// Runs of `action` in an execution, newest first.
    pub(crate) async fn runs(&self, name: &str, execution: &Value, action: &str) -> Vec<Value> {
        let filter = json!({ "pipelineExecutionId": execution["pipelineExecutionId"] });
        let listed = self.call("ListActionExecutions", json!({ "pipelineName": name, "filter": filter })).await;
        let mut runs = listed["actionExecutionDetails"].as_array().cloned().expect("a list");
        runs.retain(|run| run["actionName"] == action);
        runs
    }

    /// Code and message of the only failed run of `action`.
    pub(crate) async fn failure(&self, name: &str, execution: &Value, action: &str) -> (String, String) {
        assert_eq!(execution["status"], "Failed", "{execution}");
        let runs = self.runs(name, execution, action).await;
        assert_eq!(runs.len(), 1, "{action}: {runs:?}");
        let error = &runs[0]["output"]["executionResult"]["errorDetails"];
        (text(&error["code"]), text(&error["message"]))
    }

    /// The state of the stage at `index`.
    pub(crate) async fn stage(&self, name: &str, index: usize) -> Value {
        self.call("GetPipelineState", json!({ "name": name })).await["stageStates"][index].clone()
    }

    /// Keys of a bucket.
    pub(crate) async fn keys(&self, bucket: &str) -> Vec<String> {
        let listed = self.client.s3.list_objects_v2().bucket(bucket).send().await.expect("the bucket is there");
        listed.contents().iter().filter_map(|object| object.key().map(str::to_owned)).collect()
    }

    /// What the site of the pipeline `name` serves.
    pub(crate) async fn page(&self, name: &str) -> String {
        let page = self.client.page(&format!("{name}-site/index.html")).await.expect("the site answers");
        String::from_utf8(page.unwrap_or_default()).expect("pages are text")
    }
}

/// Looks until there is something to see.
pub(crate) async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let looking = async {
        loop {
            if let Some(seen) = look().await {
                return seen;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    match tokio::time::timeout(PATIENCE, looking).await {
        Ok(seen) => seen,
        Err(_) => panic!("after {} seconds there is still no sign of {what}", PATIENCE.as_secs()),
    }
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// A release whose page says `text`.
pub(crate) fn release(text: &str) -> Vec<u8> {
    archive(&[("index.html", text)])
}

/// An archive of these files.
pub(crate) fn archive(files: &[(&str, &str)]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in files {
        zip.start_file(*name, SimpleFileOptions::default()).expect("written to memory");
        zip.write_all(content.as_bytes()).expect("written to memory");
    }
    zip.finish().expect("written to memory").into_inner()
}

/// A pipeline that takes `app.zip` from its bucket of releases, with these actions in its stage Deploy.
pub(crate) fn pipeline(name: &str, actions: &[Value]) -> Value {
    json!({
        "name": name,
        "roleArn": "arn:aws:iam::000000000000:role/pipeline",
        "pipelineType": "V2",
        "artifactStore": { "type": "S3", "location": format!("{name}-artifacts") },
        "stages": [
            { "name": "Source", "actions": [{
                "name": "Upload",
                "actionTypeId": type_id("Source", "S3"),
                "namespace": "Src",
                "configuration": { "S3Bucket": format!("{name}-releases"), "S3ObjectKey": "app.zip" },
                "outputArtifacts": [{ "name": "App" }],
            }]},
            { "name": "Deploy", "actions": actions },
        ],
    })
}

/// Deploys the content of `App` to the site of the pipeline `name`.
pub(crate) fn publish(name: &str, run_order: u32) -> Value {
    json!({
        "name": "Publish",
        "runOrder": run_order,
        "actionTypeId": type_id("Deploy", "S3"),
        "configuration": { "BucketName": format!("{name}-site"), "Extract": "true" },
        "inputArtifacts": [{ "name": "App" }],
    })
}

/// Lets `function` check what was deployed.
pub(crate) fn check(function: &str, run_order: u32) -> Value {
    json!({
        "name": "Check",
        "runOrder": run_order,
        "actionTypeId": type_id("Invoke", "Lambda"),
        "configuration": { "FunctionName": function },
    })
}

/// Asks a person.
pub(crate) fn approval(run_order: u32) -> Value {
    json!({ "name": "Approve", "runOrder": run_order, "actionTypeId": type_id("Approval", "Manual") })
}

pub(crate) fn type_id(category: &str, provider: &str) -> Value {
    json!({ "category": category, "owner": "AWS", "provider": provider, "version": "1" })
}
