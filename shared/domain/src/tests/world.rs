//! A pipeline with everything that acts on it: state machines that ask and report, alarms, people. Each event can come at
//! any time, gate requests also twice or late.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    id, manual, stage,
    table::{Conflict, Table},
};
use crate::{
    AlarmChange, AlarmState, Changes, Choice, Effect, Execution, ExecutionId, FailureAnswer, FailureDecision,
    GateAnswer, Generation, Phase, Rejected, RollbackCause, StageFailure, StageIndex, StageName, StageReport,
    StageResult, Verdict, choose_automatic, close_dead, decide_failure, disable_transition, enable_transition,
    ineligible_because, judge, settle_failure,
};

pub(super) const ALARM: &str = "arn:red";

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
    pub(super) asks_again: u8,
    /// Whether the first stage may fail too.
    pub(super) source_fails: bool,
    /// Whether executions arrive in the order they were started in.
    pub(super) in_order: bool,
}

/// Something that can happen.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Event {
    /// What an execution's machine asks reaches the gate.
    Deliver(ExecutionId),
    /// What it asked earlier, and was answered, reaches the gate once more.
    DeliverLate(ExecutionId, usize),
    /// Its machine asks the same again with a new token.
    AskAgain(ExecutionId),
    /// The actions inside a stage end.
    RunEnds(ExecutionId, bool),
    /// The failure of a stage is evaluated.
    Settle(ExecutionId),
    /// Its machine dies.
    Die(ExecutionId),
    /// The death is noticed.
    Close(ExecutionId),
    /// The alarm is red.
    Alarm,
    /// A person goes back to an execution.
    RollBack(ExecutionId),
    Enable,
    Disable,
    Update,
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
    pub(super) drivers: BTreeMap<ExecutionId, Driver>,
    pub(super) answered: BTreeMap<ExecutionId, Vec<Request>>,
    pub(super) budget: Budget,
}

/// Answered requests of one execution that may come late.
const LATE_MAX: usize = 1;

impl World {
    pub(super) fn new(table: Table, budget: Budget) -> Self {
        let mut world = Self { table, drivers: BTreeMap::new(), answered: BTreeMap::new(), budget };
        for id in world.table.executions.keys().copied().collect::<Vec<_>>() {
            world.start(id);
        }
        world
    }

    fn start(&mut self, id: ExecutionId) {
        let token = format!("{}.0", id.0.as_u128());
        self.drivers.insert(id, Driver::Asking(Request { token, finished: None }));
    }

