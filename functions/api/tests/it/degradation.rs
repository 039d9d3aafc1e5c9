//! Metrics that are judged instead of an alarm: after a stage was left, and before.

use std::sync::{Arc, atomic::Ordering::SeqCst};

use contract::ConditionOutput;
use domain::{ConditionKind, ExecutionId};
use engine::HasBasics;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::{
    cloud::SteadyClock,
    conditions::{Prod, answered, condition, settle},
    world::{Bench, shop},
};

fn metric_rule(more: &Value) -> Value {
    let mut rule = json!({
        "name": "judge",
        "ruleTypeId": {"category": "Rule", "owner": "AWS", "provider": "MetricDegradation", "version": "1"},
        "configuration": {"Metrics": "emf:Shop:Latency", "WaitTime": "30"},
    });
    rule["configuration"].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    rule
}

fn judged(more: &Value) -> Value {
    let mut pipeline = shop();
    pipeline["stages"][1]["onSuccess"] = json!({"conditions": [{"result": "ROLLBACK", "rules": [metric_rule(more)]}]});
    pipeline
}

/// A bench whose pipeline has such a rule after Prod, and whose first execution was driven by nobody so far.
async fn created(more: &Value) -> (Bench, Arc<SteadyClock>) {
    let clock = Arc::new(SteadyClock::new());
    let bench = Bench::with_clock(Arc::clone(&clock)).await;
    bench.ok("CreatePipeline", json!({"pipeline": judged(more)})).await;
    (bench, clock)
}

/// The latency by minute: about 100, from `worse` until `mended` twice that.
fn latency(bench: &Bench, worse: Option<Timestamp>, mended: Option<Timestamp>) {
    let now = bench.world.now().as_second() / 60;
    let within = |second: i64| {
        let is = |at: Option<Timestamp>| at.is_some_and(|at| at.as_second() <= second);
        is(worse) && !is(mended)
    };
    let value = |minute: i64| 100.0 + (minute * 7 % 5) as f64 + if within(minute * 60) { 110.0 } else { 0.0 };
    let points = (now - 300..now + 300).map(|minute| (minute * 60, value(minute))).collect();
    bench.alarms.metrics.lock().unwrap().insert("eu-west-1 Latency".to_owned(), points);
}

/// Minute after minute, until the judge says something; at most so many.
async fn minutes(bench: &Bench, clock: &SteadyClock, most: usize) -> Vec<engine::Judged> {
    for _ in 0..most {
        clock.pass(SignedDuration::from_secs(60));
        let judged = bench.reconcile().await.judged;
        if judged.iter().any(|one| one.evidence.verdict == domain::Verdict::Degraded) {
            return judged;
        }
    }
    Vec::new()
}

async fn watch(bench: &Bench) -> (String, String) {
    let state = bench.ok("GetPipelineState", json!({"name": "shop"})).await;
    let rule = &state["stageStates"][1]["onSuccessConditionState"]["conditionStates"][0]["ruleStates"][0];
    let text = |member: &str| rule["latestExecution"][member].as_str().unwrap_or_default().to_owned();
    (text("status"), text("summary"))
}

async fn decision(bench: &Bench, outcome: &str) -> Value {
    let all = bench.ok("ListRollbackDecisions", json!({"pipelineName": "shop"})).await;
    let mut found = all["decisions"].as_array().unwrap().iter().filter(|one| one["outcome"] == outcome);
    found.next().cloned().unwrap_or_else(|| panic!("no {outcome}: {all}"))
}

async fn two_releases(more: &Value) -> (Bench, Arc<SteadyClock>, ExecutionId, ExecutionId) {
    let (bench, clock) = created(more).await;
    latency(&bench, None, None);
    let good = bench.newest().await;
    bench.pass(good).await;
    assert!(minutes(&bench, &clock, 40).await.is_empty(), "nothing is worse");
    let bad = bench.start().await;
    bench.pass(bad).await;
    (bench, clock, good, bad)
}

