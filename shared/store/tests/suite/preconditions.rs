//! Writes: preconditions, races, and what no transaction can hold.

use anyhow::Result;
use domain::{ActionRun, Execution, Generation, StageState};
use engine::ports::{PendingEffect, Precondition, Row, Store, StoreError, WRITES_MAX, Write};
use store::{Operation, Table};

use crate::samples::*;
use crate::world::{World, on_both_tables};

fn put(row: Row, precondition: Precondition) -> Vec<Write> {
    vec![Write::Put(row, precondition)]
}

#[track_caller]
fn contended(result: Result<(), StoreError>) {
    assert!(matches!(result, Err(StoreError::Contended)), "{result:?}");
}

#[track_caller]
fn broken(result: Result<(), StoreError>, expected: &str) {
    assert!(matches!(&result, Err(StoreError::Broken(why)) if why.contains(expected)), "{result:?}");
}

async fn each_version_is_stored_over_once<B>(world: World<B>) -> Result<()>
where
    Table<B>: Store,
{
    let stored = |version| Row::Execution(Execution { version, ..execution(1) });
    world.table.commit(put(stored(0), Precondition::Version(0))).await?;
    contended(world.table.commit(put(stored(0), Precondition::Version(0))).await);
    contended(world.table.commit(put(stored(0), Precondition::Absent)).await);
    contended(world.table.commit(put(stored(2), Precondition::Version(2))).await);
    world.table.commit(put(stored(1), Precondition::Version(1))).await?;
    assert_eq!(world.table.load_execution(&shop(), execution_id(1)).await?.expect("it is there").version, 2);

    world.table.commit(vec![Write::Delete(stored(2))]).await?;
    world.table.commit(put(stored(0), Precondition::Absent)).await?;
    Ok(())
}

async fn generations_fence<B>(world: World<B>) -> Result<()>
where
    Table<B>: Store,
{
    let fence = |generation| {
        vec![
            Write::Put(Row::Job(job()), Precondition::None),
            Write::Check(Row::Stage(stage()), Precondition::Generation(Generation(generation))),
        ]
    };
    world.table.commit(fence(0)).await?;
    contended(world.table.commit(fence(4)).await);
    world.put([Row::Stage(stage())]).await?;
    world.table.commit(fence(4)).await?;
    for generation in [0, 3, 5] {
        contended(world.table.commit(fence(generation)).await);
    }
    let fresh = StageState { version: 0, ..StageState::new(shop(), "Test".parse()?) };
    world.table.commit(put(Row::Stage(fresh.clone()), Precondition::Generation(Generation(0)))).await?;
    world.table.commit(put(Row::Stage(fresh), Precondition::Generation(Generation(0)))).await?;
    Ok(())
}

async fn an_older_run_does_not_replace_the_latest_of_its_action<B>(world: World<B>) -> Result<()>
where
    Table<B>: Store,
{
    let of = |n| ActionRun { id: run_id(n), ..run(1, 1) };
    let latest = |n| put(Row::LatestAction(of(n)), Precondition::Run(run_id(n)));
    contended(world.table.commit(latest(1)).await);
    world.put([Row::LatestAction(of(1))]).await?;
    world.table.commit(latest(1)).await?;
    world.put([Row::LatestAction(of(2))]).await?;
    contended(world.table.commit(latest(1)).await);
    broken(
        world.table.commit(put(Row::ActionRun(of(1)), Precondition::Run(run_id(1)))).await,
        "no action's latest run",
    );
    Ok(())
}

async fn checks_demand_versions_and_absence<B>(world: World<B>) -> Result<()>
where
    Table<B>: Store,
{
    world.put([Row::Execution(execution(1))]).await?;
    let check = |n, precondition| {
        vec![Write::Put(Row::Job(job()), Precondition::None), Write::Check(Row::Execution(execution(n)), precondition)]
    };
    world.table.commit(check(1, Precondition::Version(1))).await?;
    world.table.commit(check(1, Precondition::None)).await?;
    world.table.commit(check(2, Precondition::Absent)).await?;
    contended(world.table.commit(check(1, Precondition::Absent)).await);
    contended(world.table.commit(check(1, Precondition::Version(2))).await);
    contended(world.table.commit(check(2, Precondition::Version(1))).await);
    Ok(())
}

