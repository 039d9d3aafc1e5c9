//! Releases as users run them: gates, approvals, retries, variables, and ways back.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use anyhow::ensure;
use local::demo::Client;
use serde_json::{Value, json};

use crate::world::{World, approval, check, eventually, pipeline, publish, release, text, type_id};

fn id(execution: &Value) -> String {
    text(&execution["pipelineExecutionId"])
}

fn transition(name: &str) -> Value {
    json!({ "pipelineName": name, "stageName": "Deploy", "transitionType": "Inbound" })
}

/// Waits until the execution waits before Deploy.
async fn waits(world: &World, name: &str, execution: &str) {
    eventually("the execution before Deploy", async || {
        (world.stage(name, 1).await["inboundExecution"]["pipelineExecutionId"] == execution).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn before_a_closed_stage_the_newest_waits_and_goes_in_when_it_opens() {
    let world = World::start().await;
    let name = "closed";
    world.buckets(name).await;
    world.create(&pipeline(name, &[publish(name, 1)])).await;
    let mut close = transition(name);
    close["reason"] = json!("stock-taking (until Monday)");
    world.call("DisableStageTransition", close).await;
    let mut executions = Vec::new();
    for page in ["one", "two", "three"] {
        let version = world.upload(name, release(page)).await;
        let execution = world.started_by(name, &version).await;
        waits(&world, name, &execution).await;
        executions.push(execution);
    }
    let inbound = &world.stage(name, 1).await["inboundTransitionState"];
    assert_eq!(
        (&inbound["enabled"], &inbound["disabledReason"]),
        (&json!(false), &json!("stock-taking (until Monday)"))
    );
    for superseded in &executions[..2] {
        assert_eq!(world.ended(name, superseded).await["status"], "Superseded");
    }
    assert!(world.keys("closed-site").await.is_empty(), "nothing went in");

    world.call("EnableStageTransition", transition(name)).await;
    assert_eq!(world.ended(name, &executions[2]).await["status"], "Succeeded");
    assert_eq!(world.page(name).await, "three");
    let stage = world.stage(name, 1).await;
    assert_eq!((&stage["inboundExecutions"], &stage["inboundTransitionState"]["enabled"]), (&json!([]), &json!(true)));
    for superseded in &executions[..2] {
        assert_eq!(world.ended(name, superseded).await["status"], "Superseded");
    }
}

/// Answers the question that an execution asks in Deploy, as soon as it asks.
async fn answer(world: &World, name: &str, execution: &str, status: &str) {
    let token = eventually("the question", async || {
        let stage = world.stage(name, 1).await;
        let asks = stage["latestExecution"]["pipelineExecutionId"] == execution;
        stage["actionStates"][0]["latestExecution"]["token"].as_str().filter(|_| asks).map(str::to_owned)
    })
    .await;
    let input = json!({ "pipelineName": name, "stageName": "Deploy", "actionName": "Approve", "token": token,
        "result": { "summary": "looked at it", "status": status } });
    world.call("PutApprovalResult", input).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejected_release_stays_out_and_brings_nothing_back() {
    let world = World::start().await;
    let name = "asked";
    world.buckets(name).await;
    let mut asking = pipeline(name, &[approval(1), publish(name, 2)]);
    asking["stages"][1]["onFailure"] = json!({ "result": "ROLLBACK" });
    let topic = "arn:aws:sns:us-east-1:000000000000:releases";
    asking["stages"][1]["actions"][0]["configuration"] = json!({ "NotificationArn": topic, "CustomData": "the shop" });
    world.create(&asking).await;
    let version = world.upload(name, release("one")).await;
    let approved = world.started_by(name, &version).await;
    answer(&world, name, &approved, "Approved").await;
    assert_eq!(world.ended(name, &approved).await["status"], "Succeeded");

    let version = world.upload(name, release("two")).await;
    let rejected = world.started_by(name, &version).await;
    answer(&world, name, &rejected, "Rejected").await;
    let rejected = world.ended(name, &rejected).await;
    let (_, message) = world.failure(name, &rejected, "Approve").await;
    assert_eq!(message, "Rejected: looked at it");
    assert!(text(&rejected["statusSummary"]).contains("rejected"), "{rejected}");
    assert!(world.runs(name, &rejected, "Publish").await.is_empty());
    // A rollback is stored in the transaction that ends the execution, so it would be there by now.
    assert!(world.rollbacks(name).await.is_empty());
    assert_eq!(world.page(name).await, "one");

    let messages = world.system.messages();
    assert_eq!(messages.len(), 2, "one for each question: {messages:?}");
    let message: Value = serde_json::from_str(&text(&messages[0]["Message"])).expect("a message is JSON");
    assert_eq!((&messages[0]["TopicArn"], &message["approval"]["customData"]), (&json!(topic), &json!("the shop")));
    assert_eq!((&message["region"], &message["approval"]["actionName"]), (&json!("us-east-1"), &json!("Approve")));
}

/// Fails releases by what the site of pipeline `name` serves: "broken" always, "flaky" the first time.
fn inspector(world: &World, name: &'static str) -> Arc<Mutex<Vec<String>>> {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let pages = Arc::clone(&seen);
    world.on_job("inspector", move |client: Client, job| {
        let pages = Arc::clone(&pages);
        async move {
            let page = client.page(&format!("{name}-site/index.html")).await?.unwrap_or_default();
            let page = String::from_utf8(page)?;
            let fails = {
                let mut pages = pages.lock().map_err(|_| anyhow::anyhow!("a test has failed"))?;
                let fails = page == "broken" || page == "flaky" && !pages.contains(&page);
                pages.push(page.clone());
                fails
            };
            if fails {
                let details = json!({ "type": "JobFailed", "message": format!("the page is {page}") });
                return client
                    .call("PutJobFailureResult", &json!({ "jobId": job["id"], "failureDetails": details }))
                    .await;
            }
            client.call("PutJobSuccessResult", &json!({ "jobId": job["id"] })).await
        }
    });
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_stage_is_tried_once_more_and_then_rolled_back() {
    let world = World::start().await;
    let name = "retried";
    world.buckets(name).await;
    let seen = inspector(&world, name);
    let mut retrying = pipeline(name, &[publish(name, 1), check("inspector", 2)]);
    retrying["stages"][1]["onFailure"] =
        json!({ "result": "ROLLBACK", "retryConfiguration": { "retryMode": "FAILED_ACTIONS" } });
    world.create(&retrying).await;
    let good = world.release(name, "good").await;
    assert_eq!(good["status"], "Succeeded", "{good}");

    let flaky = world.release(name, "flaky").await;
    assert_eq!(flaky["status"], "Succeeded", "the second attempt succeeds: {flaky}");
    let counts = |runs: &[Value]| runs.iter().map(|run| text(&run["status"])).collect::<Vec<_>>();
    assert_eq!(counts(&world.runs(name, &flaky, "Check").await), ["Succeeded", "Failed"], "newest first");
    assert_eq!(counts(&world.runs(name, &flaky, "Publish").await), ["Succeeded"], "only what failed is redone");
    let retries = &world.stage(name, 1).await["retryStageMetadata"];
    assert_eq!(retries["autoStageRetryAttempt"], 1, "{retries}");

    let broken = world.release(name, "broken").await;
    assert_eq!(broken["status"], "Failed");
    assert!(text(&broken["statusSummary"]).contains("the page is broken"), "{broken}");
    assert_eq!(counts(&world.runs(name, &broken, "Check").await), ["Failed", "Failed"]);
    let rollback = world.execution(name, "the rollback", |one| one["executionType"] == "ROLLBACK").await;
    let rollback = world.ended(name, &id(&rollback)).await;
    assert_eq!(rollback["status"], "Succeeded", "{rollback}");
    assert_eq!(rollback["rollbackMetadata"]["rollbackTargetPipelineExecutionId"], flaky["pipelineExecutionId"]);
    assert_eq!(world.page(name).await, "flaky");
    let seen = seen.lock().expect("no handler panicked").clone();
    assert_eq!(seen, ["good", "flaky", "flaky", "broken", "broken", "flaky"]);
    let tried_twice = [
        "STARTED",
        "Source STARTED",
        "Source/Upload STARTED",
        "Source/Upload SUCCEEDED",
        "Source SUCCEEDED",
        "Deploy STARTED",
        "Deploy/Publish STARTED",
        "Deploy/Publish SUCCEEDED",
        "Deploy/Check STARTED",
        "Deploy/Check FAILED",
        "Deploy RESUMED",
        "Deploy/Check STARTED",
        "Deploy/Check FAILED",
        "Deploy FAILED",
        "FAILED",
    ];
    told(&world, &broken, &tried_twice).await;
    let back = [
        "Deploy STARTED",
        "Deploy SUCCEEDED",
        "Deploy/Check STARTED",
        "Deploy/Check SUCCEEDED",
        "Deploy/Publish STARTED",
        "Deploy/Publish SUCCEEDED",
        "STARTED",
        "SUCCEEDED",
    ];
    told(&world, &rollback, &back).await;
    let event = world.system.events().into_iter().find(|event| {
        event["detail"]["execution-id"] == rollback["pipelineExecutionId"]
            && event["detail"]["state"] == "STARTED"
            && event["detail"].get("stage").is_none()
    });
    let detail = event.expect("it was told")["detail"].clone();
    assert_eq!((&detail["rollback-stage"], &detail["rollback-cause"]), (&json!("Deploy"), &json!("STAGE_FAILED")));
    assert_eq!(detail["rollback-target-execution-id"], flaky["pipelineExecutionId"]);
    assert_eq!(detail["rollback-undone-execution-id"], broken["pipelineExecutionId"]);
}

/// Waits until exactly `expected` was told of the execution.
async fn told(world: &World, execution: &Value, expected: &[&str]) {
    let mut expected: Vec<String> = expected.iter().map(|line| (*line).to_owned()).collect();
    expected.sort();
    eventually(&format!("{expected:?} of {execution}"), async || (world.told(execution) == expected).then_some(()))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_stage_goes_back_only_where_its_condition_is_met() {
    let world = World::start().await;
    let name = "conditional";
    world.buckets(name).await;
    inspector(&world, name);
    let mut conditional = pipeline(name, &[publish(name, 1), check("inspector", 2)]);
    conditional["variables"] = json!([{ "name": "GoBack", "defaultValue": "no" }]);
    conditional["stages"][1]["onFailure"] = json!({ "conditions": [{ "result": "ROLLBACK", "rules": [{
        "name": "Asked",
        "ruleTypeId": { "category": "Rule", "owner": "AWS", "provider": "VariableCheck", "version": "1" },
        "configuration": { "Variable": "#{variables.GoBack}", "Operator": "EQ", "Value": "yes" },
    }]}]});
    world.create(&conditional).await;
    let good = world.release(name, "good").await;
    assert_eq!(good["status"], "Succeeded", "{good}");

    let unmet = world.release(name, "broken").await;
    assert_eq!(unmet["status"], "Failed");
    assert!(text(&unmet["statusSummary"]).contains("condition is not met"), "{unmet}");
    assert!(world.rollbacks(name).await.is_empty());

    let asked = world.run(json!({ "name": name, "variables": [{ "name": "GoBack", "value": "yes" }] })).await;
    assert_eq!(asked["status"], "Failed");
    let rollback = world.execution(name, "the rollback", |one| one["executionType"] == "ROLLBACK").await;
    let rollback = world.ended(name, &id(&rollback)).await;
    assert_eq!(rollback["rollbackMetadata"]["rollbackTargetPipelineExecutionId"], good["pipelineExecutionId"]);
    assert_eq!(world.page(name).await, "good");
}

/// Copies the archive as it is to an object whose key is made of variables.
fn keep(name: &str, run_order: u32, key: &str) -> Value {
    json!({
        "name": "Keep",
        "runOrder": run_order,
        "actionTypeId": type_id("Deploy", "S3"),
        "configuration": { "BucketName": format!("{name}-site"), "Extract": "false", "ObjectKey": key },
        "inputArtifacts": [{ "name": "App" }],
    })
}

/// Counts pages in two invocations.
fn counter(world: &World) {
    world.on_job("counter", |client: Client, job| async move {
        let input = match job["data"]["continuationToken"].as_str() {
            None => {
                json!({ "jobId": job["id"], "continuationToken": "half", "executionDetails": { "summary": "half" } })
            }
            Some(token) => {
                ensure!(token == "half", "the token is {token}");
                let details = json!({ "summary": "all counted", "externalExecutionId": "count-7" });
                json!({ "jobId": job["id"], "executionDetails": details, "outputVariables": { "Pages": "3" } })
            }
        };
        client.call("PutJobSuccessResult", &input).await
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn variables_and_outputs_reach_later_actions_and_a_rollback_gets_its_targets() {
    let world = World::start().await;
    let name = "values";
    world.buckets(name).await;
    counter(&world);
    let mut counting = check("counter", 1);
    counting["namespace"] = json!("Count");
    let key = "#{variables.Channel}/#{Src.VersionId}/#{Count.Pages}.zip";
    let mut declared = pipeline(name, &[counting, keep(name, 2, key)]);
    declared["variables"] = json!([{ "name": "Channel", "defaultValue": "beta" }]);
    world.create(&declared).await;

    let version = world.upload(name, release("one")).await;
    let first = world.started_by(name, &version).await;
    assert_eq!(world.ended(name, &first).await["status"], "Succeeded");
    let stable = json!({ "name": name, "variables": [{ "name": "Channel", "value": "stable" }] });
    let second = world.run(stable).await;
    assert_eq!(second["status"], "Succeeded", "{second}");
    let mut kept = vec![format!("beta/{version}/3.zip"), format!("stable/{version}/3.zip")];
    assert_eq!(world.keys("values-site").await, kept);
    let run = &world.runs(name, &second, "Keep").await[0]["input"];
    assert_eq!(run["configuration"]["ObjectKey"], key);
    assert_eq!(run["resolvedConfiguration"]["ObjectKey"], kept[1].as_str());
    let count = &world.runs(name, &second, "Count").await;
    assert!(count.is_empty(), "a namespace is no action");
    let count = &world.runs(name, &second, "Check").await;
    assert_eq!((count.len(), &count[0]["output"]["outputVariables"]), (1, &json!({ "Pages": "3" })));
    assert_eq!(count[0]["output"]["executionResult"]["externalExecutionSummary"], "all counted");

    let version = world.upload(name, release("two")).await;
    let third = world.started_by(name, &version).await;
    assert_eq!(world.ended(name, &third).await["status"], "Succeeded");
    kept.insert(1, format!("beta/{version}/3.zip"));
    kept.sort();
    assert_eq!(world.keys("values-site").await, kept);
    let back = json!({ "pipelineName": name, "stageName": "Deploy", "targetPipelineExecutionId": id(&second) });
    let rollback = world.call("RollbackStage", back).await;
    let rollback = world.ended(name, &id(&rollback)).await;
    assert_eq!(rollback["status"], "Succeeded", "{rollback}");
    let run = &world.runs(name, &rollback, "Keep").await[0]["input"];
    let target = &world.runs(name, &second, "Keep").await[0]["input"];
    assert_eq!(run["resolvedConfiguration"], target["resolvedConfiguration"]);
    let input = json!({ "pipelineName": name, "pipelineExecutionId": id(&rollback) });
    let read = world.call("GetPipelineExecution", input).await;
    assert_eq!(read["pipelineExecution"]["variables"], json!([{ "name": "Channel", "resolvedValue": "stable" }]));
    assert_eq!(world.keys("values-site").await, kept, "it wrote what was there before");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_variable_without_a_value_fails_its_action_by_name() {
    let world = World::start().await;
    let name = "missing";
    world.buckets(name).await;
    world.upload(name, release("one")).await;
    let failed = world.create(&pipeline(name, &[keep(name, 1, "#{Src.Colour}.zip")])).await;
    let (code, message) = world.failure(name, &failed, "Keep").await;
    assert_eq!(code, "ConfigurationError");
    assert!(message.contains("'ObjectKey' refers to #{Src.Colour}") && message.contains("no value"), "{message}");
    assert!(world.keys("missing-site").await.is_empty());
    let unknown = json!({ "name": name, "variables": [{ "name": "Colour", "value": "red" }] });
    let (exception, message) = world.refused("StartPipelineExecution", unknown).await;
    assert_eq!(
        (exception.as_str(), message.as_str()),
        ("ValidationException", "The pipeline declares no variable 'Colour'.")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployed_object_has_the_key_and_properties_it_was_given() {
    let world = World::start().await;
    let name = "object";
    world.buckets(name).await;
    let body = release("one");
    world.upload(name, body.clone()).await;
    let mut action = keep(name, 1, "releases/{datetime}/app-{uuid}.zip");
    action["configuration"]["CannedACL"] = json!("public-read");
    action["configuration"]["CacheControl"] = json!("max-age=300");
    let deployed = world.create(&pipeline(name, &[action])).await;
    assert_eq!(deployed["status"], "Succeeded", "{deployed}");
    let key = world.keys("object-site").await.pop().expect("one object");
    let shape: String = key.chars().map(|c| if c.is_ascii_hexdigit() { '0' } else { c }).collect();
    assert_eq!(shape, "r0l00s0s/0000-00-00_00-00-00/0pp-00000000-0000-0000-0000-000000000000.zip", "{key}");

    let s3 = &world.client.s3;
    let got = s3.get_object().bucket("object-site").key(&key).send().await.expect("it is there");
    assert_eq!((got.cache_control(), got.content_type()), (Some("max-age=300"), Some("application/zip")));
    assert_eq!(got.body.collect().await.expect("it is whole").to_vec(), body);
    let acl = s3.get_object_acl().bucket("object-site").key(&key).send().await.expect("it is there");
    let readers: BTreeMap<_, _> = acl
        .grants()
        .iter()
        .filter_map(|grant| Some((grant.grantee()?.uri()?.to_owned(), grant.permission()?.as_str().to_owned())))
        .collect();
    let everybody = "http://acs.amazonaws.com/groups/global/AllUsers".to_owned();
    assert_eq!(readers, BTreeMap::from([(everybody, "READ".to_owned())]));
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_manual_rollback_the_stage_is_held_until_a_person_lifts_it() {
    let world = World::start().await;
    let name = "held";
    world.buckets(name).await;
    world.create(&pipeline(name, &[publish(name, 1)])).await;
    let first = world.release(name, "one").await;
    let second = world.release(name, "two").await;
    assert_eq!((&first["status"], &second["status"]), (&json!("Succeeded"), &json!("Succeeded")));
    let back = json!({ "pipelineName": name, "stageName": "Deploy", "targetPipelineExecutionId": id(&first) });
    let rollback = world.call("RollbackStage", back).await;
    assert_eq!(world.ended(name, &id(&rollback)).await["status"], "Succeeded");
    assert_eq!(world.page(name).await, "one");
    let inbound = world.stage(name, 1).await["inboundTransitionState"].clone();
    assert_eq!(inbound["enabled"], false);
    let reason = text(&inbound["disabledReason"]);
    assert!(reason.to_lowercase().contains("roll"), "{reason}");

    let version = world.upload(name, release("three")).await;
    let third = world.started_by(name, &version).await;
    waits(&world, name, &third).await;
    assert_eq!(world.page(name).await, "one", "the hold keeps it out");
    world.call("EnableStageTransition", transition(name)).await;
    assert_eq!(world.ended(name, &third).await["status"], "Succeeded");
    assert_eq!(world.page(name).await, "three");
}
