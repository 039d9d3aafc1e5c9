//! The services around the system, in memory and at a moment of the simulation's choosing: every request is two points
//! at which others may go first or the caller may die, one before its effect and one after.

mod builds;
mod metrics;
mod objects;
mod ports;

use std::{
    collections::{BTreeMap, VecDeque},
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use domain::{AlarmState, Event};
use engine::{Settings, World, ports::Clock};
use jiff::{SignedDuration, Timestamp};
use local_states::{Arn, States};
use runtime::{ManualClock, SeededEntropy, Timer};
use serde_json::Value;
use store::{Memory, Table};
use uuid::Uuid;

pub(crate) use builds::Builds;
use metrics::Metrics;
pub(crate) use objects::ObjectsInMemory;
pub(crate) use ports::{Alarms, Events, Functions, Machines, NoRepositories, Notifications, Objects, Roles, Rows};

use crate::{
    chance::{Chance, Ids},
    faults::{Dial, Dials},
    machines,
    mutants::Mutant,
};

pub(crate) const ACCOUNT: &str = "111122223333";
pub(crate) const REGION: &str = "eu-west-1";
/// Bucket of pipeline definitions.
const DEFINITIONS: &str = "definitions";
/// When every simulation begins.
const BEGIN: &str = "2026-11-23T10:00:00Z";

/// What the functions see.
pub(crate) type SimWorld =
    World<Rows, Machines, Alarms, Functions, Objects, Roles, Events, Notifications, NoRepositories>;

/// A service that can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    DynamoDb,
    S3,
    StepFunctions,
    EventBridge,
    CloudWatch,
    Lambda,
    Sts,
    Sns,
}

/// What happens to one request.
enum Fate {
    Answered,
    /// No effect.
    Refused,
    /// The effect, and no answer.
    Unanswered,
}

/// Everything outside the functions. Clones share it.
#[derive(Clone)]
pub(crate) struct Cloud {
    pub(crate) table: Table<Memory>,
    pub(crate) states: States,
    pub(crate) objects: ObjectsInMemory,
    pub(crate) clock: Arc<SkewedClock>,
    /// The machine that drives pipeline executions.
    machine: Arn,
    state: Arc<Mutex<State>>,
}

/// What the simulation may change at any time.
pub(crate) struct State {
    /// Choices of faults.
    pub(crate) chance: Chance,
    pub(crate) dials: Dials,
    pub(crate) mutant: Option<Mutant>,
    /// Services that are away, and until when.
    outages: Vec<(Service, Timestamp)>,
    /// Events that Lambda has taken for the users' functions.
    pub(crate) invoked: VecDeque<(String, Value)>,
    /// Events by their id, as each was published first.
    pub(crate) published: BTreeMap<Uuid, Event>,
    /// An event that was published in two versions.
    pub(crate) retold: Option<Uuid>,
    /// Builds of the provider that builds.
    pub(crate) builds: Builds,
    /// State of each alarm by ARN, and since when.
    pub(crate) alarms: BTreeMap<String, (AlarmState, Timestamp)>,
    /// What CloudWatch measures.
    metrics: Metrics,
    /// Whoever makes the request that is being made stands still before it has its effect.
    pub(crate) stands_still: bool,
    /// Requests so far.
    pub(crate) requests: u64,
    /// Those to S3, by operation.
    pub(crate) to_objects: BTreeMap<&'static str, u64>,
    /// Faults so far.
    pub(crate) faults: u64,
}

