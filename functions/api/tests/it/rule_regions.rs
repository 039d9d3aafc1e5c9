//! Rules that name another region than the pipeline's.

use contract::ConditionOutput;
use domain::ConditionKind::BeforeEntry;
use engine::HasMachines;
use serde_json::{Value, json};

use crate::{
    conditions::{alarm_rule, condition, create, gated, rule_executions},
    rules::{asked, function, window},
    world::{Bench, REGION},
};

const THERE: &str = "eu-central-1";

fn in_region(mut rule: Value) -> Value {
    rule["region"] = json!(THERE);
    rule
}

/// A function of the other region that reads nothing.
fn function_there() -> Value {
    let mut rule = in_region(function());
    rule["inputArtifacts"] = json!([]);
    rule
}

fn build_there() -> Value {
    in_region(json!({
        "name": "verify", "configuration": {"ProjectName": "verify"},
        "ruleTypeId": {"category": "Rule", "owner": "AWS", "provider": "CodeBuild", "version": "1"},
    }))
}

#[tokio::test]
async fn a_function_is_asked_in_the_region_of_its_rule_and_so_is_its_continuation() {
    let bench = Bench::new().await;
    let prod = create(&bench, &gated("FAIL", json!([function_there()]))).await;
    assert!(matches!(prod.wait(&bench, BeforeEntry, "wait").await, ConditionOutput::Wait { .. }));
    let job = asked(&bench)[0]["id"].clone();
    bench.ok("PutJobSuccessResult", json!({"jobId": job, "continuationToken": "half done"})).await;
    let regions = bench.invoked.2.lock().unwrap().clone();
    assert_eq!(regions, [Some(THERE.to_owned()), Some(THERE.to_owned())]);
    let run = rule_executions(&bench, json!({"pipelineName": "shop"})).await.remove(0);
    assert_eq!(run["input"]["region"], THERE);
}

#[tokio::test]
async fn a_region_that_is_the_pipelines_own_is_no_other() {
    let bench = Bench::new().await;
    let mut here = function();
    here["region"] = json!(REGION);
    let prod = create(&bench, &gated("FAIL", json!([here]))).await;
    assert!(matches!(prod.wait(&bench, BeforeEntry, "wait").await, ConditionOutput::Wait { .. }));
    assert_eq!(*bench.invoked.2.lock().unwrap(), [None]);
}

#[tokio::test]
async fn what_cannot_be_asked_or_read_there_leaves_the_gate_shut_with_the_reason() {
    for (rule, word) in
        [(build_there(), "CodeBuild is reached by Step Functions"), (in_region(function()), "'App' is in")]
    {
        let bench = Bench::new().await;
        let prod = create(&bench, &gated("FAIL", json!([rule]))).await;
        assert_eq!(prod.wait(&bench, BeforeEntry, "wait").await, ConditionOutput::Fail);
        let seen = condition(&bench, "beforeEntryConditionState").await;
        assert_eq!(seen["latestExecution"]["status"], "Errored", "{seen}");
        let error = &seen["conditionStates"][0]["ruleStates"][0]["latestExecution"]["errorDetails"];
        assert_eq!(error["code"], "ConfigurationError");
        assert!(error["message"].as_str().unwrap().contains(word), "{error}");
        assert_eq!((asked(&bench).len(), bench.world.machines().actions.lock().unwrap().len()), (0, 0));
    }
}

#[tokio::test]
async fn what_a_region_means_to_each_rule_is_told_beforehand() {
    let bench = Bench::new().await;
    let mut alarm = alarm_rule("errors");
    alarm["region"] = json!(THERE);
    let rules = json!([function_there(), build_there(), alarm, in_region(window())]);
    let report = bench.ok("ReportCompatibility", json!({"pipeline": gated("FAIL", rules)})).await;
    let findings = report["findings"].as_array().unwrap().iter();
    let told: Vec<(&str, &str)> = findings
        .filter_map(|finding| {
            let path = finding["path"].as_str().unwrap().strip_suffix(".member.region")?;
            Some((path.rsplit('.').next().unwrap(), finding["severity"].as_str().unwrap()))
        })
        .collect();
    assert_eq!(told, [("1", "DIFFERENT"), ("2", "UNSUPPORTED"), ("4", "IGNORED")], "{report}");
}
