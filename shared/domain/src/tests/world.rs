//! A pipeline with everything that acts on it: state machines that ask and report, alarms, people. Each event can come at
//! any time, gate requests also twice or late.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    id, manual, stage,
    table::{Conflict, Table},
};
use crate::{
    AlarmChange, AlarmState, Changes, Choice, Effect, Execution, ExecutionId, ExecutionMode, FailureAnswer,
    FailureDecision, GateAnswer, Generation, LookedUp, NotRetryable, Phase, PipelineView, Rejected, RetryMode,
    RetryOrder, RollbackCause, StageFailure, StageIndex, StageName, StageReport, StageResult, StopOrder, StopTrigger,
    Verdict, WatchedDeploy, cancel_outdated, choose_automatic, close_dead, decide_failure, disable_transition,
    enable_transition, ineligible_because, judge, retry_stage, settle_failure, stop_execution,
};

pub(super) const ALARM: &str = "arn:red";

/// An execution's state machine, by the execution and the number of the attempt.
pub(super) type Machine = (ExecutionId, u32);

/// What a state machine asked the gate.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Request {
    pub(super) token: String,
    pub(super) finished: Option<StageReport>,
}

/// What the state machine of an execution is doing.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Driver {
    Asking(Request),
    Inside { stage: StageName, generation: Generation, attempt: u32 },
    Failing { stage: StageName, generation: Generation, attempt: u32 },
    Dead,
    Done,
}

/// How often what comes from outside may still happen.
#[derive(Debug, Clone, Default, Hash)]
pub(super) struct Budget {
    pub(super) alarms: u8,
    pub(super) rollbacks: u8,
    pub(super) enables: u8,
    pub(super) disables: u8,
    pub(super) updates: u8,
    pub(super) deaths: u8,
    pub(super) stops: u8,
    pub(super) retries: u8,
    pub(super) asks_again: u8,
    /// Whether the first stage may fail too.
    pub(super) source_fails: bool,
    /// Whether updates change what Deploy does.
    pub(super) edits_deploy: bool,
    /// Whether executions arrive in the order they were started in.
    pub(super) in_order: bool,
    /// Whether what was asked once and answered never comes again.
    pub(super) once: bool,
}

/// Something that can happen.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Event {
    /// What an execution's machine asks reaches the gate.
    Deliver(Machine),
    /// What it asked earlier, and was answered or given up, reaches the gate once more.
    DeliverLate(Machine, usize),
    /// Its machine asks the same again with a new token.
    AskAgain(Machine),
    /// The actions inside a stage end.
    RunEnds(Machine, bool),
    /// The failure of a stage is evaluated.
    Settle(Machine),
    /// Its machine dies.
    Die(Machine),
    /// The death is noticed.
    Close(Machine),
    /// The alarm is red.
    Alarm,
    /// A person goes back to an execution.
    RollBack(ExecutionId),
    Enable,
    Disable,
    Update,
    /// The executions that the update outdated and that wait are cancelled.
    CancelWaiting(ExecutionId),
    /// A person stops an execution: waits for its actions, or abandons them.
    Stop(ExecutionId, bool),
    /// A person retries Deploy.
    Retry(ExecutionId),
}

/// What an event decides, before it is stored.
pub(super) struct Decided {
    pub(super) changes: Changes,
    answer: Option<FailureAnswer>,
}

impl Decided {
    /// Whether it stores nothing and so only repeats an answer.
    pub(super) fn only_repeats(&self) -> bool {
        let Changes { stages, executions, waiting_added, waiting_removed, .. } = &self.changes;
        stages.is_empty() && executions.is_empty() && waiting_added.is_empty() && waiting_removed.is_empty()
    }
}

#[derive(Debug, Clone)]
pub(super) struct World {
    pub(super) table: Table,
    pub(super) drivers: BTreeMap<Machine, Driver>,
    pub(super) answered: BTreeMap<Machine, Vec<Request>>,
    pub(super) budget: Budget,
}

/// Answered requests of one execution that may come late.
const LATE_MAX: usize = 1;

