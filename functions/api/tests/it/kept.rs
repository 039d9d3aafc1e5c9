//! What the next rollbacks need: kept, looked at, and missed aloud when it is lost.

use std::sync::Arc;

use domain::{Effect, Event, ExecutionId, StateChange};
use engine::{
    HasBasics, HasStore, KEEP_NO, KEEP_TAG, KEEP_YES,
    ports::{ObjectAt, ObjectsError, PageRequest, Store},
};
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::{
    cloud::SteadyClock,
    world::{Bench, Driven, id, shop, shop_name},
};

async fn release(bench: &Bench, content: &'static str) -> ExecutionId {
    bench.objects.store("uploads", "app.zip", content);
    let id = bench.start().await;
    bench.pass(id).await;
    id
}

/// Where an execution has its artifact.
async fn artifact_of(bench: &Bench, id: ExecutionId) -> ObjectAt {
    let row = bench.world.store().load_execution(&shop_name(), id).await.unwrap().unwrap();
    let at = &row.artifacts["App"];
    ObjectAt::new(&at.bucket, &at.key)
}

async fn mark_of(bench: &Bench, id: ExecutionId) -> Option<String> {
    bench.objects.tag(&artifact_of(bench, id).await, KEEP_TAG)
}

/// What is kept for Prod.
async fn kept(bench: &Bench) -> Value {
    bench.ok("ListKeptArtifacts", json!({"pipelineName": "shop", "stageName": "Prod"})).await["stages"][0].clone()
}

fn executions(kept: &Value) -> Vec<ExecutionId> {
    kept["targets"].as_array().unwrap().iter().map(|target| id(&target["pipelineExecutionId"])).collect()
}

/// States that were told of artifacts, with how many executions were left to go back to.
fn told(bench: &Bench) -> Vec<(&'static str, u32)> {
    let events: Vec<Event> = bench.published.events.lock().unwrap().clone();
    let of = |event: Event| match event.change {
        StateChange::Artifact(change) => Some((change.state.as_str(), change.ready_targets)),
        _ => None,
    };
    events.into_iter().filter_map(of).collect()
}

async fn effects(bench: &Bench) -> Vec<Effect> {
    let page = bench.world.store().pending_effects(PageRequest { limit: 100, after: None }).await.unwrap();
    page.items.into_iter().map(|pending| pending.effect).collect()
}

#[tokio::test]
async fn what_is_live_and_the_one_before_it_are_kept() {
    let (bench, first) = Bench::with_release().await;
    assert_eq!(mark_of(&bench, first).await.as_deref(), Some(KEEP_YES));
    assert_eq!(executions(&kept(&bench).await), [first]);
    let inside = bench.start().await;
    assert!(matches!(bench.drive(inside, None).await, Driven::Working(_)));
    assert_eq!(mark_of(&bench, inside).await.as_deref(), Some(KEEP_NO), "it has not succeeded yet");
    let rollback = json!({"pipelineName": "shop", "stageName": "Prod", "targetPipelineExecutionId": first});
    let back = id(&bench.ok("RollbackStage", rollback).await["pipelineExecutionId"]);
    bench.pass(back).await;
    let lift = json!({"pipelineName": "shop", "stageName": "Prod", "comment": "It was tried out."});
    bench.ok("ReleaseHold", lift).await;
    let second = release(&bench, "release 2").await;
    let third = release(&bench, "release 3").await;
    assert_eq!(executions(&kept(&bench).await), [third, second], "a rollback is no target of its own");
    for (id, mark) in [(first, KEEP_NO), (second, KEEP_YES), (third, KEEP_YES)] {
        assert_eq!(mark_of(&bench, id).await.as_deref(), Some(mark));
    }
    let shown = kept(&bench).await;
    let artifact = &shown["targets"][0]["artifacts"][0];
    assert_eq!((&artifact["name"], &artifact["state"]), (&json!("App"), &json!("PRESENT")));
    assert_eq!((&shown["readyTargets"], &artifact["checksum"]["algorithm"]), (&json!(2), &json!("SHA256")));
    assert_eq!(effects(&bench).await, []);
    assert_eq!(told(&bench), []);

    // Taken back by a person: what is older is kept in its place, once the reconciler has seen to it.
    let rollback = json!({"pipelineName": "shop", "stageName": "Prod", "targetPipelineExecutionId": second});
    bench.ok("RollbackStage", rollback).await;
    assert!(matches!(effects(&bench).await[..], [Effect::KeepArtifacts { .. }]));
    bench.reconcile().await;
    assert_eq!((executions(&kept(&bench).await), effects(&bench).await), (vec![second, first], vec![]));
    for (id, mark) in [(first, KEEP_YES), (second, KEEP_YES), (third, KEEP_NO)] {
        assert_eq!(mark_of(&bench, id).await.as_deref(), Some(mark));
    }
}

