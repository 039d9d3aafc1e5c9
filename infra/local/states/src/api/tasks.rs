//! Answers to task tokens. Each is stored before it is confirmed.

use serde::Deserialize;
use serde_json::{Value, json};

use super::Answer;
use crate::{
    refusal::Refusal,
    run::{Event, Failure, PAYLOAD_BYTES_MAX},
    service::States,
};

/// Longest error name and cause a worker may send, AWS limits.
const ERROR_CHARS_MAX: usize = 256;
const CAUSE_CHARS_MAX: usize = 32_768;
/// Hex digits of the tokens this service issues.
const TOKEN_CHARS: usize = 64;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SendSuccess {
    task_token: String,
    output: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SendFailure {
    task_token: String,
    error: Option<String>,
    cause: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SendHeartbeat {
    task_token: String,
}

impl States {
    pub(super) fn send_success(&self, request: SendSuccess) -> Answer {
        if request.output.len() > PAYLOAD_BYTES_MAX {
            return Err(Refusal::new("InvalidOutput", format!("the output is longer than {PAYLOAD_BYTES_MAX} bytes")));
        }
        let output: Value = serde_json::from_str(&request.output)
            .map_err(|error| Refusal::new("InvalidOutput", format!("Invalid Output: {error}")))?;
        self.deliver(&request.task_token, |token| Event::Answered { token, outcome: Ok(output) })
    }

    pub(super) fn send_failure(&self, request: SendFailure) -> Answer {
        let limited = [("error", &request.error, ERROR_CHARS_MAX), ("cause", &request.cause, CAUSE_CHARS_MAX)];
        for (name, text, max) in limited {
            if text.as_ref().is_some_and(|text| text.chars().count() > max) {
                return Err(Refusal::new("ValidationException", format!("{name} is longer than {max} characters")));
            }
        }
        let failure = Failure { error: request.error, cause: request.cause };
        self.deliver(&request.task_token, |token| Event::Answered { token, outcome: Err(failure) })
    }

    pub(super) fn send_heartbeat(&self, request: SendHeartbeat) -> Answer {
        self.deliver(&request.task_token, |token| Event::Heartbeat { token })
    }

    /// Gives the execution that waits for `token` an event about it.
    pub(crate) fn deliver(&self, token: &str, event: impl FnOnce(String) -> Event) -> Answer {
        if token.len() != TOKEN_CHARS || !token.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(Refusal::new("InvalidToken", "Invalid Token: 'Invalid token'"));
        }
        let execution = self.store().token(token)?;
        let Some(execution) = execution else {
            return Err(Refusal::new("TaskDoesNotExist", "Task Does Not Exist: 'no task has this token'"));
        };
        if self.step(&execution, event(token.to_owned()))? {
            return Ok(json!({}));
        }
        Err(Refusal::new("TaskTimedOut", "Task Timed Out: 'Provided task does not exist anymore'"))
    }
}
