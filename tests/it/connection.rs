//! The source of a connection, over a stand-in of GitHub's API: what a push names, and what a branch has newest.

use std::sync::{Arc, Mutex};

use http::StatusCode;
use local::Endpoint;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::world::{World, archive, pipeline, publish, text, type_id};

const PUSH: &str = include_str!("../fixtures/github/push.json");
/// The commit of that push.
const PUSHED: &str = "c41d07e95b8a4f62a3d0e9b1f8c7265430ab19de";
const OLDER: &str = "3b7e21f6a90c4d58be02c1f7a5d4e3981726f0ab";
const REPOSITORY: &str = "harbour-books/shop";

/// A repository of two commits, whose branch `main` is at one of them.
struct GitHub {
    url: String,
    main: Arc<Mutex<&'static str>>,
}

impl GitHub {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let (main, own) = (Arc::new(Mutex::new(OLDER)), url.clone());
        let newest = Arc::clone(&main);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (mut bytes, mut chunk) = (Vec::new(), [0; 4096]);
                while !bytes.ends_with(b"\r\n\r\n") {
                    match stream.read(&mut chunk).await {
                        Ok(count @ 1..) => bytes.extend(&chunk[..count]),
                        _ => break,
                    }
                }
                let head = String::from_utf8_lossy(&bytes).into_owned();
                let path = head.split_whitespace().nth(1).unwrap_or_default();
                let main = *newest.lock().expect("nobody panics while holding it");
                let (status, body) = answer(path, main, &own);
                let head = format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
                let _ = stream.write_all(&[head.as_bytes(), &body].concat()).await;
            }
        });
        Self { url, main }
    }

    fn endpoint(&self) -> Endpoint {
        format!("github={}", self.url).parse().expect("a stand-in")
    }
}

/// Status line with headers, and body.
fn answer(path: &str, main: &str, own: &str) -> (String, Vec<u8>) {
    let commits = format!("/repos/{REPOSITORY}/commits/");
    let zipball = format!("/repos/{REPOSITORY}/zipball/");
    let known = |id: &str| [PUSHED, OLDER].contains(&id);
    if let Some(reference) = path.strip_prefix(&commits) {
        let id = if reference == "heads/main" { main } else { reference };
        if known(id) {
            let author = json!({ "name": "Ana Lind", "date": "2026-11-25T16:02:09Z" });
            let commit = json!({ "message": format!("Commit {}", &id[..7]), "author": author });
            return ("200 OK".to_owned(), json!({ "sha": id, "commit": commit }).to_string().into_bytes());
        }
    }
    if let Some(id) = path.strip_prefix(&zipball).filter(|id| known(id)) {
        return (format!("302 Found\r\nlocation: {own}/codeload/{id}"), Vec::new());
    }
    if let Some(id) = path.strip_prefix("/codeload/").filter(|id| known(id)) {
        let page = format!("harbour-books-shop-{}/index.html", &id[..7]);
        return ("200 OK".to_owned(), archive(&[(page.as_str(), id)]));
    }
    ("404 Not Found".to_owned(), b"{}".to_vec())
}

