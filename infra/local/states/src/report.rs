//! What a parent execution sees of an ended child: the describe-execution document with parsed input and output.

use serde_json::{Map, Value, json};

use crate::run::{ChildReport, Run, Status};

/// Describes `run`, which has ended, the way `startExecution.sync:2` gives it to the parent.
pub(crate) fn child(run: &Run) -> ChildReport {
    let parsed = |text: &Option<String>| text.as_deref().and_then(|text| serde_json::from_str::<Value>(text).ok());
    let document = json!({
        "ExecutionArn": run.arn,
        "StateMachineArn": run.machine_arn,
        "Name": run.name,
        "Status": run.status.name(),
        "StartDate": run.started.as_millisecond(),
        "StopDate": run.stopped.map(|at| at.as_millisecond()),
        "Input": serde_json::from_str::<Value>(&run.input).unwrap_or_default(),
        "InputDetails": {"Included": true},
        "Output": parsed(&run.output),
        "OutputDetails": (run.status == Status::Succeeded).then(|| json!({"Included": true})),
        "Error": run.error,
        "Cause": run.cause,
    });
    let Value::Object(members) = document else { unreachable!("json! of braces is an object") };
    // An output of null is an output; every other null is an absent member.
    let keep = |key: &str, value: &Value| !value.is_null() || (key == "Output" && run.status == Status::Succeeded);
    let document = members.into_iter().filter(|(key, value)| keep(key, value)).collect::<Map<_, _>>();
    ChildReport { arn: run.arn.clone(), status: run.status, document: Value::Object(document) }
}
