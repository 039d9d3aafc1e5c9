//! What was decided about going back, and why.

use contract::FailureInput;
use domain::{AlarmChange, AlarmState, ExecutionId, Generation, Watch};
use engine::{
    HasBasics, HasStore,
    ports::{Precondition, Row, Store, Write},
};
use serde_json::{Value, json};

use crate::world::{ANA, Bench, Driven, NOBODY, id, shop, shop_name};

const ALARM: &str = "arn:aws:cloudwatch:eu-west-1:111122223333:alarm:errors";

async fn decisions(bench: &Bench, filter: Value) -> Vec<Value> {
    let mut input = json!({"pipelineName": "shop"});
    input.as_object_mut().unwrap().extend(filter.as_object().unwrap().clone());
    bench.ok("ListRollbackDecisions", input).await["decisions"].as_array().unwrap().clone()
}

/// A pipeline that goes back by itself when Prod fails.
async fn automatic() -> Bench {
    let bench = Bench::new().await;
    let mut pipeline = shop();
    pipeline["stages"][1]["onFailure"] = json!({"result": "ROLLBACK"});
    bench.ok("CreatePipeline", json!({"pipeline": pipeline})).await;
    bench
}

/// Has the stage Prod fail in `execution`, and settles that.
async fn fail(bench: &Bench, execution: ExecutionId) {
    let Driven::Working(report) = bench.drive(execution, None).await else { panic!("no job is out") };
    let details = json!({"type": "JobFailed", "message": "The page is blank."});
    bench.ok("PutJobFailureResult", json!({"jobId": bench.job().await, "failureDetails": details})).await;
    let input = FailureInput {
        pipeline: shop_name(),
        execution_id: execution,
        stage: report.stage,
        generation: report.generation,
        attempt: 1,
        evaluated: Some(false),
        condition: None,
    };
    engine::evaluate_failure(&bench.world, &input).await.unwrap();
}

/// The alarm turns red for `execution`, which is watched.
pub(crate) async fn turn_red(bench: &Bench, execution: ExecutionId) {
    let now = bench.world.now();
    let watch = Watch {
        alarm_arn: ALARM.to_owned(),
        pipeline: shop_name(),
        stage: "Prod".parse().unwrap(),
        execution,
        rule: "errors".to_owned(),
        from: now,
        until: now + jiff::SignedDuration::from_mins(10),
        data_points: None,
        metrics: None,
        state_at_entry: AlarmState::Ok,
        purpose: domain::WatchPurpose::Deploy,
        shadow: false,
        told: false,
        inherited: Vec::new(),
        generation: Generation(1),
        version: 0,
    };
    bench.world.store().commit(vec![Write::Put(Row::Watch(watch), Precondition::None)]).await.unwrap();
    let since = bench.world.now();
    let alarm = AlarmChange { arn: ALARM.to_owned(), state: AlarmState::Alarm, since, reason: "12 errors".to_owned() };
    let mut judged = Vec::new();
    engine::alarm_changed(&bench.world, &alarm, &mut judged).await.unwrap();
    assert_eq!(judged.len(), 1);
}

#[tokio::test]
async fn a_persons_decision_names_the_person() {
    let (bench, good) = Bench::with_release().await;
    let newer = bench.start().await;
    bench.pass(newer).await;
    let rollback = json!({"pipelineName": "shop", "stageName": "Prod", "targetPipelineExecutionId": good});
    let back = &bench.ok("RollbackStage", rollback).await["pipelineExecutionId"];
    let [decided] = &decisions(&bench, json!({})).await[..] else { panic!("one decision") };
    assert!(decided["decidedAt"].is_f64(), "{decided}");
    let expected = json!({
        "decisionId": decided["decisionId"], "decidedAt": decided["decidedAt"], "stageName": "Prod",
        "outcome": "RollbackStarted", "cause": "Person",
        "decidedBy": ANA, "undonePipelineExecutionId": newer, "targetPipelineExecutionId": good,
        "rollbackPipelineExecutionId": back,
    });
    assert_eq!(*decided, expected);
}

