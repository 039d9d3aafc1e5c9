//! A world of its own for each test, called through the endpoint, with somebody in the place of the state machines.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use api::{ApiEvent, ApiReply, Http, RequestContext};
use contract::{ActionInput, ActionOperation, GateInput};
use domain::{ActionStatus, ExecutionId, ExecutionStatus, GateAnswer, PipelineName, StageReport, StageResult};
use dynoxide::Database;
use engine::{HasMachines, World, ports::Clock};
use protocol::{Operation, Service};
use runtime::{Config, SeededEntropy};
use serde_json::{Value, json};
use store::Table;

use crate::{
    cloud::{AnyRole, Invoked, NoRepositories, NotedClock, Notices, Published, SetAlarms, SteadyClock, Told},
    objects::MemoryObjects,
};

pub(crate) const ACCOUNT: &str = "111122223333";
pub(crate) const REGION: &str = "eu-west-1";
pub(crate) const ANA: &str = "arn:aws:iam::111122223333:user/AKIDANA";
/// A well-formed id that nothing has.
pub(crate) const NOBODY: &str = "00000000-0000-7000-8000-000000000000";

pub(crate) struct Bench {
    pub(crate) world:
        World<Table, Told, SetAlarms, Invoked, MemoryObjects, AnyRole, Published, Notices, NoRepositories>,
    pub(crate) objects: MemoryObjects,
    pub(crate) invoked: Invoked,
    pub(crate) alarms: SetAlarms,
    pub(crate) published: Published,
    pub(crate) notices: Notices,
    /// The table, past all that the system makes of it.
    pub(crate) table: aws_sdk_dynamodb::Client,
    tokens: AtomicUsize,
}

/// Where an execution stands after its state machine did what it could.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Driven {
    Ended(ExecutionStatus),
    /// Before a stage.
    Waiting,
    /// Inside a stage, with jobs out. The report is for when they are answered.
    Working(StageReport),
}

impl Bench {
    pub(crate) async fn new() -> Self {
        Self::with_clock(SteadyClock::new()).await
    }

    pub(crate) async fn with_clock(clock: impl Clock + 'static) -> Self {
        let bench = Self::empty(clock, 7).await;
        bench.objects.store("uploads", "app.zip", "release 1");
        bench
    }

    /// Without an upload; ids are what `seed` makes of them.
    pub(crate) async fn empty(clock: impl Clock + 'static, seed: u64) -> Self {
        let variables = [
            ("LASTGOOD_TABLE", "lastgood"),
            ("LASTGOOD_BUCKET", "definitions"),
            ("LASTGOOD_ACCOUNT", ACCOUNT),
            ("AWS_REGION", REGION),
            ("LASTGOOD_PIPELINE_MACHINE_ARN", "arn:aws:states:eu-west-1:111122223333:stateMachine:pipeline"),
            ("LASTGOOD_CONSOLE", "https://console.example.com/"),
        ];
        let config =
            Config::from_map(&variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into()).unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(dynoxide::server::serve_on(listener, Database::memory().unwrap()));
        let client = aws_sdk_dynamodb::Client::new(&config.sdk_config_at(&endpoint));
        store::create_table(&client, &config.table).await.unwrap();
        let settings = engine::Settings { dead_letters: Some("dead-letters".to_owned()), ..config.settings() };
        let (objects, invoked, alarms) = (MemoryObjects::default(), Invoked::default(), SetAlarms::default());
        let (published, notices) = (Published::default(), Notices::default());
        // The table looks at the clock often, and each look of the system's takes its time.
        let clock = NotedClock::new(clock);
        let noted = clock.last_noted();
        let world = World::new(clock, SeededEntropy::new(seed), settings)
            .with_store(Table::new(client.clone(), config.table, noted))
            .with_machines(Told::default())
            .with_events(published.clone())
            .with_notifications(notices.clone())
            .with_repositories(NoRepositories)
            .with_alarms(alarms.clone())
            .with_functions(invoked.clone())
            .with_objects(objects.clone())
            .with_roles(AnyRole);
        // No two benches make equal tokens.
        let tokens = AtomicUsize::new(usize::try_from(seed).unwrap() * 1000 - 7000);
        Self { world, objects, invoked, alarms, published, notices, table: client, tokens }
    }

    /// A bench with the pipeline `shop`, whose first execution has passed it.
    pub(crate) async fn with_release() -> (Self, ExecutionId) {
        let bench = Self::new().await;
        bench.ok("CreatePipeline", json!({"pipeline": shop()})).await;
        let first = bench.newest().await;
        bench.pass(first).await;
        (bench, first)
    }

    pub(crate) async fn send(&self, event: ApiEvent) -> ApiReply {
        // Boxed, as below: a test of many calls would not fit on the stack of its thread.
        let reply = Box::pin(api::handle(&self.world, event)).await.unwrap();
        assert!(reply.headers.contains_key("x-amzn-requestid"), "{reply:?}");
        reply
    }

