//! Every state that small pipelines can reach, whatever comes in whatever order.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    hash::{DefaultHasher, Hasher},
};

use super::{
    stage,
    table::Table,
    world::{ALARM, Budget, Decided, Driver, Event, World},
};
use crate::{
    AlarmSnapshot, AlarmState, ExecutionMode, ExecutionType, FailureConditions, Phase, RetryConfiguration, StageStatus,
    WatchRule, phase, pipeline::tests::stage_index,
};

/// More states than any walk here has: beyond them the walk is a mistake.
const STATES_MAX: usize = 200_000;
/// The same of the walks of [`explore`].
const EXPLORED_MAX: usize = 40_000_000;

fn pipeline(mode: ExecutionMode, executions: u128, retry: bool) -> Table {
    let mut deploy = stage_index("Deploy", &[("Act", 1)]);
    let result = if mode == ExecutionMode::Parallel { "RETRY" } else { "ROLLBACK" };
    deploy.on_failure = Some(FailureConditions {
        result: Some(result.into()),
        retry_configuration: retry.then_some(RetryConfiguration { retry_mode: None }),
        conditions: Vec::new(),
    });
    deploy.watches = vec![WatchRule {
        rule: "errors".into(),
        alarm: "red".into(),
        minutes: 5,
        data_points: 0,
        shadow: false,
        hold_until_other: false,
        metrics: None,
    }];
    let mut table = Table::with_stages(vec![stage_index("Source", &[("Act", 1)]), deploy], mode, executions);
    let alarm = AlarmSnapshot { arn: ALARM.into(), state: AlarmState::Ok };
    table.alarms = BTreeMap::from([("red".to_owned(), alarm)]);
    table
}

/// A state's number, and how it was reached.
struct Seen {
    states: HashMap<u64, Option<(u64, String)>>,
}

impl Seen {
    fn number(world: &World) -> u64 {
        let mut hasher = DefaultHasher::new();
        world.digest(&mut hasher);
        hasher.finish()
    }

    fn path_to(&self, mut state: u64) -> String {
        let mut path = Vec::new();
        while let Some(Some((before, event))) = self.states.get(&state) {
            path.push(event.clone());
            state = *before;
        }
        path.reverse();
        path.join("\n")
    }
}

/// Visits every reachable state; with `races`, also those that two decisions taken on the same rows lead to.
fn walk(name: &str, first: World, races: bool) -> usize {
    let number = Seen::number(&first);
    let mut seen = Seen { states: HashMap::from([(number, None)]) };
    let mut next = VecDeque::from([(number, first)]);
    let mut steps = 0_usize;
    while let Some((here, world)) = next.pop_front() {
        let mut goes_on = false;
        for (event, late, after) in successors(&world, races) {
            steps += 1;
            let there = Seen::number(&after);
            goes_on |= there != here && is_progress(&event);
            if seen.states.contains_key(&there) {
                continue;
            }
            seen.states.insert(there, Some((here, label(&event, late.as_ref()))));
            if let Err(broken) = check_step(&world, &after).and_then(|()| check_state(&after)) {
                panic!(
                    "{name}: {broken}\n{}\n{:?}",
                    seen.path_to(there),
                    after.table.executions.values().map(|row| (row.id, &row.phase)).collect::<Vec<_>>()
                );
            }
            next.push_back((there, after));
        }
        if !goes_on && let Err(broken) = check_rest(&world) {
            panic!(
                "{name}: {broken}\n{}\n{:?}",
                seen.path_to(here),
                world.table.executions.values().map(|row| (row.id, &row.phase)).collect::<Vec<_>>()
            );
        }
        assert!(seen.states.len() < STATES_MAX, "{name}: the walk has no end");
    }
    println!("{name}: {} states, {steps} steps", seen.states.len());
    seen.states.len()
}

/// Visits every state that can be reached from `first`, one way to its end and then the next, so that of the worlds on
/// the way only those are kept that lead to the present one, and of the others a number.
fn explore(name: &str, first: World) -> usize {
    let mut seen = HashSet::from([Seen::number(&first)]);
    let mut steps = 0_usize;
    let mut path: Vec<(Event, World)> = Vec::new();
    let mut next = vec![unseen(&first, &mut seen, &mut steps).unwrap_or_else(|broken| panic!("{name}: {broken}"))];
    while let Some(choices) = next.last_mut() {
        let Some((event, world)) = choices.pop() else {
            next.pop();
            path.pop();
            continue;
        };
        let found = check_state(&world).and_then(|()| unseen(&world, &mut seen, &mut steps));
        path.push((event, world));
        match found {
            Ok(choices) => next.push(choices),
            Err(broken) => {
                let way: Vec<String> = path.iter().map(|(event, _)| format!("{event:?}")).collect();
                panic!("{name}: {broken}\n{}", way.join("\n"));
            }
        }
        assert!(seen.len() < EXPLORED_MAX, "{name}: the walk has no end");
    }
    println!("{name}: {} states, {steps} steps", seen.len());
    seen.len()
}

