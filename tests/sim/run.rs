//! One simulation: chooses who goes next until nothing is left to do, and checks after every step.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    task::{Context, Poll, Waker},
};

use jiff::{SignedDuration, Timestamp};
use local_states::{Call, FunctionError};
use serde_json::{Value, json};

use crate::{
    chance::Chance,
    checks::Checker,
    cloud::{Cloud, Service, SimWorld},
    faults::{Dial, Dials},
    functions::{self, Running, TIMEOUT},
    mutants::Mutant,
    people::{Asked, Later, People},
    story::Story,
};

/// Most steps of a simulation: beyond them something goes round in circles.
const STEPS_MAX: u32 = 400_000;
/// Longest time after the last fault until everything has to be over.
const REST_MAX: SignedDuration = SignedDuration::from_hours(24 * 10);
/// Between two ticks of the reconciler, and when there is nothing but waiting.
const TICK: SignedDuration = SignedDuration::from_secs(60);
const IDLE_TICK: SignedDuration = SignedDuration::from_mins(10);
/// Between two questions of workers for jobs.
const POLL: SignedDuration = SignedDuration::from_secs(30);
/// After so long without trouble whoever still waits, waits for hours.
const IDLE_AFTER: SignedDuration = SignedDuration::from_hours(2);
/// Times an event is delivered while its function fails, as Lambda does by itself.
const DELIVERIES: u32 = 3;

/// What to simulate.
#[derive(Debug, Clone)]
pub struct Options {
    /// Kinds of trouble there are.
    pub dials: Vec<Dial>,
    /// Things that people do, at most.
    pub interventions: u32,
    /// A rule that is broken on purpose.
    pub mutant: Option<Mutant>,
}

impl Default for Options {
    fn default() -> Self {
        Self { dials: Dial::ALL.to_vec(), interventions: 30, mutant: None }
    }
}

/// What a simulation did.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// Steps taken, requests made and faults met.
    pub steps: u32,
    /// Requests to services.
    pub requests: u64,
    /// Requests that failed, functions that died, and the like.
    pub faults: u64,
    /// Executions there were.
    pub executions: usize,
    /// Those of them that were rollbacks.
    pub rollbacks: usize,
    /// What was broken; absent where all was well.
    pub broken: Option<String>,
    /// What happened, where it was asked to be told.
    pub story: Vec<String>,
}

/// Simulates `seed`, with its story where `tell` asks for it.
///
/// # Errors
/// Where the simulation cannot be set up.
pub fn simulate(seed: u64, options: &Options, tell: bool) -> anyhow::Result<Outcome> {
    let mut simulation = Simulation::new(seed, options, tell)?;
    let broken = simulation.run().err();
    let state = simulation.cloud.state();
    let executions = simulation.checker.executions();
    Ok(Outcome {
        steps: simulation.steps,
        requests: state.requests,
        faults: state.faults + simulation.faults,
        executions: executions.len(),
        rollbacks: executions.values().filter(|execution| execution.rollback.is_some()).count(),
        broken,
        story: simulation.story.into_lines(),
    })
}

/// Who waits for a function.
pub(crate) enum By {
    /// A state machine.
    Machine(Call),
    /// Nobody: it is delivered again while it fails, so many times more.
    Event(u32),
    /// Somebody who asked.
    Person(Asked),
}

/// A function at work.
struct Task {
    number: u32,
    what: String,
    running: Running,
    by: By,
    /// Its event, for a second delivery.
    event: (String, Value),
    skew_ms: i64,
    /// It stands still until then.
    sleeps_until: Option<Timestamp>,
    /// Whoever called it has been told that it timed out.
    is_given_up: bool,
}

