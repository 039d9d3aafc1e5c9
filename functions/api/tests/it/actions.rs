//! Runs of actions, and the types of actions.

use domain::{ExecutionId, ExecutionStatus, StageReport, StageResult};
use engine::{
    HasStore,
    ports::{PageRequest, Store},
};
use serde_json::{Value, json};

use crate::world::{Bench, Driven, NOBODY, json_call, shop, shop_name};

/// Lambda's limit on an answer (spec 10.4).
const ANSWER_BYTES_MAX: usize = 6 * 1024 * 1024;

fn runs(page: &Value) -> Vec<(&str, &str)> {
    let lines = page["actionExecutionDetails"].as_array().unwrap();
    lines.iter().map(|line| (line["actionName"].as_str().unwrap(), line["status"].as_str().unwrap())).collect()
}

#[tokio::test]
async fn runs_are_told_with_what_they_took_and_made() {
    let (bench, first) = Bench::with_release().await;
    let page = bench.ok("ListActionExecutions", json!({"pipelineName": "shop"})).await;
    assert_eq!(runs(&page), [("Check", "Succeeded"), ("Fetch", "Succeeded")]);
    let [check, fetch] = [0, 1].map(|at| page["actionExecutionDetails"][at].clone());
    let artifacts = fetch["output"]["outputArtifacts"].clone();
    assert_eq!(artifacts[0]["name"], "App");
    assert_eq!(artifacts[0]["s3location"]["bucket"], "artifacts");
    assert_eq!(
        fetch["output"]["executionResult"],
        json!({"externalExecutionId": "v1",
        "externalExecutionSummary": "Amazon S3 version id: v1"})
    );
    assert_eq!(fetch["output"]["outputVariables"]["VersionId"], "v1");
    assert_eq!(fetch["input"]["namespace"], "Upload");
    assert_eq!(check["pipelineExecutionId"], first.to_string());
    assert_eq!((&check["stageName"], &check["pipelineVersion"]), (&json!("Prod"), &json!(1)));
    assert_eq!(
        check["input"],
        json!({
            "actionTypeId": {"category": "Invoke", "owner": "AWS", "provider": "Lambda", "version": "1"},
            "configuration": {"FunctionName": "check", "UserParameters": "#{variables.Color} #{Upload.VersionId}"},
            "resolvedConfiguration": {"FunctionName": "check", "UserParameters": "green v1"},
            "roleArn": "arn:aws:iam::111122223333:role/pipeline", "region": "eu-west-1", "inputArtifacts": artifacts,
        })
    );
}

#[tokio::test]
async fn a_failed_run_tells_why() {
    let (bench, _) = Bench::with_release().await;
    let bad = bench.start().await;
    bench.fail(bad).await;
    let filter = json!({"pipelineName": "shop", "filter": {"pipelineExecutionId": bad}});
    let page = bench.ok("ListActionExecutions", filter).await;
    assert_eq!(runs(&page), [("Check", "Failed"), ("Fetch", "Succeeded")]);
    assert_eq!(
        page["actionExecutionDetails"][0]["output"]["executionResult"],
        json!({"externalExecutionId": "check-1",
        "errorDetails": {"code": "JobFailed", "message": "The page is blank."}})
    );
}

#[tokio::test]
async fn the_latest_runs_of_an_execution_come_page_by_page() {
    let (bench, first) = Bench::with_release().await;
    bench.pass(bench.start().await).await;
    let latest = |range: &str| {
        json!({"pipelineName": "shop", "maxResults": 1, "filter":
        {"latestInPipelineExecution": {"pipelineExecutionId": first, "startTimeRange": range}}})
    };
    for range in ["Latest", "All"] {
        let (mut found, mut input) = (Vec::new(), latest(range));
        loop {
            let page = bench.ok("ListActionExecutions", input.clone()).await;
            found.extend(runs(&page).iter().map(|(action, _)| action.to_string()));
            let Some(token) = page.get("nextToken") else {
                break;
            };
            input["nextToken"] = token.clone();
        }
        assert_eq!(found, ["Check", "Fetch"], "{range}");
    }
}