impl World {
    pub(super) fn new(mut table: Table, budget: Budget) -> Self {
        table.told.is_quiet = true;
        if table.index.mode == ExecutionMode::Queued {
            table.begin_all();
        }
        let mut world = Self { table, drivers: BTreeMap::new(), answered: BTreeMap::new(), budget };
        for id in world.table.executions.keys().copied().collect::<Vec<_>>() {
            world.start(id);
        }
        world
    }

    fn start(&mut self, id: ExecutionId) {
        let machine = self.machine_of(id);
        let token = format!("{}-{}.0", id.0.as_u128(), machine.1);
        self.drivers.insert(machine, Driver::Asking(Request { token, finished: None }));
    }

    /// The machine that drives an execution; earlier ones may not know that they do not.
    pub(super) fn machine_of(&self, id: ExecutionId) -> Machine {
        (id, self.table.executions[&id].attempt)
    }

    /// Everything that can happen here.
    pub(super) fn events(&self, view: &PipelineView) -> Vec<Event> {
        let mut events = Vec::new();
        for (id, driver) in &self.drivers {
            match driver {
                Driver::Asking(_) if self.budget.in_order && self.is_early(id.0) => {}
                Driver::Asking(_) => {
                    events.push(Event::Deliver(*id));
                    events.extend((self.budget.asks_again > 0).then_some(Event::AskAgain(*id)));
                }
                Driver::Inside { stage, .. } => {
                    events.push(Event::RunEnds(*id, true));
                    let may_fail = self.budget.source_fails || stage.as_str() != "Source";
                    events.extend(may_fail.then_some(Event::RunEnds(*id, false)));
                }
                Driver::Failing { .. } => events.push(Event::Settle(*id)),
                Driver::Dead if *id == self.machine_of(id.0) && !self.table.executions[&id.0].phase.is_ended() => {
                    events.push(Event::Close(*id));
                }
                Driver::Dead | Driver::Done => {}
            }
            if self.budget.deaths > 0 && !matches!(driver, Driver::Dead | Driver::Done) {
                events.push(Event::Die(*id));
            }
            let late = self.answered.get(id).map_or(0, Vec::len);
            events.extend((0..late).map(|which| Event::DeliverLate(*id, which)));
        }
        let deploy = self.table.stage("Deploy");
        events.extend((self.budget.alarms > 0 && !self.table.watches.is_empty()).then_some(Event::Alarm));
        if self.budget.rollbacks > 0 {
            let eligible = self.table.executions.values().filter(|row| self.is_eligible(row, Choice::Manual));
            events.extend(eligible.map(|row| Event::RollBack(row.id)));
        }
        events.extend((self.budget.enables > 0 && !deploy.inbound.enabled).then_some(Event::Enable));
        events.extend((self.budget.disables > 0 && deploy.inbound.enabled).then_some(Event::Disable));
        events.extend((self.budget.updates > 0).then_some(Event::Update));
        let outdated =
            self.table.executions.values().filter(|row| row.pipeline_version < self.table.index.pipeline_version);
        let waits = outdated.filter(|row| matches!(row.phase, Phase::Waiting { .. }));
        events.extend(waits.map(|row| Event::CancelWaiting(row.id)));
        for row in self.table.executions.values() {
            let stoppable = self.budget.stops > 0 && !row.phase.is_ended();
            let waited_for = matches!(row.phase, Phase::Stopping { .. });
            events.extend((stoppable && !waited_for).then_some(Event::Stop(row.id, false)));
            events.extend(stoppable.then_some(Event::Stop(row.id, true)));
            events.extend((self.budget.retries > 0 && self.is_retryable(view, row)).then_some(Event::Retry(row.id)));
        }
        events
    }

    /// Whether an execution started before this one has not arrived.
    fn is_early(&self, id: ExecutionId) -> bool {
        let starting = |row: &&Execution| row.phase == Phase::Starting && row.rollback.is_none();
        let first = self.table.executions.values().find(starting);
        self.table.executions[&id].rollback.is_none() && first.is_some_and(|first| first.id < id)
    }

    fn deploy(&self) -> &StageIndex {
        &self.table.index.stages[1]
    }

