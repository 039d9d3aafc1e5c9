//! Nothing secret is in any log: neither what everybody plants here, nor any token that the system makes.
//!
//! Every system of these tests logs into memory, in as much detail as an operator can ask for. Whatever is planted, by any
//! test, must not be found there, when its own system ends and when any other does.

use std::{
    collections::BTreeSet,
    io::Write,
    sync::{Mutex, Once, PoisonError},
};

use serde_json::{Value, json};

use crate::world::{World, approval, eventually, pipeline, publish, release, text};

/// The secret of the webhooks of all tests.
pub(crate) const WEBHOOK: &str = "winter harbour, never logged";
/// A secret property of a custom action.
const PROPERTY: &str = "property-9f2c-never-logged";
/// In what users give to their own functions and workers.
const PARAMETERS: &str = "parameters-77ab-never-logged";
/// In what is released.
const CONTENT: &str = "content-41d0-never-logged";
/// With it, whoever has it may start the same again.
const CLIENT_TOKEN: &str = "client-token-5e1b-never-logged";
/// With it, a worker may go on with a job.
const CONTINUATION: &str = "continuation-c3d8-never-logged";
/// What a worker says of the job it has done, for the next actions alone.
const OUTPUT: &str = "output-6b90-never-logged";

static LOGGED: Mutex<Vec<u8>> = Mutex::new(Vec::new());
static PLANTED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
/// How much of the log was looked through, and for how many secrets.
static CHECKED: Mutex<(usize, usize)> = Mutex::new((0, 0));
static LISTENING: Once = Once::new();

struct Log;

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LOGGED.lock().unwrap_or_else(PoisonError::into_inner).extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// From now on, what is logged in this process is kept.
pub(crate) fn listen() {
    LISTENING.call_once(|| {
        runtime::log_to("tests", "trace", || Log);
        for secret in [WEBHOOK, PROPERTY, PARAMETERS, CONTENT, CLIENT_TOKEN, CONTINUATION, OUTPUT] {
            plant(secret);
        }
    });
}

/// From now on `secret` must not be in any log.
pub(crate) fn plant(secret: impl Into<String>) {
    let secret = secret.into();
    assert!(secret.len() >= 8, "'{secret}' may be there by chance");
    PLANTED.lock().unwrap_or_else(PoisonError::into_inner).insert(secret);
}

/// That nothing planted was logged so far, by anybody. What was looked through before is not looked through again, unless
/// something was planted since.
pub(crate) fn assert_none_logged() {
    let planted = PLANTED.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let mut checked = CHECKED.lock().unwrap_or_else(PoisonError::into_inner);
    let logged = LOGGED.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let from = if checked.1 == planted.len() { checked.0 } else { 0 };
    *checked = (logged.len(), planted.len());
    drop(checked);
    let logged = String::from_utf8_lossy(&logged[from..]);
    for line in logged.lines() {
        if let Some(secret) = planted.iter().find(|secret| line.contains(secret.as_str())) {
            panic!("'{secret}' is in a log: {line}");
        }
    }
}

/// What is logged about `word`.
fn lines_with(word: &str) -> usize {
    let logged = LOGGED.lock().unwrap_or_else(PoisonError::into_inner).clone();
    String::from_utf8_lossy(&logged).lines().filter(|line| line.contains(word)).count()
}

/// A custom action with a secret property, then a person, then a deploy.
fn guarded() -> Value {
    let make = json!({
        "name": "Make", "runOrder": 1,
        "actionTypeId": { "category": "Build", "owner": "Custom", "provider": "Guarded", "version": "1" },
        "configuration": { "Key": PROPERTY, "Notes": PARAMETERS },
        "inputArtifacts": [{ "name": "App" }],
        "namespace": "Made",
    });
    let publish = publish("guarded", 3);
    pipeline("guarded", &[make, approval(2), publish])
}

async fn declare(world: &World) {
    let property =
        |name: &str, secret: bool| json!({ "name": name, "required": false, "key": false, "secret": secret });
    let mut declared = json!({ "category": "Build", "provider": "Guarded", "version": "1" });
    declared["configurationProperties"] = json!([property("Key", true), property("Notes", false)]);
    declared["inputArtifactDetails"] = json!({ "minimumCount": 0, "maximumCount": 1 });
    declared["outputArtifactDetails"] = json!({ "minimumCount": 0, "maximumCount": 1 });
    world.call("CreateCustomActionType", declared).await;
}

/// The next job; its nonce and the credentials that come with it are planted.
async fn next_job(world: &World) -> Value {
    let id = json!({ "category": "Build", "owner": "Custom", "provider": "Guarded", "version": "1" });
    let job = eventually("a job", async || {
        let polled = world.call("PollForJobs", json!({ "actionTypeId": id })).await;
        polled["jobs"].as_array().and_then(|jobs| jobs.first().cloned())
    })
    .await;
    assert_eq!(job["data"]["actionConfiguration"]["configuration"]["Key"], PROPERTY, "the worker gets it");
    plant(text(&job["nonce"]));
    for member in ["secretAccessKey", "sessionToken"] {
        plant(text(&job["data"]["artifactCredentials"][member]));
    }
    job
}

