//! What expressions see: `$states` and the variables in scope.

use serde_json::{Map, Value, json};

use super::{Failure, PAYLOAD_BYTES_MAX, advance::Step, frame::Frame, history::Body};
use crate::expression::{Scope, Seen, Template};

/// The parts of `$states` that only exist at some points of a state.
#[derive(Default)]
pub(super) struct Extra<'a> {
    pub(super) result: Option<&'a Value>,
    pub(super) error: Option<&'a Failure>,
    /// `Map` of the context object.
    pub(super) map_item: Option<&'a Value>,
    /// `Task.Token` of the context object.
    pub(super) token: Option<&'a str>,
}

impl Step<'_> {
    /// The scope of expressions in the state that frame `id` is in.
    pub(super) fn scope<'a>(&'a self, id: u64, extra: &'a Extra<'_>) -> Scope<'a> {
        let frame = &self.run.frames[&id];
        let mut variables = vec![&frame.variables];
        let mut parent = frame.parent;
        while let Some(frame) = parent.map(|parent| &self.run.frames[&parent]) {
            variables.push(&frame.variables);
            parent = frame.parent;
        }
        variables.reverse();
        let seen = Seen {
            input: &frame.input,
            result: extra.result,
            error: extra.error.map(error_output),
            execution_input: self.execution_input(),
            context: Box::new(move || self.context(frame, extra)),
            variables,
        };
        Scope::new(seen, self.now(), self.entropy())
    }

    fn context(&self, frame: &Frame, extra: &Extra<'_>) -> Value {
        let run = &self.run;
        let mut context = json!({
            "Execution": {
                "Id": run.arn, "Name": run.name, "RoleArn": run.role_arn, "StartTime": instant(run.started),
                "Input": self.execution_input(),
            },
            "State": {"Name": frame.state, "EnteredTime": instant(frame.entered), "RetryCount": frame.retries.iter().sum::<u32>()},
            "StateMachine": {"Id": run.machine_arn, "Name": run.machine_name},
        });
        if let Some(item) = extra.map_item.or(frame.map_item.as_ref()) {
            context["Map"] = item.clone();
        }
        if let Some(token) = extra.token {
            context["Task"] = json!({"Token": token});
        }
        context
    }

    /// Evaluates `template`, or gives `default` without one; records the failure and checks the size.
    pub(super) fn evaluate(
        &mut self,
        id: u64,
        template: Option<&Template>,
        extra: &Extra<'_>,
        default: &Value,
    ) -> Result<Value, Failure> {
        let Some(template) = template else {
            return Ok(default.clone());
        };
        let found = template.evaluate(&mut self.scope(id, extra));
        match found {
            Ok(value) => bounded(value),
            Err(error) => Err(self.evaluation_failed(id, Failure::from(error))),
        }
    }

    /// Records that an expression of the current state failed.
    pub(super) fn evaluation_failed(&mut self, id: u64, failure: Failure) -> Failure {
        let name = self.run.frames[&id].state.clone();
        self.record(id, Body::evaluation_failed(&name, failure.cause.as_deref().unwrap_or_default()));
        failure
    }

    /// A failure because an expression gave a value that cannot be used.
    pub(super) fn unusable(&mut self, id: u64, cause: impl Into<String>) -> Failure {
        self.evaluation_failed(id, Failure::new("States.QueryEvaluationError", cause))
    }
}

/// `value`, if it keeps to the payload limit.
pub(super) fn bounded(value: Value) -> Result<Value, Failure> {
    if value.to_string().len() > PAYLOAD_BYTES_MAX {
        let cause = format!("The payload is larger than the maximum of {PAYLOAD_BYTES_MAX} bytes.");
        return Err(Failure::new("States.DataLimitExceeded", cause));
    }
    Ok(value)
}

fn error_output(failure: &Failure) -> Value {
    let members = [("Error", &failure.error), ("Cause", &failure.cause)];
    let present = members.into_iter().filter_map(|(key, value)| Some((key.to_owned(), Value::String(value.clone()?))));
    Value::Object(present.collect::<Map<_, _>>())
}

fn instant(at: jiff::Timestamp) -> String {
    format!("{at:.3}")
}