#[tokio::test]
async fn a_lost_race_stores_nothing_at_all() -> Result<()> {
    let world = World::new().await?;
    world.put([Row::Execution(execution(1)), Row::Effect(effect(1))]).await?;
    let result = world
        .table
        .commit(vec![
            Write::Put(Row::Job(job()), Precondition::None),
            Write::Delete(Row::Effect(effect(1))),
            Write::Put(Row::Execution(execution(1)), Precondition::Absent),
        ])
        .await;
    contended(result);
    let items = world.items().await?;
    assert_eq!(items.len(), 2, "{items:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_racing_writers_exactly_one_wins() -> Result<()> {
    let world = World::new().await?;
    world.put([Row::Stage(stage())]).await?;
    for round in 1..=3 {
        let racers: Vec<_> = (0..20)
            .map(|_| {
                let table = world.table.clone();
                // Equal writes, so that only the precondition can tell them apart.
                let taken = Row::Stage(StageState { version: round, ..stage() });
                let marker = Row::Start(marker(&format!("round {round}")));
                tokio::spawn(async move {
                    let writes =
                        vec![Write::Put(taken, Precondition::Version(round)), Write::Put(marker, Precondition::Absent)];
                    table.commit(writes).await
                })
            })
            .collect();
        let mut winners = 0;
        for racer in racers {
            match racer.await? {
                Ok(()) => winners += 1,
                lost => contended(lost),
            }
        }
        assert_eq!(winners, 1, "round {round}");
    }
    Ok(())
}

#[tokio::test]
async fn only_lone_unconditional_writes_do_without_a_transaction() -> Result<()> {
    let world = World::new().await?;
    world.table.commit(vec![]).await?;
    assert_eq!(world.table.usage().requests(), 0);
    world.table.commit(put(Row::Job(job()), Precondition::None)).await?;
    world.table.commit(vec![Write::Delete(Row::Job(job()))]).await?;
    assert_eq!((world.requests(Operation::PutItem), world.requests(Operation::DeleteItem)), (1, 1));
    let single = world.table.usage().write_units();
    world.table.commit(put(Row::Job(job()), Precondition::Absent)).await?;
    assert_eq!(world.requests(Operation::TransactWriteItems), 1);
    assert_eq!((single, world.table.usage().write_units()), (2.0, 4.0), "a transaction costs twice as much");
    Ok(())
}

#[tokio::test]
async fn what_no_transaction_can_hold_is_refused_in_clear_words() -> Result<()> {
    let world = World::new().await?;
    let many = (0..=WRITES_MAX as u64).map(|n| Write::Put(Row::Execution(execution(n)), Precondition::None)).collect();
    broken(world.table.commit(many).await, "a transaction holds 100 writes, not 101");

    let twice = vec![Write::Delete(Row::Job(job())), Write::Check(Row::Job(job()), Precondition::Absent)];
    broken(world.table.commit(twice).await, "two writes of one transaction are about JOB#");

    let mut large = execution(1);
    large.variables.insert("large".into(), "x".repeat(500_000));
    let large = || Row::Execution(large.clone());
    broken(world.table.commit(put(large(), Precondition::None)).await, "size");
    let writes = vec![Write::Put(Row::Job(job()), Precondition::None), Write::Put(large(), Precondition::Absent)];
    broken(world.table.commit(writes).await, "size");
    Ok(())
}

async fn preconditions_that_can_never_hold_are_mistakes_not_races<B>(world: World<B>) -> Result<()>
where
    Table<B>: Store,
{
    let waiting = Row::Waiting(waiting("Deploy", 1));
    broken(world.table.commit(put(waiting, Precondition::Version(1))).await, "Waiting has no version");
    let generation = Precondition::Generation(Generation(1));
    broken(world.table.commit(put(Row::Job(job()), generation)).await, "Job has no generation");
    let stale = put(Row::Execution(execution(1)), Precondition::Version(3));
    broken(world.table.commit(stale).await, "read at version 0 cannot be stored over version 3");
    broken(world.table.commit(vec![Write::Delete(Row::Record(record(1, "E", 1)))]).await, "history is only ever added");
    Ok(())
}

#[tokio::test]
async fn a_table_that_is_not_there_is_named_as_the_mistake() -> Result<()> {
    let world = World::new().await?;
    let missing = store::Table::new(world.client().clone(), "missing", world.clock.clone());
    broken(missing.commit(put(Row::Job(job()), Precondition::None)).await, "does not exist");
    broken(missing.commit(put(Row::Job(job()), Precondition::Absent)).await, "does not exist");
    let read = missing.load_job(job().id).await.map(|_| ());
    broken(read, "does not exist");
    Ok(())
}

#[tokio::test]
async fn an_effect_is_forgotten_by_what_it_is_not_by_when_it_was_decided() -> Result<()> {
    let world = World::new().await?;
    world.put([Row::Effect(effect(1))]).await?;
    let later = PendingEffect { since: at(500), ..effect(1) };
    world.table.commit(vec![Write::Delete(Row::Effect(later))]).await?;
    assert!(world.items().await?.is_empty());
    Ok(())
}

on_both_tables! {
    each_version_is_stored_over_once,
    generations_fence,
    an_older_run_does_not_replace_the_latest_of_its_action,
    checks_demand_versions_and_absence,
    preconditions_that_can_never_hold_are_mistakes_not_races,
}
