//! The API with raw requests.

use serde_json::{Value, json};

use super::world::{Fakes, World};

const ROLE: &str = "arn:aws:iam::000000000000:role/r";

fn definition() -> String {
    json!({"QueryLanguage": "JSONata", "StartAt": "A", "States": {"A": {"Type": "Wait", "Seconds": "{% $states.input.s %}", "End": true}}}).to_string()
}

async fn world() -> (World, String) {
    let world = World::new(Fakes::default());
    let created = world
        .ok(
            "CreateStateMachine",
            json!({"name": "m", "definition": definition(), "roleArn": ROLE, "tags": [{"key": "k", "value": "v"}]}),
        )
        .await;
    (world, created["stateMachineArn"].as_str().expect("an ARN").to_owned())
}

#[tokio::test]
async fn machines_are_created_and_described() {
    let (world, arn) = world().await;
    let again = world.ok("CreateStateMachine", json!({"name": "m", "definition": definition(), "roleArn": ROLE})).await;
    assert_eq!(again["stateMachineArn"], json!(arn));
    let other = json!({"name": "m", "definition": definition().replace("\"A\"", "\"C\""), "roleArn": ROLE});
    assert_eq!(world.refused("CreateStateMachine", other).await, "StateMachineAlreadyExists");
    assert_eq!(
        world.refused("CreateStateMachine", json!({"name": "x", "definition": "{}", "roleArn": ROLE})).await,
        "InvalidDefinition"
    );
    assert_eq!(
        world.refused("CreateStateMachine", json!({"name": "a b", "definition": definition(), "roleArn": ROLE})).await,
        "InvalidName"
    );
    let described = world.ok("DescribeStateMachine", json!({"stateMachineArn": arn})).await;
    assert_eq!(
        (&described["name"], &described["definition"], &described["roleArn"]),
        (&json!("m"), &json!(definition()), &json!(ROLE))
    );
    assert!(described["creationDate"].is_f64());
    assert_eq!(
        world.ok("ListTagsForResource", json!({"resourceArn": arn})).await,
        json!({"tags": [{"key": "k", "value": "v"}]})
    );
}

#[tokio::test]
async fn machines_are_updated_listed_and_deleted() {
    let (world, arn) = world().await;
    world
        .ok("UpdateStateMachine", json!({"stateMachineArn": arn, "definition": definition().replace("\"A\"", "\"B\"")}))
        .await;
    let listed = world.ok("ListStateMachines", json!({})).await;
    assert_eq!(listed["stateMachines"].as_array().map(Vec::len), Some(1));
    world.ok("DeleteStateMachine", json!({"stateMachineArn": arn})).await;
    assert_eq!(
        world.refused("DescribeStateMachine", json!({"stateMachineArn": arn})).await,
        "StateMachineDoesNotExist"
    );
    assert_eq!(world.refused("DescribeStateMachine", json!({"stateMachineArn": "m"})).await, "InvalidArn");
}

#[tokio::test]
async fn starts_are_idempotent_while_the_execution_runs() {
    let (world, arn) = world().await;
    let start = |input: &str| json!({"stateMachineArn": arn, "name": "n", "input": input});
    let first = world.ok("StartExecution", start("{\"s\": 5}")).await;
    world.pass(1).await;
    assert_eq!(world.ok("StartExecution", start("{ \"s\":5 }")).await, first);
    assert_eq!(world.refused("StartExecution", start("{\"s\": 6}")).await, "ExecutionAlreadyExists");
    world.pass(10).await;
    assert_eq!(world.refused("StartExecution", start("{\"s\": 5}")).await, "ExecutionAlreadyExists");
    world.pass(90 * 24 * 3600).await;
    let reused = world.ok("StartExecution", start("{\"s\": 5}")).await;
    assert_ne!(reused["startDate"], first["startDate"]);
    assert_eq!(world.refused("StartExecution", start("{")).await, "InvalidExecutionInput");
    assert_eq!(
        world.refused("StartExecution", start(&format!("\"{}\"", "x".repeat(262_144)))).await,
        "ValidationException"
    );
    assert_eq!(
        world.refused("StartExecution", json!({"stateMachineArn": format!("{arn}x")})).await,
        "StateMachineDoesNotExist"
    );
    assert_eq!(
        world.refused("StartExecution", json!({"stateMachineArn": arn, "name": "x".repeat(81)})).await,
        "InvalidName"
    );
}