    /// Status and body of a call by JSON.
    pub(crate) async fn call(&self, operation: &str, input: Value) -> (u16, Value) {
        let reply = self.send(json_call(operation, input.to_string())).await;
        let body = if reply.body.is_empty() { Value::Null } else { serde_json::from_str(&reply.body).unwrap() };
        (reply.status_code, body)
    }

    /// The output of a call that succeeds.
    pub(crate) async fn ok(&self, operation: &str, input: Value) -> Value {
        let (status, body) = self.call(operation, input).await;
        assert_eq!(status, 200, "{operation}: {body}");
        body
    }

    /// Name and text of the error of a call that is refused.
    pub(crate) async fn refused(&self, operation: &str, input: Value) -> (String, String) {
        let (status, body) = self.call(operation, input).await;
        assert_eq!(status, 400, "{operation}: {body}");
        let text = |member: &str| body[member].as_str().unwrap_or_default().to_owned();
        (text("__type"), text("message"))
    }

    /// Asserts that each of `cases` is refused by the exception beside it, with a text that holds a word.
    pub(crate) async fn refuses(&self, operation: &str, cases: &[(Value, &str, &str)]) {
        for (input, exception, word) in cases {
            let (name, message) = self.refused(operation, input.clone()).await;
            assert_eq!(name, *exception, "{operation} {input}: {message}");
            assert!(message.contains(word), "{operation} {input}: {message}");
        }
    }

    pub(crate) async fn newest(&self) -> ExecutionId {
        let page = self.ok("ListPipelineExecutions", json!({"pipelineName": "shop", "maxResults": 1})).await;
        id(&page["pipelineExecutionSummaries"][0]["pipelineExecutionId"])
    }

    pub(crate) async fn start(&self) -> ExecutionId {
        id(&self.ok("StartPipelineExecution", json!({"name": "shop"})).await["pipelineExecutionId"])
    }

    /// Does what the execution's state machine does, until it has to wait for somebody.
    pub(crate) async fn drive(&self, execution: ExecutionId, mut finished: Option<StageReport>) -> Driven {
        loop {
            let token = self.token();
            let input = GateInput {
                pipeline: shop_name(),
                execution_id: execution,
                token: token.clone(),
                machine: None,
                finished,
            };
            Box::pin(engine::pass_gate(&self.world, &input)).await.unwrap();
            let answer = self.world.machines().answers.lock().unwrap().remove(&token);
            match answer.map(|answer| serde_json::from_value(answer).unwrap()) {
                None => return Driven::Waiting,
                Some(GateAnswer::End { status }) => return Driven::Ended(status),
                Some(answer @ GateAnswer::RunStage { .. }) => {
                    let (report, done) = self.run_stage(execution, answer).await;
                    if !done {
                        return Driven::Working(report);
                    }
                    finished = Some(report);
                }
            }
        }
    }

    /// Runs the stage's actions; whether all of them have ended.
    pub(crate) async fn run_stage(&self, execution_id: ExecutionId, answer: GateAnswer) -> (StageReport, bool) {
        let GateAnswer::RunStage { stage, generation, attempt, groups, .. } = answer else { unreachable!() };
        let mut done = true;
        for step in groups.into_iter().flatten() {
            let input = ActionInput {
                operation: ActionOperation::Run,
                pipeline: shop_name(),
                execution_id,
                stage: stage.clone(),
                generation,
                attempt,
                action: step.name,
                rule: None,
                token: Some(self.token()),
                report: None,
                file: None,
            };
            let output = Box::pin(engine::run_action(&self.world, &input, &|| false)).await.unwrap();
            done &= output.status == ActionStatus::Succeeded;
        }
        (StageReport { stage, generation, status: StageResult::Succeeded }, done)
    }

    /// One look of the reconciler, which finds nothing in its way.
    pub(crate) async fn reconcile(&self) -> engine::Reconciled {
        let mut done = engine::Reconciled::default();
        Box::pin(engine::reconcile(&self.world, false, &mut done)).await.unwrap();
        done
    }

    /// How many state machine executions were started.
    pub(crate) fn machines_started(&self) -> usize {
        self.world.machines().started.lock().unwrap().len()
    }

    /// How many tokens of state machines were answered.
    pub(crate) fn machines_answered(&self) -> usize {
        self.world.machines().answers.lock().unwrap().len()
    }

    fn token(&self) -> String {
        format!("token {}", self.tokens.fetch_add(1, SeqCst))
    }

    /// The job that the action Check of `shop` has out.
    pub(crate) async fn job(&self) -> String {
        let state = self.ok("GetPipelineState", json!({"name": "shop"})).await;
        let job = &state["stageStates"][1]["actionStates"][0]["latestExecution"]["externalExecutionId"];
        job.as_str().unwrap().to_owned()
    }

    /// Runs of the action Check in an execution, newest first.
    pub(crate) async fn runs_of(&self, execution: ExecutionId) -> Vec<Value> {
        let filter = json!({"pipelineExecutionId": execution});
        let page = self.ok("ListActionExecutions", json!({"pipelineName": "shop", "filter": filter})).await;
        let runs = page["actionExecutionDetails"].as_array().unwrap().iter();
        runs.filter(|run| run["actionName"] == "Check").cloned().collect()
    }

