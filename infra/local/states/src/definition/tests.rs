//! What the subset takes and refuses.

use serde_json::{Value, json};

use super::check_definition;

fn refused(states: Value, path: &str) {
    let definition = json!({"QueryLanguage": "JSONata", "StartAt": "A", "States": states});
    let error = check_definition(&definition.to_string()).expect_err("outside the subset");
    assert_eq!(error.path, path, "{error}");
}

#[test]
fn a_machine_with_everything_is_accepted() {
    let definition = include_str!("../../tests/everything.asl.json");
    assert_eq!(check_definition(definition), Ok(()));
}

#[test]
fn only_jsonata_is_run() {
    for head in [json!({}), json!({"QueryLanguage": "JSONPath"})] {
        let mut definition = json!({"StartAt": "A", "States": {"A": {"Type": "Succeed"}}});
        definition.as_object_mut().expect("an object").extend(head.as_object().expect("an object").clone());
        let error = check_definition(&definition.to_string()).expect_err("not JSONata");
        assert_eq!(error.path, "$.QueryLanguage");
    }
    assert_eq!(check_definition("{").expect_err("not JSON").path, "$");
    refused(json!({"A": {"Type": "Pass", "QueryLanguage": "JSONPath", "End": true}}), "$.States.A.QueryLanguage");
}

#[test]
fn fields_outside_the_subset_are_refused_with_their_path() {
    for field in
        ["InputPath", "OutputPath", "ResultPath", "Parameters", "Result", "ResultSelector", "Retry", "Arguments"]
    {
        refused(json!({"A": {"Type": "Pass", "End": true, field: "$"}}), &format!("$.States.A.{field}"));
    }
    let invoke = "arn:aws:states:::lambda:invoke";
    let call = json!({"FunctionName": "f"});
    refused(
        json!({"A": {"Type": "Task", "Resource": "arn:aws:states:::sqs:sendMessage", "End": true}}),
        "$.States.A.Resource",
    );
    refused(json!({"A": {"Type": "Task", "Resource": invoke, "Arguments": {}, "End": true}}), "$.States.A.Arguments");
    refused(
        json!({"A": {"Type": "Task", "Resource": invoke, "Arguments": {"FunctionName": "f", "LogType": "Tail"}, "End": true}}),
        "$.States.A.Arguments.LogType",
    );
    refused(
        json!({"A": {"Type": "Task", "Resource": invoke, "Arguments": call, "TimeoutSeconds": 0, "End": true}}),
        "$.States.A.TimeoutSeconds",
    );
    refused(
        json!({"A": {"Type": "Task", "Resource": invoke, "Arguments": call, "Retry": [{"ErrorEquals": []}], "End": true}}),
        "$.States.A.Retry[0].ErrorEquals",
    );
    refused(
        json!({"A": {"Type": "Task", "Resource": invoke, "Arguments": call, "End": true, "Catch": [
        {"ErrorEquals": ["States.ALL", "X"], "Next": "A"}]}}),
        "$.States.A.Catch[0].ErrorEquals",
    );
    refused(json!({"A": {"Type": "Map", "End": true, "ItemReader": {}}}), "$.States.A.ItemReader");
    refused(
        json!({"A": {"Type": "Map", "End": true, "ItemProcessor": {"ProcessorConfig": {"Mode": "DISTRIBUTED"}}}}),
        "$.States.A.ItemProcessor.ProcessorConfig.Mode",
    );
    refused(json!({"A": {"Type": "Wait", "SecondsPath": "$.s", "End": true}}), "$.States.A.SecondsPath");
    refused(
        json!({"A": {"Type": "Wait", "Seconds": 1, "Timestamp": "2026-01-01T00:00:00Z", "End": true}}),
        "$.States.A",
    );
    refused(json!({"A": {"Type": "Wait", "Timestamp": "tomorrow", "End": true}}), "$.States.A.Timestamp");
}

