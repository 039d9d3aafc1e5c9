//! Task states: the call, its answers, and its deadlines.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    Failure, ServiceCall,
    advance::{Command, Step},
    context::{Extra, bounded},
    frame::{At, Call, ChildReport, Heartbeat, Phase, Status, Target},
    history::Body,
};
use crate::{
    arn,
    definition::{Resource, State, Task},
    expression,
};

/// Random bytes in a task token.
const TOKEN_BYTES: usize = 32;

impl Resource {
    /// `resourceType` and `resource` of history events.
    fn history_names(&self) -> (&str, &str) {
        match self {
            Self::Service { service, operation } => (service, operation),
            Self::Invoke => ("lambda", "invoke"),
            Self::InvokeWaitForTaskToken => ("lambda", "invoke.waitForTaskToken"),
            Self::StartExecution => ("states", "startExecution"),
            Self::StartExecutionSync2 => ("states", "startExecution.sync:2"),
        }
    }
}

impl Step<'_> {
    /// Evaluates the arguments and sends the call on its way.
    pub(super) fn call(&mut self, id: u64, task: &Task) -> Result<(), Failure> {
        let token = (task.resource == Resource::InvokeWaitForTaskToken).then(|| self.new_token());
        let extra = Extra { token: token.as_deref(), ..Extra::default() };
        let input = self.run.frames[&id].input.clone();
        let arguments = self.evaluate(id, task.arguments.as_ref(), &extra, &input)?;
        let timeout_s = self.optional_seconds(id, task.timeout_s.as_ref(), &extra)?;
        let heartbeat_s = self.optional_seconds(id, task.heartbeat_s.as_ref(), &extra)?;
        if heartbeat_s.zip(timeout_s).is_some_and(|(every_s, timeout_s)| every_s >= timeout_s) {
            return Err(Failure::new("States.Runtime", "HeartbeatSeconds must be smaller than TimeoutSeconds"));
        }
        let asynchronous = arguments["InvocationType"].as_str() == Some("Event");
        let role = self.role(id, task)?;
        let target = self.target(id, &task.resource, &arguments, role)?;
        let details = json!({
            "region": arn::REGION, "parameters": arguments.to_string(),
            "timeoutInSeconds": timeout_s, "heartbeatInSeconds": heartbeat_s,
        });
        self.record(id, Body::task("Scheduled", task.resource.history_names(), details));
        self.record(id, Body::task("Started", task.resource.history_names(), json!({})));
        let attempt = self.run.number();
        let call = Call {
            attempt,
            target,
            phase: Phase::Open,
            timeout: timeout_s.and_then(|seconds| self.after_s(seconds)),
            heartbeat: heartbeat_s.and_then(|every_s| Some(Heartbeat { every_s, due: self.after_s(every_s)? })),
            token,
        };
        if let Some(token) = &call.token {
            self.add_token(token.clone());
        }
        self.frame(id).at = At::Calling(call.clone());
        match call.target {
            Target::Lambda { function, payload } if asynchronous => {
                self.detach(function, payload);
                self.returned(attempt, Ok(json!({"Payload": "", "StatusCode": 202})));
            }
            target => self.command(command(attempt, target)),
        }
        Ok(())
    }

    fn new_token(&self) -> String {
        let mut bytes = [0; TOKEN_BYTES];
        self.entropy().fill(&mut bytes);
        hex::encode(bytes)
    }

    fn optional_seconds(
        &mut self,
        id: u64,
        template: Option<&expression::Template>,
        extra: &Extra<'_>,
    ) -> Result<Option<i64>, Failure> {
        let Some(template) = template else {
            return Ok(None);
        };
        let value = self.evaluate(id, Some(template), extra, &Value::Null)?;
        self.whole_seconds(id, &value, 1).map(Some)
    }

    /// The role that `Credentials` name.
    fn role(&mut self, id: u64, task: &Task) -> Result<Option<String>, Failure> {
        if task.role.is_none() {
            return Ok(None);
        }
        match self.evaluate(id, task.role.as_ref(), &Extra::default(), &Value::Null)? {
            Value::String(role) if role.starts_with("arn:") => Ok(Some(role)),
            _ => Err(self.unusable(id, "RoleArn must be the ARN of a role")),
        }
    }

    /// Reads the evaluated arguments.
    fn target(
        &mut self,
        id: u64,
        resource: &Resource,
        arguments: &Value,
        role: Option<String>,
    ) -> Result<Target, Failure> {
        let text = |key: &str| arguments[key].as_str().filter(|text| !text.is_empty());
        match resource {
            Resource::Invoke | Resource::InvokeWaitForTaskToken => {
                match text("FunctionName").and_then(arn::function_name) {
                    Some(function) => {
                        Ok(Target::Lambda { function: function.to_owned(), payload: arguments["Payload"].clone() })
                    }
                    None => Err(self.unusable(id, "FunctionName must be the name or ARN of a function")),
                }
            }
            Resource::StartExecution | Resource::StartExecutionSync2 => {
                match text("StateMachineArn").map(arn::machine_arn) {
                    Some(machine) => Ok(Target::Machine {
                        machine,
                        name: text("Name").map_or_else(|| self.entropy().uuid().to_string(), str::to_owned),
                        input: arguments.get("Input").cloned().unwrap_or_else(|| json!({})),
                        sync: *resource == Resource::StartExecutionSync2,
                    }),
                    None => Err(self.unusable(id, "StateMachineArn must be the ARN of a state machine")),
                }
            }
            Resource::Service { service, operation } => Ok(Target::Service(ServiceCall {
                service: service.clone(),
                operation: operation.clone(),
                parameters: if arguments.is_object() { arguments.clone() } else { json!({}) },
                role,
            })),
        }
    }

    /// The frame and call of `attempt`, if it is still wanted.
    fn calling(&self, attempt: u64) -> Option<(u64, Call)> {
        let mut calls = self.run.frames.iter().filter_map(|(id, frame)| Some((*id, frame.call()?)));
        calls.find(|(_, call)| call.attempt == attempt).map(|(id, call)| (id, call.clone()))
    }

    fn task(&self, id: u64) -> Option<&'_ Task> {
        match self.machine.states.get(&self.run.frames.get(&id)?.state) {
            Some(State::Task(task)) => Some(task),
            _ => None,
        }
    }

    /// The function returned or failed.
    pub(super) fn returned(&mut self, attempt: u64, outcome: Result<Value, Failure>) -> bool {
        match self.calling(attempt) {
            Some((id, call)) if call.phase == Phase::Open => match outcome {
                Ok(result) if call.token.is_some() => self.submitted(id, &result, Phase::Submitted),
                Ok(result) => self.succeeded(id, result),
                Err(failure) => self.failed(id, failure),
            },
            _ => return false,
        }
        true
    }

    fn submitted(&mut self, id: u64, result: &Value, phase: Phase) {
        let Some(names) = self.task(id).map(|task| task.resource.history_names()) else {
            return;
        };
        let output = json!({"output": result.to_string(), "outputDetails": {"truncated": false}});
        self.record(id, Body::task("Submitted", names, output));
        if let At::Calling(call) = &mut self.frame(id).at {
            call.phase = phase;
        }
    }

    /// The task has its result.
    fn succeeded(&mut self, id: u64, result: Value) {
        let machine = self.machine;
        let Some(State::Task(task)) = machine.states.get(&self.run.frames[&id].state) else {
            return;
        };
        let result = match bounded(result) {
            Ok(result) => result,
            Err(failure) => return self.failed(id, failure),
        };
        let output = json!({"output": result.to_string(), "outputDetails": {"truncated": false}});
        self.record(id, Body::task("Succeeded", task.resource.history_names(), output));
        if let Err(failure) = self.exit(id, &task.exit, Some(&result), None) {
            self.fail(id, failure);
        }
    }

    fn failed(&mut self, id: u64, failure: Failure) {
        let Some(names) = self.task(id).map(|task| task.resource.history_names()) else {
            return;
        };
        let details = json!({"error": failure.error, "cause": failure.cause});
        self.record(id, Body::task("Failed", names, details));
        self.fail(id, failure);
    }

    /// The timeout or the heartbeat of a call has run out.
    pub(super) fn call_timed_out(&mut self, id: u64, call: &Call) {
        let Some(names) = self.task(id).map(|task| task.resource.history_names()) else {
            return;
        };
        let timeout = call.timeout.is_some_and(|at| at <= self.now());
        let error = if timeout { "States.Timeout" } else { "States.HeartbeatTimeout" };
        self.record(id, Body::task("TimedOut", names, json!({"error": error})));
        self.cancel(&call.target, &call.phase);
        self.fail(id, Failure { error: Some(error.to_owned()), cause: None });
    }

    /// The child runs, or could not be started. False when nobody waits for it any more.
    pub(super) fn child_started(&mut self, attempt: u64, outcome: Result<(String, Timestamp), Failure>) -> bool {
        let Some((id, call)) = self.calling(attempt) else {
            return false;
        };
        match (outcome, call.target) {
            // It is known already.
            _ if call.phase != Phase::Open => {}
            (Err(failure), _) => self.failed(id, failure),
            (Ok((arn, started)), Target::Machine { sync: true, .. }) => {
                let result = json!({"ExecutionArn": arn, "StartDate": started.as_millisecond()});
                self.submitted(id, &result, Phase::Child(arn));
            }
            (Ok((arn, started)), _) => {
                let result = json!({"ExecutionArn": arn, "StartDate": format!("{started:.3}")});
                self.succeeded(id, result);
            }
        }
        true
    }

    /// A child execution that a frame waits for has ended.
    pub(super) fn child_ended(&mut self, report: &ChildReport) -> bool {
        let waiting = self.run.frames.iter().filter(|(_, frame)| frame.child() == Some(&report.arn));
        let waiting: Vec<u64> = waiting.map(|(id, _)| *id).collect();
        for id in &waiting {
            if !self.run.frames.contains_key(id) {
                continue;
            }
            match report.status {
                Status::Succeeded => self.succeeded(*id, report.document.clone()),
                Status::Running => {}
                Status::Failed | Status::TimedOut | Status::Aborted => {
                    self.failed(*id, Failure::new("States.TaskFailed", report.document.to_string()));
                }
            }
        }
        !waiting.is_empty()
    }

    /// The frame and call that wait for `token`, before or after the function has returned.
    fn awaiting(&self, token: &str) -> Option<(u64, Call)> {
        let mut calls = self.run.frames.iter().filter_map(|(id, frame)| Some((*id, frame.call()?)));
        calls.find(|(_, call)| call.token.as_deref() == Some(token)).map(|(id, call)| (id, call.clone()))
    }

    /// Someone answered a token; false when nobody waits for it any more.
    pub(super) fn answered(&mut self, token: &str, outcome: Result<Value, Failure>) -> bool {
        let Some((id, _)) = self.awaiting(token) else {
            return false;
        };
        match outcome {
            Ok(result) => self.succeeded(id, result),
            Err(failure) => self.failed(id, failure),
        }
        true
    }

    /// Moves the heartbeat's deadline; the timeout stays.
    pub(super) fn heartbeat(&mut self, token: &str) -> bool {
        let Some((id, call)) = self.awaiting(token) else {
            return false;
        };
        let next = call.heartbeat.and_then(|beat| Some(Heartbeat { due: self.after_s(beat.every_s)?, ..beat }));
        if let At::Calling(call) = &mut self.frame(id).at {
            call.heartbeat = next;
        }
        true
    }
}

/// What the driver has to do for an open call; also after a restart.
pub(crate) fn command(attempt: u64, target: Target) -> Command {
    match target {
        Target::Lambda { function, payload } => Command::Invoke { attempt, function, payload },
        Target::Machine { machine, name, input, sync } => Command::StartChild { attempt, machine, name, input, sync },
        Target::Service(call) => Command::CallService { attempt, call },
    }
}
