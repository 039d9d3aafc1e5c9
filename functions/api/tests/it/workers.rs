//! Job workers: who gets a job, and what they say about it.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use contract::{ActionInput, ActionOperation};
use domain::{ActionStatus, ExecutionId, ExecutionStatus};
use runtime::ManualClock;
use serde_json::{Value, json};

use crate::{
    action_types::{made, make, make_id},
    world::{ACCOUNT, Bench, Driven, NOBODY, REGION, shop, shop_name},
};

fn poll_for(project: &str) -> Value {
    json!({"actionTypeId": make_id(), "queryParam": {"Project": project}, "maxBatchSize": 10})
}

async fn poll(bench: &Bench) -> Vec<Value> {
    bench.ok("PollForJobs", poll_for("green")).await["jobs"].as_array().unwrap().clone()
}

/// The one job that waits, given to a worker that has acknowledged it.
async fn take(bench: &Bench) -> Value {
    let jobs = poll(bench).await;
    assert_eq!(jobs.len(), 1, "{jobs:?}");
    let acknowledged = bench.ok("AcknowledgeJob", nonce_of(&jobs[0])).await;
    assert_eq!(acknowledged["status"], "InProgress");
    jobs[0].clone()
}

fn nonce_of(job: &Value) -> Value {
    json!({"jobId": job["id"], "nonce": job["nonce"]})
}

/// A bench with the pipeline `shop` of a custom action, whose first execution has a job out.
async fn with_job() -> (Bench, ExecutionId, Driven) {
    let bench = Bench::new().await;
    bench.ok("CreateCustomActionType", make()).await;
    bench.ok("CreatePipeline", json!({"pipeline": made()})).await;
    let execution = bench.newest().await;
    let driven = bench.drive(execution, None).await;
    (bench, execution, driven)
}

async fn end(bench: &Bench, execution: ExecutionId, driven: Driven) -> Driven {
    let Driven::Working(report) = driven else { panic!("no job is out") };
    bench.drive(execution, Some(report)).await
}

async fn latest_run(bench: &Bench) -> Value {
    let runs = bench.ok("ListActionExecutions", json!({"pipelineName": "shop", "maxResults": 1})).await;
    runs["actionExecutionDetails"][0].clone()
}

async fn action_state(bench: &Bench) -> Value {
    bench.ok("GetPipelineState", json!({"name": "shop"})).await["stageStates"][1]["actionStates"][0].clone()
}

#[tokio::test]
async fn a_job_tells_the_worker_all_it_has_to_know() {
    let (bench, execution, _) = with_job().await;
    let job = take(&bench).await;
    assert_eq!(job["accountId"], ACCOUNT);
    let data = &job["data"];
    assert_eq!(data["actionTypeId"], make_id());
    assert_eq!(data["actionConfiguration"]["configuration"], json!({"Project": "green", "Token": "hunter2"}));
    assert_eq!(
        data["artifactCredentials"],
        json!({"accessKeyId": "id", "secretAccessKey": "secret", "sessionToken": "token"})
    );
    let input = &data["inputArtifacts"][0];
    assert_eq!((&input["name"], &input["location"]["type"]), (&json!("App"), &json!("S3")));
    assert_eq!(input["location"]["s3Location"]["bucketName"], "artifacts");
    assert_eq!(data["outputArtifacts"][0]["name"], "Binary");
    let context = &data["pipelineContext"];
    assert_eq!(context["pipelineArn"], format!("arn:aws:codepipeline:{REGION}:{ACCOUNT}:shop"));
    assert_eq!(context["pipelineExecutionId"], execution.to_string());
    assert_eq!((&context["stage"]["name"], &context["action"]["name"]), (&json!("Prod"), &json!("Check")));
    let details = bench.ok("GetJobDetails", json!({"jobId": job["id"]})).await["jobDetails"].clone();
    assert_eq!((&details["id"], &details["data"], &details["accountId"]), (&job["id"], data, &job["accountId"]));
    bench.refuses("GetJobDetails", &[(json!({"jobId": NOBODY}), "JobNotFoundException", NOBODY)]).await;

    let run = latest_run(&bench).await;
    for configuration in ["configuration", "resolvedConfiguration"] {
        assert_eq!(run["input"][configuration]["Token"], "****", "{run}");
    }
    assert!(!action_state(&bench).await.to_string().contains("hunter2"));
}

