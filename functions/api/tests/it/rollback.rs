//! Going back by hand.

use domain::{ExecutionId, ExecutionStatus, StageReport, StageResult};
use engine::{
    HasStore,
    ports::{Precondition, Row, Store, Write},
};
use serde_json::{Value, json};

use crate::world::{ANA, Bench, Driven, NOBODY, id, shop, shop_name};

fn rollback(stage: &str, target: impl ToString) -> Value {
    json!({"pipelineName": "shop", "stageName": stage, "targetPipelineExecutionId": target.to_string()})
}

#[tokio::test]
async fn a_stage_goes_back_to_what_succeeded_in_it() {
    let (bench, good) = Bench::with_release().await;
    bench.objects.store("uploads", "app.zip", "release 2");
    let newer = bench.start().await;
    bench.pass(newer).await;

    let back = id(&bench.ok("RollbackStage", rollback("Prod", good)).await["pipelineExecutionId"]);
    assert!(![good, newer].contains(&back));
    let get = json!({"pipelineName": "shop", "pipelineExecutionId": back});
    let shown = bench.ok("GetPipelineExecution", get).await["pipelineExecution"].clone();
    assert_eq!(shown["executionType"], "ROLLBACK");
    assert_eq!(shown["rollbackMetadata"], json!({"rollbackTargetPipelineExecutionId": good}));
    assert_eq!(shown["trigger"], json!({"triggerType": "ManualRollback", "triggerDetail": ANA}));
    assert_eq!(shown["artifactRevisions"][0]["revisionId"], "v1");

    bench.refuses("RollbackStage", &[(rollback("Prod", good), "ConflictException", "already")]).await;
    bench.pass(back).await;
    let event = bench.invoked.0.lock().unwrap().last().unwrap()["CodePipeline.job"]["data"].clone();
    assert_eq!(event["actionConfiguration"]["configuration"]["UserParameters"], "green v1");

    let candidates = json!({"pipelineName": "shop", "stageName": "Prod"});
    let listed = bench.ok("ListRollbackCandidates", candidates).await["candidates"].clone();
    let told: Vec<_> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (id(&one["pipelineExecutionId"]), one["eligible"] == true, one["revoked"] == true))
        .collect();
    assert_eq!(told, [(back, false, false), (newer, true, true), (good, true, false)]);
    assert_eq!(
        listed[0]["reasons"],
        json!([format!("It is itself a rollback; choose the execution it brought back, {good}.")])
    );
    assert_eq!(listed[2]["status"], "Succeeded");
    assert!(listed[2]["succeededAt"].as_f64() > listed[2]["startTime"].as_f64(), "{listed}");
    assert_eq!(listed[2]["sourceRevisions"][0]["revisionId"], "v1");
}

#[tokio::test]
async fn what_a_stage_cannot_go_back_to_is_refused_by_name() {
    let (bench, good) = Bench::with_release().await;
    let bad = bench.start().await;
    bench.fail(bad).await;
    let back = id(&bench.ok("RollbackStage", rollback("Prod", good)).await["pipelineExecutionId"]);
    bench.pass(back).await;
    let elsewhere = json!({"pipelineName": "blog", "stageName": "Prod", "targetPipelineExecutionId": good});
    bench
        .refuses(
            "RollbackStage",
            &[
                (elsewhere, "PipelineNotFoundException", "'blog'"),
                (rollback("Moon", good), "StageNotFoundException", "'Moon'"),
                (rollback("Prod", NOBODY), "PipelineExecutionNotFoundException", NOBODY),
                (rollback("Source", good), "UnableToRollbackStageException", "Source stage cannot"),
                (rollback("Prod", bad), "UnableToRollbackStageException", "did not succeed"),
                (rollback("Prod", back), "UnableToRollbackStageException", "itself a rollback"),
                (rollback("Prod", "x"), "ValidationException", "targetPipelineExecutionId"),
            ],
        )
        .await;
    bench.objects.lose("artifacts");
    bench.refuses("RollbackStage", &[(rollback("Prod", good), "UnableToRollbackStageException", "gone")]).await;
}

