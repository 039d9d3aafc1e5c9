//! Step Functions: starts, answers, stops and observes the state machines that drive pipeline executions and actions.

use aws_sdk_sfn::Client;
use aws_sdk_sfn::types::ExecutionStatus;
use aws_types::SdkConfig;
use engine::ports::{CloudError, Machine, MachineStatus, Machines};
use serde_json::Value;

use crate::{cloud_error::cloud_error, machine_arn::without_alias};

/// A token that was answered, timed out, or was never given out: each means that nobody waits for the answer.
const TOKEN_IS_OVER: [&str; 3] = ["TaskTimedOut", "TaskDoesNotExist", "InvalidToken"];
const TOKEN: &str = "the task token";

/// How the name of the machine that drives pipeline executions ends. Those of actions have `action-<Provider>` instead,
/// so that one setting names them all.
const PIPELINE_EXECUTION: &str = "pipeline-execution";

/// The state machines of one installation.
#[derive(Debug, Clone)]
pub struct StepFunctions {
    client: Client,
    machine_arn: String,
}

impl StepFunctions {
    /// Over a client made from `config`.
    pub fn connect(config: &SdkConfig, machine_arn: impl Into<String>) -> Self {
        Self::new(Client::new(config), machine_arn)
    }

    /// The machine that drives pipeline executions is `machine_arn`. An alias that this ends in is that of all machines.
    pub fn new(client: Client, machine_arn: impl Into<String>) -> Self {
        Self { client, machine_arn: machine_arn.into() }
    }

    /// ARN of `machine`, with the alias by which it is started.
    fn machine_arn(&self, machine: Machine<'_>) -> Result<String, CloudError> {
        let Machine::Action(provider) = machine else { return Ok(self.machine_arn.clone()) };
        let (arn, alias) = without_alias(&self.machine_arn);
        let installation = arn.strip_suffix(PIPELINE_EXECUTION).ok_or_else(|| {
            CloudError::Refused(format!(
                "the name of '{}' does not end in {PIPELINE_EXECUTION}, which would tell those of actions",
                self.machine_arn
            ))
        })?;
        Ok(format!("{installation}action-{provider}{alias}"))
    }

    /// ARN of the execution of `machine` called `name`. It names the machine alone, however the execution was started.
    fn execution_arn(&self, machine: Machine<'_>, name: &str) -> Result<String, CloudError> {
        let machine_arn = self.machine_arn(machine)?;
        let parts: Vec<&str> = machine_arn.split(':').collect();
        match parts.as_slice() {
            ["arn", partition, "states", region, account, "stateMachine", machine, ..] => {
                Ok(format!("arn:{partition}:states:{region}:{account}:execution:{machine}:{name}"))
            }
            _ => Err(CloudError::Refused(format!("'{machine_arn}' is not the ARN of a state machine"))),
        }
    }
}

impl Machines for StepFunctions {
    async fn start(&self, machine: Machine<'_>, name: &str, input: &Value) -> Result<(), CloudError> {
        let arn = self.machine_arn(machine)?;
        let request = self.client.start_execution().state_machine_arn(&arn).name(name).input(input.to_string());
        match request.send().await {
            Ok(_) => Ok(()),
            Err(error) if error.as_service_error().is_some_and(|error| error.is_execution_already_exists()) => Ok(()),
            Err(error) => {
                let what = format!("the state machine {arn}");
                Err(cloud_error(error, &what, &["StateMachineDoesNotExist"]))
            }
        }
    }

    async fn stop(&self, machine: Machine<'_>, name: &str, cause: &str) -> Result<(), CloudError> {
        let arn = self.execution_arn(machine, name)?;
        match self.client.stop_execution().execution_arn(&arn).cause(cause).send().await {
            Ok(_) => Ok(()),
            Err(error) if error.as_service_error().is_some_and(|error| error.is_execution_does_not_exist()) => Ok(()),
            Err(error) => Err(cloud_error(error, &format!("the execution {arn}"), &[])),
        }
    }

    async fn answer(&self, token: &str, output: &Value) -> Result<(), CloudError> {
        let request = self.client.send_task_success().task_token(token).output(output.to_string());
        request.send().await.map_err(|error| cloud_error(error, TOKEN, &TOKEN_IS_OVER))?;
        Ok(())
    }

    async fn heartbeat(&self, token: &str) -> Result<(), CloudError> {
        let request = self.client.send_task_heartbeat().task_token(token);
        request.send().await.map_err(|error| cloud_error(error, TOKEN, &TOKEN_IS_OVER))?;
        Ok(())
    }

    async fn status(&self, machine: Machine<'_>, name: &str) -> Result<Option<MachineStatus>, CloudError> {
        let arn = self.execution_arn(machine, name)?;
        match self.client.describe_execution().execution_arn(&arn).send().await {
            Ok(described) => Ok(Some(status_of(&described.status))),
            Err(error) if error.as_service_error().is_some_and(|error| error.is_execution_does_not_exist()) => Ok(None),
            Err(error) => Err(cloud_error(error, &format!("the execution {arn}"), &[])),
        }
    }
}