#[tokio::test]
async fn a_worker_reports_progress_and_the_end() {
    let (bench, execution, driven) = with_job().await;
    assert_eq!(action_state(&bench).await["latestExecution"].get("externalExecutionId"), None);
    let first = take(&bench).await;
    let progress = json!({"externalExecutionId": "build-7", "summary": "Compiling", "percentComplete": 40});
    let goes_on = json!({"jobId": first["id"], "continuationToken": "build-7", "executionDetails": progress});
    bench.ok("PutJobSuccessResult", goes_on).await;
    let state = action_state(&bench).await;
    let latest = &state["latestExecution"];
    assert_eq!((&latest["status"], &latest["summary"]), (&json!("InProgress"), &json!("Compiling")));
    assert_eq!((&latest["percentComplete"], &latest["externalExecutionId"]), (&json!(40), &json!("build-7")));
    assert_eq!(latest["externalExecutionUrl"], "https://make.example/green/build-7");
    assert_eq!(state["entityUrl"], "https://make.example/green");
    assert_eq!(state.get("revisionUrl"), None, "there is no revision to link to");

    let again = json!({"jobId": first["id"]});
    bench.refuses("PutJobSuccessResult", &[(again.clone(), "InvalidJobStateException", "ended")]).await;
    let second = take(&bench).await;
    assert_ne!(second["id"], first["id"]);
    assert_eq!(second["data"]["continuationToken"], "build-7");
    let done = json!({
        "jobId": second["id"],
        "currentRevision": {"revision": "c0ffee", "changeIdentifier": "c0ffee-1", "revisionSummary": "Fix"},
        "executionDetails": {"summary": "Built", "percentComplete": 100},
        "outputVariables": {"Size": "12"},
    });
    bench.ok("PutJobSuccessResult", done).await;
    assert_eq!(end(&bench, execution, driven).await, Driven::Ended(ExecutionStatus::Succeeded));

    let run = latest_run(&bench).await;
    let result = json!({"externalExecutionId": "build-7", "externalExecutionSummary": "Built",
        "externalExecutionUrl": "https://make.example/green/build-7"});
    assert_eq!(run["output"]["executionResult"], result);
    assert_eq!(run["output"]["outputVariables"], json!({"Size": "12"}));
    let state = action_state(&bench).await;
    let revision = &state["currentRevision"];
    assert_eq!((&revision["revisionId"], &revision["revisionChangeId"]), (&json!("c0ffee"), &json!("c0ffee-1")));
    assert_eq!(state["revisionUrl"], "https://make.example/green/commit/c0ffee");

    // Told twice, a worker learns that its job has ended; its keys are not given out any more.
    assert_eq!(bench.ok("AcknowledgeJob", nonce_of(&second)).await["status"], "Succeeded");
    let details = bench.ok("GetJobDetails", json!({"jobId": second["id"]})).await["jobDetails"].clone();
    assert_eq!(details["data"].get("artifactCredentials"), None);
    assert_eq!(poll(&bench).await, [] as [Value; 0]);
}