    pub(super) fn is_eligible(&self, row: &Execution, choice: Choice) -> bool {
        ineligible_because(&self.table.index, self.deploy(), row, &LookedUp::default(), choice).is_empty()
    }

    /// What `event` decides on the rows as they are; `None` where it only moves a state machine on, or is refused.
    /// `view` is that of the rows as they are.
    pub(super) fn decide(&self, view: &PipelineView, event: &Event) -> Option<Decided> {
        let (rows, now) = (&self.table.executions, self.table.now());
        let (alarms, deploy) = (&self.table.alarms, stage("Deploy"));
        let plain = |changes: Changes| Some(Decided { changes, answer: None });
        match event {
            Event::Deliver(id) => {
                let Driver::Asking(request) = &self.drivers[id] else {
                    return None;
                };
                plain(self.ask_gate(view, *id, request))
            }
            Event::DeliverLate(id, which) => plain(self.ask_gate(view, *id, &self.answered[id][*which])),
            Event::Settle(id) => self.settle(view, *id),
            // Who looks for dead machines reads the row again.
            Event::Close(id) if *id != self.machine_of(id.0) => None,
            Event::Close(id) => plain(close_dead(view, rows, id.0, "dead", alarms, now).expect("it has not ended")),
            Event::Stop(id, abandon) => {
                let trigger = StopTrigger { by: "ana".into(), reason: None };
                let order = StopOrder { execution: *id, abandon: *abandon, trigger, alarms };
                stop_execution(view, rows, &order, now).ok().and_then(plain)
            }
            Event::Retry(id) => self.retry(view, *id).ok().and_then(plain),
            Event::CancelWaiting(id) => cancel_outdated(view, rows, *id, alarms, now).ok().and_then(plain),
            Event::Alarm => self.judge(),
            Event::RollBack(target) => {
                let live = self.table.live("Deploy").filter(|live| live.revision_of != *target);
                let undone = live.map(|live| live.deployed_by);
                self.start_rollback(*target, undone, manual()).and_then(plain)
            }
            Event::Enable => plain(enable_transition(view, rows, &deploy, "ana", alarms, now).expect("all were read")),
            Event::Disable => plain(disable_transition(view, &deploy, "ana", "no", now)),
            Event::AskAgain(_) | Event::RunEnds(..) | Event::Die(_) | Event::Update => None,
        }
    }

    fn is_retryable(&self, view: &PipelineView, row: &Execution) -> bool {
        self.retry(view, row.id).is_ok()
    }

    fn retry(&self, view: &PipelineView, id: ExecutionId) -> Result<Changes, NotRetryable> {
        let order = RetryOrder {
            cause: crate::RetryCause::Asked,
            execution: id,
            stage: &stage("Deploy"),
            mode: RetryMode::FailedActions,
            succeeded: &[],
            by: "ana",
            alarms: &self.table.alarms,
        };
        retry_stage(view, &self.table.executions, &order, self.table.now())
    }

    fn rollback_id(&self) -> ExecutionId {
        id(100 + self.table.executions.values().filter(|row| row.rollback.is_some()).count() as u128)
    }

    fn start_rollback(
        &self,
        target: ExecutionId,
        undone: Option<ExecutionId>,
        cause: RollbackCause,
    ) -> Option<Changes> {
        let n = |id: ExecutionId| id.0.as_u128();
        match self.table.decide_rollback(n(self.rollback_id()), "Deploy", n(target), undone.map(n), cause) {
            Ok(changes) => Some(changes),
            Err(Rejected::AlreadyDone) => None,
            Err(error) => panic!("{error:?}"),
        }
    }

    fn choose(&self, undone: ExecutionId) -> Option<&Execution> {
        let successes = self.table.successes("Deploy");
        let chosen = choose_automatic(&successes, self.deploy(), undone).map(|success| success.execution);
        chosen.map(|id| &self.table.executions[&id]).find(|row| self.is_eligible(row, Choice::Automatic))
    }

