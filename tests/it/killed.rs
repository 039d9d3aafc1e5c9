//! The process is killed at random points of the story and started again: the story ends as if nothing had happened.

use std::time::Duration;

use aws_sdk_s3::types::{BucketVersioningStatus, VersioningConfiguration};
use engine::ports::Entropy;
use local::demo::{ApiError, Client, Ending, Guard, Narrator, Story, ending};
use runtime::SystemEntropy;
use serde_json::{Value, json};
use tempfile::tempdir;

use crate::{
    process::SystemProcess,
    world::{approval, eventually, pipeline, publish, release, text},
};

/// Kills in all.
const KILLS_MIN: usize = 100;
/// Longest life between two kills. The story takes some seconds, so every part of it is hit sooner or later; a start
/// takes a good part of a second, so starting is hit too.
const LIFE_MS_MAX: u64 = 1_500;

/// Remembers what was told, to show it when something goes wrong.
#[derive(Default)]
struct Memory(Vec<String>);

impl Narrator for Memory {
    fn chapter(&mut self, title: &str) {
        self.0.push(title.to_owned());
    }

    fn done(&mut self, what: &str) {
        self.0.push(format!("> {what}"));
    }

    fn seen(&mut self, what: &str) {
        self.0.push(format!("= {what}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_anywhere_it_ends_as_if_undisturbed() {
    let undisturbed = tell(0).await.0;
    let mut kills = 0;
    while kills < KILLS_MIN {
        let (disturbed, killed) = tell(KILLS_MIN - kills).await;
        kills += killed;
        assert_eq!(disturbed, undisturbed, "after {killed} kills");
        println!("{kills} kills, the same end each time");
    }
}

/// Tells the story once, with at most `kills_max` kills; returns how it ended and how many there were.
async fn tell(kills_max: usize) -> (Ending, usize) {
    let data = tempdir().expect("a temporary directory");
    let mut process = SystemProcess::new(data.path().join("data"));
    let endpoint = process.endpoint();
    process.start();
    let mut memory = Memory::default();
    let client = Client::new(&endpoint).expect("constant settings");
    let (told, kills) = {
        let mut story = Story::new(&client, &mut memory, Guard::Alarm);
        disturbed(&mut process, kills_max, story.tell()).await
    };
    if let Err(error) = told {
        panic!("after {kills} kills: {error:#}\n{}", memory.0.join("\n"));
    }
    let end = ending(&client).await.expect("the API answers");
    process.kill().await;
    (end, kills)
}

/// What `telling` comes to while the process is killed, at most `kills_max` times, and how often it was.
async fn disturbed<T>(process: &mut SystemProcess, kills_max: usize, telling: impl Future<Output = T>) -> (T, usize) {
    let mut kills = 0;
    tokio::pin!(telling);
    loop {
        let life = Duration::from_millis(random() % LIFE_MS_MAX);
        tokio::select! {
            told = &mut telling => return (told, kills),
            () = tokio::time::sleep(life), if kills < kills_max => {
                process.kill().await;
                kills += 1;
                process.start();
            }
        }
    }
}

/// Rounds of stopping and retrying, and kills in each.
const ROUNDS: usize = 6;
const KILLS_PER_ROUND: usize = 4;

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_people_stop_and_retry_nothing_is_lost_nor_done_twice() {
    let data = tempdir().expect("a temporary directory");
    let mut process = SystemProcess::new(data.path().join("data"));
    let client = Client::new(&process.endpoint()).expect("constant settings");
    process.start();
    let person = Person { client: &client };
    person.prepare().await;
    for round in 0..ROUNDS {
        let (execution, kills) = disturbed(&mut process, KILLS_PER_ROUND, person.stop_and_retry(round)).await;
        let filter = json!({ "pipelineExecutionId": execution });
        let runs = person.call("ListActionExecutions", json!({ "pipelineName": "shop", "filter": filter })).await;
        let mut ends: Vec<(&str, &str)> = runs["actionExecutionDetails"]
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(|run| Some((run["actionName"].as_str()?, run["status"].as_str()?)))
            .collect();
        ends.sort_unstable();
        let first = if round % 2 == 0 { "Succeeded" } else { "Abandoned" };
        let mut expected = [("Ask", first), ("Ask", "Succeeded"), ("Publish", "Succeeded"), ("Upload", "Succeeded")];
        expected.sort_unstable();
        assert_eq!(ends, expected, "round {round} after {kills} kills");
    }
    process.kill().await;
}

/// Somebody who insists: what was done before the process died counts as done.
struct Person<'a> {
    client: &'a Client,
}

impl Person<'_> {
    async fn call(&self, operation: &str, input: Value) -> Value {
        self.insist(operation, input, &[]).await
    }

    /// Calls until it is answered. `done` are refusals that say that an earlier call arrived.
    async fn insist(&self, operation: &str, input: Value, done: &[&str]) -> Value {
        match self.client.call(operation, &input).await {
            Ok(answer) => answer,
            Err(error) => match error.downcast_ref::<ApiError>() {
                Some(refusal) if done.contains(&refusal.exception.as_str()) => Value::Null,
                _ => panic!("{operation} of {input}: {error:#}"),
            },
        }
    }

    /// A pipeline that asks before it publishes. Its first execution found nothing, and the second was given up.
    async fn prepare(&self) {
        eventually("the system", async || self.client.s3.list_buckets().send().await.ok()).await;
        for bucket in ["shop-releases", "shop-artifacts", "shop-site"] {
            self.client.s3.create_bucket().bucket(bucket).send().await.expect("it is new");
        }
        let versioned = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled).build();
        let put = self.client.s3.put_bucket_versioning().bucket("shop-releases").versioning_configuration(versioned);
        put.send().await.expect("it is there");
        let mut ask = approval(1);
        ask["name"] = json!("Ask");
        let declared = pipeline("shop", &[ask, publish("shop", 2)]);
        self.call("CreatePipeline", json!({ "pipeline": declared })).await;
        let listed = self.call("ListPipelineExecutions", json!({ "pipelineName": "shop" })).await;
        let failed = text(&listed["pipelineExecutionSummaries"][0]["pipelineExecutionId"]);
        self.stands(&failed, "Failed").await;
        // Uploaded when the pipeline is there, so that the upload's event starts this execution and no later one.
        let body = release("one").into();
        let put = self.client.s3.put_object().bucket("shop-releases").key("app.zip").body(body);
        put.send().await.expect("the bucket is there");
        let first = eventually("the upload's execution", async || {
            let listed = self.call("ListPipelineExecutions", json!({ "pipelineName": "shop" })).await;
            let newest = &listed["pipelineExecutionSummaries"][0];
            (newest["trigger"]["triggerType"] == "CloudWatchEvent").then(|| text(&newest["pipelineExecutionId"]))
        })
        .await;
        self.stop(&first, true).await;
        self.stands(&first, "Stopped").await;
    }