#[tokio::test]
async fn a_loss_is_told_once_and_what_is_older_is_kept_instead() {
    let (bench, first) = Bench::with_release().await;
    let second = release(&bench, "release 2").await;
    let third = release(&bench, "release 3").await;
    assert_eq!(mark_of(&bench, first).await.as_deref(), Some(KEEP_NO));
    let at = artifact_of(&bench, third).await;
    bench.objects.lose_one(&at);

    // The next deploy looks first.
    let next = bench.start().await;
    let Driven::Working(report) = bench.drive(next, None).await else { panic!("no job is out") };
    assert_eq!(told(&bench), [("GONE", 1)]);
    assert_eq!(executions(&kept(&bench).await), [third, second, first]);
    assert_eq!(mark_of(&bench, first).await.as_deref(), Some(KEEP_YES));
    let shown = kept(&bench).await;
    assert_eq!(
        (&shown["readyTargets"], &shown["targets"][0]["ready"], &shown["targets"][0]["artifacts"][0]["state"]),
        (&json!(2), &json!(false), &json!("GONE"))
    );
    bench.reconcile().await;
    assert_eq!(told(&bench).len(), 1);

    // It is put there again as it was.
    bench.objects.store(&at.bucket, &at.key, "release 3");
    bench.ok("PutJobSuccessResult", json!({"jobId": bench.job().await})).await;
    bench.drive(next, Some(report)).await;
    let states: Vec<&str> = told(&bench).into_iter().map(|(state, _)| state).collect();
    assert_eq!(states, ["GONE", "RESTORED"]);
    assert_eq!(executions(&kept(&bench).await), [next, third]);
}