    /// Everything that can happen here.
    pub(super) fn events(&self) -> Vec<Event> {
        let mut events = Vec::new();
        for (id, driver) in &self.drivers {
            match driver {
                Driver::Asking(_) if self.budget.in_order && self.is_early(*id) => {}
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
                Driver::Dead if !self.table.executions[id].phase.is_ended() => events.push(Event::Close(*id)),
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
        ineligible_because(&self.table.index, self.deploy(), row, &[], choice).is_empty()
    }

    /// What `event` decides on the rows as they are; `None` where it only moves a state machine on, or is refused.
    pub(super) fn decide(&self, event: &Event) -> Option<Decided> {
        let (view, rows, now) = (self.table.view(), &self.table.executions, self.table.now());
        let (alarms, deploy) = (&self.table.alarms, stage("Deploy"));
        let plain = |changes: Changes| Some(Decided { changes, answer: None });
        match event {
            Event::Deliver(id) => {
                let Driver::Asking(request) = &self.drivers[id] else {
                    return None;
                };
                plain(self.table.decide_gate(*id, &request.token, request.finished.as_ref()).expect("no gate refuses"))
            }
            Event::DeliverLate(id, which) => {
                let request = &self.answered[id][*which];
                plain(self.table.decide_gate(*id, &request.token, request.finished.as_ref()).expect("no gate refuses"))
            }
            Event::Settle(id) => self.settle(*id),
            Event::Close(id) => plain(close_dead(&view, rows, *id, "dead", alarms, now).expect("it has not ended")),
            Event::Alarm => self.judge(),
            Event::RollBack(target) => {
                let live = self.table.live("Deploy").filter(|live| live.revision_of != *target);
                let undone = live.map(|live| live.deployed_by);
                self.start_rollback(*target, undone, manual()).and_then(plain)
            }
            Event::Enable => plain(enable_transition(&view, rows, &deploy, "ana", alarms, now).expect("all were read")),
            Event::Disable => plain(disable_transition(&view, &deploy, "ana", "no", now)),
            Event::AskAgain(_) | Event::RunEnds(..) | Event::Die(_) | Event::Update => None,
        }
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

    fn settle(&self, id: ExecutionId) -> Option<Decided> {
        let Driver::Failing { stage, generation, attempt } = &self.drivers[&id] else {
            return None;
        };
        let (view, row) = (self.table.view(), &self.table.executions[&id]);
        let state = view.stage(stage);
        let ended = Some(Decided { changes: Changes::default(), answer: Some(FailureAnswer::End) });
        if !state.is_held_by(id, *generation) {
            return ended;
        }
        let current = state.occupant.as_ref().map_or(1, |inside| inside.attempt);
        if current > *attempt {
            return Some(Decided {
                changes: Changes::default(),
                answer: Some(FailureAnswer::Retry { attempt: current, groups: Vec::new() }),
            });
        }
        let declared = view.index.stage(stage).and_then(|(_, index)| index.on_failure.as_ref());
        let decision = decide_failure(declared, row, &state, false);
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
            newer: &[],
            rollback_id: self.rollback_id(),
            alarms: &self.table.alarms,
        };
        let settled = settle_failure(&view, &self.table.executions, &failure, self.table.now());
        let (answer, changes) = settled.expect("it holds the stage");
        Some(Decided { changes, answer: Some(answer) })
    }

    fn judge(&self) -> Option<Decided> {
        let watch = self.table.watches.values().find(|watch| watch.alarm_arn == ALARM)?;
        let alarm =
            AlarmChange { arn: ALARM.into(), state: AlarmState::Alarm, since: self.table.now(), reason: "red".into() };
        let state = self.table.stage("Deploy");
        if judge(watch, &state, &alarm).verdict != Verdict::Degraded {
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
                    request.token.push('+');
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
            }
            Event::Deliver(_) | Event::DeliverLate(..) | Event::Close(_) => {}
        }
        for effect in effects {
            match effect {
                Effect::StartMachine { execution, .. } => self.start(execution),
                Effect::AnswerGate { token, answer } => self.answer(&token, answer),
                other => panic!("{other:?}"),
            }
        }
        Ok(())
    }

    fn ask(&mut self, id: ExecutionId, stage: StageName, generation: Generation, status: StageResult) {
        let asked = self.answered.get(&id).map_or(0, Vec::len);
        let last = self.answered.get(&id).and_then(|requests| requests.last());
        let number = last.and_then(|request| request.token.split(['.', '+']).nth(1)?.parse::<usize>().ok());
        let token = format!("{}.{}", id.0.as_u128(), number.unwrap_or(asked) + 1);
        let finished = Some(StageReport { stage, generation, status });
        self.drivers.insert(id, Driver::Asking(Request { token, finished }));
    }

    fn end_run(&mut self, id: ExecutionId, well: bool) {
        let Driver::Inside { stage, generation, attempt } = self.drivers[&id].clone() else {
            return;
        };
        if well {
            self.ask(id, stage, generation, StageResult::Succeeded);
        } else {
            self.drivers.insert(id, Driver::Failing { stage, generation, attempt });
        }
    }

    fn go_on_after_failure(&mut self, id: ExecutionId, answer: Option<FailureAnswer>) {
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
        let done = next == Driver::Done;
        let before = std::mem::replace(driver, next);
        if done {
            // Whatever comes late of an ended execution finds its end.
            self.answered.remove(id);
        } else if let Driver::Asking(request) = before {
            let answered = self.answered.entry(*id).or_default();
            answered.push(request);
            if answered.len() > LATE_MAX {
                answered.remove(0);
            }
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
            let failed = of.cause == RollbackCause::StageFailed;
            started.entry((undone, failed)).or_default().insert(row.id);
        }
        started
    }
}