    fn ask_gate(&self, view: &PipelineView, (id, attempt): Machine, request: &Request) -> Changes {
        let machine = format!("{id}-{attempt}");
        let decided = self.table.decide_gate_in(view, id, Some(&machine), &request.token, request.finished.as_ref());
        decided.expect("no gate refuses")
    }

    fn settle(&self, view: &PipelineView, machine: Machine) -> Option<Decided> {
        let Driver::Failing { stage, generation, attempt } = &self.drivers[&machine] else {
            return None;
        };
        let id = machine.0;
        let row = &self.table.executions[&id];
        let ended = Some(Decided { changes: Changes::default(), answer: Some(FailureAnswer::End) });
        if !view.lets_act(row, stage, *generation) {
            return ended;
        }
        let current = row.stages[stage].attempt;
        if current > *attempt {
            return Some(Decided {
                changes: Changes::default(),
                answer: Some(FailureAnswer::Retry { attempt: current, groups: Vec::new(), entry_condition: false }),
            });
        }
        let declared = view.index.stage(stage).and_then(|(_, index)| index.on_failure.as_ref());
        let decision = decide_failure(declared, row, stage, false);
        let target = match decision {
            FailureDecision::Rollback => self.choose(id).ok_or("there is none".to_owned()),
            _ => Err(String::new()),
        };
        let failure = StageFailure {
            execution: id,
            stage,
            generation: *generation,
            summary: "It failed.".into(),
            succeeded: &[],
            decision,
            target,
            gate: None,
            newer: &[],
            rollback_id: self.rollback_id(),
            alarms: &self.table.alarms,
        };
        let settled = settle_failure(view, &self.table.executions, &failure, self.table.now());
        let (answer, changes) = settled.expect("it holds the stage");
        Some(Decided { changes, answer: Some(answer) })
    }

    fn judge(&self) -> Option<Decided> {
        let watch = self.table.watches.values().find(|watch| watch.alarm_arn == ALARM)?;
        let alarm =
            AlarmChange { arn: ALARM.into(), state: AlarmState::Alarm, since: self.table.now(), reason: "red".into() };
        let state = self.table.stage("Deploy");
        let live = state.live.as_ref().map(|live| live.deployed_by);
        let inside = state.occupant.as_ref().map(|inside| inside.execution);
        let suspect = WatchedDeploy { watch: watch.clone(), live, inside, sighted: None };
        if watch.proves() || judge(&suspect, &alarm, Some(self.table.now())).verdict != Verdict::Degraded {
            return None;
        }
        let cause = RollbackCause::Alarm { alarm_arn: ALARM.into(), reason: "red".into() };
        let target = self.choose(watch.execution).map(|row| row.id);
        let mut changes = match target {
            Some(target) => self.start_rollback(target, Some(watch.execution), cause)?,
            None => Changes::default(),
        };
        changes.fences.insert((stage("Deploy"), state.generation));
        changes.watches_ended.push(watch.clone());
        Some(Decided { changes, answer: None })
    }

    /// Lets `event` happen with what was decided for it, maybe on earlier rows.
    pub(super) fn apply(&mut self, event: &Event, decided: Option<Decided>) -> Result<(), Conflict> {
        let (changes, answer) = decided.map_or_else(Default::default, |decided| (decided.changes, decided.answer));
        let effects = self.table.store(changes)?;
        // The clock only has to order successes.
        self.table.clock = 1_000 + self.table.successes.len() as i64;
        match event {
            Event::AskAgain(id) => {
                self.budget.asks_again -= 1;
                if let Some(Driver::Asking(request)) = self.drivers.get_mut(id) {
                    // Who was given up may still come to the gate, before or after the new request.
                    let given_up = request.clone();
                    request.token.push('+');
                    self.remember(*id, given_up);
                }
            }
            Event::RunEnds(id, well) => self.end_run(*id, *well),
            Event::Settle(id) => self.go_on_after_failure(*id, answer),
            Event::Die(id) => {
                self.budget.deaths -= 1;
                self.drivers.insert(*id, Driver::Dead);
            }
            Event::Alarm => self.budget.alarms -= 1,
            Event::RollBack(_) => self.budget.rollbacks -= 1,
            Event::Enable => self.budget.enables -= 1,
            Event::Disable => self.budget.disables -= 1,
            Event::Update => {
                self.budget.updates -= 1;
                self.table.index.pipeline_version += 1;
                if self.budget.edits_deploy {
                    self.table.index.stages[1].fingerprint.push('+');
                }
            }
            Event::Stop(..) => self.budget.stops -= 1,
            Event::Retry(_) => self.budget.retries -= 1,
            Event::Deliver(_) | Event::DeliverLate(..) | Event::Close(_) | Event::CancelWaiting(_) => {}
        }
        for effect in effects {
            match effect {
                Effect::StartMachine { execution, .. } => self.start(execution),
                Effect::AnswerGate { token, answer } => self.answer(&token, answer),
                // What is kept changes nothing of this.
                Effect::KeepArtifacts { .. } => {}
                // What runs of an execution that may not act ends in any way at any time.
                Effect::AbandonRuns { .. } => {}
                other => panic!("{other:?}"),
            }
        }
        Ok(())
    }

