//! Actions whose work a state machine of their provider does, from end to end.

use std::sync::{Arc, Mutex};

use local::Endpoint;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::world::{World, archive, eventually, pipeline, publish, release, text, type_id};

const MACHINE: &str = "arn:aws:states:us-east-1:000000000000:stateMachine:migrate";

impl World {
    /// Puts a state machine of the user's, called `migrate`.
    async fn put_machine(&self, states: Value) {
        let definition = json!({ "QueryLanguage": "JSONata", "StartAt": "Begin", "States": states }).to_string();
        let role = "arn:aws:iam::000000000000:role/migrate";
        let machine = json!({ "name": "migrate", "definition": definition, "roleArn": role });
        self.states("CreateStateMachine", &machine).await;
    }

    async fn states(&self, operation: &str, input: &Value) -> Value {
        let target = format!("AWSStepFunctions.{operation}");
        // Which service is meant stands in the signature.
        let authorization = "AWS4-HMAC-SHA256 Credential=any/20261123/us-east-1/states/aws4_request, \
                             SignedHeaders=host, Signature=none";
        let headers = [
            ("x-amz-target", target.as_str()),
            ("content-type", "application/x-amz-json-1.0"),
            ("authorization", authorization),
        ];
        let (status, answer) = self.post("/", &headers, &input.to_string()).await;
        assert!(status.is_success(), "{operation}: {answer}");
        answer
    }
}

fn migrate(configuration: Value) -> Value {
    let mut action = json!({
        "name": "Migrate",
        "actionTypeId": type_id("Invoke", "StepFunctions"),
        "namespace": "Migration",
        "configuration": { "StateMachineArn": MACHINE },
    });
    for (key, value) in configuration.as_object().into_iter().flatten() {
        action["configuration"][key] = value.clone();
    }
    action
}