#[tokio::test]
async fn executions_are_listed_newest_first_in_pages() {
    let (world, arn) = world().await;
    for i in 0..5 {
        world.start("m", &format!("e{i}"), json!({"s": i * 100})).await;
    }
    world.pass(150).await;
    let mut seen = Vec::new();
    let mut token = Value::Null;
    loop {
        let page =
            world.ok("ListExecutions", json!({"stateMachineArn": arn, "maxResults": 2, "nextToken": token})).await;
        seen.extend(page["executions"].as_array().expect("a list").iter().map(|one| one["name"].clone()));
        token = page["nextToken"].clone();
        if token.is_null() {
            break;
        }
    }
    assert_eq!(seen, ["e4", "e3", "e2", "e1", "e0"]);
    let done = world.ok("ListExecutions", json!({"stateMachineArn": arn, "statusFilter": "SUCCEEDED"})).await;
    assert_eq!(done["executions"].as_array().map(Vec::len), Some(2));
    assert_eq!(
        world.refused("ListExecutions", json!({"stateMachineArn": arn, "statusFilter": "DONE"})).await,
        "ValidationException"
    );
    assert_eq!(
        world.refused("ListExecutions", json!({"stateMachineArn": arn, "nextToken": "zz"})).await,
        "InvalidToken"
    );
}

#[tokio::test]
async fn history_has_pages_directions_and_payloads_on_request() {
    let (world, _) = world().await;
    let arn = world.start("m", "h", json!({"s": 0})).await;
    world.settle().await;
    let first = world.ok("GetExecutionHistory", json!({"executionArn": arn, "maxResults": 3})).await;
    let second = world
        .ok("GetExecutionHistory", json!({"executionArn": arn, "maxResults": 3, "nextToken": first["nextToken"]}))
        .await;
    assert_eq!((first["events"][2]["id"].as_u64(), second["events"][0]["id"].as_u64()), (Some(3), Some(4)));
    assert_eq!(second.get("nextToken"), None);
    let reverse = world.ok("GetExecutionHistory", json!({"executionArn": arn, "reverseOrder": true})).await;
    assert_eq!(reverse["events"][0]["type"], "ExecutionSucceeded");
    let bare = world.ok("GetExecutionHistory", json!({"executionArn": arn, "includeExecutionData": false})).await;
    assert!(!bare.to_string().contains("\"input\""));
    let machine = world.ok("DescribeStateMachineForExecution", json!({"executionArn": arn})).await;
    assert_eq!(machine["definition"], json!(definition()));
    assert_eq!(
        world.refused("GetExecutionHistory", json!({"executionArn": format!("{arn}x")})).await,
        "ExecutionDoesNotExist"
    );
}

#[tokio::test]
async fn stopping_is_repeatable_and_running_executions_keep_their_definition() {
    let (world, arn) = world().await;
    let execution = world.start("m", "s", json!({"s": 50})).await;
    world
        .ok(
            "UpdateStateMachine",
            json!({"stateMachineArn": arn, "definition": definition().replace("states.input.s", "states.input.t")}),
        )
        .await;
    world.ok("DeleteStateMachine", json!({"stateMachineArn": arn})).await;
    let stopped = world.ok("StopExecution", json!({"executionArn": execution, "cause": "why not"})).await;
    world.pass(3).await;
    assert_eq!(world.ok("StopExecution", json!({"executionArn": execution})).await, stopped);
    let ended = world.describe(&execution).await;
    assert_eq!((&ended["status"], &ended["cause"]), (&json!("ABORTED"), &json!("why not")));
}

#[tokio::test]
async fn malformed_requests_are_refused() {
    let (world, _) = world().await;
    for (operation, body, kind) in [
        ("StartExecution", "{", "SerializationException"),
        ("StartExecution", "{\"stateMachineArn\": 5}", "SerializationException"),
        ("StartExecution", "{}", "ValidationException"),
        ("Nonsense", "{}", "UnknownOperationException"),
    ] {
        let (status, answer) = world.call_raw(operation, body.to_owned()).await;
        assert_eq!((status, answer["__type"].as_str()), (400, Some(kind)), "{operation} {body}: {answer}");
    }
    let (status, _) = world.call_raw("ListStateMachines", "{\"unknownMember\": 1}".to_owned()).await;
    assert_eq!(status, 200);
}