    fn ask(&mut self, id: Machine, stage: StageName, generation: Generation, status: StageResult) {
        // A machine asks when it starts, and once after each stage.
        let number = self.table.index.stage(&stage).map_or(0, |(position, _)| position + 1);
        let token = format!("{}-{}.{number}", id.0.0.as_u128(), id.1);
        let finished = Some(StageReport { stage, generation, status });
        self.drivers.insert(id, Driver::Asking(Request { token, finished }));
    }

    fn end_run(&mut self, id: Machine, well: bool) {
        let Driver::Inside { stage, generation, attempt } = self.drivers[&id].clone() else {
            return;
        };
        if well {
            self.ask(id, stage, generation, StageResult::Succeeded);
        } else {
            self.drivers.insert(id, Driver::Failing { stage, generation, attempt });
        }
    }

    fn go_on_after_failure(&mut self, id: Machine, answer: Option<FailureAnswer>) {
        let Driver::Failing { stage, generation, .. } = self.drivers[&id].clone() else {
            return;
        };
        match answer {
            Some(FailureAnswer::Retry { attempt, .. }) => {
                self.drivers.insert(id, Driver::Inside { stage, generation, attempt });
            }
            _ => self.ask(id, stage, generation, StageResult::Failed),
        }
    }

    /// Only the token that a machine waits for moves it.
    fn answer(&mut self, token: &str, answer: GateAnswer) {
        let waits = |driver: &Driver| matches!(driver, Driver::Asking(request) if request.token == token);
        let Some((id, driver)) = self.drivers.iter_mut().find(|(_, driver)| waits(driver)) else {
            return;
        };
        let next = match answer {
            GateAnswer::RunStage { stage, generation, attempt, .. } => Driver::Inside { stage, generation, attempt },
            GateAnswer::End { .. } => Driver::Done,
        };
        let (id, done) = (*id, next == Driver::Done);
        let before = std::mem::replace(driver, next);
        if done {
            // Whatever comes late of an ended execution finds its end.
            self.answered.remove(&id);
        } else if let Driver::Asking(request) = before {
            self.remember(id, request);
        }
    }

    /// `request` may come late.
    fn remember(&mut self, id: Machine, request: Request) {
        if self.budget.once {
            return;
        }
        let late = self.answered.entry(id).or_default();
        late.push(request);
        if late.len() > LATE_MAX {
            late.remove(0);
        }
    }

    /// Ids of the rollbacks that were started because of a failure or an alarm of one execution, by execution.
    pub(super) fn automatic_rollbacks(&self) -> BTreeMap<(ExecutionId, bool), BTreeSet<ExecutionId>> {
        let mut started: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for row in self.table.executions.values() {
            let Some(of) = &row.rollback else { continue };
            let (Some(undone), false) = (of.undone, matches!(of.cause, RollbackCause::Manual { .. })) else {
                continue;
            };
            let failed = of.cause.is_stage_failure();
            started.entry((undone, failed)).or_default().insert(row.id);
        }
        started
    }
}
