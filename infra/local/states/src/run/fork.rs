//! Parallel and inline Map: threads that start, run side by side and join.

use serde_json::{Value, json};

use super::{
    Failure, MAP_CONCURRENCY_MAX,
    advance::Step,
    context::{Extra, bounded},
    frame::{At, Fork, Frame},
    history::Body,
};
use crate::definition::{Map, Parallel, State};

impl Step<'_> {
    pub(super) fn begin_parallel(&mut self, id: u64, parallel: &Parallel) -> Result<(), Failure> {
        let input = self.run.frames[&id].input.clone();
        let input = self.evaluate(id, parallel.arguments.as_ref(), &Extra::default(), &input)?;
        self.record(id, Body::bare("ParallelStateStarted"));
        let count = parallel.branches.len();
        let fork = Fork { items: Vec::new(), results: vec![None; count], started: count, limit: count };
        self.frame(id).at = At::Forked(fork);
        for (slot, start_at) in parallel.branches.iter().enumerate() {
            self.spawn(id, slot, start_at, input.clone(), None);
        }
        Ok(())
    }

    pub(super) fn begin_map(&mut self, id: u64, map: &Map) -> Result<(), Failure> {
        let input = self.run.frames[&id].input.clone();
        let Value::Array(items) = self.evaluate(id, map.items.as_ref(), &Extra::default(), &input)? else {
            return Err(self.unusable(id, "the Items of a Map must be an array"));
        };
        let limit = self.evaluate(id, map.concurrency.as_ref(), &Extra::default(), &json!(0))?;
        let limit = match self.whole_seconds(id, &limit, 0)? {
            0 => MAP_CONCURRENCY_MAX,
            wanted => usize::try_from(wanted).unwrap_or(usize::MAX).min(MAP_CONCURRENCY_MAX),
        };
        self.record(id, Body::map_started(items.len()));
        let fork = Fork { results: vec![None; items.len()], items, started: 0, limit };
        self.frame(id).at = At::Forked(fork);
        self.start_iterations(id, map)?;
        self.join_if_done(id)
    }

    /// Starts as many iterations as may run at once.
    fn start_iterations(&mut self, id: u64, map: &Map) -> Result<(), Failure> {
        while let At::Forked(fork) = &mut self.frame(id).at {
            let done = fork.results.iter().flatten().count();
            if fork.started == fork.items.len() || fork.started - done >= fork.limit {
                return Ok(());
            }
            let slot = fork.started;
            fork.started += 1;
            let value = std::mem::take(&mut fork.items[slot]);
            let item = json!({"Item": {"Index": slot, "Value": value}});
            let extra = Extra { map_item: Some(&item), ..Extra::default() };
            let input = bounded(self.evaluate(id, map.selector.as_ref(), &extra, &value)?)?;
            let body = Body::iteration("Started", &self.run.frames[&id].state, slot);
            self.record(id, body);
            self.spawn(id, slot, &map.start_at, input, Some(item));
        }
        Ok(())
    }

    fn spawn(&mut self, parent: u64, slot: usize, start_at: &str, input: Value, map_item: Option<Value>) {
        let mut frame = Frame::new(start_at, input, self.now());
        let above = &self.run.frames[&parent];
        frame.event = above.event;
        frame.map_item = map_item.or_else(|| above.map_item.clone());
        frame.parent = Some(parent);
        frame.slot = slot;
        self.insert(frame);
    }

    /// One thread below frame `id` has ended well.
    pub(super) fn join(&mut self, id: u64, slot: usize, output: Value) {
        let machine = self.machine;
        let At::Forked(fork) = &mut self.frame(id).at else {
            return;
        };
        fork.results[slot] = Some(output);
        let state = machine.states.get(&self.run.frames[&id].state);
        let joined = match state {
            Some(State::Map(map)) => {
                let body = Body::iteration("Succeeded", &self.run.frames[&id].state, slot);
                self.record(id, body);
                self.start_iterations(id, map).and_then(|()| self.join_if_done(id))
            }
            _ => self.join_if_done(id),
        };
        if let Err(failure) = joined {
            self.fail(id, failure);
        }
    }

    /// Leaves the Parallel or Map once every thread has ended.
    fn join_if_done(&mut self, id: u64) -> Result<(), Failure> {
        let At::Forked(fork) = &self.run.frames[&id].at else {
            return Ok(());
        };
        if fork.results.iter().any(Option::is_none) {
            return Ok(());
        }
        let result = bounded(Value::Array(fork.results.iter().flatten().cloned().collect()))?;
        let machine = self.machine;
        let exit = match machine.states.get(&self.run.frames[&id].state) {
            Some(State::Map(map)) => {
                self.record(id, Body::bare("MapStateSucceeded"));
                &map.exit
            }
            Some(State::Parallel(parallel)) => {
                self.record(id, Body::bare("ParallelStateSucceeded"));
                &parallel.exit
            }
            _ => return Ok(()),
        };
        self.exit(id, exit, Some(&result), None)
    }
}