#[tokio::test]
async fn a_retry_between_two_pages_moves_no_run_from_one_to_the_other() {
    let bench = Bench::new().await;
    let mut pipeline = shop();
    let sources = pipeline["stages"][0]["actions"].as_array_mut().unwrap();
    let mut other = sources[0].clone();
    other["name"] = json!("Miss");
    other["runOrder"] = json!(2);
    other["namespace"] = json!("Other");
    other["configuration"]["S3ObjectKey"] = json!("missing.zip");
    other["outputArtifacts"] = json!([{"name": "More"}]);
    sources.push(other);
    bench.ok("CreatePipeline", json!({"pipeline": pipeline})).await;
    let execution = bench.newest().await;
    let Driven::Working(report) = bench.drive(execution, None).await else { panic!("an object is missing") };
    bench.drive(execution, Some(StageReport { status: StageResult::Failed, ..report })).await;

    let latest = json!({"pipelineName": "shop", "maxResults": 1, "filter":
        {"latestInPipelineExecution": {"pipelineExecutionId": execution, "startTimeRange": "Latest"}}});
    let first = bench.ok("ListActionExecutions", latest.clone()).await;
    let whole = bench.ok("ListActionExecutions", json!({"pipelineName": "shop"})).await;
    let retry = json!({"pipelineName": "shop", "stageName": "Source", "pipelineExecutionId": execution,
        "retryMode": "ALL_ACTIONS"});
    bench.ok("RetryStageExecution", retry).await;
    bench.drive(execution, None).await;
    let mut next = latest;
    next["nextToken"] = first["nextToken"].clone();
    let second = bench.ok("ListActionExecutions", next).await;
    let details = |page: &Value| page["actionExecutionDetails"].as_array().unwrap().clone();
    assert_eq!([details(&first), details(&second)].concat(), details(&whole));
    assert!(second.get("nextToken").is_none(), "{second}");
}

/// Ends an execution of `shop` whose check says almost as much as it may, in characters that each codec makes more of.
async fn pass_at_length(bench: &Bench, execution: ExecutionId) {
    let Driven::Working(report) = bench.drive(execution, None).await else { panic!("no job is out") };
    let said = json!({"Log": "\"".repeat(120_000)});
    bench.ok("PutJobSuccessResult", json!({"jobId": bench.job().await, "outputVariables": said})).await;
    assert_eq!(bench.drive(execution, Some(report)).await, Driven::Ended(ExecutionStatus::Succeeded));
}

#[tokio::test]
async fn a_page_ends_before_its_answer_is_longer_than_a_function_may_give() {
    let (bench, _) = Bench::with_release().await;
    for _ in 0..14 {
        pass_at_length(&bench, bench.start().await).await;
    }
    let (mut pages, mut found, mut input) = (0, Vec::new(), json!({"pipelineName": "shop"}));
    loop {
        let reply = bench.send(json_call("ListActionExecutions", input.to_string())).await;
        let bytes = serde_json::to_string(&reply).unwrap().len();
        assert!(reply.status_code == 200 && bytes < ANSWER_BYTES_MAX, "{}: {bytes} bytes", reply.status_code);
        let page: Value = serde_json::from_str(&reply.body).unwrap();
        let lines = page["actionExecutionDetails"].as_array().unwrap().iter();
        found.extend(lines.map(|line| line["actionExecutionId"].as_str().unwrap().to_owned()));
        pages += 1;
        let Some(token) = page.get("nextToken") else {
            break;
        };
        input["nextToken"] = token.clone();
    }
    let all = PageRequest { limit: 100, after: None };
    let all = bench.world.store().list_action_runs(&shop_name(), None, all).await.unwrap().items;
    assert_eq!(found, all.iter().map(|run| run.id.to_string()).collect::<Vec<_>>(), "nothing is lost or comes twice");
    assert_eq!((pages, found.len()), (2, 30));
}

#[tokio::test]
async fn runs_that_cannot_be_listed_are_refused() {
    let (bench, first) = Bench::with_release().await;
    let filter = |filter: Value| json!({"pipelineName": "shop", "filter": filter});
    let latest = json!({"pipelineExecutionId": NOBODY, "startTimeRange": "Latest"});
    bench
        .refuses(
            "ListActionExecutions",
            &[
                (json!({"pipelineName": "blog"}), "PipelineNotFoundException", "'blog'"),
                (filter(json!({"pipelineExecutionId": NOBODY})), "PipelineExecutionNotFoundException", NOBODY),
                (filter(json!({"latestInPipelineExecution": latest})), "PipelineExecutionNotFoundException", NOBODY),
                (
                    filter(json!({"pipelineExecutionId": first, "latestInPipelineExecution": latest})),
                    "ValidationException",
                    "two executions",
                ),
                (json!({"pipelineName": "shop", "nextToken": "x"}), "InvalidNextTokenException", "token"),
            ],
        )
        .await;
    let foreign = json!({"pipelineName": "blog", "filter": {"pipelineExecutionId": first}});
    bench.refuses("ListActionExecutions", &[(foreign, "PipelineNotFoundException", "'blog'")]).await;
}