struct Simulation {
    cloud: Cloud,
    world: Arc<SimWorld>,
    chance: Chance,
    /// Trouble there is now, and the trouble this seed is about.
    dials: Dials,
    drawn: Dials,
    tasks: Vec<Task>,
    /// What happens at its time.
    later: BTreeMap<(Timestamp, u32), Later>,
    checker: Checker,
    people: People,
    story: Story,
    /// Numbers tasks and what happens later.
    numbers: u32,
    steps: u32,
    faults: u64,
    is_idle: bool,
    /// When a state machine wants to be woken, as known when the time passed last. One that wants it earlier since then
    /// has to wait for that: machines wait for seconds, steps take milliseconds.
    wake_at: Option<Timestamp>,
}

impl Simulation {
    fn new(seed: u64, options: &Options, tell: bool) -> anyhow::Result<Self> {
        let mut chance = Chance::new(seed);
        let drawn = Dials::drawn(&options.dials, &mut chance);
        let cloud = Cloud::new(&mut chance, Dials::off(), options.mutant, seed)?;
        let world = Arc::new(cloud.world(seed));
        let people = People::new(&cloud, &mut chance, options.interventions);
        let story = Story::new(tell, cloud.now());
        let mut simulation = Self {
            cloud,
            world,
            chance,
            dials: Dials::off(),
            drawn,
            tasks: Vec::new(),
            later: BTreeMap::new(),
            checker: Checker::default(),
            people,
            story,
            numbers: 0,
            steps: 0,
            faults: 0,
            is_idle: false,
            wake_at: None,
        };
        simulation.at(TICK, Later::Tick);
        Ok(simulation)
    }

    fn run(&mut self) -> Result<(), String> {
        // What everything is about is there before anything fails.
        for later in self.people.set_up() {
            self.do_later(later);
            while !self.tasks.is_empty() || !self.is_quiet() {
                self.step()?;
            }
        }
        self.turn(self.drawn.clone());
        self.story.tell(self.cloud.now(), || "--- everything may fail from here on".to_owned());
        while self.people.has_more() {
            self.step()?;
            self.intervene();
        }
        self.turn(Dials::off());
        self.people.calm_down();
        self.story.tell(self.cloud.now(), || "--- nothing fails any more".to_owned());
        self.rest()
    }

    /// From now on there is so much trouble.
    fn turn(&mut self, dials: Dials) {
        self.cloud.state().dials = dials.clone();
        self.dials = dials;
    }

    /// Goes on until everything has reached its end.
    fn rest(&mut self) -> Result<(), String> {
        let (idle, end) = (self.cloud.now() + IDLE_AFTER, self.cloud.now() + REST_MAX);
        let mut tidied = self.cloud.now();
        loop {
            self.step()?;
            self.is_idle = self.cloud.now() > idle;
            if self.cloud.now() >= tidied && self.tasks.is_empty() {
                // People lift what they closed, and answer what is asked.
                tidied = self.cloud.now() + SignedDuration::from_mins(5);
                for later in self.people.tidy_up(&self.checker, self.cloud.now()) {
                    self.do_later(later);
                }
            }
            if self.tasks.is_empty() && self.later.values().all(Later::is_routine) && self.checker.is_at_rest() {
                let running = self.cloud.states.running().map_err(|error| error.to_string())?;
                if running.is_empty() {
                    return self.checker.check_rest(&self.cloud);
                }
            }
            if self.cloud.now() > end {
                let running = self.cloud.states.running().map_err(|error| error.to_string())?;
                return Err(format!(
                    "not everything reaches an end: {}; state machines that run: {running:?}",
                    self.checker.what_is_left()
                ));
            }
        }
    }

    /// Whether nothing but what recurs is going on.
    fn is_quiet(&mut self) -> bool {
        self.collect();
        self.tasks.is_empty()
    }