    /// Stops a release while it asks, lets it go on by a retry, and returns its execution when it has succeeded.
    async fn stop_and_retry(&self, round: usize) -> String {
        let start = json!({ "name": "shop", "clientRequestToken": format!("round-{round}") });
        let execution = text(&self.call("StartPipelineExecution", start).await["pipelineExecutionId"]);
        let token = self.question(&execution, "").await;
        let abandons = round % 2 == 1;
        self.stop(&execution, abandons).await;
        if !abandons {
            self.approve(&token).await;
        }
        self.stands(&execution, "Stopped").await;
        let retry = json!({ "pipelineName": "shop", "stageName": "Deploy", "pipelineExecutionId": execution,
            "retryMode": "ALL_ACTIONS" });
        self.insist("RetryStageExecution", retry, &["ConflictException"]).await;
        self.approve(&self.question(&execution, &token).await).await;
        self.stands(&execution, "Succeeded").await;
        execution
    }

    async fn stop(&self, execution: &str, abandon: bool) {
        let input = json!({ "pipelineName": "shop", "pipelineExecutionId": execution, "abandon": abandon });
        let done = ["DuplicatedStopRequestException", "PipelineExecutionNotStoppableException"];
        self.insist("StopPipelineExecution", input, &done).await;
    }

    async fn approve(&self, token: &str) {
        let input = json!({ "pipelineName": "shop", "stageName": "Deploy", "actionName": "Ask", "token": token,
            "result": { "summary": "seen", "status": "Approved" } });
        self.insist("PutApprovalResult", input, &["ApprovalAlreadyCompletedException"]).await;
    }

    /// The token of the question that an execution asks, once it asks one other than `before`.
    async fn question(&self, execution: &str, before: &str) -> String {
        eventually("the question", async || {
            let state = self.call("GetPipelineState", json!({ "name": "shop" })).await;
            let stage = &state["stageStates"][1];
            let asks = stage["latestExecution"]["pipelineExecutionId"] == execution;
            let token = stage["actionStates"][0]["latestExecution"]["token"].as_str();
            token.filter(|token| asks && *token != before).map(str::to_owned)
        })
        .await
    }

    async fn stands(&self, execution: &str, status: &str) {
        eventually(&format!("{status} of {execution}"), async || {
            let input = json!({ "pipelineName": "shop", "pipelineExecutionId": execution });
            let shown = self.call("GetPipelineExecution", input).await;
            (shown["pipelineExecution"]["status"] == status).then_some(())
        })
        .await;
    }
}

fn random() -> u64 {
    let mut bytes = [0; 8];
    SystemEntropy.fill(&mut bytes);
    u64::from_le_bytes(bytes)
}