impl Cloud {
    pub(crate) fn new(chance: &mut Chance, dials: Dials, mutant: Option<Mutant>, seed: u64) -> anyhow::Result<Self> {
        let clock = Arc::new(SkewedClock { true_time: ManualClock::new(BEGIN.parse()?), skew_ms: AtomicI64::new(0) });
        let states =
            States::in_memory(clock.clone(), Arc::new(Ids(SeededEntropy::new(seed ^ 0x5746))), &machines::PARSED)?;
        let machine = machines::install(&states)?;
        let state = State {
            chance: chance.fork(),
            dials,
            mutant,
            outages: Vec::new(),
            invoked: VecDeque::new(),
            published: BTreeMap::new(),
            retold: None,
            builds: Builds::default(),
            alarms: BTreeMap::new(),
            metrics: Metrics::default(),
            stands_still: false,
            requests: 0,
            to_objects: BTreeMap::new(),
            faults: 0,
        };
        Ok(Self {
            table: Table::in_memory(clock.clone()),
            states,
            objects: ObjectsInMemory::default(),
            clock,
            machine,
            state: Arc::new(Mutex::new(state)),
        })
    }

    /// The world of the functions.
    pub(crate) fn world(&self, seed: u64) -> SimWorld {
        let settings = Settings {
            account: ACCOUNT.to_owned(),
            region: REGION.to_owned(),
            bucket: DEFINITIONS.to_owned(),
            dead_letters: None,
            console: None,
        };
        World::new(self.clock.clone(), Ids(SeededEntropy::new(seed ^ 0x4c47)), settings)
            .with_store(Rows(self.clone()))
            .with_machines(Machines { cloud: self.clone(), driven: self.states.driving(&self.machine) })
            .with_events(Events(self.clone()))
            .with_alarms(Alarms(self.clone()))
            .with_functions(Functions(self.clone()))
            .with_objects(Objects(self.clone()))
            .with_roles(Roles(self.clone()))
            .with_notifications(Notifications(self.clone()))
            .with_repositories(NoRepositories)
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The true time.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.true_time.now()
    }

    /// Takes `service` away for a while.
    pub(crate) fn take_away(&self, service: Service, until: Timestamp) {
        self.state().outages.push((service, until));
    }

    /// A request of `service`: others first, then its fate, then others again.
    async fn request<T, E>(
        &self,
        service: Service,
        effect: impl Future<Output = Result<T, E>>,
        unavailable: impl Fn() -> E,
    ) -> Result<T, E> {
        Others::default().await;
        match self.fate(service) {
            Fate::Refused => Err(unavailable()),
            Fate::Unanswered => {
                let _ = effect.await;
                Err(unavailable())
            }
            Fate::Answered => {
                let answer = effect.await;
                Others::default().await;
                answer
            }
        }
    }

    fn fate(&self, service: Service) -> Fate {
        let now = self.now();
        let mut state = self.state();
        state.requests += 1;
        state.outages.retain(|(_, until)| *until > now);
        let (throttles, lost) = (state.dials.of(Dial::Throttles), state.dials.of(Dial::LostAnswers));
        let fate = if state.outages.iter().any(|(away, _)| *away == service) || state.chance.permille(throttles) {
            Fate::Refused
        } else if state.chance.permille(lost) {
            Fate::Unanswered
        } else {
            return Fate::Answered;
        };
        state.faults += 1;
        fate
    }
}

/// Lets others go first, once.
#[derive(Default)]
struct Others {
    went: bool,
}

impl Future for Others {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        // Futures that hold others, as a stream of several requests does, look only at those that were woken.
        context.waker().wake_by_ref();
        if std::mem::replace(&mut self.went, true) { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// The time as whoever runs sees it.
pub(crate) struct SkewedClock {
    pub(crate) true_time: ManualClock,
    /// How much the clock of whoever runs is ahead.
    skew_ms: AtomicI64,
}

impl SkewedClock {
    /// From now on the clock is so much ahead, or behind.
    pub(crate) fn skew(&self, ms: i64) {
        self.skew_ms.store(ms, Relaxed);
    }
}

impl Clock for SkewedClock {
    fn now(&self) -> Timestamp {
        self.true_time.now() + SignedDuration::from_millis(self.skew_ms.load(Relaxed))
    }
}

impl Timer for SkewedClock {
    fn sleep_until(&self, at: Timestamp) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        self.true_time.sleep_until(at)
    }
}