/// Where an event leads from `world` that was not seen before.
fn unseen(world: &World, seen: &mut HashSet<u64>, steps: &mut usize) -> Result<Vec<(Event, World)>, String> {
    let here = Seen::number(world);
    let (mut goes_on, mut found) = (false, Vec::new());
    for (event, _, after) in successors(world, false) {
        *steps += 1;
        check_step(world, &after).map_err(|broken| format!("{broken}, by {event:?}"))?;
        let there = Seen::number(&after);
        goes_on |= there != here && is_progress(&event);
        if seen.insert(there) {
            found.push((event, after));
        }
    }
    if goes_on { Ok(found) } else { check_rest(world).map(|()| found) }
}

fn label(event: &Event, late: Option<&Event>) -> String {
    late.map_or_else(|| format!("{event:?}"), |late| format!("{event:?}, then {late:?} as decided before"))
}

/// What can happen in `world`, and what comes of it; with `races`, also what another event leads to after it that was
/// decided before it.
fn successors(world: &World, races: bool) -> Vec<(Event, Option<Event>, World)> {
    let mut all = Vec::new();
    let view = world.table.view();
    let events = world.events(&view);
    for event in &events {
        let decided = world.decide(&view, event);
        // Late requests mostly are of no consequence; their tokens are answered already.
        if matches!(event, Event::DeliverLate(..)) && decided.as_ref().is_some_and(Decided::only_repeats) {
            continue;
        }
        let mut after = world.clone();
        after.apply(event, decided).expect("nobody else wrote");
        if races {
            let possible = after.events(&after.table.view());
            for other in events.iter().filter(|other| is_repeatable(other) || possible.contains(other)) {
                let Some(late) = world.decide(&view, other).filter(|late| !late.only_repeats()) else {
                    continue;
                };
                let mut both = after.clone();
                if (is_repeatable(other) || *other != *event) && both.apply(other, Some(late)).is_ok() {
                    all.push((event.clone(), Some(other.clone()), both));
                }
            }
        }
        all.push((event.clone(), None, after));
    }
    all
}

/// Whether a second delivery can be on its way while the first is handled.
fn is_repeatable(event: &Event) -> bool {
    matches!(event, Event::Deliver(_) | Event::DeliverLate(..))
}

/// Whether an event comes by itself, with nobody needed.
fn is_progress(event: &Event) -> bool {
    matches!(event, Event::Deliver(_) | Event::RunEnds(..) | Event::Settle(_) | Event::Close(_))
}

fn holds(condition: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if condition { Ok(()) } else { Err(what()) }
}

/// What is true of every state.
fn check_state(world: &World) -> Result<(), String> {
    let table = &world.table;
    let superseded = table.index.mode == ExecutionMode::Superseded;
    for name in ["Source", "Deploy"] {
        holds(!superseded || table.queue(name).len() <= 1, || format!("two wait before {name}"))?;
        if let Some(inside) = table.inside(name) {
            let row = &table.executions[&inside];
            let reserved = row.phase == Phase::Starting && row.execution_type == ExecutionType::Rollback;
            let here = [Phase::Running { stage: stage(name) }, Phase::Stopping { stage: stage(name) }];
            holds(reserved || here.contains(&row.phase), || format!("who is inside {name}?"))?;
        }
    }
    for (id, row) in table.executions.iter() {
        let inside: Vec<_> = ["Source", "Deploy"].into_iter().filter(|name| table.inside(name) == Some(*id)).collect();
        let waits: Vec<_> = table.waiting.values().filter(|waiting| waiting.execution == *id).collect();
        let is_reserved = row.rollback.is_some();
        let in_place = match &row.phase {
            Phase::Starting => inside.len() == usize::from(is_reserved) && waits.is_empty(),
            Phase::Waiting { stage } => inside.is_empty() && waits.len() == 1 && waits[0].stage == *stage,
            Phase::Running { stage } | Phase::Stopping { stage } => {
                // PARALLEL executions are in a stage without having it.
                let has_it = if row.mode == ExecutionMode::Parallel { &[][..] } else { &[stage.as_str()] };
                inside == has_it && waits.is_empty() && row.stages[stage].status == StageStatus::InProgress
            }
            _ => inside.is_empty() && waits.is_empty(),
        };
        holds(in_place, || format!("execution {id} is at no one place"))?;
        if let (Driver::Asking(request), [waiting]) = (&world.drivers[&world.machine_of(*id)], waits.as_slice()) {
            // A request with a new token that is still on its way adds its token when it comes.
            let same = |token: &str| request.token.trim_end_matches('+') == token.trim_end_matches('+');
            let is_known = waiting.token.iter().any(|token| token == request.token);
            let on_its_way = waiting.token.iter().all(|token| same(token) && token.len() < request.token.len());
            holds(is_known || on_its_way, || format!("execution {id} waits for another token"))?;
        }
        holds(!row.phase.is_ended() || row.stages.values().all(|of| of.status != StageStatus::InProgress), || {
            format!("execution {id} has ended inside")
        })?;
    }
    for (undone, started) in world.automatic_rollbacks() {
        holds(started.len() == 1, || format!("several rollbacks of {undone:?}"))?;
    }
    Ok(())
}

