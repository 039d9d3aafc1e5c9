//! Actions whose work a state machine of their provider does, from end to end.

use serde_json::{Value, json};

use crate::world::{World, eventually, pipeline, release, text, type_id};

const MACHINE: &str = "arn:aws:states:us-east-1:000000000000:stateMachine:migrate";

impl World {
    /// Puts a state machine of the user's, called `migrate`.
    async fn put_machine(&self, states: Value) {
        let definition = json!({ "QueryLanguage": "JSONata", "StartAt": "Begin", "States": states }).to_string();
        let role = "arn:aws:iam::000000000000:role/migrate";
        let machine = json!({ "name": "migrate", "definition": definition, "roleArn": role });
        self.states("CreateStateMachine", &machine).await;
    }

    async fn states(&self, operation: &str, input: &Value) -> Value {
        let target = format!("AWSStepFunctions.{operation}");
        // Which service is meant stands in the signature.
        let authorization = "AWS4-HMAC-SHA256 Credential=any/20261123/us-east-1/states/aws4_request, \
                             SignedHeaders=host, Signature=none";
        let headers = [
            ("x-amz-target", target.as_str()),
            ("content-type", "application/x-amz-json-1.0"),
            ("authorization", authorization),
        ];
        let (status, answer) = self.post("/", &headers, &input.to_string()).await;
        assert!(status.is_success(), "{operation}: {answer}");
        answer
    }
}

fn migrate(configuration: Value) -> Value {
    let mut action = json!({
        "name": "Migrate",
        "actionTypeId": type_id("Invoke", "StepFunctions"),
        "namespace": "Migration",
        "configuration": { "StateMachineArn": MACHINE },
    });
    for (key, value) in configuration.as_object().into_iter().flatten() {
        action["configuration"][key] = value.clone();
    }
    action
}

#[tokio::test(flavor = "multi_thread")]
async fn an_execution_of_the_users_machine_is_run_and_linked() {
    let world = World::start().await;
    world.buckets("shop").await;
    world
        .put_machine(json!({ "Begin": {
            "Type": "Choice",
            "Choices": [{ "Condition": "{% $states.input.color = 'green' %}", "Next": "Good" }],
            "Default": "Bad",
        }, "Good": { "Type": "Succeed" }, "Bad": { "Type": "Fail", "Error": "Migration.Refused", "Cause": "not green" } }))
        .await;
    let action = migrate(json!({ "Input": "{\"color\": \"#{variables.Color}\"}", "ExecutionNamePrefix": "shop" }));
    let mut declared = pipeline("shop", &[action]);
    declared["variables"] = json!([{ "name": "Color", "defaultValue": "green" }]);
    world.upload("shop", release("1")).await;
    let good = world.create(&declared).await;
    assert_eq!(good["status"], "Succeeded", "{good}");
    let run = world.runs("shop", &good, "Migrate").await.remove(0);
    let arn =
        format!("arn:aws:states:us-east-1:000000000000:execution:migrate:shop-{}", text(&run["actionExecutionId"]));
    let result = &run["output"]["executionResult"];
    assert_eq!(result["externalExecutionId"], arn, "{run}");
    assert!(text(&result["externalExecutionUrl"]).ends_with(&format!("#/v2/executions/details/{arn}")), "{run}");
    assert_eq!(run["output"]["outputVariables"], json!({ "ExecutionArn": arn, "StateMachineArn": MACHINE }));
    let state = &world.stage("shop", 1).await["actionStates"][0]["latestExecution"];
    assert_eq!((&state["status"], &state["externalExecutionId"]), (&json!("Succeeded"), &json!(arn)), "{state}");

    let bad = world.run(json!({ "name": "shop", "variables": [{ "name": "Color", "value": "red" }] })).await;
    let (code, message) = world.failure("shop", &bad, "Migrate").await;
    assert_eq!(code, "JobFailed");
    assert_eq!(message, "The execution ended as FAILED: Migration.Refused: not green.");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_is_not_there_is_an_error_of_the_configuration() {
    let world = World::start().await;
    world.buckets("shop").await;
    world.upload("shop", release("1")).await;
    let first = world.create(&pipeline("shop", &[migrate(json!({}))])).await;
    let (code, message) = world.failure("shop", &first, "Migrate").await;
    assert_eq!(code, "ConfigurationError");
    assert!(message.starts_with("Sfn.StateMachineDoesNotExistException: "), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn abandoning_an_execution_stops_what_its_machine_began() {
    let world = World::start().await;
    world.buckets("shop").await;
    world.put_machine(json!({ "Begin": { "Type": "Wait", "Seconds": 86_400, "End": true } })).await;
    world.upload("shop", release("1")).await;
    world.call("CreatePipeline", json!({ "pipeline": pipeline("shop", &[migrate(json!({}))]) })).await;
    let arn = eventually("the link of the action", async || {
        let state = &world.stage("shop", 1).await["actionStates"][0]["latestExecution"];
        state["externalExecutionId"].as_str().map(str::to_owned)
    })
    .await;
    let id = text(&world.executions("shop").await[0]["pipelineExecutionId"]);
    let stop = json!({ "pipelineName": "shop", "pipelineExecutionId": id, "abandon": true });
    world.call("StopPipelineExecution", stop).await;
    assert_eq!(world.ended("shop", &id).await["status"], "Stopped");
    eventually("the end of the user's execution", async || {
        let described = world.states("DescribeExecution", &json!({ "executionArn": arn })).await;
        (described["status"] == "ABORTED").then_some(())
    })
    .await;
    let machine = "arn:aws:states:us-east-1:000000000000:stateMachine:lastgood-action-StepFunctions";
    eventually("the end of the provider's executions", async || {
        let listed = world.states("ListExecutions", &json!({ "stateMachineArn": machine })).await;
        let listed = listed["executions"].as_array().cloned().unwrap_or_default();
        let mut ends: Vec<String> = listed.iter().map(|one| text(&one["status"])).collect();
        ends.sort();
        (ends == ["ABORTED", "SUCCEEDED"]).then_some(())
    })
    .await;
}
