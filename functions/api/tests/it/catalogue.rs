//! What pipelines can be made of.

use domain::{ExecutionStatus, StageReport, StageResult};
use serde_json::{Value, json};

use crate::world::{Bench, Driven, shop};

#[tokio::test]
async fn every_type_that_a_pipeline_may_hold_is_listed() {
    let bench = Bench::new().await;
    let all = bench.ok("ListActionTypes", json!({})).await;
    let types = all["actionTypes"].as_array().unwrap();
    let find = |category: &str, provider: &str| {
        let is = |one: &&Value| one["id"]["category"] == category && one["id"]["provider"] == provider;
        types.iter().find(is).unwrap_or_else(|| panic!("{category} {provider}"))
    };
    let source = find("Source", "S3");
    assert_eq!(source["outputArtifactDetails"], json!({"minimumCount": 1, "maximumCount": 1}));
    let bucket = json!({"name": "S3Bucket", "required": true, "key": true, "secret": false});
    assert!(source["actionConfigurationProperties"].as_array().unwrap().contains(&bucket), "{source}");
    let token = json!({"name": "OAuthToken", "required": true, "key": false, "secret": true});
    assert!(find("Source", "GitHub")["actionConfigurationProperties"].as_array().unwrap().contains(&token));
    let stack = find("Deploy", "CloudFormation");
    assert_eq!(stack["inputArtifactDetails"], json!({"minimumCount": 0, "maximumCount": 10}));
    for (category, provider) in [("Build", "CodeBuild"), ("Test", "CodeBuild"), ("Compute", "Commands")] {
        find(category, provider);
    }
}

#[tokio::test]
async fn types_are_filtered_by_owner_and_region() {
    let bench = Bench::new().await;
    let all = bench.ok("ListActionTypes", json!({"regionFilter": "eu-west-1"})).await;
    let count = |listed: &Value| listed["actionTypes"].as_array().unwrap().len();
    let mut by_owner = 0;
    for owner in ["AWS", "ThirdParty"] {
        let listed = bench.ok("ListActionTypes", json!({"actionOwnerFilter": owner})).await;
        assert!(count(&listed) > 0);
        assert!(listed["actionTypes"].as_array().unwrap().iter().all(|one| one["id"]["owner"] == owner));
        by_owner += count(&listed);
    }
    assert_eq!(by_owner, count(&all));
    for input in [json!({"actionOwnerFilter": "Custom"}), json!({"regionFilter": "us-east-1"})] {
        assert_eq!(bench.ok("ListActionTypes", input).await, json!({"actionTypes": []}));
    }
    let token = json!({"nextToken": "x"});
    bench.refuses("ListActionTypes", &[(token, "InvalidNextTokenException", "token")]).await;
}

#[tokio::test]
async fn every_rule_type_is_listed() {
    let bench = Bench::new().await;
    let all = bench.ok("ListRuleTypes", json!({"ruleOwnerFilter": "AWS", "regionFilter": "eu-west-1"})).await;
    let types = all["ruleTypes"].as_array().unwrap();
    let providers: Vec<_> = types.iter().map(|one| one["id"]["provider"].as_str().unwrap()).collect();
    // CodePipeline's six, and ours.
    let (ours, theirs): (Vec<&str>, Vec<&str>) = providers.into_iter().partition(|one| *one == "MetricDegradation");
    assert_eq!(
        theirs,
        ["CloudWatchAlarm", "CodeBuild", "Commands", "DeploymentWindow", "LambdaInvoke", "VariableCheck"]
    );
    assert_eq!(ours.len(), 1);
    let name = json!({"name": "AlarmName", "required": true, "key": true, "secret": false});
    assert_eq!(types[0]["ruleConfigurationProperties"][0], name);
    assert_eq!(
        types[0]["id"],
        json!({"category": "Rule", "owner": "AWS", "provider": "CloudWatchAlarm", "version": "1"})
    );
    assert_eq!(types[4]["inputArtifactDetails"], json!({"minimumCount": 0, "maximumCount": 5}));
    assert_eq!(bench.ok("ListRuleTypes", json!({"regionFilter": "us-east-1"})).await, json!({"ruleTypes": []}));
    bench.refuses("ListRuleTypes", &[(json!({"ruleOwnerFilter": "Custom"}), "ValidationException", "enum")]).await;
}

#[tokio::test]
async fn an_action_that_is_not_run_fails_when_its_turn_comes_and_says_so() {
    let bench = Bench::new().await;
    let mut pipeline = shop();
    let action = &mut pipeline["stages"][1]["actions"][0];
    action["actionTypeId"] =
        json!({"category": "Build", "owner": "AWS", "provider": "ECRBuildAndPublish", "version": "1"});
    action["configuration"] = json!({"ECRRepositoryName": "shop", "SomethingNew": "kept"});
    let created = bench.ok("CreatePipeline", json!({"pipeline": pipeline})).await;
    assert_eq!(created["pipeline"]["stages"][1]["actions"][0]["configuration"]["SomethingNew"], "kept");
    let execution = bench.newest().await;
    let Driven::Working(report) = bench.drive(execution, None).await else { panic!("it was run") };
    let state = bench.ok("GetPipelineState", json!({"name": "shop"})).await;
    let run = &state["stageStates"][1]["actionStates"][0]["latestExecution"];
    assert_eq!((&run["status"], &run["errorDetails"]["code"]), (&json!("Failed"), &json!("ConfigurationError")));
    let text = run["errorDetails"]["message"].as_str().unwrap();
    assert!(text.contains("Build actions of ECRBuildAndPublish") && text.contains("does not run them yet"), "{text}");
    let report = StageReport { status: StageResult::Failed, ..report };
    assert_eq!(bench.drive(execution, Some(report)).await, Driven::Ended(ExecutionStatus::Failed));
}
