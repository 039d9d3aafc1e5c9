//! Entering a state: one total match over the state types, and the types that need no one else's answer.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{Failure, advance::Step, context::Extra, frame::At, history::Body};
use crate::definition::{Choice, Next, SECONDS_MAX, State, Until, Wait};
use crate::expression::Template;

impl Step<'_> {
    /// Enters the state frame `id` has come to.
    pub(super) fn enter(&mut self, id: u64) {
        self.count_transition();
        let now = self.now();
        let frame = self.frame(id);
        frame.entered = now;
        frame.retries.clear();
        let type_name = self.machine.states.get(&self.run.frames[&id].state).map_or("", State::type_name);
        let frame = &self.run.frames[&id];
        let body = Body::entered(type_name, &frame.state, &frame.input);
        self.record(id, body);
        self.begin(id);
    }

    /// Does what the state does; also when it is tried again.
    pub(super) fn begin(&mut self, id: u64) {
        let machine = self.machine;
        let Some(state) = machine.states.get(&self.run.frames[&id].state) else {
            // A stored frame names a state of the revision it runs; only a damaged store gets here.
            return self.fail(id, Failure::new("States.Runtime", "the definition has no such state"));
        };
        let begun = match state {
            State::Task(task) => self.call(id, task),
            State::Choice(choice) => self.choose(id, choice),
            State::Wait(wait) => self.wait(id, wait),
            State::Pass(exit) => self.exit(id, exit, None, None),
            State::Succeed { output } => self.succeed(id, output.as_ref()),
            State::Fail { error, cause } => self.fail_state(id, error.as_ref(), cause.as_ref()),
            State::Parallel(parallel) => self.begin_parallel(id, parallel),
            State::Map(map) => self.begin_map(id, map),
        };
        if let Err(failure) = begun {
            self.fail(id, failure);
        }
    }

    fn choose(&mut self, id: u64, choice: &Choice) -> Result<(), Failure> {
        for (condition, exit) in &choice.rules {
            let found = condition.evaluate(&mut self.scope(id, &Extra::default()));
            match found {
                Ok(Value::Bool(true)) => return self.exit(id, exit, None, None),
                Ok(Value::Bool(false)) => {}
                Ok(_) => return Err(self.unusable(id, "a Condition must give true or false")),
                Err(error) => return Err(self.evaluation_failed(id, Failure::from(error))),
            }
        }
        match &choice.otherwise {
            Some(exit) => self.exit(id, exit, None, None),
            None => Err(Failure::new("States.NoChoiceMatched", "No choice matched and the state has no Default.")),
        }
    }

    fn wait(&mut self, id: u64, wait: &Wait) -> Result<(), Failure> {
        let until = match &wait.until {
            Until::Seconds(template) => {
                let found = self.evaluate(id, Some(template), &Extra::default(), &Value::Null)?;
                let seconds = self.whole_seconds(id, &found, 0)?;
                self.after_s(seconds)
            }
            Until::Timestamp(template) => {
                let found = self.evaluate(id, Some(template), &Extra::default(), &Value::Null)?;
                let parsed = found.as_str().and_then(|text| text.parse::<Timestamp>().ok());
                // Time is kept in milliseconds.
                parsed.and_then(|at| Timestamp::from_millisecond(at.as_millisecond()).ok())
            }
        };
        let Some(until) = until else {
            return Err(self.unusable(id, "a Wait needs an RFC 3339 timestamp that lies within the calendar"));
        };
        if until <= self.now() {
            return self.exit(id, &wait.exit, None, None);
        }
        self.frame(id).at = At::Waiting { until };
        Ok(())
    }

    /// A Wait state is over.
    pub(super) fn waited(&mut self, id: u64) {
        let machine = self.machine;
        if let Some(State::Wait(wait)) = machine.states.get(&self.run.frames[&id].state)
            && let Err(failure) = self.exit(id, &wait.exit, None, None)
        {
            self.fail(id, failure);
        }
    }

    fn succeed(&mut self, id: u64, output: Option<&Template>) -> Result<(), Failure> {
        let input = self.run.frames[&id].input.clone();
        let output = self.evaluate(id, output, &Extra::default(), &input)?;
        self.leave(id, output, Map::new(), &Next::End);
        Ok(())
    }

    fn fail_state(&mut self, id: u64, error: Option<&Template>, cause: Option<&Template>) -> Result<(), Failure> {
        let mut text = |template| match self.evaluate(id, template, &Extra::default(), &Value::Null)? {
            Value::Null => Ok(None),
            Value::String(text) => Ok(Some(text)),
            _ => Err(self.unusable(id, "Error and Cause must be strings")),
        };
        let (error, cause) = (text(error)?, text(cause)?);
        Err(Failure { error, cause })
    }

    /// A whole number of seconds of at least `min`.
    pub(super) fn whole_seconds(&mut self, id: u64, value: &Value, min: u64) -> Result<i64, Failure> {
        match value.as_u64().filter(|n| (min..=SECONDS_MAX).contains(n)).and_then(|n| i64::try_from(n).ok()) {
            Some(seconds) => Ok(seconds),
            None => Err(self.unusable(id, format!("{value} is not a whole number from {min} to {SECONDS_MAX}"))),
        }
    }
}