#[tokio::test]
async fn a_failed_stage_goes_back_or_says_why_not() {
    let bench = automatic().await;
    let first = bench.newest().await;
    fail(&bench, first).await;
    let [declined] = &decisions(&bench, json!({})).await[..] else { panic!("one decision") };
    assert_eq!((&declined["outcome"], &declined["cause"]), (&json!("RollbackDeclined"), &json!("StageFailed")));
    assert!(declined["reason"].as_str().unwrap().contains("no earlier execution succeeded"), "{declined}");
    assert_eq!(id(&declined["undonePipelineExecutionId"]), first);
    assert!(declined.get("rollbackPipelineExecutionId").is_none(), "{declined}");

    let good = bench.start().await;
    bench.pass(good).await;
    let bad = bench.start().await;
    fail(&bench, bad).await;
    let newest = decisions(&bench, json!({"maxResults": 1})).await.remove(0);
    assert_eq!((&newest["outcome"], &newest["cause"]), (&json!("RollbackStarted"), &json!("StageFailed")));
    assert_eq!((id(&newest["undonePipelineExecutionId"]), id(&newest["targetPipelineExecutionId"])), (bad, good));
    assert!(newest.get("decidedBy").is_none(), "nobody asked: {newest}");

    // A rollback that fails does not roll back, and that is a decision as well.
    let back = id(&newest["rollbackPipelineExecutionId"]);
    fail(&bench, back).await;
    let newest = decisions(&bench, json!({})).await.remove(0);
    assert_eq!((&newest["outcome"], id(&newest["undonePipelineExecutionId"])), (&json!("RollbackDeclined"), back));
    assert!(newest["reason"].as_str().unwrap().contains("by itself"), "{newest}");
}

#[tokio::test]
async fn an_alarms_decision_carries_its_evidence() {
    let (bench, only) = Bench::with_release().await;
    turn_red(&bench, only).await;
    let newer = bench.start().await;
    bench.pass(newer).await;
    turn_red(&bench, newer).await;
    let [started, declined] = &decisions(&bench, json!({})).await[..] else { panic!("two decisions") };
    for (decided, undone) in [(started, newer), (declined, only)] {
        assert_eq!((&decided["cause"], &decided["alarmArn"]), (&json!("Alarm"), &json!(ALARM)));
        let evidence = &decided["evidence"];
        assert_eq!((&evidence["verdict"], &evidence["alarmState"]), (&json!("Degraded"), &json!("ALARM")));
        assert_eq!((&evidence["alarmReason"], &evidence["alarmStateAtEntry"]), (&json!("12 errors"), &json!("OK")));
        assert_eq!(id(&evidence["pipelineExecutionId"]), undone);
        assert!(evidence["watchedFrom"].as_f64() < evidence["watchedUntil"].as_f64(), "{evidence}");
        assert_eq!(id(&decided["undonePipelineExecutionId"]), undone);
    }
    assert_eq!((&started["outcome"], &started["reason"]), (&json!("RollbackStarted"), &json!("12 errors")));
    assert_eq!(declined["outcome"], "RollbackDeclined");
    let holds = bench.ok("ListHolds", json!({"pipelineName": "shop"})).await["holds"].clone();
    assert_eq!((&holds[0]["cause"], &holds[0]["alarmArn"]), (&json!("Alarm"), &json!(ALARM)));
}

#[tokio::test]
async fn decisions_are_found_by_stage_and_execution_page_by_page() {
    let bench = automatic().await;
    let good = bench.newest().await;
    bench.pass(good).await;
    let mut undone = Vec::new();
    for _ in 0..3 {
        let bad = bench.start().await;
        fail(&bench, bad).await;
        let back = id(&decisions(&bench, json!({"maxResults": 1})).await[0]["rollbackPipelineExecutionId"]);
        bench.pass(back).await;
        undone.push((bad, back));
    }
    let mut input = json!({"pipelineName": "shop", "stageName": "Prod", "maxResults": 2});
    let page = bench.ok("ListRollbackDecisions", input.clone()).await;
    let told = |page: &Value| {
        let decisions = page["decisions"].as_array().unwrap().iter();
        decisions.map(|one| id(&one["undonePipelineExecutionId"])).collect::<Vec<_>>()
    };
    assert_eq!(told(&page), [undone[2].0, undone[1].0]);
    input["nextToken"] = page["nextToken"].clone();
    let page = bench.ok("ListRollbackDecisions", input).await;
    assert_eq!((told(&page), page.get("nextToken")), (vec![undone[0].0], None));
    for of in [undone[1].0, undone[1].1] {
        let found = decisions(&bench, json!({"pipelineExecutionId": of})).await;
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(id(&found[0]["rollbackPipelineExecutionId"]), undone[1].1);
    }
    assert!(decisions(&bench, json!({"pipelineExecutionId": good})).await.is_empty());
    assert!(decisions(&bench, json!({"stageName": "Source"})).await.is_empty());
    let with = |member: &str, value: &str| json!({"pipelineName": "shop", member: value});
    bench
        .refuses(
            "ListRollbackDecisions",
            &[
                (json!({"pipelineName": "blog"}), "PipelineNotFoundException", "'blog'"),
                (with("stageName", "Moon"), "StageNotFoundException", "'Moon'"),
                (with("pipelineExecutionId", NOBODY), "PipelineExecutionNotFoundException", NOBODY),
                (with("pipelineExecutionId", "x"), "ValidationException", "pipelineExecutionId"),
                (with("nextToken", "x"), "InvalidNextTokenException", "token"),
            ],
        )
        .await;
}