#[tokio::test]
async fn a_deploy_that_makes_metrics_worse_is_taken_back_and_that_helps() {
    let (bench, clock, good, bad) = two_releases(&json!({"Watch": "true"})).await;
    let (status, summary) = watch(&bench).await;
    assert!(
        status == "InProgress" && summary.contains("Metrics emf/Shop/Latency are judged until"),
        "{status}: {summary}"
    );
    latency(&bench, Some(bench.world.now()), None);
    let judged = minutes(&bench, &clock, 10).await;
    let [one] = judged.as_slice() else { panic!("{judged:?}") };
    let rollback = one.rollback.unwrap();
    assert_eq!(one.evidence.execution, bad);

    let decided = decision(&bench, "RollbackStarted").await;
    assert_eq!(decided["targetPipelineExecutionId"], json!(good));
    let evidence = &decided["evidence"];
    assert!(evidence["alarmArn"].as_str().unwrap().contains(":metrics:emf/Shop/Latency/"), "{evidence}");
    assert_eq!(evidence["verdict"], "Degraded");
    assert!(evidence["reason"].as_str().unwrap().contains("Latency"), "{evidence}");
    let replay = json!({"pipelineName": "shop", "stageName": "Prod", "decisionId": decided["decisionId"]});
    let replayed = bench.ok("ReplayDecision", replay).await;
    assert_eq!(replayed["identical"], true);
    assert!(replayed["stored"].as_str().unwrap().contains("\"sighted\""), "everything it rests on is there");

    bench.pass(rollback).await;
    latency(&bench, Some(bench.world.now() - SignedDuration::from_mins(5)), Some(bench.world.now()));
    assert!(minutes(&bench, &clock, 10).await.is_empty());
    let helped = decision(&bench, "RollbackHelped").await;
    assert_eq!(helped["rollbackPipelineExecutionId"], json!(rollback));
    let incidents = bench.ok("ListIncidents", json!({})).await;
    assert_eq!(incidents["incidents"], json!([]), "it is over");
}

#[tokio::test]
async fn a_rollback_after_which_metrics_stay_bad_did_not_help() {
    let (bench, clock, ..) = two_releases(&json!({"Watch": "true", "WaitTime": "15"})).await;
    latency(&bench, Some(bench.world.now()), None);
    let rollback = minutes(&bench, &clock, 10).await[0].rollback.unwrap();
    bench.pass(rollback).await;
    minutes(&bench, &clock, 20).await;
    assert_eq!(decision(&bench, "RollbackDidNotHelp").await["rollbackPipelineExecutionId"], json!(rollback));
}

#[tokio::test]
async fn in_shadow_mode_it_is_only_told() {
    let (bench, clock, good, bad) = two_releases(&json!({"Watch": "true", "Shadow": "true"})).await;
    latency(&bench, Some(bench.world.now()), None);
    let judged = minutes(&bench, &clock, 10).await;
    assert!(judged.iter().all(|one| one.rollback.is_none()), "{judged:?}");
    let told = decision(&bench, "RollbackShadowed").await;
    assert_eq!((&told["undonePipelineExecutionId"], &told["targetPipelineExecutionId"]), (&json!(bad), &json!(good)));
    minutes(&bench, &clock, 40).await;
    decision(&bench, "ShadowConfirmed").await;
    assert_eq!(bench.newest().await, bad, "nothing was started");
}

#[tokio::test]
async fn looks_ask_for_what_they_need_and_no_more() {
    let (bench, clock, ..) = two_releases(&json!({"Watch": "true"})).await;
    let before = bench.alarms.asked.load(SeqCst);
    minutes(&bench, &clock, 10).await;
    assert_eq!(bench.alarms.asked.load(SeqCst) - before, 10, "one metric, once a minute");
    minutes(&bench, &clock, 60).await;
    let all = bench.alarms.asked.load(SeqCst) - before;
    assert!(all < 40, "nothing is asked when the watch is over: {all}");
    let (status, _) = watch(&bench).await;
    assert_eq!(status, "Succeeded");
}