#[tokio::test]
async fn an_artifact_that_cannot_be_read_stands_in_the_way_of_no_other() {
    let (bench, first) = Bench::with_release().await;
    let second = release(&bench, "release 2").await;
    let third = release(&bench, "release 3").await;
    let at = artifact_of(&bench, third).await;
    bench.objects.fail(&at, ObjectsError::AccessDenied { operation: "HeadObject", at: at.clone() });

    // The next deploy tells of it, and marks what is kept instead although the mark of this one is refused.
    let failed = bench.start().await;
    bench.fail(failed).await;
    assert_eq!(told(&bench), [("UNREADABLE", 1)]);
    let shown = kept(&bench).await;
    assert_eq!((&shown["readyTargets"], executions(&shown)), (&json!(2), vec![third, second, first]));
    assert_eq!(shown["targets"][0]["artifacts"][0]["state"], "UNREADABLE");
    assert_eq!(mark_of(&bench, first).await.as_deref(), Some(KEEP_YES));
    assert_eq!(effects(&bench).await, []);

    // It alone is refused, by name, and the automatic choice looks at the next.
    let stage = json!({"pipelineName": "shop", "stageName": "Prod"});
    let chosen = bench.ok("PreviewRollback", stage.clone()).await;
    assert_eq!((&chosen["eligible"], id(&chosen["target"]["pipelineExecutionId"])), (&json!(true), second));
    let of = json!({"pipelineName": "shop", "stageName": "Prod", "targetPipelineExecutionId": third});
    let preview = bench.ok("PreviewRollback", of.clone()).await;
    let reason = preview["reasons"][0].as_str().unwrap();
    let named = format!("Artifact App at s3://{}/{} cannot be read: access denied;", at.bucket, at.key);
    assert!(reason.starts_with(&named), "{reason}");
    assert_eq!(preview["target"]["artifacts"][0]["available"], false);
    let candidates = bench.ok("ListRollbackCandidates", stage.clone()).await["candidates"].clone();
    let eligible: Vec<bool> = candidates.as_array().unwrap().iter().map(|one| one["eligible"] == true).collect();
    assert_eq!((eligible, &candidates[1]["reasons"]), (vec![false, false, true, true], &preview["reasons"]));
    let (exception, text) = bench.refused("RollbackStage", of.clone()).await;
    assert_eq!(exception, "UnableToRollbackStageException");
    assert!(text.ends_with(reason), "{text}");

    // An answer that does not come says nothing of any.
    let reason = "no answer in time".to_owned();
    bench.objects.fail(&at, ObjectsError::Unavailable { operation: "HeadObject", at: at.clone(), reason });
    for (operation, input) in [("PreviewRollback", &stage), ("ListRollbackCandidates", &stage), ("RollbackStage", &of)]
    {
        let (status, body) = bench.call(operation, input.clone()).await;
        assert!(status >= 500, "{operation}: {status} {body}");
    }
    bench.objects.mend(&at);
    assert_eq!(bench.ok("PreviewRollback", of).await["eligible"], true);
}

#[tokio::test]
async fn what_can_never_be_marked_keeps_nothing_else_from_it() {
    let clock = Arc::new(SteadyClock::new());
    let bench = Bench::with_clock(Arc::clone(&clock)).await;
    bench.ok("CreatePipeline", json!({"pipeline": shop()})).await;
    let first = bench.newest().await;
    bench.pass(first).await;
    let second = release(&bench, "release 2").await;
    let at = artifact_of(&bench, first).await;
    bench.objects.fail(&at, ObjectsError::AccessDenied { operation: "PutObjectTagging", at: at.clone() });
    let third = release(&bench, "release 3").await;
    let fourth = release(&bench, "release 4").await;
    assert_eq!(executions(&kept(&bench).await), [fourth, third], "although the first could not be let go");
    for (id, mark) in [(second, KEEP_NO), (third, KEEP_YES), (fourth, KEEP_YES)] {
        assert_eq!(mark_of(&bench, id).await.as_deref(), Some(mark));
    }
    assert_eq!(effects(&bench).await, []);

    // What is kept and cannot be marked is told by the daily look, which is taken again a day later and not an hour.
    let at = artifact_of(&bench, fourth).await;
    bench.objects.fail(&at, ObjectsError::AccessDenied { operation: "PutObjectTagging", at: at.clone() });
    clock.pass(SignedDuration::from_hours(25));
    let mut done = engine::Reconciled::default();
    let error = Box::pin(engine::reconcile(&bench.world, false, &mut done)).await.unwrap_err();
    assert!(error.to_string().contains("PutObjectTagging"), "{error}");
    assert_eq!((done.stages_probed, effects(&bench).await), (1, vec![]));
    clock.pass(SignedDuration::from_hours(2));
    assert_eq!(bench.reconcile().await.stages_probed, 0);
}