    /// The newest of them.
    pub(crate) async fn run_of(&self, execution: ExecutionId) -> Value {
        self.runs_of(execution).await.swap_remove(0)
    }

    /// What those were told who wait at the gate or for an action, in order.
    pub(crate) fn told(&self, is: impl Fn(&Value) -> bool) -> Vec<Value> {
        self.world.machines().told.lock().unwrap().iter().filter(|answer| is(answer)).cloned().collect()
    }

    /// Names of the state machine executions that were started.
    pub(crate) fn started_machines(&self) -> Vec<String> {
        self.world.machines().started.lock().unwrap().clone()
    }

    /// Brings an execution of `shop` to its end, its job answered well.
    pub(crate) async fn pass(&self, execution: ExecutionId) {
        let Driven::Working(report) = self.drive(execution, None).await else { panic!("no job is out") };
        self.ok("PutJobSuccessResult", json!({"jobId": self.job().await})).await;
        assert_eq!(self.drive(execution, Some(report)).await, Driven::Ended(ExecutionStatus::Succeeded));
    }

    /// Brings an execution of `shop` to its end, its job answered badly.
    pub(crate) async fn fail(&self, execution: ExecutionId) {
        let Driven::Working(report) = self.drive(execution, None).await else { panic!("no job is out") };
        let details = json!({"type": "JobFailed", "message": "The page is blank.", "externalExecutionId": "check-1"});
        self.ok("PutJobFailureResult", json!({"jobId": self.job().await, "failureDetails": details})).await;
        let report = StageReport { status: StageResult::Failed, ..report };
        assert_eq!(self.drive(execution, Some(report)).await, Driven::Ended(ExecutionStatus::Failed));
    }
}

/// A call of `operation` by AWS JSON 1.1, signed by Ana's key.
pub(crate) fn json_call(operation: &str, body: String) -> ApiEvent {
    let ours = Operation::find(Service::Lastgood, operation).is_some();
    let service = if ours { Service::Lastgood } else { Service::CodePipeline }.target();
    let headers = [
        ("x-amz-target", format!("{service}.{operation}")),
        ("content-type", "application/x-amz-json-1.1".to_owned()),
        (
            "authorization",
            "AWS4-HMAC-SHA256 Credential=AKIDANA/20261123/eu-west-1/codepipeline/aws4_request".to_owned(),
        ),
    ];
    ApiEvent {
        raw_path: "/".to_owned(),
        headers: headers.map(|(name, value)| (name.to_owned(), value)).into(),
        body: Some(body),
        ..event("POST")
    }
}

pub(crate) fn event(method: &str) -> ApiEvent {
    let http = Http { method: method.to_owned(), source_ip: "192.0.2.1".to_owned() };
    let domain_name = "api.example.com".to_owned();
    ApiEvent {
        request_context: RequestContext { http, domain_name, ..RequestContext::default() },
        ..ApiEvent::default()
    }
}

pub(crate) fn shop_name() -> PipelineName {
    "shop".parse().unwrap()
}

pub(crate) fn id(value: &Value) -> ExecutionId {
    value.as_str().unwrap_or_else(|| panic!("no id but {value}")).parse().unwrap()
}

/// A pipeline from an object in S3 to a function that checks it.
pub(crate) fn shop() -> Value {
    let action_type = |category: &str, provider: &str| json!({"category": category, "owner": "AWS", "provider": provider, "version": "1"});
    json!({
        "name": "shop",
        "roleArn": "arn:aws:iam::111122223333:role/pipeline",
        "artifactStore": {"type": "S3", "location": "artifacts"},
        "executionMode": "QUEUED",
        "pipelineType": "V2",
        "variables": [{"name": "Color", "defaultValue": "green"}],
        "stages": [
            {"name": "Source", "actions": [{
                "name": "Fetch",
                "actionTypeId": action_type("Source", "S3"),
                "configuration": {"S3Bucket": "uploads", "S3ObjectKey": "app.zip"},
                "outputArtifacts": [{"name": "App"}],
                "namespace": "Upload",
            }]},
            {"name": "Prod", "actions": [{
                "name": "Check",
                "actionTypeId": action_type("Invoke", "Lambda"),
                "configuration": {"FunctionName": "check", "UserParameters": "#{variables.Color} #{Upload.VersionId}"},
                "inputArtifacts": [{"name": "App"}],
            }]},
        ],
    })
}

/// `shop` with a person in the place of the function.
pub(crate) fn asking() -> Value {
    let mut pipeline = shop();
    let action = &mut pipeline["stages"][1]["actions"][0];
    action["actionTypeId"] = json!({"category": "Approval", "owner": "AWS", "provider": "Manual", "version": "1"});
    action["configuration"] = json!({"ExternalEntityLink": "https://shop.example/preview"});
    action["inputArtifacts"] = json!([]);
    pipeline
}