/// CloudWatch counts periods from the start of what it is asked for, and who deploys does not look at the clock.
#[tokio::test]
async fn points_of_long_periods_are_found_where_cloudwatch_counts_them() {
    let (bench, clock, _, bad) = two_releases(&json!({"Watch": "true", "Period": "300", "Baseline": "60"})).await;
    latency(&bench, Some(bench.world.now()), None);
    let judged = minutes(&bench, &clock, 35).await;
    let [one] = judged.as_slice() else { panic!("{judged:?}") };
    assert_eq!(one.evidence.execution, bad);
    let seen = one.evidence.sighted().unwrap();
    let known = seen.evidence.metrics[0].new.before.iter().flatten().count();
    assert_eq!((seen.period_seconds, known), (300, 12));
}

/// Rules that look at the same tick are read together where they have the same period, and each since when it needs it.
#[tokio::test]
async fn each_period_is_a_request_of_its_own() {
    let clock = Arc::new(SteadyClock::new());
    let bench = Bench::with_clock(Arc::clone(&clock)).await;
    let mut pipeline = judged(&json!({"Watch": "true"}));
    let rules = pipeline["stages"][1]["onSuccess"]["conditions"][0]["rules"].as_array_mut().unwrap();
    let mut long = metric_rule(&json!({"Watch": "true", "Period": "300"}));
    long["name"] = json!("long");
    let mut same = metric_rule(&json!({"Watch": "true", "WaitTime": "20"}));
    same["name"] = json!("same");
    rules.extend([long, same]);
    bench.ok("CreatePipeline", json!({"pipeline": pipeline})).await;
    latency(&bench, None, None);
    let release = bench.newest().await;
    bench.pass(release).await;
    let before = bench.alarms.requests.lock().unwrap().len();
    clock.pass(SignedDuration::from_secs(60));
    bench.reconcile().await;
    let requests = bench.alarms.requests.lock().unwrap()[before..].to_vec();
    let [(short, 1, since), (long, 1, since_long)] = requests[..] else { panic!("{requests:?}") };
    assert_eq!((short, long), (60, 300));
    assert_eq!((since.as_second() % 60, since_long.as_second() % 300), (0, 0));
    assert!(since > since_long, "it asks for no more than it needs");
}

#[tokio::test]
async fn a_watch_that_could_say_nothing_says_so() {
    let (bench, clock) = created(&json!({"Watch": "true"})).await;
    let first = bench.newest().await;
    bench.pass(first).await;
    minutes(&bench, &clock, 40).await;
    let (status, summary) = watch(&bench).await;
    assert!(status == "Succeeded" && summary.contains("and could not be: too little is known"), "{status}: {summary}");

    bench.alarms.denied.store(true, SeqCst);
    let second = bench.start().await;
    bench.pass(second).await;
    minutes(&bench, &clock, 40).await;
    let (_, summary) = watch(&bench).await;
    assert!(summary.contains("and could not be: the metrics may not be read: "), "{summary}");

    bench.alarms.denied.store(false, SeqCst);
    latency(&bench, None, None);
    let third = bench.start().await;
    bench.pass(third).await;
    minutes(&bench, &clock, 40).await;
    let (_, summary) = watch(&bench).await;
    assert!(summary.contains("were judged until") && !summary.contains("could not"), "{summary}");
}

/// Up to the condition that holds the stage.
async fn held(more: &Value) -> (Bench, Arc<SteadyClock>, Prod) {
    let (bench, clock) = created(more).await;
    latency(&bench, None, None);
    let prod = Prod::enter(&bench, bench.newest().await).await;
    let answer = prod.wait(&bench, ConditionKind::OnSuccess, "bake").await;
    let ConditionOutput::Wait { seconds, .. } = answer else { panic!("{answer:?}") };
    // The last minute is known a minute later.
    assert!((1800..=1860).contains(&seconds), "{seconds}");
    (bench, clock, prod)
}

#[tokio::test]
async fn a_stage_that_waits_for_the_judge_goes_on_when_nothing_got_worse() {
    let (bench, clock, prod) = held(&json!({})).await;
    minutes(&bench, &clock, 20).await;
    assert_eq!(answered(&bench, "bake"), None);
    clock.pass(SignedDuration::from_mins(12));
    assert_eq!(prod.ask(&bench, ConditionKind::OnSuccess).await, ConditionOutput::Proceed);
}