#[tokio::test]
async fn a_stage_that_was_skipped_last_goes_back_only_by_force() {
    let (bench, good) = Bench::with_release().await;
    let newer = bench.start().await;
    let Driven::Working(report) = bench.drive(newer, None).await else { panic!("no job is out") };
    bench.ok("PutJobSuccessResult", json!({"jobId": bench.job().await})).await;
    let skipped = StageReport { status: StageResult::Skipped, ..report };
    assert_eq!(bench.drive(newer, Some(skipped)).await, Driven::Ended(ExecutionStatus::Succeeded));

    let text = format!("skipped by the latest execution, {newer}");
    bench.refuses("RollbackStage", &[(rollback("Prod", good), "UnableToRollbackStageException", text.as_str())]).await;
    let mut forced = rollback("Prod", good);
    forced["force"] = json!(true);
    for (input, eligible) in [(rollback("Prod", good), false), (forced.clone(), true)] {
        let previewed = bench.ok("PreviewRollback", input).await;
        assert_eq!(previewed["eligible"], eligible, "{previewed}");
        assert_eq!(previewed["reasons"].to_string().contains(&text), !eligible, "{previewed}");
    }
    // The list says the same on each of its pages.
    let mut input = json!({"pipelineName": "shop", "stageName": "Prod", "maxResults": 1});
    for execution in [newer, good] {
        let page = bench.ok("ListRollbackCandidates", input.clone()).await;
        assert_eq!(id(&page["candidates"][0]["pipelineExecutionId"]), execution);
        assert!(page["candidates"][0]["reasons"][0].as_str().unwrap().contains(&text), "{page}");
        input["nextToken"] = page["nextToken"].clone();
    }
    forced["reason"] = json!("What is live is wrong.");
    let back = id(&bench.ok("StartRollback", forced).await["pipelineExecutionId"]);
    bench.pass(back).await;
    // The stage succeeded last: it can go back by any means.
    bench.ok("RollbackStage", rollback("Prod", good)).await;
}

#[tokio::test]
async fn a_changed_stage_makes_its_successes_outdated() {
    let (bench, good) = Bench::with_release().await;
    let mut changed = shop();
    changed["stages"][1]["actions"][0]["configuration"]["UserParameters"] = json!("other");
    bench.ok("UpdatePipeline", json!({"pipeline": changed})).await;
    bench.refuses("RollbackStage", &[(rollback("Prod", good), "PipelineExecutionOutdatedException", "changed")]).await;
    // An edit elsewhere does not matter.
    bench.ok("UpdatePipeline", json!({"pipeline": shop()})).await;
    let back = id(&bench.ok("RollbackStage", rollback("Prod", good)).await["pipelineExecutionId"]);
    assert!(matches!(bench.drive(back, None).await, Driven::Working(_)));
}

#[tokio::test]
async fn an_edit_that_matters_is_named_and_a_person_may_go_back_all_the_same() {
    let (bench, good) = Bench::with_release().await;
    let mut changed = shop();
    changed["stages"][1]["actions"][0]["configuration"]["UserParameters"] = json!("other");
    changed["stages"][1]["actions"][0]["runOrder"] = json!(7);
    bench.ok("UpdatePipeline", json!({"pipeline": changed})).await;
    let named = "Changed: Check.configuration.UserParameters, Check.runOrder.";
    bench.refuses("RollbackStage", &[(rollback("Prod", good), "PipelineExecutionOutdatedException", named)]).await;
    let stage = json!({"pipelineName": "shop", "stageName": "Prod"});
    let listed = bench.ok("ListRollbackCandidates", stage.clone()).await["candidates"].clone();
    let of_good = listed.as_array().unwrap().iter().find(|one| one["pipelineExecutionId"] == good.to_string()).unwrap();
    assert!(of_good["reasons"][0].as_str().unwrap().ends_with(named), "{of_good}");
    let previewed = bench.ok("PreviewRollback", rollback("Prod", good)).await;
    assert!(previewed["reasons"][0].as_str().unwrap().ends_with(named), "{previewed}");
    let with = |reason: &str, force: Option<bool>| {
        let mut input = rollback("Prod", good);
        input["reason"] = json!(reason);
        if let Some(force) = force {
            input["force"] = json!(force);
        }
        input
    };
    let outdated = "PipelineExecutionOutdatedException";
    bench
        .refuses(
            "StartRollback",
            &[
                (with("Prices are wrong.", None), outdated, named),
                (with("Prices are wrong.", Some(false)), outdated, named),
                (with("", Some(true)), "ValidationException", "reason"),
                (rollback("Prod", good), "ValidationException", "reason"),
            ],
        )
        .await;
    let mut forced = rollback("Prod", good);
    forced["force"] = json!(true);
    assert_eq!(bench.ok("PreviewRollback", forced).await["eligible"], true);
    let back = id(&bench.ok("StartRollback", with("Prices are wrong.", Some(true))).await["pipelineExecutionId"]);
    let decided = bench.ok("ListRollbackDecisions", stage).await["decisions"][0].clone();
    assert_eq!(decided["rollbackPipelineExecutionId"], back.to_string());
    assert_eq!((&decided["reason"], &decided["forced"]), (&json!("Prices are wrong."), &json!(true)));
    assert_eq!((&decided["cause"], &decided["decidedBy"]), (&json!("Person"), &json!(ANA)));
    bench.pass(back).await;
}

