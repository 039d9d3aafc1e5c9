//! Leaving a state: Output, Assign, the next state, or the end of a thread or of the execution.

use serde_json::{Map, Value, json};

use super::{
    Failure,
    advance::{Command, Step},
    context::{Extra, bounded},
    frame::{At, Phase, Status, Target},
    history::Body,
};
use crate::definition::{Exit, Next};

impl Step<'_> {
    /// Leaves the state of frame `id` through `exit`. Without Output, the result goes on, else the input;
    /// from a Catch, the error.
    pub(super) fn exit(
        &mut self,
        id: u64,
        exit: &Exit,
        result: Option<&Value>,
        error: Option<&Failure>,
    ) -> Result<(), Failure> {
        let extra = Extra { result, error, ..Extra::default() };
        let input = self.run.frames[&id].input.clone();
        let default = match (error, result) {
            (Some(failure), _) => json!({"Error": failure.error, "Cause": failure.cause}),
            (None, Some(result)) => result.clone(),
            (None, None) => input,
        };
        // Both see the variables as they were: AWS evaluates Assign and Output in parallel.
        let output = bounded(self.evaluate(id, exit.output.as_ref(), &extra, &default)?)?;
        let assigned = match self.evaluate(id, exit.assign.as_ref(), &extra, &Value::Null)? {
            Value::Object(variables) => variables,
            _ => Map::new(),
        };
        self.leave(id, output, assigned, &exit.next);
        Ok(())
    }

    /// Records the exit and moves on.
    pub(super) fn leave(&mut self, id: u64, output: Value, assigned: Map<String, Value>, next: &Next) {
        let frame = &self.run.frames[&id];
        let state_type = self.machine.states.get(&frame.state).map_or("", |state| state.type_name());
        let body = Body::exited(state_type, &frame.state, &output, &assigned);
        self.record(id, body);
        let frame = self.frame(id);
        frame.variables.extend(assigned);
        match next {
            Next::State(name) => {
                name.clone_into(&mut frame.state);
                frame.input = output;
                frame.at = At::Ready;
            }
            Next::End => self.finish(id, output),
        }
    }

    /// A thread has come to its end.
    fn finish(&mut self, id: u64, output: Value) {
        let frame = &self.run.frames[&id];
        let (parent, slot, event) = (frame.parent, frame.slot, frame.event);
        match parent {
            None => {
                self.run.output = Some(output.to_string());
                self.end(Status::Succeeded, None, None);
            }
            Some(parent) => {
                self.remove(id);
                self.frame(parent).event = event;
                self.join(parent, slot, output);
            }
        }
    }

    /// Ends the execution: nothing of it goes on, and children it waits for are stopped.
    pub(super) fn end(&mut self, status: Status, error: Option<String>, cause: Option<String>) {
        let body = match status {
            Status::Succeeded | Status::Running => {
                Body::execution_succeeded(self.run.output.as_deref().unwrap_or_default())
            }
            Status::Failed => Body::execution_ended("Failed", error.as_deref(), cause.as_deref()),
            Status::TimedOut => Body::execution_ended("TimedOut", error.as_deref(), cause.as_deref()),
            Status::Aborted => Body::execution_ended("Aborted", error.as_deref(), cause.as_deref()),
        };
        let previous = self.run.frames.values().map(|frame| frame.event).max().unwrap_or(self.run.events);
        self.push_event(previous, body);
        self.run.status = status;
        self.run.error = error;
        self.run.cause = cause;
        self.run.stopped = Some(self.now());
        let ids: Vec<u64> = self.run.frames.keys().copied().collect();
        ids.into_iter().for_each(|id| self.remove(id));
        self.command(Command::Ended);
    }

    /// Removes every frame below `parent`.
    pub(super) fn drop_descendants(&mut self, parent: u64) {
        let children: Vec<u64> =
            self.run.frames.iter().filter(|(_, frame)| frame.parent == Some(parent)).map(|(id, _)| *id).collect();
        for child in children {
            self.drop_descendants(child);
            self.remove(child);
        }
    }

    /// Removes one frame; a child execution it waits for is stopped.
    pub(super) fn remove(&mut self, id: u64) {
        if let Some(frame) = self.run.frames.remove(&id)
            && let At::Calling(call) = frame.at
        {
            self.cancel(&call.target, &call.phase);
        }
        self.touch(id);
    }

    /// Stops the child execution of an abandoned `.sync` call.
    pub(super) fn cancel(&mut self, target: &Target, phase: &Phase) {
        if let (Target::Machine { sync: true, .. }, Phase::Child(arn)) = (target, phase) {
            self.command(Command::StopChild { arn: arn.clone() });
        }
    }
}