#[tokio::test]
async fn what_a_source_took_is_shown_with_each_artifact_it_became() {
    for (artifacts, expected) in [(vec![], vec!["App"]), (vec!["One", "Two"], vec!["App", "One", "Two"])] {
        let bench = Bench::new().await;
        let mut declared = make();
        declared["category"] = json!("Source");
        declared["inputArtifactDetails"] = json!({"minimumCount": 0, "maximumCount": 0});
        declared["outputArtifactDetails"] = json!({"minimumCount": 0, "maximumCount": 2});
        bench.ok("CreateCustomActionType", declared).await;
        let mut source_id = make_id();
        source_id["category"] = json!("Source");
        let outputs: Vec<Value> = artifacts.iter().map(|name| json!({"name": name})).collect();
        let source = json!({"name": "Depot", "actionTypeId": source_id, "configuration": {"Project": "green"},
            "outputArtifacts": outputs});
        let mut pipeline = shop();
        pipeline["stages"][0]["actions"].as_array_mut().unwrap().push(source);
        bench.ok("CreatePipeline", json!({"pipeline": pipeline})).await;
        let execution = bench.newest().await;
        bench.drive(execution, None).await;
        let mut poll = poll_for("green");
        poll["actionTypeId"] = source_id;
        let job = bench.ok("PollForJobs", poll).await["jobs"][0].clone();
        bench.ok("AcknowledgeJob", nonce_of(&job)).await;
        let revision = json!({"revision": "42", "changeIdentifier": "42-1"});
        bench.ok("PutJobSuccessResult", json!({"jobId": job["id"], "currentRevision": revision})).await;

        let get = json!({"pipelineName": "shop", "pipelineExecutionId": execution});
        let told = bench.ok("GetPipelineExecution", get).await["pipelineExecution"]["artifactRevisions"].clone();
        let names: Vec<&Value> = told.as_array().unwrap().iter().map(|revision| &revision["name"]).collect();
        assert_eq!(names, expected);
        let of_depot: Vec<&Value> = told.as_array().unwrap().iter().skip(1).map(|one| &one["revisionId"]).collect();
        assert_eq!(of_depot, vec!["42"; artifacts.len()]);
        let listed = bench.ok("ListPipelineExecutions", json!({"pipelineName": "shop"})).await;
        let sources = &listed["pipelineExecutionSummaries"][0]["sourceRevisions"];
        assert_eq!((&sources[0]["actionName"], &sources[1]["actionName"]), (&json!("Fetch"), &json!("Depot")));
    }
}

#[tokio::test]
async fn a_worker_reports_failure() {
    let (bench, _, _) = with_job().await;
    let job = take(&bench).await;
    let details = json!({"type": "ConfigurationError", "message": "No such target", "externalExecutionId": "build-8"});
    bench.ok("PutJobFailureResult", json!({"jobId": job["id"], "failureDetails": details})).await;
    let latest = action_state(&bench).await["latestExecution"].clone();
    assert_eq!(latest["errorDetails"], json!({"code": "ConfigurationError", "message": "No such target"}));
    assert_eq!((&latest["status"], &latest["externalExecutionId"]), (&json!("Failed"), &json!("build-8")));
}

#[tokio::test]
async fn a_job_is_answered_by_who_acknowledged_it() {
    let (bench, _, _) = with_job().await;
    let job = poll(&bench).await.remove(0);
    let failure = json!({"jobId": job["id"], "failureDetails": {"type": "JobFailed", "message": "no"}});
    let early = "acknowledge it before";
    bench.refuses("PutJobSuccessResult", &[(json!({"jobId": job["id"]}), "InvalidJobStateException", early)]).await;
    bench.refuses("PutJobFailureResult", &[(failure, "InvalidJobStateException", early)]).await;
    let wrong = [
        (json!({"jobId": job["id"], "nonce": "1"}), "InvalidNonceException", "Poll again"),
        (json!({"jobId": NOBODY, "nonce": job["nonce"]}), "JobNotFoundException", NOBODY),
    ];
    bench.refuses("AcknowledgeJob", &wrong).await;
    for _ in 0..2 {
        assert_eq!(bench.ok("AcknowledgeJob", nonce_of(&job)).await["status"], "InProgress");
    }
    bench.ok("PutJobSuccessResult", json!({"jobId": job["id"]})).await;
}

#[tokio::test]
async fn a_job_that_nobody_acknowledges_goes_to_another_worker() {
    let (bench, execution, driven) = with_job().await;
    let lost = poll(&bench).await.remove(0);
    assert_eq!(poll(&bench).await, [] as [Value; 0], "it has just been given away");
    // Every look at the clock takes a second.
    let mut found = Vec::new();
    for _ in 0..60 {
        found = poll(&bench).await;
        if !found.is_empty() {
            break;
        }
    }
    let again = &found[0];
    assert_eq!(again["id"], lost["id"]);
    bench.refuses("AcknowledgeJob", &[(nonce_of(&lost), "InvalidNonceException", "latest poll")]).await;
    assert_eq!(bench.ok("AcknowledgeJob", nonce_of(again)).await["status"], "InProgress");
    bench.ok("PutJobSuccessResult", json!({"jobId": again["id"]})).await;
    assert_eq!(end(&bench, execution, driven).await, Driven::Ended(ExecutionStatus::Succeeded));
}