#[tokio::test]
async fn candidates_are_two_requests_however_long_the_history() {
    let (bench, first) = Bench::with_release().await;
    let row = bench.world.store().load_execution(&shop_name(), first).await.unwrap().unwrap();
    let input = json!({"pipelineName": "shop", "stageName": "Prod", "maxResults": 10});
    let mut costs = Vec::new();
    for length in [20, 2000] {
        let older = (costs.len() as u128 * 10_000..).take(length).map(|n| {
            let execution = domain::Execution { id: ExecutionId(uuid::Uuid::from_u128(n)), ..row.clone() };
            Write::Put(Row::Execution(execution), Precondition::None)
        });
        let older: Vec<Write> = older.collect();
        for chunk in older.chunks(100) {
            bench.world.store().commit(chunk.to_vec()).await.unwrap();
        }
        let before = bench.world.store().usage();
        let page = bench.ok("ListRollbackCandidates", input.clone()).await;
        assert_eq!(page["candidates"].as_array().unwrap().len(), 10);
        let after = bench.world.store().usage();
        costs.push((after.requests() - before.requests(), after.read_units() - before.read_units()));
    }
    // The executions with their pipeline, and what of theirs is revoked.
    assert_eq!((costs[0].0, costs[0]), (2, costs[1]));
}

#[tokio::test]
async fn candidates_come_page_by_page_and_need_a_stage() {
    let (bench, first) = Bench::with_release().await;
    let second = bench.start().await;
    bench.fail(second).await;
    let mut input = json!({"pipelineName": "shop", "stageName": "Prod", "maxResults": 1});
    let page = bench.ok("ListRollbackCandidates", input.clone()).await;
    assert_eq!(id(&page["candidates"][0]["pipelineExecutionId"]), second);
    input["nextToken"] = page["nextToken"].clone();
    let page = bench.ok("ListRollbackCandidates", input).await;
    assert_eq!(id(&page["candidates"][0]["pipelineExecutionId"]), first);
    assert!(page.get("nextToken").is_none());
    bench
        .refuses(
            "ListRollbackCandidates",
            &[
                (json!({"pipelineName": "blog", "stageName": "Prod"}), "PipelineNotFoundException", "'blog'"),
                (json!({"pipelineName": "shop", "stageName": "Moon"}), "StageNotFoundException", "'Moon'"),
            ],
        )
        .await;
}

#[tokio::test]
async fn going_far_back_takes_back_everything_in_between() {
    let (bench, first) = Bench::with_release().await;
    let mut middle = first;
    // More than one transaction marks, and more than one page of successes holds.
    for n in 0..55 {
        let next = bench.start().await;
        bench.pass(next).await;
        if n == 30 {
            middle = next;
        }
    }
    // In two steps, so that the second finds nothing to mark but what the first has marked.
    for target in [middle, first] {
        let back = id(&bench.ok("RollbackStage", rollback("Prod", target)).await["pipelineExecutionId"]);
        bench.pass(back).await;
        let release = json!({"pipelineName": "shop", "stageName": "Prod", "comment": "go on"});
        bench.ok("ReleaseHold", release).await;
        let bad = bench.start().await;
        bench.fail(bad).await;
        let preview = bench.ok("PreviewRollback", json!({"pipelineName": "shop", "stageName": "Prod"})).await;
        assert_eq!(id(&preview["target"]["pipelineExecutionId"]), target);
    }
}