/// What is true of every step.
fn check_step(before: &World, after: &World) -> Result<(), String> {
    for name in ["Source", "Deploy"] {
        let (old, new) = (before.table.stage(name), after.table.stage(name));
        holds(old.generation <= new.generation, || format!("the generation of {name} fell"))?;
        let inside = |world: &World| world.table.inside(name);
        let changed = inside(after).is_some() && inside(before) != inside(after);
        holds(!changed || old.generation < new.generation, || format!("{name} changed hands without a generation"))?;
    }
    for (id, old) in before.table.executions.iter() {
        let new = &after.table.executions[id];
        let retried = matches!(old.phase, Phase::Failed { .. } | Phase::Stopped) && old.attempt < new.attempt;
        holds(!old.phase.is_ended() || old.phase == new.phase || retried, || {
            format!("execution {id} came back from its end")
        })?;
        let (was, is) = (before.table.stage("Deploy"), after.table.stage("Deploy"));
        let latest = was.latest.is_some_and(|latest| latest.execution == *id) && was.occupant.is_none();
        let may = old.mode == ExecutionMode::Parallel || latest && is.generation == was.generation.next();
        holds(!retried || may, || format!("execution {id} was retried where it had lost the stage"))?;
        for (name, outcome) in old.stages.iter().filter(|(_, outcome)| outcome.revoked_by.is_some()) {
            holds(new.stages[name].revoked_by == outcome.revoked_by, || "a success was taken back twice".to_owned())?;
        }
    }
    for row in after.table.executions.values().filter(|row| !before.table.executions.contains_key(&row.id)) {
        let Some(of) = &row.rollback else {
            return Err("nobody starts releases here".to_owned());
        };
        let choice = of.cause.choice();
        let target = &before.table.executions[&of.target];
        holds(before.is_eligible(target, choice), || format!("rollback {} to what is not eligible", row.id))?;
        let held = after.table.stage("Deploy").inbound.hold.is_some_and(|hold| hold.rollback == Some(row.id));
        let expected = !of.cause.is_stage_failure();
        holds(held == expected, || format!("held: {held}, rollback {:?}", of.cause))?;
    }
    Ok(())
}

/// What is true where nothing more comes by itself.
fn check_rest(world: &World) -> Result<(), String> {
    for (id, row) in world.table.executions.iter() {
        let shut_out = match &row.phase {
            Phase::Waiting { stage } => !world.table.stage(stage.as_str()).inbound.enabled,
            phase => phase.is_ended(),
        };
        holds(shut_out, || format!("execution {id} is stuck in {:?}", row.phase))?;
        for (machine, driver) in world.drivers.range((*id, 0)..=(*id, u32::MAX)) {
            let drives = *machine == world.machine_of(*id) && !row.phase.is_ended();
            let told = matches!(driver, Driver::Done | Driver::Dead);
            holds(told || drives, || format!("the state machine {machine:?} was never told that it is over"))?;
        }
    }
    Ok(())
}

const MODES: [ExecutionMode; 2] = [ExecutionMode::Superseded, ExecutionMode::Queued];

fn story(mode: ExecutionMode) {
    // Arrivals in other orders are walked with two executions.
    let budget = Budget { alarms: 1, rollbacks: 1, in_order: true, ..Budget::default() };
    let first = World::new(pipeline(mode, 3, false), budget);
    assert!(walk(&format!("{mode}, 3 executions, alarm, manual rollback"), first, false) > 5_000);
}

// One test each, so that they run side by side.
#[test]
fn superseded_releases_alarms_and_rollbacks_in_every_order() {
    story(ExecutionMode::Superseded);
}

#[test]
fn queued_releases_alarms_and_rollbacks_in_every_order() {
    story(ExecutionMode::Queued);
}

/// One alarm, one stop, one retry, one rollback: everything that can be done to executions, in every order with what
/// happens by itself. Of two executions what was asked may come late once more; other orders of arrival are walked by
/// [`every_order_of_two_executions_and_one_more_thing`].
fn everything(mode: ExecutionMode, executions: u128) -> usize {
    let once = executions > 2;
    let budget = Budget { alarms: 1, stops: 1, retries: 1, rollbacks: 1, in_order: true, once, ..Budget::default() };
    let late = if once { "" } else { ", late requests" };
    let name = format!("{mode}, {executions} executions, an alarm, a stop, a retry, a rollback{late}");
    explore(&name, World::new(pipeline(mode, executions, false), budget))
}