#[test]
fn heartbeats_are_below_timeouts() {
    let task = |heartbeat: Value, timeout: Value| {
        let resource = "arn:aws:states:::lambda:invoke.waitForTaskToken";
        json!({"A": {"Type": "Task", "Resource": resource, "Arguments": {"FunctionName": "f"}, "End": true,
            "HeartbeatSeconds": heartbeat, "TimeoutSeconds": timeout}})
    };
    refused(task(json!(10), json!(10)), "$.States.A.HeartbeatSeconds");
    refused(task(json!(11), json!(10)), "$.States.A.HeartbeatSeconds");
    // What an expression gives is not known yet.
    for (heartbeat, timeout) in [(json!(9), json!(10)), (json!("{% 10 %}"), json!(10)), (json!(10), json!("{% 10 %}"))]
    {
        let states = task(heartbeat, timeout);
        let definition = json!({"QueryLanguage": "JSONata", "StartAt": "A", "States": states});
        assert_eq!(check_definition(&definition.to_string()), Ok(()));
    }
}

#[test]
fn structure_is_checked() {
    refused(json!({}), "$.StartAt");
    refused(json!({"A": {"Type": "Nap"}}), "$.States.A.Type");
    refused(json!({"A": {"Type": "Pass"}}), "$.States.A");
    refused(json!({"A": {"Type": "Pass", "Next": "B", "End": true}}), "$.States.A");
    refused(json!({"A": {"Type": "Pass", "Next": "B"}}), "$.States.A");
    refused(json!({"A": {"Type": "Pass", "End": true}, "B": {"Type": "Succeed"}}), "$.States.B");
    refused(json!({"A": {"Type": "Choice", "Choices": []}}), "$.States.A.Choices");
    refused(
        json!({"A": {"Type": "Choice", "Choices": [{"Condition": "$x = 1", "Next": "A"}]}}),
        "$.States.A.Choices[0].Condition",
    );
    refused(json!({"A": {"Type": "Pass", "Output": {"x": ["{% 1 + %}"]}, "End": true}}), "$.States.A.Output.x[0]");
    refused(json!({"A": {"Type": "Pass", "Assign": {"states": 1}, "End": true}}), "$.States.A.Assign.states");
}

#[test]
fn branches_keep_to_their_own_states_and_variables() {
    let branch = |state: Value| json!({"A": {"Type": "Parallel", "Assign": {"x": 1}, "End": true, "Branches": [{"StartAt": "B", "States": {"B": state}}]}});
    refused(branch(json!({"Type": "Pass", "Next": "A"})), "$.States.A.Branches[0].States.B");
    refused(branch(json!({"Type": "Pass", "Assign": {"x": 2}, "End": true})), "$.States.A.Branches[0].States.B");
    refused(
        json!({"A": {"Type": "Map", "End": true, "ItemProcessor": {"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}}}),
        "$.States.A",
    );
}

#[test]
fn operations_of_services_are_asked_with_a_role_of_ones_own() {
    let task = |resource: &str, credentials: Value| {
        let resource = format!("arn:aws:states:::aws-sdk:{resource}");
        json!({"A": {"Type": "Task", "Resource": resource, "Credentials": credentials, "Arguments": {"Any": 1}, "End": true}})
    };
    let role = json!({"RoleArn": "{% $states.input.role %}"});
    let states = task("codebuild:startBuild", role.clone());
    let definition = json!({"QueryLanguage": "JSONata", "StartAt": "A", "States": states});
    assert_eq!(check_definition(&definition.to_string()), Ok(()));
    for resource in
        ["codebuild", "codebuild:StartBuild", "CodeBuild:startBuild", "codebuild:startBuild.waitForTaskToken"]
    {
        refused(task(resource, role.clone()), "$.States.A.Resource");
    }
    refused(task("codebuild:startBuild", json!({})), "$.States.A.Credentials");
    refused(task("codebuild:startBuild", json!({"Role": "x"})), "$.States.A.Credentials.Role");
    refused(task("codebuild:startBuild", json!({"RoleArn": 1})), "$.States.A.Credentials.RoleArn");
}