    fn step(&mut self) -> Result<(), String> {
        self.steps += 1;
        if self.steps > STEPS_MAX {
            return Err(format!("no end after {STEPS_MAX} steps: {}", self.checker.what_is_left()));
        }
        self.collect();
        let now = self.cloud.now();
        let awake: Vec<usize> = (0..self.tasks.len())
            .filter(|place| self.tasks[*place].sleeps_until.is_none_or(|until| until <= now))
            .collect();
        if awake.is_empty() || self.chance.permille(3) {
            self.pass_time()?;
        } else {
            let place = *self.chance.one_of(&awake);
            let moment = SignedDuration::from_millis(self.chance.between(0, 20));
            self.advance_to(self.cloud.now() + moment)?;
            self.poll(place)?;
        }
        if let Some(broken) = self.people.broken.take() {
            return Err(broken);
        }
        let changes = self.cloud.table.take_changes();
        if changes.is_empty() { Ok(()) } else { self.checker.check(&changes, &mut self.story, self.cloud.now()) }
    }

    /// Takes whatever has to be called, and what Lambda was given for others.
    fn collect(&mut self) {
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
        if self.chance.permille(self.dials.of(Dial::Throttles)) {
            self.faults += 1;
            let error = fault("Lambda.TooManyRequestsException", "Rate exceeded");
            let _ = self.cloud.states.returned(&call, Err(error));
            return;
        }
        if self.chance.permille(self.dials.of(Dial::Duplicates)) {
            self.faults += 1;
            self.begin(By::Event(0), call.function.clone(), call.payload.clone());
        }
        if self.chance.permille(self.dials.of(Dial::Reorder)) {
            let delay = SignedDuration::from_secs(self.chance.between(1, 90));
            self.at(delay, Later::Call(call));
            return;
        }
        let (function, payload) = (call.function.clone(), call.payload.clone());
        self.begin(By::Machine(call), function, payload);
    }

    fn begin(&mut self, by: By, function: String, event: Value) {
        let number = self.next_number();
        let what = format!("{function}#{number}");
        self.story.tell(self.cloud.now(), || format!("{what} begins: {}", crate::story::short(&function, &event)));
        let running = functions::run(&self.cloud, &self.world, &function, event.clone());
        let skew_ms =
            if self.chance.permille(self.dials.of(Dial::Clocks)) { self.chance.between(-2000, 2000) } else { 0 };
        let event = (function, event);
        self.tasks.push(Task { number, what, running, by, event, skew_ms, sleeps_until: None, is_given_up: false });
    }

    fn next_number(&mut self) -> u32 {
        self.numbers += 1;
        self.numbers
    }

    /// Has `later` happen in a while.
    fn at(&mut self, delay: SignedDuration, later: Later) {
        let number = self.next_number();
        self.later.insert((self.cloud.now() + delay, number), later);
    }