#[tokio::test]
async fn a_job_that_nobody_answers_times_out_after_a_day() {
    let (bench, execution_id, driven) = with_job().await;
    let view = engine::load_view(&bench.world, &shop_name()).await.unwrap();
    let action = &view.index.stages[1].actions[0];
    assert_eq!((action.timeout_seconds, action.heartbeat_seconds), (86_400, 86_400));
    let job = take(&bench).await;
    let Driven::Working(report) = driven else { panic!("no job is out") };
    let expire = ActionInput {
        operation: ActionOperation::Expire,
        pipeline: shop_name(),
        execution_id,
        stage: report.stage,
        generation: report.generation,
        attempt: 1,
        action: action.name.clone(),
        rule: None,
        token: None,
        report: None,
        file: None,
    };
    let expired = engine::run_action(&bench.world, &expire, &|| false).await.unwrap();
    assert_eq!(expired.status, ActionStatus::Failed);
    let late = (json!({"jobId": job["id"]}), "InvalidJobStateException", "TimedOut");
    bench.refuses("PutJobSuccessResult", &[late]).await;
    assert_eq!(bench.ok("AcknowledgeJob", nonce_of(&job)).await["status"], "TimedOut");
}

#[tokio::test]
async fn workers_ask_by_type_and_value() {
    let (bench, _, _) = with_job().await;
    let with = |member: &str, value: Value| {
        let mut input = poll_for("green");
        input[member] = value;
        input
    };
    let other = json!({"category": "Build", "owner": "Custom", "provider": "Make", "version": "2"});
    let aws = json!({"category": "Deploy", "owner": "AWS", "provider": "S3", "version": "1"});
    let cases = [
        (with("queryParam", json!({})), "ValidationException", "'Project'"),
        (with("queryParam", json!({"Token": "hunter2"})), "ValidationException", "'Project'"),
        (with("queryParam", json!({"Project": "two words"})), "ValidationException", "queryParam"),
        (with("maxBatchSize", json!(0)), "ValidationException", "maxBatchSize"),
        (with("actionTypeId", other), "ActionTypeNotFoundException", "'2'"),
        (with("actionTypeId", aws), "ValidationException", "owner Custom"),
    ];
    bench.refuses("PollForJobs", &cases).await;
    assert_eq!(bench.ok("PollForJobs", poll_for("red")).await["jobs"], json!([]));
    bench.ok("DeleteCustomActionType", json!({"category": "Build", "provider": "Make", "version": "1"})).await;
    bench.refuses("PollForJobs", &[(poll_for("green"), "ActionTypeNotFoundException", "'Make'")]).await;
    bench.ok("CreateCustomActionType", make()).await;
    assert_eq!(poll(&bench).await.len(), 1, "a restored type has its jobs");
}

#[tokio::test]
async fn an_action_of_a_deleted_type_fails() {
    let bench = Bench::new().await;
    bench.ok("CreateCustomActionType", make()).await;
    bench.ok("CreatePipeline", json!({"pipeline": made()})).await;
    bench.ok("DeleteCustomActionType", json!({"category": "Build", "provider": "Make", "version": "1"})).await;
    let execution = bench.newest().await;
    bench.drive(execution, None).await;
    let run = latest_run(&bench).await;
    let error = &run["output"]["executionResult"]["errorDetails"];
    assert_eq!((&run["status"], &error["code"]), (&json!("Failed"), &json!("ConfigurationError")));
    assert!(error["message"].as_str().unwrap().contains("'Make'"), "{error}");
}