#[tokio::test]
async fn an_altered_artifact_is_refused_by_its_digest() {
    let (bench, first) = Bench::with_release().await;
    let second = release(&bench, "release 2").await;
    let at = artifact_of(&bench, first).await;
    bench.objects.store(&at.bucket, &at.key, "release 1, and a little more");
    let of = json!({"pipelineName": "shop", "stageName": "Prod", "targetPipelineExecutionId": first});
    let preview = bench.ok("PreviewRollback", of.clone()).await;
    let artifact = &preview["target"]["artifacts"][0];
    assert_eq!((&artifact["available"], &artifact["altered"]), (&json!(false), &json!(true)));
    assert_ne!(artifact["checksum"], artifact["foundChecksum"]);
    assert_eq!(artifact["checksum"]["algorithm"], "SHA256");
    let (exception, text) = bench.refused("RollbackStage", of.clone()).await;
    assert_eq!(exception, "UnableToRollbackStageException");
    assert!(text.contains("Artifact App at s3://artifacts/") && text.contains("was altered"), "{text}");
    assert!(text.ends_with(preview["reasons"][0].as_str().unwrap()), "{text}");
    let stage = json!({"pipelineName": "shop", "stageName": "Prod"});
    let candidates = bench.ok("ListRollbackCandidates", stage.clone()).await["candidates"].clone();
    assert_eq!(candidates[1]["reasons"], preview["reasons"]);
    assert_eq!((&candidates[0]["eligible"], id(&candidates[0]["pipelineExecutionId"])), (&json!(true), second));

    // Written anew with the same content it is what it was, whatever its version.
    bench.objects.store(&at.bucket, &at.key, "release 1");
    assert_eq!(bench.ok("PreviewRollback", of).await["eligible"], true);

    // An execution of a version without digests: that it is there is all that is known.
    let mut row = bench.world.store().load_execution(&shop_name(), first).await.unwrap().unwrap();
    row.digests.clear();
    let put = engine::ports::Precondition::Version(row.version);
    let put = engine::ports::Write::Put(engine::ports::Row::Execution(row), put);
    bench.world.store().commit(vec![put]).await.unwrap();
    bench.objects.store(&at.bucket, &at.key, "anything");
    let candidates = bench.ok("ListRollbackCandidates", stage).await["candidates"].clone();
    assert_eq!(candidates[1]["eligible"], true);
}

#[tokio::test]
async fn each_stage_is_looked_at_once_a_day() {
    let clock = Arc::new(SteadyClock::new());
    let bench = Bench::with_clock(Arc::clone(&clock)).await;
    bench.ok("CreatePipeline", json!({"pipeline": shop()})).await;
    let first = bench.newest().await;
    bench.pass(first).await;
    assert_eq!(bench.reconcile().await.stages_probed, 0, "not due");
    let at = artifact_of(&bench, first).await;
    bench.objects.store(&at.bucket, &at.key, "something else");
    // Somebody took the mark off as well.
    engine::ports::Objects::set_tag(&bench.objects, &at, KEEP_TAG, KEEP_NO).await.unwrap();
    clock.pass(SignedDuration::from_hours(25));
    let done = bench.reconcile().await;
    assert_eq!((done.stages_probed, told(&bench)), (1, vec![("ALTERED", 0)]));
    assert!((1..=4).contains(&done.probe_requests), "{done:?}");
    assert_eq!(bench.objects.tag(&at, KEEP_TAG).as_deref(), Some(KEEP_YES));
    assert_eq!(bench.reconcile().await.stages_probed, 0);
    clock.pass(SignedDuration::from_hours(25));
    assert_eq!(bench.reconcile().await.stages_probed, 1);
    assert_eq!(told(&bench).len(), 1, "once for each loss");
}