    /// Goes on with a function, unless trouble comes first.
    fn poll(&mut self, place: usize) -> Result<(), String> {
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
            self.faults += 1;
            let until = self.cloud.now() + SignedDuration::from_secs(self.chance.between(1, 40 * 60));
            self.tasks[place].sleeps_until = Some(until);
            let number = self.tasks[place].number;
            self.story.tell(self.cloud.now(), || format!("{} stands still until {until}", self.tasks[place].what));
            self.at(TIMEOUT, Later::GiveUp(number));
            return Ok(());
        }
        let task = &mut self.tasks[place];
        self.cloud.clock.skew(task.skew_ms);
        let running = &mut task.running;
        let polled = catch_unwind(AssertUnwindSafe(|| running.as_mut().poll(&mut Context::from_waker(Waker::noop()))));
        self.cloud.clock.skew(0);
        match polled {
            Err(_) => Err(format!("{} panicked", task.what)),
            Ok(Poll::Pending) => Ok(()),
            Ok(Poll::Ready(outcome)) => {
                let task = self.tasks.swap_remove(place);
                self.story
                    .tell(self.cloud.now(), || format!("{} ends: {}", task.what, crate::story::outcome(&outcome)));
                self.settle(task, outcome);
                Ok(())
            }
        }
    }

    /// Tells whoever waits for a function that it has timed out. It goes on all the same.
    fn give_up(&mut self, place: usize) {
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
                for (delay, later) in self.people.answered(asked, outcome, &mut self.story, self.cloud.now()) {
                    self.at(delay, later);
                }
            }
        }
    }

    /// Moves the clock to when something happens, or a little.
    fn pass_time(&mut self) -> Result<(), String> {
        let asleep = self.tasks.iter().filter_map(|task| task.sleeps_until).min();
        self.wake_at = self.cloud.states.wake().map_err(|error| error.to_string())?;
        let next = self.later.keys().next().map(|(at, _)| *at);
        let mut to = [asleep, self.wake_at, next].into_iter().flatten().min().unwrap_or(self.cloud.now());
        if self.chance.permille(self.dials.of(Dial::Clocks) / 4) {
            to += SignedDuration::from_secs(self.chance.between(1, 600));
        }
        self.advance_to(to)?;
        while let Some(entry) = self.later.first_entry().filter(|entry| entry.key().0 <= self.cloud.now()) {
            let later = entry.remove();
            self.do_later(later);
        }
        if self.chance.permille(self.dials.of(Dial::Outages)) {
            self.faults += 1;
            let service = *self.chance.one_of(&[Service::DynamoDb, Service::S3, Service::StepFunctions]);
            let until = self.cloud.now() + SignedDuration::from_secs(self.chance.between(5, 300));
            self.story.tell(self.cloud.now(), || format!("{service:?} is away until {until}"));
            self.cloud.take_away(service, until);
        }
        Ok(())
    }

    fn advance_to(&mut self, to: Timestamp) -> Result<(), String> {
        self.cloud.clock.true_time.advance_to(to);
        if self.wake_at.is_some_and(|at| at <= to) {
            self.wake_at = self.cloud.states.wake().map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    fn do_later(&mut self, later: Later) {
        match later {
            Later::Tick => {
                self.begin(By::Event(0), "reconciler".to_owned(), json!({}));
                self.at(if self.is_idle { IDLE_TICK } else { TICK }, Later::Tick);
            }
            Later::Call(call) => {
                let (function, payload) = (call.function.clone(), call.payload.clone());
                self.begin(By::Machine(call), function, payload);
            }
            Later::Begin(by, function, event) => self.begin(by, function, event),
            Later::GiveUp(number) => {
                if let Some(place) = self.tasks.iter().position(|task| task.number == number) {
                    self.give_up(place);
                }
            }
            Later::Deliver(function, event) => self.deliver(function, event),
            Later::Poll => {
                let poll = self.people.poll();
                self.do_later(poll);
                self.at(if self.is_idle { IDLE_TICK } else { POLL }, Later::Poll);
            }
        }
    }

    /// An event for one of our functions: at least once, and in no order.
    fn deliver(&mut self, function: String, event: Value) {
        if self.chance.permille(self.dials.of(Dial::Duplicates)) {
            self.faults += 1;
            let delay = SignedDuration::from_secs(self.chance.between(0, 600));
            self.at(delay, Later::Begin(By::Event(DELIVERIES - 1), function.clone(), event.clone()));
        }
        let delay = if self.chance.permille(self.dials.of(Dial::Reorder)) { self.chance.between(1, 120) } else { 0 };
        self.at(SignedDuration::from_secs(delay), Later::Begin(By::Event(DELIVERIES - 1), function, event));
    }

    /// Somebody does something, now and then, and always when nothing else goes on.
    fn intervene(&mut self) {
        let odds = if self.tasks.is_empty() { 120 } else { 8 };
        if self.chance.permille(odds) {
            let done = self.people.intervene(&self.cloud, &self.checker, &self.dials, &mut self.story);
            for (delay, later) in done {
                self.at(delay, later);
            }
        }
    }
}

/// How Lambda reports that a function did not end.
fn fault(error: &str, cause: &str) -> FunctionError {
    FunctionError { error: error.to_owned(), cause: cause.to_owned() }
}