// Of three executions it is hundreds of thousands of states, which `cargo xtask walk` visits, optimized.

#[test]
fn superseded_everything_of_two() {
    assert!(everything(ExecutionMode::Superseded, 2) > 5_000);
}

#[test]
#[ignore = "takes minutes; `cargo xtask walk` runs it"]
fn superseded_everything_of_three() {
    assert!(everything(ExecutionMode::Superseded, 3) > 100_000);
}

#[test]
fn queued_everything_of_two() {
    assert!(everything(ExecutionMode::Queued, 2) > 5_000);
}

#[test]
#[ignore = "takes minutes; `cargo xtask walk` runs it"]
fn queued_everything_of_three() {
    assert!(everything(ExecutionMode::Queued, 3) > 100_000);
}

#[test]
fn parallel_everything_of_two() {
    assert!(everything(ExecutionMode::Parallel, 2) > 1_000);
}

#[test]
#[ignore = "takes minutes; `cargo xtask walk` runs it"]
fn parallel_everything_of_three() {
    assert!(everything(ExecutionMode::Parallel, 3) > 10_000);
}

#[test]
fn every_order_of_two_executions_and_one_more_thing() {
    let cases = [
        ("alarm twice, enabling", Budget { alarms: 2, rollbacks: 1, enables: 1, ..Budget::default() }, false),
        ("disabling and enabling", Budget { disables: 2, enables: 2, source_fails: true, ..Budget::default() }, false),
        ("asking again", Budget { asks_again: 2, source_fails: true, ..Budget::default() }, true),
        ("an update", Budget { updates: 1, rollbacks: 1, source_fails: true, ..Budget::default() }, true),
        ("an edit of Deploy", Budget { updates: 1, rollbacks: 1, edits_deploy: true, ..Budget::default() }, true),
        ("a dead machine", Budget { deaths: 1, alarms: 1, source_fails: true, ..Budget::default() }, true),
        ("stops", Budget { stops: 2, source_fails: true, ..Budget::default() }, false),
        ("two retries, an update", Budget { retries: 2, updates: 1, ..Budget::default() }, true),
        ("a dead machine, a retry", Budget { deaths: 1, retries: 1, ..Budget::default() }, false),
    ];
    for mode in MODES {
        for (name, budget, retry) in &cases {
            walk(
                &format!("{mode}, 2 executions, {name}"),
                World::new(pipeline(mode, 2, *retry), budget.clone()),
                false,
            );
        }
    }
}

#[test]
fn decisions_on_the_same_rows_do_not_both_win() {
    let cases = [
        ("alarm, manual rollback", Budget { alarms: 1, rollbacks: 1, ..Budget::default() }),
        ("enabling, asking again", Budget { disables: 1, enables: 1, asks_again: 1, ..Budget::default() }),
        ("a dead machine, an update", Budget { deaths: 1, updates: 1, ..Budget::default() }),
        ("a stop, a retry", Budget { stops: 1, retries: 1, ..Budget::default() }),
        ("a retry, a rollback", Budget { retries: 1, rollbacks: 1, ..Budget::default() }),
        ("a retry, an update", Budget { retries: 1, updates: 1, ..Budget::default() }),
    ];
    for mode in MODES {
        for (name, budget) in &cases {
            walk(&format!("{mode}, races, {name}"), World::new(pipeline(mode, 2, false), budget.clone()), true);
        }
    }
}

#[test]
fn walks_meet_every_change_of_phase_that_can_happen() {
    let cases = [
        (ExecutionMode::Superseded, Budget { disables: 1, stops: 1, retries: 1, ..Budget::default() }),
        (ExecutionMode::Queued, Budget { stops: 1, deaths: 1, updates: 1, source_fails: true, ..Budget::default() }),
        (ExecutionMode::Queued, Budget { stops: 1, rollbacks: 1, ..Budget::default() }),
    ];
    for (mode, budget) in cases {
        walk(&format!("{mode}, phases"), World::new(pipeline(mode, 2, false), budget), false);
    }
    let (met, all, missed) = phase::tests::coverage();
    println!("{met} of {all} changes of phase are met; not met: {missed:?}");
    // Only a PARALLEL execution lives through an update that reorders stages, and the walks know no such mode; who
    // stops is told so, whatever the last stage came to.
    let known = ["Enter (other stage) in Waiting: **Running**", "Complete in Stopping: **Stopped**"];
    let unknown: Vec<&String> = missed.iter().filter(|cell| !known.contains(&cell.as_str())).collect();
    assert!(unknown.is_empty(), "no walk meets {unknown:?}");
}