/// What is asked of whoever answers the approval.
async fn question(world: &World) -> String {
    eventually("the question", async || {
        let state = world.stage("guarded", 1).await;
        let token = text(&state["actionStates"][1]["latestExecution"]["token"]);
        (!token.is_empty()).then_some(token)
    })
    .await
}

/// Tokens of state machines, as the table keeps them.
async fn plant_task_tokens(world: &World) -> usize {
    let signed =
        "AWS4-HMAC-SHA256 Credential=any/20261126/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=0";
    let headers = [
        ("x-amz-target", "DynamoDB_20120810.Scan"),
        ("content-type", "application/x-amz-json-1.0"),
        ("authorization", signed),
        ("x-amz-date", "20261126T000000Z"),
    ];
    let (_, scanned) = world.post("/", &headers, &json!({ "TableName": local::TABLE }).to_string()).await;
    let mut found = Vec::new();
    for item in scanned["Items"].as_array().unwrap_or_else(|| panic!("{scanned}")) {
        tokens(item, &mut found);
    }
    found.iter().for_each(|token| plant(token.as_str()));
    found.len()
}

/// Every text under a member called `token`.
fn tokens(value: &Value, found: &mut Vec<String>) {
    let Some(members) = value.as_object() else {
        return value.as_array().into_iter().flatten().for_each(|value| tokens(value, found));
    };
    for (name, value) in members {
        match value["S"].as_str() {
            Some(token) if name == "token" => found.push(token.to_owned()),
            _ => tokens(value, found),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_secret_is_in_any_log() {
    let world = World::start().await;
    world.buckets("guarded").await;
    declare(&world).await;
    world.upload("guarded", release(CONTENT)).await;
    world.call("CreatePipeline", json!({ "pipeline": guarded() })).await;

    // A job with a nonce, credentials and a continuation, a wrong nonce, and an end that says too much.
    let job = next_job(&world).await;
    world.refused("AcknowledgeJob", json!({ "jobId": job["id"], "nonce": "nonce-guessed" })).await;
    world.call("AcknowledgeJob", json!({ "jobId": job["id"], "nonce": job["nonce"] })).await;
    let unfinished = json!({ "jobId": job["id"], "continuationToken": CONTINUATION });
    world.call("PutJobSuccessResult", unfinished).await;
    let again = next_job(&world).await;
    world.call("AcknowledgeJob", json!({ "jobId": again["id"], "nonce": again["nonce"] })).await;
    let tokens = plant_task_tokens(&world).await;
    let done = json!({ "jobId": again["id"], "outputVariables": { "Said": OUTPUT } });
    world.call("PutJobSuccessResult", done).await;

    // An approval, answered with a token of somebody else's first.
    let token = question(&world).await;
    plant(&token);
    let tokens = tokens + plant_task_tokens(&world).await;
    assert!(tokens > 0, "nothing was planted of what state machines hold");
    let answer = |token: &str| {
        json!({ "pipelineName": "guarded", "stageName": "Deploy", "actionName": "Approve", "token": token,
            "result": { "status": "Approved", "summary": PARAMETERS } })
    };
    world.refused("PutApprovalResult", answer("00000000-0000-4000-8000-000000000000")).await;
    world.call("PutApprovalResult", answer(&token)).await;
    let first = world.execution("guarded", "the end", |one| one["status"] != "InProgress").await;
    assert_eq!(first["status"], "Succeeded", "{first}");

    // Requests that fail, with secrets in them.
    let start = json!({ "name": "guarded", "clientRequestToken": CLIENT_TOKEN });
    world.call("StartPipelineExecution", start.clone()).await;
    world.call("StartPipelineExecution", start).await;
    let (status, _) = world.send("PutApprovalResult", &format!("{{\"token\": \"{CLIENT_TOKEN}\"")).await;
    assert!(status.is_client_error());
    let (status, _) = world.send("CreatePipeline", &json!({ "pipeline": { "name": PARAMETERS } }).to_string()).await;
    assert!(status.is_client_error());
    let event = json!({ "token": CLIENT_TOKEN, "execution_id": PARAMETERS });
    for function in ["lastgood-run-action", "lastgood-stage-gate", "lastgood-alarm-handler"] {
        assert!(world.invoke(function, &event).await.is_err(), "{function} takes anything");
    }

    // It was there to be found: what is no secret is in the log.
    assert!(lines_with(&text(&first["pipelineExecutionId"])) > 0, "nothing was logged");
    assert!(lines_with("PutApprovalResult") > 0, "nothing was logged");
    assert_none_logged();
}
