//! One simulation: chooses who goes next until nothing is left to do, and checks after every step.

mod work;

use std::{collections::BTreeMap, sync::Arc};

use domain::{Execution, RollbackCause};
use jiff::{SignedDuration, Timestamp};
use local_states::Call;
use serde_json::{Value, json};

use crate::{
    chance::Chance,
    checks::Checker,
    cloud::{Cloud, Service, SimWorld},
    faults::{Dial, Dials},
    functions::Running,
    mutants::{Habit, Mutant},
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
/// After so long without a change, and without trouble, whoever still waits, waits for hours.
const IDLE_AFTER: SignedDuration = SignedDuration::from_mins(5);
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
    /// Those of rollbacks that the judge began, by a metric.
    pub judged: usize,
    /// Pages that were compared in the end with what had to be live.
    pub pages: usize,
    /// Builds that the provider's machine began.
    pub builds: usize,
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
        judged: executions.values().filter(|execution| is_judged(execution)).count(),
        pages: simulation.pages,
        builds: state.builds.count(),
        broken,
        story: simulation.story.into_lines(),
    })
}

/// Whether metrics stand where another rollback has its alarm.
fn is_judged(execution: &Execution) -> bool {
    let cause = execution.rollback.as_ref().map(|of| &of.cause);
    matches!(cause, Some(RollbackCause::Alarm { alarm_arn, .. }) if domain::watched_as(alarm_arn).0 == "Metrics")
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
    pages: usize,
    /// When the table changed last.
    changed_at: Timestamp,
    /// Nothing fails any more.
    is_calm: bool,
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
        let habit = options.mutant.map_or(Habit::Usual, Mutant::habit);
        let people = People::new(&cloud, &mut chance, &drawn, options.interventions, habit);
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
            pages: 0,
            changed_at: Timestamp::UNIX_EPOCH,
            is_calm: false,
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
        self.is_calm = true;
        let end = self.cloud.now() + REST_MAX;
        let mut tidied = self.cloud.now();
        loop {
            self.step()?;
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
                    self.pages = self.checker.check_rest(&self.cloud)?;
                    return Ok(());
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
        if changes.is_empty() {
            return Ok(());
        }
        self.changed_at = self.cloud.now();
        self.checker.check(&changes, &mut self.story, self.cloud.now())
    }

    fn is_idle(&self) -> bool {
        self.is_calm && self.cloud.now().duration_since(self.changed_at) > IDLE_AFTER
    }

    /// Has `later` happen in a while.
    fn at(&mut self, delay: SignedDuration, later: Later) {
        let number = self.next_number();
        self.later.insert((self.cloud.now() + delay, number), later);
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
                self.at(if self.is_idle() { IDLE_TICK } else { TICK }, Later::Tick);
            }
            Later::Call(call) => self.make(call),
            Later::Begin(by, function, event) => self.begin(by, function, event),
            Later::GiveUp(number) => {
                if let Some(place) = self.tasks.iter().position(|task| task.number == number) {
                    self.give_up(place);
                }
            }
            Later::Deliver(function, event) => self.deliver(function, event),
            Later::Poll => {
                for poll in self.people.poll() {
                    self.do_later(poll);
                }
                self.at(if self.is_idle() { IDLE_TICK } else { POLL }, Later::Poll);
            }
        }
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
