//! Functions at work: how each is called, goes on, dies, and is given up, and who learns what came of it.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    task::{Context, Poll, Waker},
};

use jiff::SignedDuration;
use local_states::{Call, FunctionError};
use serde_json::Value;

use super::{By, DELIVERIES, Simulation, Task};
use crate::{
    faults::Dial,
    functions::{self, TIMEOUT},
    people::Later,
};

impl Simulation {
    /// Takes whatever has to be called, and what Lambda was given for others.
    pub(super) fn collect(&mut self) {
        for call in self.cloud.states.take_calls() {
            self.call(call);
        }
        loop {
            let invoked = self.cloud.state().invoked.pop_front();
            let Some((function, payload)) = invoked else { break };
            for (delay, later) in self.people.invoked(&function, &payload, &self.dials) {
                self.at(delay, later);
            }
        }
    }

    fn call(&mut self, call: Call) {
        let is_function = !call.function.starts_with("aws-sdk:");
        if is_function && self.chance.permille(self.dials.of(Dial::Throttles)) {
            self.faults += 1;
            let error = fault("Lambda.TooManyRequestsException", "Rate exceeded");
            let _ = self.cloud.states.returned(&call, Err(error));
            return;
        }
        if is_function && self.chance.permille(self.dials.of(Dial::Duplicates)) {
            self.faults += 1;
            self.begin(By::Event(0), call.function.clone(), call.payload.clone());
        }
        if self.chance.permille(self.dials.of(Dial::Reorder)) {
            let delay = SignedDuration::from_secs(self.chance.between(1, 90));
            self.at(delay, Later::Call(call));
            return;
        }
        self.make(call);
    }

    /// Makes a call: of a function, which takes its time, or of a service.
    pub(super) fn make(&mut self, call: Call) {
        match self.cloud.ask_service(&call.function, &call.payload) {
            Some(answer) => {
                let what = crate::story::outcome(&answer);
                self.story.tell(self.cloud.now(), || format!("  {} answers {what}", call.function));
                let _ = self.cloud.states.returned(&call, answer);
            }
            None => {
                let (function, payload) = (call.function.clone(), call.payload.clone());
                self.begin(By::Machine(call), function, payload);
            }
        }
    }

    pub(super) fn begin(&mut self, by: By, function: String, event: Value) {
        let number = self.next_number();
        let what = format!("{function}#{number}");
        self.story.tell(self.cloud.now(), || format!("{what} begins: {}", crate::story::short(&function, &event)));
        let running = functions::run(&self.cloud, &self.world, &function, event.clone());
        let skew_ms =
            if self.chance.permille(self.dials.of(Dial::Clocks)) { self.chance.between(-2000, 2000) } else { 0 };
        let event = (function, event);
        self.tasks.push(Task { number, what, running, by, event, skew_ms, sleeps_until: None, is_given_up: false });
    }

    pub(super) fn next_number(&mut self) -> u32 {
        self.numbers += 1;
        self.numbers
    }

    /// Goes on with a function, unless trouble comes first.
    pub(super) fn poll(&mut self, place: usize) -> Result<(), String> {
        if self.chance.permille(self.dials.of(Dial::Crashes)) {
            self.faults += 1;
            let task = self.tasks.swap_remove(place);
            self.story.tell(self.cloud.now(), || format!("{} dies", task.what));
            let names = ["Lambda.Unknown", "Runtime.ExitError", "Lambda.ServiceException"];
            let error = fault(names[self.chance.below(names.len())], "it died");
            self.settle(task, Err(error));
            return Ok(());
        }
        if self.chance.permille(self.dials.of(Dial::Timeouts)) {
            self.give_up(place);
        }
        if self.chance.permille(self.dials.of(Dial::Sleepers)) && self.tasks[place].sleeps_until.is_none() {
            self.stand_still(place);
            return Ok(());
        }
        let task = &mut self.tasks[place];
        self.cloud.clock.skew(task.skew_ms);
        let running = &mut task.running;
        let polled = catch_unwind(AssertUnwindSafe(|| running.as_mut().poll(&mut Context::from_waker(Waker::noop()))));
        self.cloud.clock.skew(0);
        match polled {
            Err(_) => Err(format!("{} panicked", task.what)),
            Ok(Poll::Pending) => {
                if std::mem::take(&mut self.cloud.state().stands_still) {
                    self.stand_still(place);
                }
                Ok(())
            }
            Ok(Poll::Ready(outcome)) => {
                let task = self.tasks.swap_remove(place);
                self.story
                    .tell(self.cloud.now(), || format!("{} ends: {}", task.what, crate::story::outcome(&outcome)));
                self.settle(task, outcome);
                Ok(())
            }
        }
    }

    fn stand_still(&mut self, place: usize) {
        self.faults += 1;
        let until = self.cloud.now() + SignedDuration::from_secs(self.chance.between(1, 40 * 60));
        self.tasks[place].sleeps_until = Some(until);
        let number = self.tasks[place].number;
        self.story.tell(self.cloud.now(), || format!("{} stands still until {until}", self.tasks[place].what));
        self.at(TIMEOUT, Later::GiveUp(number));
    }

    /// Tells whoever waits for a function that it has timed out. It goes on all the same.
    pub(super) fn give_up(&mut self, place: usize) {
        if self.tasks[place].is_given_up {
            return;
        }
        self.faults += 1;
        self.tasks[place].is_given_up = true;
        self.story.tell(self.cloud.now(), || format!("{} is given up", self.tasks[place].what));
        let (by, (function, event)) =
            (std::mem::replace(&mut self.tasks[place].by, By::Event(0)), self.tasks[place].event.clone());
        self.told(by, function, event, Err(fault("Sandbox.Timedout", "it timed out")));
    }

    fn settle(&mut self, task: Task, outcome: Result<Value, FunctionError>) {
        if !task.is_given_up {
            let (function, event) = task.event;
            self.told(task.by, function, event, outcome);
        }
    }

    /// Whoever waits for a function learns how it ended.
    fn told(&mut self, by: By, function: String, event: Value, outcome: Result<Value, FunctionError>) {
        match by {
            By::Machine(call) => {
                let _ = self.cloud.states.returned(&call, outcome);
            }
            By::Event(left) => {
                if outcome.is_err() && left > 0 {
                    self.at(SignedDuration::from_secs(60), Later::Begin(By::Event(left - 1), function, event));
                }
            }
            By::Person(asked) => {
                for (delay, later) in self.people.answered(asked, outcome) {
                    self.at(delay, later);
                }
            }
        }
    }

    /// An event for one of our functions: at least once, and in no order.
    pub(super) fn deliver(&mut self, function: String, event: Value) {
        if self.chance.permille(self.dials.of(Dial::Duplicates)) {
            self.faults += 1;
            let delay = SignedDuration::from_secs(self.chance.between(0, 600));
            self.at(delay, Later::Begin(By::Event(DELIVERIES - 1), function.clone(), event.clone()));
        }
        let delay = if self.chance.permille(self.dials.of(Dial::Reorder)) { self.chance.between(1, 120) } else { 0 };
        self.at(SignedDuration::from_secs(delay), Later::Begin(By::Event(DELIVERIES - 1), function, event));
    }
}

/// How Lambda reports that a function did not end.
fn fault(error: &str, cause: &str) -> FunctionError {
    FunctionError { error: error.to_owned(), cause: cause.to_owned() }
}
