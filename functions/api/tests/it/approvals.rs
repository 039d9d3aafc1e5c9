//! Approvals: people are told that one waits, and their time is limited (spec 6.2).

use contract::{ActionInput, ActionOperation};
use domain::{ActionStatus, ExecutionId, Generation};
use engine::{
    HasStore,
    ports::{CloudError, PageRequest, Store},
};
use serde_json::{Value, json};

use crate::cloud::Fault;
use crate::world::{ANA, Bench, Driven, asking, shop_name};

const TOPIC: &str = "arn:aws:sns:eu-west-1:111122223333:releases";

fn telling() -> Value {
    let mut pipeline = asking();
    let configuration = &mut pipeline["stages"][1]["actions"][0]["configuration"];
    configuration["NotificationArn"] = json!(TOPIC);
    configuration["CustomData"] = json!("Version #{Upload.VersionId}");
    pipeline
}

/// The pipeline's first execution, which asks.
async fn ask(bench: &Bench, pipeline: &Value) -> ExecutionId {
    bench.ok("CreatePipeline", json!({ "pipeline": pipeline })).await;
    let execution = bench.newest().await;
    let Driven::Working(_) = bench.drive(execution, None).await else { panic!("nobody is asked") };
    execution
}

async fn action(bench: &Bench) -> Value {
    let state = bench.ok("GetPipelineState", json!({"name": "shop"})).await;
    state["stageStates"][1]["actionStates"][0].clone()
}

async fn pending(bench: &Bench) -> usize {
    bench.world.store().pending_effects(PageRequest { limit: 100, after: None }).await.unwrap().items.len()
}

fn answer(action: &Value, token: &Value) -> Value {
    json!({"pipelineName": "shop", "stageName": "Prod", "actionName": action["actionName"], "token": token,
        "result": {"summary": "looked at it", "status": "Approved"}})
}

#[tokio::test]
async fn the_topic_is_told_what_answers_the_approval() {
    let bench = Bench::new().await;
    ask(&bench, &telling()).await;
    let sent = bench.notices.sent.lock().unwrap().clone();
    let [notice] = &sent[..] else { panic!("{} messages", sent.len()) };
    let (action, approval) = (action(&bench).await, &notice.message["approval"]);
    assert_eq!((notice.topic_arn.as_str(), &notice.message["region"]), (TOPIC, &json!("eu-west-1")));
    assert_eq!(approval["token"], action["latestExecution"]["token"]);
    assert_eq!(notice.message["consoleLink"], "https://console.example.com/console/pipelines/shop");
    let review = format!("https://console.example.com/console/pipelines/shop/executions/{}", bench.newest().await);
    assert_eq!(approval["approvalReviewLink"], review);
    assert!(approval["customData"].as_str().unwrap().starts_with("Version "), "{approval}");
    assert_eq!(approval["expires"].as_str().unwrap()[..10], *"2026-11-30", "a week later");
    assert_eq!(pending(&bench).await, 0);
    bench.ok("PutApprovalResult", answer(&action, &approval["token"])).await;
}

#[tokio::test]
async fn without_a_topic_nobody_is_told() {
    let bench = Bench::new().await;
    ask(&bench, &asking()).await;
    assert!(bench.notices.sent.lock().unwrap().is_empty());
}

#[tokio::test]
async fn who_answered_is_shown_and_nobody_while_it_waits() {
    for status in ["Approved", "Rejected"] {
        let bench = Bench::new().await;
        ask(&bench, &asking()).await;
        let waiting = action(&bench).await;
        assert_eq!(waiting["latestExecution"].get("lastUpdatedBy"), None);
        let mut given = answer(&waiting, &waiting["latestExecution"]["token"]);
        given["result"]["status"] = json!(status);
        bench.ok("PutApprovalResult", given).await;
        assert_eq!(action(&bench).await["latestExecution"]["lastUpdatedBy"], ANA, "{status}");
        let runs = bench.ok("ListActionExecutions", json!({"pipelineName": "shop"})).await;
        let by = |name: &str| {
            let runs = runs["actionExecutionDetails"].as_array().unwrap().iter();
            let mut named = runs.filter(|run| run["actionName"] == name);
            named.next().unwrap().get("updatedBy").cloned()
        };
        assert_eq!((by("Check"), by("Fetch")), (Some(json!(ANA)), None), "{status}");
    }
}