#[tokio::test]
async fn work_for_a_stage_that_was_rolled_back_is_given_to_nobody() {
    let (bench, first, driven) = with_job().await;
    let job = take(&bench).await;
    bench.ok("PutJobSuccessResult", json!({"jobId": job["id"]})).await;
    assert_eq!(end(&bench, first, driven).await, Driven::Ended(ExecutionStatus::Succeeded));
    let second = bench.start().await;
    bench.drive(second, None).await;
    let rollback = json!({"pipelineName": "shop", "stageName": "Prod", "targetPipelineExecutionId": first});
    let rollback = bench.ok("RollbackStage", rollback).await;
    assert_eq!(poll(&bench).await, [] as [Value; 0]);
    let rollback = crate::world::id(&rollback["pipelineExecutionId"]);
    let driven = bench.drive(rollback, None).await;
    let job = take(&bench).await;
    assert_eq!(job["data"]["pipelineContext"]["pipelineExecutionId"], rollback.to_string());
    bench.ok("PutJobSuccessResult", json!({"jobId": job["id"]})).await;
    assert_eq!(end(&bench, rollback, driven).await, Driven::Ended(ExecutionStatus::Succeeded));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_racing_workers_no_two_get_the_same_job() {
    const JOBS: usize = 12;
    const WORKERS: usize = 6;
    // The clock stands still: no job is given away again for want of an acknowledgement.
    let bench = Arc::new(Bench::with_clock(ManualClock::new("2026-11-23T10:00:00Z".parse().unwrap())).await);
    bench.ok("CreateCustomActionType", make()).await;
    let mut pipeline = made();
    let action = pipeline["stages"][1]["actions"][0].clone();
    let actions = (0..JOBS).map(|n| {
        let mut action = action.clone();
        action["name"] = json!(format!("Make-{n}"));
        action["namespace"] = json!(format!("Made-{n}"));
        action["outputArtifacts"] = json!([]);
        action
    });
    pipeline["stages"][1]["actions"] = actions.collect();
    bench.ok("CreatePipeline", json!({"pipeline": pipeline})).await;
    let execution = bench.newest().await;
    bench.drive(execution, None).await;

    let taken = Arc::new(AtomicUsize::new(0));
    let one = json!({"actionTypeId": make_id(), "queryParam": {"Project": "green"}, "maxBatchSize": 1});
    let workers = (0..WORKERS).map(|_| {
        let (bench, one, taken) = (Arc::clone(&bench), one.clone(), Arc::clone(&taken));
        tokio::spawn(async move {
            let mut mine = Vec::new();
            // A worker whose every candidate was taken by others meanwhile comes away empty: it asks again.
            while taken.load(SeqCst) < JOBS {
                let jobs = bench.ok("PollForJobs", one.clone()).await["jobs"].as_array().unwrap().clone();
                let Some(job) = jobs.into_iter().next() else { continue };
                taken.fetch_add(1, SeqCst);
                assert_eq!(bench.ok("AcknowledgeJob", nonce_of(&job)).await["status"], "InProgress");
                mine.push(job["id"].as_str().unwrap().to_owned());
            }
            mine
        })
    });
    let mut given = Vec::new();
    for worker in workers.collect::<Vec<_>>() {
        given.extend(worker.await.unwrap());
    }
    let distinct: BTreeSet<&String> = given.iter().collect();
    assert_eq!((given.len(), distinct.len()), (JOBS, JOBS), "{given:?}");
}

#[tokio::test]
async fn partner_actions_are_refused_by_errors_that_clients_know() {
    let bench = Bench::new().await;
    let action_type = json!({"category": "Build", "owner": "ThirdParty", "provider": "Jenkins", "version": "1"});
    let polled = (json!({"actionTypeId": action_type}), "ActionTypeNotFoundException", "CreateCustomActionType");
    bench.refuses("PollForThirdPartyJobs", &[polled]).await;
    let job = |more: Value| {
        let mut input = json!({"jobId": NOBODY, "clientToken": "x"});
        input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        (input, "JobNotFoundException", "CreateCustomActionType")
    };
    bench.refuses("AcknowledgeThirdPartyJob", &[job(json!({"nonce": "1"}))]).await;
    bench.refuses("GetThirdPartyJobDetails", &[job(json!({}))]).await;
    bench.refuses("PutThirdPartyJobSuccessResult", &[job(json!({}))]).await;
    let failure = json!({"failureDetails": {"type": "JobFailed", "message": "x"}});
    bench.refuses("PutThirdPartyJobFailureResult", &[job(failure)]).await;
}