#[tokio::test(flavor = "multi_thread")]
async fn an_execution_of_the_users_machine_is_run_and_linked() {
    let world = World::start().await;
    world.buckets("shop").await;
    world
        .put_machine(json!({ "Begin": {
            "Type": "Choice",
            "Choices": [{ "Condition": "{% $states.input.color = 'green' %}", "Next": "Good" }],
            "Default": "Bad",
        }, "Good": { "Type": "Succeed" }, "Bad": { "Type": "Fail", "Error": "Migration.Refused", "Cause": "not green" } }))
        .await;
    let action = migrate(json!({ "Input": "{\"color\": \"#{variables.Color}\"}", "ExecutionNamePrefix": "shop" }));
    let mut declared = pipeline("shop", &[action]);
    declared["variables"] = json!([{ "name": "Color", "defaultValue": "green" }]);
    world.upload("shop", release("1")).await;
    let good = world.create(&declared).await;
    assert_eq!(good["status"], "Succeeded", "{good}");
    let run = world.runs("shop", &good, "Migrate").await.remove(0);
    let arn =
        format!("arn:aws:states:us-east-1:000000000000:execution:migrate:shop-{}", text(&run["actionExecutionId"]));
    let result = &run["output"]["executionResult"];
    assert_eq!(result["externalExecutionId"], arn, "{run}");
    assert!(text(&result["externalExecutionUrl"]).ends_with(&format!("#/v2/executions/details/{arn}")), "{run}");
    assert_eq!(run["output"]["outputVariables"], json!({ "ExecutionArn": arn, "StateMachineArn": MACHINE }));
    let state = &world.stage("shop", 1).await["actionStates"][0]["latestExecution"];
    assert_eq!((&state["status"], &state["externalExecutionId"]), (&json!("Succeeded"), &json!(arn)), "{state}");

    let bad = world.run(json!({ "name": "shop", "variables": [{ "name": "Color", "value": "red" }] })).await;
    let (code, message) = world.failure("shop", &bad, "Migrate").await;
    assert_eq!(code, "JobFailed");
    assert_eq!(message, "The execution ended as FAILED: Migration.Refused: not green.");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_input_may_be_a_file_of_the_artifact() {
    let world = World::start().await;
    world.buckets("shop").await;
    let green = "{% $states.input.color = 'green' %}";
    let choice = json!({ "Type": "Choice", "Choices": [{ "Condition": green, "Next": "Good" }] });
    world.put_machine(json!({ "Begin": choice, "Good": { "Type": "Succeed" } })).await;
    let archive = archive(&[("index.html", "1"), ("conf/input.json", "{\"color\": \"green\"}")]);
    world.upload("shop", archive).await;
    let mut action = migrate(json!({ "InputType": "FilePath", "Input": "conf/input.json" }));
    action["inputArtifacts"] = json!([{ "name": "App" }]);
    let good = world.create(&pipeline("shop", &[action.clone()])).await;
    assert_eq!(good["status"], "Succeeded", "{good}");
    action["configuration"]["Input"] = json!("input.json");
    world.call("UpdatePipeline", json!({ "pipeline": pipeline("shop", &[action]) })).await;
    let bad = world.run(json!({ "name": "shop" })).await;
    let (code, message) = world.failure("shop", &bad, "Migrate").await;
    assert_eq!(code, "ConfigurationError");
    assert_eq!(message, "Artifact 'App': the artifact has no file 'input.json'; name one of its files");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_output_of_an_execution_is_an_artifact_that_others_read() {
    let world = World::start().await;
    world.buckets("shop").await;
    world.upload("shop", release("1")).await;
    world.put_machine(json!({ "Begin": { "Type": "Succeed", "Output": { "color": "green" } } })).await;
    let mut give = migrate(json!({}));
    give["outputArtifacts"] = json!([{ "name": "Given" }]);
    let mut take = migrate(json!({ "InputType": "FilePath", "Input": "output.json" }));
    take["name"] = json!("Take");
    take["namespace"] = json!("Taken");
    take["runOrder"] = json!(2);
    take["inputArtifacts"] = json!([{ "name": "Given" }]);
    let mut publish = publish("shop", 2);
    publish["inputArtifacts"] = json!([{ "name": "Given" }]);
    let good = world.create(&pipeline("shop", &[give, take, publish])).await;
    assert_eq!(good["status"], "Succeeded", "{good}");
    let output = world.client.page("shop-site/output.json").await.expect("the site answers").expect("it is there");
    assert_eq!(serde_json::from_slice::<Value>(&output).expect("JSON"), json!({ "color": "green" }));
    let run = world.runs("shop", &good, "Take").await.remove(0);
    let arn = text(&run["output"]["executionResult"]["externalExecutionId"]);
    let taken = world.states("DescribeExecution", &json!({ "executionArn": arn })).await;
    assert_eq!(serde_json::from_str::<Value>(&text(&taken["input"])).expect("JSON"), json!({ "color": "green" }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_is_not_there_is_an_error_of_the_configuration() {
    let world = World::start().await;
    world.buckets("shop").await;
    world.upload("shop", release("1")).await;
    let first = world.create(&pipeline("shop", &[migrate(json!({}))])).await;
    let (code, message) = world.failure("shop", &first, "Migrate").await;
    assert_eq!(code, "ConfigurationError");
    assert!(message.starts_with("Sfn.StateMachineDoesNotExistException: "), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn abandoning_an_execution_stops_what_its_machine_began() {
    let world = World::start().await;
    world.buckets("shop").await;
    world.put_machine(json!({ "Begin": { "Type": "Wait", "Seconds": 86_400, "End": true } })).await;
    world.upload("shop", release("1")).await;
    world.call("CreatePipeline", json!({ "pipeline": pipeline("shop", &[migrate(json!({}))]) })).await;
    let arn = eventually("the link of the action", async || {
        let state = &world.stage("shop", 1).await["actionStates"][0]["latestExecution"];
        state["externalExecutionId"].as_str().map(str::to_owned)
    })
    .await;
    let id = text(&world.executions("shop").await[0]["pipelineExecutionId"]);
    let stop = json!({ "pipelineName": "shop", "pipelineExecutionId": id, "abandon": true });
    world.call("StopPipelineExecution", stop).await;
    assert_eq!(world.ended("shop", &id).await["status"], "Stopped");
    eventually("the end of the user's execution", async || {
        let described = world.states("DescribeExecution", &json!({ "executionArn": arn })).await;
        (described["status"] == "ABORTED").then_some(())
    })
    .await;
    let machine = "arn:aws:states:us-east-1:000000000000:stateMachine:lastgood-action-StepFunctions";
    eventually("the end of the provider's executions", async || {
        let listed = world.states("ListExecutions", &json!({ "stateMachineArn": machine })).await;
        let listed = listed["executions"].as_array().cloned().unwrap_or_default();
        let mut ends: Vec<String> = listed.iter().map(|one| text(&one["status"])).collect();
        ends.sort();
        (ends == ["ABORTED", "SUCCEEDED"]).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_pipeline_is_started_and_waited_for() {
    let world = World::start().await;
    for name in ["site", "shop"] {
        world.buckets(name).await;
        world.upload(name, release(name)).await;
    }
    let mut site = pipeline("site", &[publish("site", 1)]);
    site["variables"] = json!([{ "name": "Color", "defaultValue": "green" }]);
    world.create(&site).await;
    let mut invoke = json!({
        "name": "Publish",
        "actionTypeId": type_id("Invoke", "CodePipeline"),
        "configuration": { "PipelineName": "site", "Variables": "[{\"name\":\"Color\",\"value\":\"red\"}]" },
    });
    let first = world.create(&pipeline("shop", &[invoke.clone()])).await;
    assert_eq!(first["status"], "Succeeded", "{first}");
    let run = world.runs("shop", &first, "Publish").await.remove(0);
    let newest = world.executions("site").await.remove(0);
    let id = &newest["pipelineExecutionId"];
    assert_eq!(run["output"]["executionResult"]["externalExecutionId"], *id, "{run}");
    let by: Value = serde_json::from_str(&text(&newest["trigger"]["triggerDetail"])).expect("JSON in the text");
    let expected = json!({
        "PipelineName": "shop", "PipelineExecutionId": first["pipelineExecutionId"], "ActionName": "Publish",
        "RoleArn": "arn:aws:iam::000000000000:role/pipeline",
    });
    assert_eq!((&newest["trigger"]["triggerType"], by), (&json!("StartPipelineExecution"), expected));
    let shown = world.call("GetPipelineExecution", json!({ "pipelineName": "site", "pipelineExecutionId": id })).await;
    assert_eq!(shown["pipelineExecution"]["variables"], json!([{ "name": "Color", "resolvedValue": "red" }]));

    invoke["configuration"] = json!({ "PipelineName": "nowhere" });
    world.call("UpdatePipeline", json!({ "pipeline": pipeline("shop", &[invoke]) })).await;
    let second = world.run(json!({ "name": "shop" })).await;
    let (code, message) = world.failure("shop", &second, "Publish").await;
    assert_eq!(code, "ConfigurationError");
    assert!(message.contains("does not have a pipeline with name 'nowhere'"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn pipelines_that_start_each_other_are_refused() {
    let world = World::start().await;
    let starts = |name: &str| {
        json!({
            "name": "Next",
            "actionTypeId": type_id("Invoke", "CodePipeline"),
            "configuration": { "PipelineName": name },
        })
    };
    for name in ["site", "shop"] {
        world.buckets(name).await;
        world.upload(name, release(name)).await;
    }
    let itself = json!({ "pipeline": pipeline("site", &[starts("site")]) });
    let (exception, message) = world.refused("CreatePipeline", itself).await;
    assert_eq!(exception, "InvalidActionDeclarationException");
    assert!(message.contains("would wait for its own end"), "{message}");
    world.create(&pipeline("site", &[publish("site", 1)])).await;
    world.create(&pipeline("shop", &[starts("site")])).await;
    world.call("UpdatePipeline", json!({ "pipeline": pipeline("site", &[starts("shop")]) })).await;
    let failed = world.run(json!({ "name": "site" })).await;
    assert_eq!(failed["status"], "Failed");
    let newest = world.executions("shop").await.remove(0);
    let (code, message) = world.failure("shop", &newest, "Next").await;
    assert_eq!(code, "ConfigurationError");
    assert!(message.contains("site -> shop -> site"), "{message}");
}

fn rule(provider: &str) -> Value {
    let mut rule = json!({
        "name": "Verify",
        "ruleTypeId": { "category": "Rule", "owner": "AWS", "provider": provider, "version": "1" },
        "inputArtifacts": [{ "name": "App" }],
    });
    match provider {
        "Commands" => rule["commands"] = json!(["test -f index.html"]),
        _ => rule["configuration"] = json!({ "ProjectName": "verify" }),
    }
    rule
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stage_is_entered_when_its_build_has_succeeded() {
    let recorded: Value = serde_json::from_str(include_str!("../fixtures/providers/codebuild.json")).expect("JSON");
    for (provider, project) in [("CodeBuild", "verify"), ("Commands", "lastgood-commands")] {
        let answers = ["started", "running", "succeeded"].map(|name| recorded[name].clone());
        let service = StandIn::answering(answers.to_vec()).await;
        let world = World::with_endpoints(vec![service.endpoint("codebuild")]).await;
        world.buckets("shop").await;
        world.upload("shop", release("1")).await;
        let mut gated = pipeline("shop", &[publish("shop", 1)]);
        gated["stages"][1]["beforeEntry"] = json!({ "conditions": [{ "result": "FAIL", "rules": [rule(provider)] }] });
        let good = world.create(&gated).await;
        assert_eq!(good["status"], "Succeeded", "{good}");
        assert_eq!(world.page("shop").await, "1");
        let listed = world.call("ListRuleExecutions", json!({ "pipelineName": "shop" })).await;
        let run = &listed["ruleExecutionDetails"][0];
        let result = &run["output"]["executionResult"];
        assert_eq!(
            (&run["status"], &result["externalExecutionId"]),
            (&json!("Succeeded"), &recorded["started"]["build"]["id"])
        );
        assert!(text(&result["externalExecutionUrl"]).contains(&format!("/projects/{project}/build/")), "{result}");
        assert_eq!(service.asked()[0].1["projectName"], project);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_stage_goes_back_when_a_build_says_so() {
    let recorded: Value = serde_json::from_str(include_str!("../fixtures/providers/codebuild.json")).expect("JSON");
    for (found, rollbacks) in [("succeeded", 1), ("failed", 0)] {
        let service = StandIn::answering(vec![recorded["started"].clone(), recorded[found].clone()]).await;
        let world = World::with_endpoints(vec![service.endpoint("codebuild")]).await;
        world.buckets("shop").await;
        let green = "{% $states.input.color = 'green' %}";
        let choice = json!({ "Type": "Choice", "Choices": [{ "Condition": green, "Next": "Good" }], "Default": "Bad" });
        let bad = json!({ "Type": "Fail", "Error": "Refused", "Cause": "not green" });
        world.put_machine(json!({ "Begin": choice, "Good": { "Type": "Succeed" }, "Bad": bad })).await;
        world.upload("shop", release("1")).await;
        let migrates = migrate(json!({ "Input": "{\"color\": \"#{variables.Color}\"}" }));
        let mut declared = pipeline("shop", &[migrates]);
        declared["variables"] = json!([{ "name": "Color", "defaultValue": "green" }]);
        declared["stages"][1]["onFailure"] =
            json!({ "conditions": [{ "result": "ROLLBACK", "rules": [rule("CodeBuild")] }] });
        assert_eq!(world.create(&declared).await["status"], "Succeeded");
        assert_eq!(service.asked().len(), 0, "nothing failed");
        let red = json!({ "name": "shop", "variables": [{ "name": "Color", "value": "red" }] });
        let failed = world.run(red).await;
        assert_eq!(failed["status"], "Failed", "{failed}");
        assert_eq!(world.rollbacks("shop").await.len(), rollbacks, "the build {found}");
        for rollback in world.rollbacks("shop").await {
            let ended = world.ended("shop", &text(&rollback["pipelineExecutionId"])).await;
            assert_eq!(ended["status"], "Succeeded", "{ended}");
        }
    }
}

fn build() -> Value {
    json!({
        "name": "Make",
        "actionTypeId": type_id("Build", "CodeBuild"),
        "configuration": { "ProjectName": "shop" },
        "inputArtifacts": [{ "name": "App" }],
        "outputArtifacts": [{ "name": "Site" }],
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_asks_the_service_that_an_option_names() {
    let recorded: Value = serde_json::from_str(include_str!("../fixtures/providers/codebuild.json")).expect("JSON");
    let service = StandIn::answering(vec![
        recorded["throttled"].clone(),
        recorded["started"].clone(),
        recorded["failed"].clone(),
    ])
    .await;
    let world = World::with_endpoints(vec![service.endpoint("codebuild")]).await;
    world.buckets("shop").await;
    world.upload("shop", release("1")).await;
    let first = world.create(&pipeline("shop", &[build()])).await;
    let (code, message) = world.failure("shop", &first, "Make").await;
    assert_eq!(code, "JobFailed");
    assert!(message.contains("make test"), "{message}");
    let run = world.runs("shop", &first, "Make").await.remove(0);
    let id = text(&recorded["started"]["build"]["id"]);
    assert_eq!(run["output"]["executionResult"]["externalExecutionId"], id);
    let asked = service.asked();
    let operations: Vec<&str> = asked.iter().map(|(target, _)| target.as_str()).collect();
    let start = "CodeBuild_20161006.StartBuild";
    assert_eq!(operations, [start, start, "CodeBuild_20161006.BatchGetBuilds"]);
    assert_eq!(asked[0].1["projectName"], "shop");
    assert_eq!(asked[0].1["artifactsOverride"]["location"], "shop-artifacts");
    assert_eq!(asked[2].1, json!({ "ids": [id] }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_nowhere_fails_the_action_with_what_to_do() {
    let world = World::start().await;
    world.buckets("shop").await;
    world.upload("shop", release("1")).await;
    let first = world.create(&pipeline("shop", &[build()])).await;
    let (code, message) = world.failure("shop", &first, "Make").await;
    assert_eq!(code, "ConfigurationError");
    assert!(message.contains("--endpoint codebuild=URL"), "{message}");
}

/// A service that gives these answers, one after the other, and the last again and again.
struct StandIn {
    url: String,
    asked: Arc<Mutex<Vec<(String, Value)>>>,
}

impl StandIn {
    async fn answering(answers: Vec<Value>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let request = read(&mut stream).await;
                let before = kept.lock().expect("nobody panics while holding it").len();
                kept.lock().expect("nobody panics while holding it").push(request);
                let answer = answers.get(before).or(answers.last()).cloned().unwrap_or_default();
                let status = if answer.get("__type").is_some() { "400 Bad Request" } else { "200 OK" };
                let body = answer.to_string();
                let head = format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
                let _ = stream.write_all((head + &body).as_bytes()).await;
            }
        });
        Self { url, asked }
    }

    fn endpoint(&self, service: &str) -> Endpoint {
        format!("{service}={}", self.url).parse().expect("a stand-in")
    }

    fn asked(&self) -> Vec<(String, Value)> {
        self.asked.lock().expect("nobody panics while holding it").clone()
    }
}

/// Target and body of a request, which must be signed for CodeBuild.
async fn read(stream: &mut TcpStream) -> (String, Value) {
    let (mut bytes, mut chunk) = (Vec::new(), [0; 4096]);
    loop {
        let count = stream.read(&mut chunk).await.expect("a request");
        bytes.extend(&chunk[..count]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let header = |name: &str| {
            let mut lines = head.lines().filter_map(|line| line.split_once(": "));
            lines.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned())
        };
        let length: usize = header("content-length").and_then(|length| length.parse().ok()).unwrap_or_default();
        if body.len() < length {
            continue;
        }
        let signed = header("authorization").unwrap_or_default();
        assert!(signed.contains("/us-east-1/codebuild/aws4_request"), "{signed}");
        return (header("x-amz-target").unwrap_or_default(), serde_json::from_str(body).expect("JSON"));
    }
}