#[tokio::test]
async fn an_answer_without_words_is_shown_without_summary() {
    for (status, error) in [("Approved", Value::Null), ("Rejected", json!("Rejected."))] {
        let bench = Bench::new().await;
        ask(&bench, &asking()).await;
        let waiting = action(&bench).await;
        let mut given = answer(&waiting, &waiting["latestExecution"]["token"]);
        given["result"] = json!({"summary": "", "status": status});
        bench.ok("PutApprovalResult", given).await;
        let shown = action(&bench).await["latestExecution"].clone();
        assert_eq!((shown.get("summary"), &shown["errorDetails"]["message"]), (None, &error), "{status}");
    }
}

#[tokio::test]
async fn a_topic_that_is_away_is_told_later_and_not_after_the_answer() {
    let bench = Bench::new().await;
    *bench.notices.failure.lock().unwrap() = Some(|| CloudError::Unavailable("away".into()));
    ask(&bench, &telling()).await;
    assert_eq!(
        (pending(&bench).await, action(&bench).await["latestExecution"]["status"].clone()),
        (1, json!("InProgress"))
    );
    let done = bench.reconcile().await;
    assert_eq!((done.effects, done.effects_failed), (0, 1), "who cannot be told yet was not told: {done:?}");
    *bench.notices.failure.lock().unwrap() = None;
    bench.reconcile().await;
    assert_eq!((pending(&bench).await, bench.notices.sent.lock().unwrap().len()), (0, 1));

    let late = Bench::new().await;
    *late.notices.failure.lock().unwrap() = Some(|| CloudError::Unavailable("away".into()));
    ask(&late, &telling()).await;
    let action = action(&late).await;
    late.ok("PutApprovalResult", answer(&action, &action["latestExecution"]["token"])).await;
    *late.notices.failure.lock().unwrap() = None;
    late.reconcile().await;
    assert_eq!((pending(&late).await, late.notices.sent.lock().unwrap().len()), (0, 0));
}

#[tokio::test]
async fn a_topic_that_can_never_be_told_fails_the_action() {
    let cases: [(Fault, &str, &str); 3] = [
        (|| CloudError::NotFound("the topic".to_owned()), "ConfigurationError", "There is no topic"),
        (|| CloudError::Denied("AuthorizationError".to_owned()), "PermissionError", "may not be published to"),
        (|| CloudError::Refused("it is not the ARN of a topic".to_owned()), "ConfigurationError", "not the ARN"),
    ];
    for (failure, code, word) in cases {
        let bench = Bench::new().await;
        *bench.notices.failure.lock().unwrap() = Some(failure);
        ask(&bench, &telling()).await;
        let shown = action(&bench).await["latestExecution"].clone();
        assert_eq!((&shown["status"], &shown["errorDetails"]["code"]), (&json!("Failed"), &json!(code)));
        assert!(shown["errorDetails"]["message"].as_str().unwrap().contains(word), "{shown}");
        assert_eq!(pending(&bench).await, 0);
    }
}

#[tokio::test]
async fn an_approval_that_nobody_answers_is_a_failed_action_whose_token_is_over() {
    let bench = Bench::new().await;
    let execution = ask(&bench, &telling()).await;
    let waiting = action(&bench).await;
    let input = ActionInput {
        operation: ActionOperation::Expire,
        pipeline: shop_name(),
        execution_id: execution,
        stage: "Prod".parse().unwrap(),
        generation: Generation(1),
        attempt: 1,
        action: waiting["actionName"].as_str().unwrap().parse().unwrap(),
        rule: None,
        token: None,
        report: None,
        file: None,
    };
    let output = Box::pin(engine::run_action(&bench.world, &input, &|| false)).await.unwrap();
    assert_eq!(output.status, ActionStatus::Failed);
    let shown = action(&bench).await;
    assert_eq!(
        (&shown["latestExecution"]["status"], &shown["latestExecution"]["token"]),
        (&json!("Failed"), &Value::Null)
    );
    let late = answer(&shown, &waiting["latestExecution"]["token"]);
    bench.refuses("PutApprovalResult", &[(late, "InvalidApprovalTokenException", "expired")]).await;
}