#[tokio::test]
async fn a_stage_that_waits_for_the_judge_fails_as_soon_as_it_knows() {
    let (bench, clock, prod) = held(&json!({})).await;
    latency(&bench, Some(bench.world.now()), None);
    for _ in 0..6 {
        clock.pass(SignedDuration::from_secs(60));
        bench.reconcile().await;
    }
    assert_eq!(answered(&bench, "bake"), Some(json!({"next": "Fail"})));
    let state = condition(&bench, "onSuccessConditionState").await;
    assert_eq!(state["latestExecution"]["status"], "Failed", "{state}");
    settle(&bench, &prod, ConditionKind::OnSuccess).await;
    // It is the first release: there is nothing to go back to. What the judge saw is kept all the same.
    let declined = decision(&bench, "RollbackDeclined").await;
    assert_eq!((&declined["cause"], &declined["evidence"]["verdict"]), (&json!("StageFailed"), &json!("Degraded")));
    let replay = json!({"pipelineName": "shop", "stageName": "Prod", "decisionId": declined["decisionId"]});
    assert_eq!(bench.ok("ReplayDecision", replay).await["identical"], true);
}

#[tokio::test]
async fn too_little_data_passes_or_fails_as_the_rule_says_and_says_so() {
    for (setting, expected) in [("Succeed", ConditionOutput::Proceed), ("Fail", ConditionOutput::Fail)] {
        let (bench, clock, prod) = held(&json!({"TooLittleData": setting})).await;
        bench.alarms.metrics.lock().unwrap().clear();
        clock.pass(SignedDuration::from_mins(33));
        assert_eq!(prod.ask(&bench, ConditionKind::OnSuccess).await, expected);
        let rules = json!({"pipelineName": "shop", "filter": {"pipelineExecutionId": prod.execution}});
        let rules = bench.ok("ListRuleExecutions", rules).await;
        let summary =
            rules["ruleExecutionDetails"][0]["output"]["executionResult"]["externalExecutionSummary"].to_string();
        assert!(summary.contains("Not enough data"), "{rules}");
    }
}

#[tokio::test]
async fn metrics_that_may_not_be_read_are_no_verdict() {
    let (bench, clock, prod) = held(&json!({})).await;
    bench.alarms.denied.store(true, SeqCst);
    clock.pass(SignedDuration::from_mins(2));
    assert_eq!(prod.ask(&bench, ConditionKind::OnSuccess).await, ConditionOutput::Fail);
    let state = condition(&bench, "onSuccessConditionState").await;
    assert_eq!(state["conditionStates"][0]["latestExecution"]["status"], "Errored", "{state}");
    assert!(state.to_string().contains("may not be read"), "{state}");
}

#[tokio::test]
async fn a_rule_that_cannot_be_judged_is_refused_when_the_pipeline_is_stored() {
    let bench = Bench::new().await;
    let refused = [
        (json!({"Metrics": "rds:orders"}), "unknown preset 'rds:orders'"),
        (json!({"Watch": "true", "TooLittleData": "Fail"}), "has Watch and TooLittleData"),
        (json!({"Shadow": "true"}), "has Shadow without Watch"),
        (json!({"AlarmName": "errors"}), "contains unknown configuration 'AlarmName'"),
        (json!({"Watch": "true", "Metrics": "lambda:#{variables.Color}"}), "a reference in 'Metrics'"),
        (json!({"ControlRegion": "eu-west-1"}), "compares 'Latency' with itself"),
        (json!({"Period": "3600"}), "has a WaitTime of 0 points"),
    ];
    for (more, words) in refused {
        let pipeline = json!({"pipeline": judged(&more)});
        bench.refuses("CreatePipeline", &[(pipeline, "InvalidStageDeclarationException", words)]).await;
    }
    let mut entry = shop();
    entry["stages"][1]["beforeEntry"] = json!({"conditions": [{"result": "FAIL", "rules": [metric_rule(&json!({}))]}]});
    let entry = json!({"pipeline": entry});
    bench.refuses("CreatePipeline", &[(entry, "InvalidStageDeclarationException", "Use it in onSuccess")]).await;
}
