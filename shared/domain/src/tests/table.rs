//! Rows in memory, which take changes as a store does: all or none, each row only over the version it was read at.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::{at, execution, id, shared::Shared, stage, told::Told};
use crate::{
    AlarmSnapshot, Changes, Effect, Execution, ExecutionId, ExecutionMode, GateAnswer, GateEvent, Live, Phase,
    PipelineView, Rejected, RollbackCause, RollbackOrder, StageIndex, StageName, StageReport, StageState, Success,
    Waiting, Watch, begin, pass_gate,
    pipeline::tests::{stage_index, view},
    start_rollback,
};

/// Everything stored of one pipeline.
#[derive(Debug, Clone)]
pub(super) struct Table {
    pub(super) index: Shared<crate::PipelineIndex>,
    /// Versions before the current one, where a test keeps them.
    pub(super) earlier: Shared<BTreeMap<u32, crate::PipelineIndex>>,
    pub(super) stages: Shared<BTreeMap<StageName, StageState>>,
    pub(super) executions: Shared<BTreeMap<ExecutionId, Execution>>,
    pub(super) waiting: BTreeMap<(StageName, u64), Waiting>,
    pub(super) successes: Shared<BTreeMap<(StageName, Timestamp, ExecutionId), Success>>,
    pub(super) watches: BTreeMap<(String, StageName, String), Watch>,
    pub(super) alarms: BTreeMap<String, AlarmSnapshot>,
    /// What events have told.
    pub(super) told: Shared<Told>,
    /// Second of the clock.
    pub(super) clock: i64,
}

/// A row has changed since it was read.
#[derive(Debug, PartialEq)]
pub(super) struct Conflict(pub(super) String);

impl Table {
    /// A pipeline `Source`, `Deploy`, `Verify` with executions 1 to `count` that have not asked for anything.
    pub(super) fn new(mode: ExecutionMode, count: u128) -> Self {
        let stages: Vec<StageIndex> =
            ["Source", "Deploy", "Verify"].iter().map(|name| stage_index(name, &[("Act", 1), ("Check", 2)])).collect();
        Self::with_stages(stages, mode, count)
    }

    pub(super) fn with_stages(stages: Vec<StageIndex>, mode: ExecutionMode, count: u128) -> Self {
        let mut index = view(stages).index;
        index.mode = mode;
        let executions: BTreeMap<_, _> =
            (1..=count).map(|n| (id(n), Execution { version: 1, ..execution(n, mode) })).collect();
        Self {
            index: Shared::new(index),
            earlier: Shared::default(),
            stages: Shared::default(),
            executions: Shared::new(executions),
            waiting: BTreeMap::new(),
            successes: Shared::default(),
            watches: BTreeMap::new(),
            alarms: BTreeMap::new(),
            told: Shared::default(),
            clock: 1_000,
        }
    }