/// The pipeline `name`, whose source is the repository.
fn connected(name: &str, branch: &str) -> Value {
    let mut connected = pipeline(name, &[publish(name, 1)]);
    let source = &mut connected["stages"][0]["actions"][0];
    source["actionTypeId"] = type_id("Source", "CodeStarSourceConnection");
    source["configuration"] = json!({
        "ConnectionArn": "arn:aws:codeconnections:us-east-1:000000000000:connection/1",
        "FullRepositoryId": REPOSITORY, "BranchName": branch,
    });
    connected
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_takes_the_newest_of_the_branch_and_a_push_exactly_its_commit() {
    let github = GitHub::start().await;
    let world = World::with_endpoints(vec![github.endpoint()]).await;
    let name = "connected";
    world.buckets(name).await;
    let first = world.create(&connected(name, "main")).await;
    assert_eq!(first["status"], "Succeeded", "{first}");
    assert_eq!(world.page(name).await, OLDER);
    let run = world.runs(name, &first, "Upload").await.remove(0);
    let variables = json!({
        "AuthorDate": "2026-11-25T16:02:09Z", "BranchName": "main", "CommitId": OLDER, "CommitMessage": "Commit 3b7e21f",
        "ConnectionArn": "arn:aws:codeconnections:us-east-1:000000000000:connection/1",
        "FullRepositoryName": REPOSITORY,
    });
    assert_eq!(run["output"]["outputVariables"], variables);
    let revision = &first["sourceRevisions"][0];
    assert_eq!((&revision["revisionId"], &revision["revisionSummary"]), (&json!(OLDER), &json!("Commit 3b7e21f")));
    let state = &world.stage(name, 0).await["actionStates"][0];
    assert_eq!(state["currentRevision"]["revisionId"], OLDER, "{state}");

    // The branch has not moved, as far as the API tells: the push says itself what it is.
    let webhook = json!({
        "name": "connected-push", "targetPipeline": name, "targetAction": "Upload",
        "filters": [{ "jsonPath": "$.ref", "matchEquals": "refs/heads/main" }],
        "authentication": "UNAUTHENTICATED", "authenticationConfiguration": {},
    });
    let put = world.call("PutWebhook", json!({ "webhook": webhook })).await;
    let url = text(&put["webhook"]["url"]);
    let path = url.strip_prefix(&world.system.endpoint()).expect("it is here");
    let headers = [("content-type", "application/json"), ("x-github-event", "push"), ("x-github-delivery", "d-1")];
    let (status, answer) = world.post(path, &headers, PUSH).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let pushed = world.ended(name, &text(&answer["pipelineExecutionId"])).await;
    assert_eq!(pushed["status"], "Succeeded", "{pushed}");
    assert_eq!(pushed["sourceRevisions"][0]["revisionId"], PUSHED);
    assert_eq!(world.page(name).await, PUSHED);
    assert_eq!(pushed["trigger"]["triggerType"], "WebhookV2");
    let detail: Value = serde_json::from_str(&text(&pushed["trigger"]["triggerDetail"])).expect("JSON");
    assert_eq!(detail["commit-id"], PUSHED);

    let started = world.run(json!({ "name": name })).await;
    assert_eq!(started["sourceRevisions"][0]["revisionId"], OLDER, "by hand: what the branch has");
    *github.main.lock().expect("nobody panics while holding it") = PUSHED;
    let started = world.run(json!({ "name": name })).await;
    assert_eq!(started["sourceRevisions"][0]["revisionId"], PUSHED);
    let named = json!([{ "actionName": "Upload", "revisionType": "COMMIT_ID", "revisionValue": OLDER }]);
    let named = world.run(json!({ "name": name, "sourceRevisions": named })).await;
    assert_eq!(named["sourceRevisions"][0]["revisionId"], OLDER);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_fails_with_what_to_check() {
    let github = GitHub::start().await;
    let world = World::with_endpoints(vec![github.endpoint()]).await;
    let name = "lost";
    world.buckets(name).await;
    let failed = world.create(&connected(name, "gone")).await;
    let (code, message) = world.failure(name, &failed, "Upload").await;
    assert_eq!(code, "RevisionUnavailable");
    assert!(message.contains("harbour-books/shop has no branch gone that can be seen"), "{message}");

    let mut cloned = connected(name, "main");
    cloned["stages"][0]["actions"][0]["configuration"]["OutputArtifactFormat"] = json!("CODEBUILD_CLONE_REF");
    world.call("UpdatePipeline", json!({ "pipeline": cloned })).await;
    let failed = world.run(json!({ "name": name })).await;
    let (code, message) = world.failure(name, &failed, "Upload").await;
    assert_eq!(code, "ConfigurationError");
    assert!(message.contains("CODE_ZIP"), "{message}");

    // Sources of other kinds are not run, and say what can stand in their place.
    let mut elsewhere = connected(name, "main");
    let source = &mut elsewhere["stages"][0]["actions"][0];
    source["actionTypeId"] = type_id("Source", "CodeCommit");
    source["configuration"] = json!({ "RepositoryName": "shop", "BranchName": "main" });
    world.call("UpdatePipeline", json!({ "pipeline": elsewhere })).await;
    let failed = world.run(json!({ "name": name })).await;
    let (code, message) = world.failure(name, &failed, "Upload").await;
    assert_eq!(code, "ConfigurationError");
    assert!(message.contains("take the source from S3") && !message.contains("Lambda"), "{message}");
}