/// A status this build does not know is taken for running: what is dead is buried, what is running is looked at again.
fn status_of(status: &ExecutionStatus) -> MachineStatus {
    match status {
        ExecutionStatus::Succeeded => MachineStatus::Succeeded,
        ExecutionStatus::Failed | ExecutionStatus::TimedOut | ExecutionStatus::Aborted => MachineStatus::Dead,
        _ => MachineStatus::Running,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::replies::{Replies, reply};

    const ARN: &str = "arn:aws:states:eu-west-1:123456789012:stateMachine:pipeline-execution";

    fn machine(replies: &Replies) -> StepFunctions {
        StepFunctions::new(Client::new(&replies.config()), ARN)
    }

    #[tokio::test]
    async fn starting_what_was_started_is_success() {
        let replies = Replies::of([reply(400, &[], r#"{"__type":"ExecutionAlreadyExists","message":"it does"}"#)]);
        machine(&replies).start(Machine::PipelineExecution, "e-1", &json!({"a": 1})).await.unwrap();
        let sent: Value = serde_json::from_slice(&replies.body(0)).unwrap();
        assert_eq!(sent, json!({"stateMachineArn": ARN, "name": "e-1", "input": r#"{"a":1}"#}));
    }

    #[tokio::test]
    async fn a_token_that_is_over_is_not_there() {
        for code in TOKEN_IS_OVER {
            let body = format!(r#"{{"__type":"{code}","message":"secret-token"}}"#);
            let replies = Replies::of([reply(400, &[], body.clone()), reply(400, &[], body.clone())]);
            let machine = machine(&replies);
            for result in [machine.answer("secret-token", &json!({})).await, machine.heartbeat("secret-token").await] {
                assert_eq!(result.unwrap_err().to_string(), "the task token is not there", "{code}");
            }
        }
    }

    #[tokio::test]
    async fn status_is_asked_by_the_name_of_the_execution() {
        let described = |status: &str| {
            reply(
                200,
                &[],
                format!(r#"{{"executionArn":"a","stateMachineArn":"b","startDate":1,"status":"{status}"}}"#),
            )
        };
        let absent = reply(400, &[], r#"{"__type":"ExecutionDoesNotExist","message":"no"}"#);
        let replies = Replies::of([described("RUNNING"), described("SUCCEEDED"), described("ABORTED"), absent]);
        let machine = machine(&replies);
        for expected in [Some(MachineStatus::Running), Some(MachineStatus::Succeeded), Some(MachineStatus::Dead), None]
        {
            assert_eq!(machine.status(Machine::PipelineExecution, "e-1").await.unwrap(), expected);
        }
        let sent: Value = serde_json::from_slice(&replies.body(0)).unwrap();
        let arn = "arn:aws:states:eu-west-1:123456789012:execution:pipeline-execution:e-1";
        assert_eq!(sent["executionArn"], arn);
    }

    #[tokio::test]
    async fn machines_are_started_by_their_alias_and_executions_have_none() {
        let started = || reply(200, &[], r#"{"executionArn":"a","startDate":1}"#);
        let described =
            reply(200, &[], r#"{"executionArn":"a","stateMachineArn":"b","startDate":1,"status":"RUNNING"}"#);
        let replies = Replies::of([started(), started(), described, reply(200, &[], r#"{"stopDate":1}"#)]);
        let machines = StepFunctions::new(Client::new(&replies.config()), format!("{ARN}:live"));
        let action = Machine::Action("CodeBuild");
        machines.start(Machine::PipelineExecution, "e-1", &json!({})).await.unwrap();
        machines.start(action, "r-1", &json!({})).await.unwrap();
        machines.status(Machine::PipelineExecution, "e-1").await.unwrap();
        machines.stop(action, "r-1", "over").await.unwrap();
        let sent = |index| serde_json::from_slice::<Value>(&replies.body(index)).unwrap();
        let of = |kind: &str, rest: &str| json!(format!("arn:aws:states:eu-west-1:123456789012:{kind}:{rest}"));
        assert_eq!(sent(0)["stateMachineArn"], of("stateMachine", "pipeline-execution:live"));
        assert_eq!(sent(1)["stateMachineArn"], of("stateMachine", "action-CodeBuild:live"));
        assert_eq!(sent(2)["executionArn"], of("execution", "pipeline-execution:e-1"));
        assert_eq!(sent(3)["executionArn"], of("execution", "action-CodeBuild:r-1"));
    }

    #[tokio::test]
    async fn machines_of_actions_are_found_beside_the_one_of_executions() {
        let stopped = reply(200, &[], r#"{"stopDate":1}"#);
        let absent = reply(400, &[], r#"{"__type":"ExecutionDoesNotExist","message":"no"}"#);
        let replies = Replies::of([reply(200, &[], r#"{"executionArn":"a","startDate":1}"#), stopped, absent]);
        let (machines, action) = (machine(&replies), Machine::Action("CodeBuild"));
        machines.start(action, "r-1", &json!({})).await.unwrap();
        for _ in 0..2 {
            machines.stop(action, "r-1", "over").await.unwrap();
        }
        let sent = |index| serde_json::from_slice::<Value>(&replies.body(index)).unwrap();
        let arn = "arn:aws:states:eu-west-1:123456789012:stateMachine:action-CodeBuild";
        assert_eq!(sent(0)["stateMachineArn"], arn);
        let arn = "arn:aws:states:eu-west-1:123456789012:execution:action-CodeBuild:r-1";
        assert_eq!(sent(1), json!({"executionArn": arn, "cause": "over"}));
        let other = StepFunctions::new(Client::new(&Replies::of([]).config()), "arn:aws:states:r:1:stateMachine:other");
        let error = other.start(action, "r-1", &json!({})).await.unwrap_err();
        assert!(error.to_string().contains("does not end in pipeline-execution"), "{error}");
    }
}