    /// Starts its executions once more, one after another, as a caller does.
    pub(super) fn begin_all(&mut self) {
        let executions = std::mem::take(&mut *self.executions);
        for execution in executions.into_values() {
            let changes = begin(&self.view(), Execution { version: 0, ..execution }, self.now());
            self.store(changes.expect("a start can be decided")).expect("nobody else writes");
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        at(self.clock)
    }

    pub(super) fn view(&self) -> PipelineView {
        PipelineView {
            index: crate::PipelineIndex::clone(&self.index),
            stages: BTreeMap::clone(&self.stages),
            actions: Vec::new(),
            waiting: self.waiting.values().cloned().collect(),
            conditions: Vec::new(),
            earlier: BTreeMap::clone(&self.earlier),
        }
    }

    /// The next version of the pipeline is what `edit` makes of it; the one before is kept.
    pub(super) fn update(&mut self, edit: impl FnOnce(&mut crate::PipelineIndex)) {
        let before = crate::PipelineIndex::clone(&self.index);
        self.earlier.insert(before.pipeline_version, before);
        self.index.pipeline_version += 1;
        edit(&mut self.index);
    }

    /// Stores all of `changes`, or nothing and tells why not. Answers with the effects to perform.
    pub(super) fn store(&mut self, changes: Changes) -> Result<Vec<Effect>, Conflict> {
        self.check(&changes)?;
        if !changes.executions.is_empty() {
            self.told.listen(&changes, self.clock);
        }
        for (name, mut row) in changes.stages {
            row.version += 1;
            self.stages.insert(name, row);
        }
        for (id, mut row) in changes.executions {
            row.version += 1;
            self.executions.insert(id, row);
        }
        for row in changes.waiting_removed {
            self.waiting.remove(&(row.stage, row.arrival));
        }
        for row in changes.waiting_added {
            self.waiting.insert((row.stage.clone(), row.arrival), row);
        }
        for mut row in changes.successes {
            row.version += 1;
            self.successes.insert((row.stage.clone(), row.at, row.execution), row);
        }
        for row in changes.watches {
            self.watches.insert((row.alarm_arn.clone(), row.stage.clone(), row.rule.clone()), row);
        }
        for row in changes.watches_ended {
            self.watches.remove(&(row.alarm_arn, row.stage, row.rule));
        }
        Ok(changes.effects)
    }

    fn check(&self, changes: &Changes) -> Result<(), Conflict> {
        let same = |what: &dyn std::fmt::Debug, stored: Option<u64>, read: u64| match stored.unwrap_or(0) == read {
            true => Ok(()),
            false => Err(Conflict(format!("{what:?} was read at {read}, is at {stored:?}"))),
        };
        for (name, row) in &changes.stages {
            same(name, self.stages.get(name).map(|row| row.version), row.version)?;
        }
        for (id, row) in &changes.executions {
            same(id, self.executions.get(id).map(|row| row.version), row.version)?;
        }
        for row in &changes.successes {
            let key = (row.stage.clone(), row.at, row.execution);
            same(&key, self.successes.get(&key).map(|row| row.version), row.version)?;
        }
        for (name, generation) in &changes.fences {
            if self.stage(name.as_str()).generation != *generation {
                return Err(Conflict(format!("{name} is at another generation")));
            }
        }
        // What a store refuses for good: two writes of one row in one transaction.
        let mut effects = BTreeSet::new();
        assert!(changes.effects.iter().all(|effect| effects.insert(effect.id())), "{:?}", changes.effects);
        let mut rows = BTreeSet::new();
        assert!(changes.waiting_added.iter().all(|row| rows.insert((&row.stage, row.arrival))), "{changes:?}");
        let mut rows = BTreeSet::new();
        assert!(changes.waiting_removed.iter().all(|row| rows.insert((&row.stage, row.arrival))), "{changes:?}");
        Ok(())
    }

    pub(super) fn stage(&self, name: &str) -> StageState {
        let name = stage(name);
        let initial = || StageState::new(self.index.name.clone(), name.clone());
        self.stages.get(&name).cloned().unwrap_or_else(initial)
    }

    pub(super) fn execution(&self, n: u128) -> &Execution {
        &self.executions[&id(n)]
    }

    pub(super) fn phase(&self, n: u128) -> &Phase {
        &self.execution(n).phase
    }

    pub(super) fn inside(&self, name: &str) -> Option<ExecutionId> {
        self.stage(name).occupant.map(|inside| inside.execution)
    }

    /// Who waits before a stage, in order.
    pub(super) fn queue(&self, name: &str) -> Vec<ExecutionId> {
        let rows = self.waiting.values().filter(|row| row.stage == stage(name));
        rows.map(|row| row.execution).collect()
    }

    pub(super) fn live(&self, name: &str) -> Option<Live> {
        self.stage(name).live
    }

    /// Successes in a stage, newest first.
    pub(super) fn successes(&self, name: &str) -> Vec<Success> {
        self.successes.values().rev().filter(|row| row.stage == stage(name)).cloned().collect()
    }

    pub(super) fn index_of(&mut self, name: &str) -> &mut StageIndex {
        self.index.stages.iter_mut().find(|index| index.name.as_str() == name).unwrap()
    }

    /// A stop is asked for that waits for what runs.
    pub(super) fn request_stop(&mut self, n: u128) {
        let before = self.execution(n).clone();
        let mut row = before.clone();
        row.advance(&crate::PhaseEvent::RequestStop, self.now()).unwrap();
        let [executions, before] = [row, before].map(|row| BTreeMap::from([(row.id, row)]));
        self.store(Changes { executions, before, ..Changes::default() }).unwrap();
    }

    /// What the gate decides for `machine`, or for the current one of the execution.
    pub(super) fn decide_gate(
        &self,
        execution: ExecutionId,
        machine: Option<&str>,
        token: &str,
        finished: Option<&StageReport>,
    ) -> Result<Changes, Rejected> {
        self.decide_gate_in(&self.view(), execution, machine, token, finished)
    }

    /// The same, on a view that is at hand.
    pub(super) fn decide_gate_in(
        &self,
        view: &PipelineView,
        execution: ExecutionId,
        machine: Option<&str>,
        token: &str,
        finished: Option<&StageReport>,
    ) -> Result<Changes, Rejected> {
        let event = GateEvent { execution, token, machine, finished, alarms: &self.alarms };
        pass_gate(view, &self.executions, &event, self.now())
    }

    /// Execution `n` asks the gate; what the decision answers to whom, by token.
    pub(super) fn ask(&mut self, n: u128, token: &str, finished: Option<&StageReport>) -> BTreeMap<String, GateAnswer> {
        let changes = self.decide_gate(id(n), None, token, finished).unwrap();
        self.answers(changes)
    }

    pub(super) fn answers(&mut self, changes: Changes) -> BTreeMap<String, GateAnswer> {
        self.clock += 1;
        let effects = self.store(changes).unwrap();
        let answer = |effect| match effect {
            Effect::AnswerGate { token, answer } => Some((token, answer)),
            _ => None,
        };
        effects.into_iter().filter_map(answer).collect()
    }

    /// The generation that execution `n` acts under.
    pub(super) fn generation(&self, n: u128, name: &str) -> u64 {
        self.execution(n).generation_in(&self.stage(name)).0
    }

    /// Execution `n`, inside the stage, ends its run there with `status` and asks on.
    pub(super) fn finish(
        &mut self,
        n: u128,
        name: &str,
        status: crate::StageResult,
        token: &str,
    ) -> BTreeMap<String, GateAnswer> {
        let report = super::report(name, self.generation(n, name), status);
        self.ask(n, token, Some(&report))
    }

    /// Takes execution `n` from where it is through every stage up to and with `last`.
    pub(super) fn release(&mut self, n: u128, last: &str) {
        if *self.phase(n) == Phase::Starting {
            self.ask(n, &format!("start {n}"), None);
        }
        let names: Vec<StageName> = self.index.stages.iter().map(|index| index.name.clone()).collect();
        for name in names {
            assert_eq!(*self.phase(n), Phase::Running { stage: name.clone() });
            self.finish(n, name.as_str(), crate::StageResult::Succeeded, &format!("{name} {n}"));
            if name.as_str() == last {
                return;
            }
        }
    }

    /// Decides that rollback `n` brings `target` back to the stage.
    pub(super) fn decide_rollback(
        &self,
        n: u128,
        name: &str,
        target: u128,
        undone: Option<u128>,
        cause: RollbackCause,
    ) -> Result<Changes, Rejected> {
        let newer: Vec<Success> =
            self.successes(name).into_iter().take_while(|success| success.execution != id(target)).collect();
        let order = RollbackOrder {
            id: id(n),
            stage: &stage(name),
            target: self.execution(target),
            undone: undone.map(id),
            cause,
            newer: &newer,
            more_since: None,
        };
        start_rollback(&self.view(), &self.executions, &order, self.now())
    }

    pub(super) fn roll_back(&mut self, n: u128, name: &str, target: u128, undone: Option<u128>, cause: RollbackCause) {
        let changes = self.decide_rollback(n, name, target, undone, cause).unwrap();
        assert_eq!(changes.of_pipeline.as_deref(), Some(&self.view().index), "an update that comes between is noticed");
        let effects = self.store(changes).unwrap();
        // Before those that it fences are told.
        assert!(matches!(effects.first(), Some(Effect::StartMachine { execution, .. }) if *execution == id(n)));
    }
}
