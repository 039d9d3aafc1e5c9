//! History events in AWS's shape.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// One event of an execution's history. Ids count from 1 without gaps.
#[derive(Debug, Clone)]
pub(crate) struct HistoryEvent {
    pub(crate) id: u64,
    pub(crate) previous: u64,
    pub(crate) at: Timestamp,
    /// `type` and the detail member.
    pub(crate) body: Map<String, Value>,
}

/// Type and details of an event.
#[derive(Debug)]
pub(crate) struct Body(Map<String, Value>);

impl Body {
    /// An event without details.
    pub(super) fn bare(kind: impl Into<String>) -> Self {
        Self(Map::from_iter([("type".to_owned(), Value::String(kind.into()))]))
    }

    /// An event whose details stand in `member`; absent values are left out.
    pub(super) fn with(kind: impl Into<String>, member: &str, details: Value) -> Self {
        let mut body = Self::bare(kind);
        let details = match details {
            Value::Object(members) => {
                Value::Object(members.into_iter().filter(|(_, value)| !value.is_null()).collect())
            }
            other => other,
        };
        body.0.insert(member.to_owned(), details);
        body
    }

    pub(super) fn execution_started(input: &str, role_arn: &str) -> Self {
        let details = json!({"input": input, "inputDetails": {"truncated": false}, "roleArn": role_arn});
        Self::with("ExecutionStarted", "executionStartedEventDetails", details)
    }

    pub(super) fn execution_succeeded(output: &str) -> Self {
        Self::with(
            "ExecutionSucceeded",
            "executionSucceededEventDetails",
            json!({"output": output, "outputDetails": {"truncated": false}}),
        )
    }

    /// ExecutionFailed, ExecutionAborted or ExecutionTimedOut.
    pub(super) fn execution_ended(how: &str, error: Option<&str>, cause: Option<&str>) -> Self {
        Self::with(
            format!("Execution{how}"),
            &format!("execution{how}EventDetails"),
            json!({"error": error, "cause": cause}),
        )
    }

    pub(super) fn entered(state_type: &str, name: &str, input: &Value) -> Self {
        let details = json!({"name": name, "input": input.to_string(), "inputDetails": {"truncated": false}});
        Self::with(format!("{state_type}StateEntered"), "stateEnteredEventDetails", details)
    }

    pub(super) fn exited(state_type: &str, name: &str, output: &Value, assigned: &Map<String, Value>) -> Self {
        let variables: Map<_, _> =
            assigned.iter().map(|(key, value)| (key.clone(), Value::String(value.to_string()))).collect();
        let mut details = json!({"name": name, "output": output.to_string(), "outputDetails": {"truncated": false}});
        if !variables.is_empty() {
            details["assignedVariables"] = Value::Object(variables);
            details["assignedVariablesDetails"] = json!({"truncated": false});
        }
        Self::with(format!("{state_type}StateExited"), "stateExitedEventDetails", details)
    }

    /// A Task event with its resource; `more` are the further details.
    pub(super) fn task(kind: &str, resource: (&str, &str), mut more: Value) -> Self {
        more["resourceType"] = resource.0.into();
        more["resource"] = resource.1.into();
        Self::with(format!("Task{kind}"), &format!("task{kind}EventDetails"), more)
    }

    pub(super) fn iteration(kind: &str, name: &str, index: usize) -> Self {
        Self::with(
            format!("MapIteration{kind}"),
            &format!("mapIteration{kind}EventDetails"),
            json!({"name": name, "index": index}),
        )
    }

    pub(super) fn map_started(length: usize) -> Self {
        Self::with("MapStateStarted", "mapStateStartedEventDetails", json!({"length": length}))
    }

    pub(super) fn evaluation_failed(state: &str, cause: &str) -> Self {
        let details = json!({"state": state, "error": "States.QueryEvaluationError", "cause": cause});
        Self::with("EvaluationFailed", "evaluationFailedEventDetails", details)
    }

    pub(super) fn into_map(self) -> Map<String, Value> {
        self.0
    }
}
