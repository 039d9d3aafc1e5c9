//! Operations on executions.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Answer, machines,
    wire::{cut, page, present, seconds},
};
use crate::{
    refusal::Refusal,
    run::{Event, Run, Status},
    service::States,
    store::Store,
};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct StartExecution {
    state_machine_arn: String,
    name: Option<String>,
    input: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct StopExecution {
    execution_arn: String,
    error: Option<String>,
    cause: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct NamedExecution {
    execution_arn: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ListExecutions {
    state_machine_arn: String,
    status_filter: Option<String>,
    max_results: Option<u32>,
    next_token: Option<String>,
}

impl States {
    pub(super) fn start_execution(&self, request: StartExecution) -> Answer {
        machines::machine(&self.store(), &request.state_machine_arn)?;
        let name = request.name.unwrap_or_else(|| self.uuid());
        let input = request.input.as_deref().unwrap_or("{}");
        let (arn, started) = self.start(&request.state_machine_arn, &name, input, None)?;
        Ok(json!({"executionArn": arn, "startDate": seconds(started)}))
    }

    pub(super) fn stop_execution(&self, request: StopExecution) -> Answer {
        let arn = request.execution_arn;
        execution(&self.store(), &arn)?;
        self.step(&arn, Event::Stop { error: request.error, cause: request.cause })?;
        // Stopping what has ended is a success that changes nothing.
        let stopped = execution(&self.store(), &arn)?.stopped;
        Ok(json!({"stopDate": seconds(stopped.unwrap_or_else(|| self.now()))}))
    }

    pub(super) fn describe_execution(&self, request: &NamedExecution) -> Answer {
        let run = execution(&self.store(), &request.execution_arn)?;
        Ok(present(json!({
            "executionArn": run.arn,
            "stateMachineArn": run.machine_arn,
            "name": run.name,
            "status": run.status.name(),
            "startDate": seconds(run.started),
            "stopDate": run.stopped.map(seconds),
            "input": run.input,
            "inputDetails": {"included": true},
            "output": run.output,
            "outputDetails": run.output.as_ref().map(|_| json!({"included": true})),
            "error": run.error,
            "cause": run.cause,
            "redriveCount": 0,
            "redriveStatus": "NOT_REDRIVABLE",
        })))
    }

    pub(super) fn describe_machine_of(&self, request: &NamedExecution) -> Answer {
        let store = self.store();
        let run = execution(&store, &request.execution_arn)?;
        let mut described = machines::describe(&store, &run.machine_arn, run.revision)?;
        described["roleArn"] = json!(run.role_arn);
        described["updateDate"] =
            seconds(store.machine(&run.machine_arn)?.map_or(run.started, |machine| machine.updated));
        Ok(described)
    }

    pub(super) fn list_executions(&self, request: &ListExecutions) -> Answer {
        let status = match request.status_filter.as_deref() {
            None => None,
            Some(name) => Some(Status::parse(name).ok_or_else(|| bad_status(name))?),
        };
        let page = page(request.next_token.as_deref(), request.max_results, i64::MAX)?;
        let store = self.store();
        machines::machine(&store, &request.state_machine_arn)?;
        let mut rows = store.executions(&request.state_machine_arn, status, page)?;
        let next = cut(&mut rows, page, |(place, _)| *place);
        let listed: Vec<Value> = rows.iter().map(|(_, run)| summary(run)).collect();
        Ok(present(json!({"executions": listed, "nextToken": next})))
    }
}

/// The execution, or AWS's refusal.
pub(super) fn execution(store: &Store, arn: &str) -> Result<Run, Refusal> {
    if !arn.starts_with("arn:") {
        return Err(Refusal::new("InvalidArn", format!("Invalid Arn: '{arn}'")));
    }
    let found = store.execution(arn)?;
    found.ok_or_else(|| Refusal::new("ExecutionDoesNotExist", format!("Execution Does Not Exist: '{arn}'")))
}

fn summary(run: &Run) -> Value {
    present(json!({
        "executionArn": run.arn,
        "stateMachineArn": run.machine_arn,
        "name": run.name,
        "status": run.status.name(),
        "startDate": seconds(run.started),
        "stopDate": run.stopped.map(seconds),
        "redriveCount": 0,
    }))
}

fn bad_status(name: &str) -> Refusal {
    let known: Vec<_> = Status::ALL.into_iter().map(Status::name).collect();
    Refusal::new("ValidationException", format!("statusFilter {name} is not one of {}", known.join(", ")))
}
