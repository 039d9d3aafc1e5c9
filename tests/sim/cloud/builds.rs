//! The service that builds, as the shipped machine of its provider asks it.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use local_states::FunctionError;
use serde_json::{Value, json};

use super::Cloud;
use crate::faults::Dial;

/// What the service calls itself in the names of operations.
const SERVICE: &str = "aws-sdk:codebuild:";
/// When the service gives up a build that nobody ends.
const BUILD_MAX: SignedDuration = SignedDuration::from_hours(8);

/// Builds by their id, and which one each token of idempotency began.
#[derive(Default)]
pub(crate) struct Builds {
    builds: BTreeMap<String, Build>,
    begun: BTreeMap<String, String>,
}

struct Build {
    ends_at: Timestamp,
    /// How it ends.
    status: &'static str,
}

impl Cloud {
    /// Asks a service for an operation: `None` where `function` names none.
    pub(crate) fn ask_service(&self, function: &str, parameters: &Value) -> Option<Result<Value, FunctionError>> {
        let operation = function.strip_prefix(SERVICE)?;
        let now = self.now();
        let mut state = self.state();
        state.requests += 1;
        let (throttles, lost) = (state.dials.of(Dial::Throttles), state.dials.of(Dial::LostAnswers));
        if state.chance.permille(throttles) {
            state.faults += 1;
            return Some(Err(error("ThrottlingException")));
        }
        let answer = match operation {
            "startBuild" => {
                let seconds = state.chance.between(5, 300);
                let vanishes = state.dials.of(Dial::Workers);
                let (status, lasts) = if state.chance.permille(vanishes) {
                    ("TIMED_OUT", BUILD_MAX)
                } else {
                    (if state.chance.permille(80) { "FAILED" } else { "SUCCEEDED" }, SignedDuration::from_secs(seconds))
                };
                Ok(state.builds.begin(parameters, Build { ends_at: now + lasts, status }))
            }
            "batchGetBuilds" => state.builds.look_at(parameters, now),
            "stopBuild" => state.builds.stop(parameters, now),
            _ => Err(error("InvalidInputException")),
        };
        if state.chance.permille(lost) {
            state.faults += 1;
            return Some(Err(error("SdkClientException")));
        }
        Some(answer)
    }
}

impl Builds {
    fn begin(&mut self, parameters: &Value, build: Build) -> Value {
        let token = parameters["IdempotencyToken"].as_str().unwrap_or_default();
        let next = format!("forge:{}", self.builds.len() + 1);
        let id = self.begun.entry(token.to_owned()).or_insert(next).clone();
        self.builds.entry(id.clone()).or_insert(build);
        json!({"Build": {"Id": id, "BuildStatus": "IN_PROGRESS"}})
    }

    fn look_at(&self, parameters: &Value, now: Timestamp) -> Result<Value, FunctionError> {
        let id = parameters["Ids"][0].as_str().unwrap_or_default();
        let build = self.builds.get(id).ok_or_else(|| error("InvalidInputException"))?;
        let status = if now < build.ends_at { "IN_PROGRESS" } else { build.status };
        Ok(json!({"Builds": [{"Id": id, "BuildStatus": status, "Phases": [], "ExportedEnvironmentVariables": []}]}))
    }

    fn stop(&mut self, parameters: &Value, now: Timestamp) -> Result<Value, FunctionError> {
        let id = parameters["Id"].as_str().unwrap_or_default();
        let build = self.builds.get_mut(id).ok_or_else(|| error("ResourceNotFoundException"))?;
        if now < build.ends_at {
            (build.ends_at, build.status) = (now, "STOPPED");
        }
        Ok(json!({"Build": {"Id": id, "BuildStatus": build.status}}))
    }

    /// How many were begun.
    pub(crate) fn count(&self) -> usize {
        self.builds.len()
    }
}

fn error(name: &str) -> FunctionError {
    FunctionError { error: format!("CodeBuild.{name}"), cause: "simulated".to_owned() }
}