#[tokio::test]
async fn a_function_version_that_is_gone_is_missed_at_the_next_deploy_and_at_the_daily_look() {
    let clock = Arc::new(SteadyClock::new());
    let bench = Bench::with_clock(Arc::clone(&clock)).await;
    let mut pipeline = shop();
    pipeline["stages"][1]["actions"][0]["configuration"]["FunctionName"] = json!("check:7");
    bench.ok("CreatePipeline", json!({"pipeline": pipeline})).await;
    bench.pass(bench.newest().await).await;
    let function = async |target: usize| {
        let kept = kept(&bench).await;
        let artifacts = kept["targets"][target]["artifacts"].as_array().unwrap().clone();
        artifacts.into_iter().find(|one| one["name"] == "Check").unwrap()
    };
    let known = function(0).await;
    assert_eq!((&known["functionName"], &known["state"]), (&json!("check:7"), &json!("PRESENT")));
    bench.pass(bench.start().await).await;
    assert_eq!(told(&bench), [], "nothing is lost");

    bench.invoked.1.lock().unwrap().push(":7");
    bench.pass(bench.start().await).await;
    assert_eq!(told(&bench), [("GONE", 0), ("GONE", 0)], "of both that the stage can go back to");
    assert_eq!(function(1).await["state"], "GONE", "of what was live before");
    bench.invoked.1.lock().unwrap().clear();
    clock.pass(SignedDuration::from_hours(25));
    assert_eq!(bench.reconcile().await.stages_probed, 1);
    assert_eq!(function(1).await["state"], "PRESENT");
    assert!(told(&bench).contains(&("RESTORED", 2)), "{:?}", told(&bench));
}

#[tokio::test]
async fn many_stages_are_looked_at_in_turns() {
    let clock = Arc::new(SteadyClock::new());
    let bench = Bench::with_clock(Arc::clone(&clock)).await;
    let store = bench.world.store();
    let now = bench.world.now();
    for number in 0..45 {
        let kept = domain::Kept {
            pipeline: format!("gone-{number:02}").parse().unwrap(),
            stage: "Prod".parse().unwrap(),
            targets: Vec::new(),
            letting_go: Vec::new(),
            checked_at: now,
            due: now,
            version: 0,
        };
        use engine::ports::{Precondition, Row, Write};
        let writes = [Row::KeptDue(kept.due()), Row::Kept(kept)];
        store.commit(writes.map(|row| Write::Put(row, Precondition::None)).to_vec()).await.unwrap();
    }
    let mut looks = Vec::new();
    for _ in 0..4 {
        looks.push(bench.reconcile().await.stages_probed);
    }
    assert_eq!(looks, [20, 20, 5, 0], "and those of pipelines that are gone are forgotten");
    assert_eq!(store.kept_due(PageRequest { limit: 10, after: None }).await.unwrap().items, []);
}

#[tokio::test]
async fn nothing_is_kept_of_a_deleted_pipeline() {
    let (bench, first) = Bench::with_release().await;
    let at = artifact_of(&bench, first).await;
    bench.ok("DeletePipeline", json!({"name": "shop"})).await;
    bench.reconcile().await;
    assert_eq!(bench.objects.tag(&at, KEEP_TAG).as_deref(), Some(KEEP_NO));
    assert_eq!(bench.world.store().kept_of(&shop_name()).await.unwrap(), []);
    let due = bench.world.store().kept_due(PageRequest { limit: 10, after: None }).await.unwrap();
    assert_eq!((due.items, effects(&bench).await), (vec![], vec![]));
}

#[tokio::test]
async fn what_is_not_there_is_refused() {
    let (bench, _) = Bench::with_release().await;
    let of = |pipeline: &str, stage: &str| json!({"pipelineName": pipeline, "stageName": stage});
    let cases = [
        (of("blog", "Prod"), "PipelineNotFoundException", "'blog'"),
        (of("shop", "Moon"), "StageNotFoundException", "'Moon'"),
        (of("shop", ""), "ValidationException", "stageName"),
    ];
    bench.refuses("ListKeptArtifacts", &cases).await;
    bench.refuses("GetShadowScorecard", &cases).await;
    let too_many = json!({"pipelineName": "shop", "stageName": "Prod", "releases": 201});
    bench.refuses("GetShadowScorecard", &[(too_many, "ValidationException", "releases")]).await;
    let source = bench.ok("ListKeptArtifacts", of("shop", "Source")).await;
    assert_eq!(source["stages"], json!([]), "nothing goes back to a source");
}
