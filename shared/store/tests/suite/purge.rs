//! The history of a deleted pipeline goes, and nothing else.

use anyhow::Result;
use domain::Execution;
use engine::ports::{DecisionList, PageRequest, Row, Store};
use jiff::Timestamp;
use store::Table;

use crate::samples::*;
use crate::world::World;

#[tokio::test]
async fn only_what_is_older_goes_in_steps() -> Result<()> {
    let world = purged(World::new().await?).await?;
    assert_eq!(world.items().await?.len(), 5 * 10 + 5);
    Ok(())
}

#[tokio::test]
async fn it_goes_from_memory_alike() -> Result<()> {
    let world = purged(World::in_memory()).await?;
    assert_eq!(world.table.rows().len(), 5 * 10 + 5);
    Ok(())
}

async fn purged<B>(world: World<B>) -> Result<World<B>>
where
    Table<B>: Store,
{
    let before = 45;
    for n in 0..50 {
        world
            .put([
                Row::Execution(execution(n)),
                Row::Success(success(n)),
                Row::ActionRun(run(n, n)),
                Row::RuleRun(rule_run(n, n)),
                Row::Record(record(n, "Started", 1)),
                Row::Record(record(n, "Ended", 2)),
                Row::Decision(DecisionList::All, decision(n, 3)),
                Row::Decision(DecisionList::Pipeline(shop()), decision(n, 3)),
                Row::Decision(DecisionList::Stage(shop(), deploy()), decision(n, 3)),
                Row::Decision(DecisionList::Execution(execution_id(n)), decision(n, 3)),
            ])
            .await?;
    }
    let mut elsewhere = decision(1, 3);
    elsewhere.pipeline = "other".parse()?;
    world.put([Row::Decision(DecisionList::All, elsewhere.clone())]).await?;
    world.put([Row::Pipeline(pipeline()), Row::Job(job())]).await?;
    world.put([Row::Slot(slot(1, 0, before - 1)), Row::Slot(slot(2, 0, before))]).await?;
    world.put([Row::Pipeline(pipeline()), Row::Head(pipeline()), Row::Job(job())]).await?;

    let mut calls = 1;
    while !world.table.purge_history(&shop(), None, execution_id(before)).await? {
        calls += 1;
    }
    assert_eq!(calls, 3, "twenty executions each time");
    assert!(world.table.purge_history(&shop(), None, execution_id(before)).await?, "again is harmless");

    let page = || PageRequest { limit: 100, after: None };
    let left = world.table.list_executions(&shop(), page()).await?;
    let expected: Vec<_> = (before..50).rev().map(execution_id).collect();
    assert_eq!(left.items.iter().map(|execution| execution.id).collect::<Vec<_>>(), expected);
    let left = world.table.list_successes(&shop(), &deploy(), page()).await?;
    assert_eq!(left.items.iter().map(|success| success.execution).collect::<Vec<_>>(), expected);
    let left = world.table.list_action_runs(&shop(), None, page()).await?;
    assert_eq!(left.items.iter().map(|run| run.execution).collect::<Vec<_>>(), expected);
    let left = world.table.list_rule_runs(&shop(), None, page()).await?;
    assert_eq!(left.items.iter().map(|run| run.execution).collect::<Vec<_>>(), expected);
    let left = world.table.list_decisions(&DecisionList::All, page()).await?.items;
    let (ours, others): (Vec<_>, Vec<_>) = left.into_iter().partition(|decision| decision.pipeline == shop());
    assert_eq!((ours.len(), others), (5, vec![elsewhere]));
    assert_eq!(world.table.list_records(execution_id(before - 1), page()).await?.items, []);
    assert_eq!(world.table.list_records(execution_id(before), page()).await?.items.len(), 2);
    assert!(world.table.load_pipeline(&shop()).await?.is_some());
    assert_eq!(world.table.slots_of(&shop(), at(1)).await?, []);
    assert_eq!(world.table.slots_of(&shop(), at(2)).await?, [slot(2, 0, before)]);
    Ok(world)
}

#[tokio::test]
async fn the_next_pipeline_of_the_name_keeps_what_looks_older() -> Result<()> {
    next_is_kept(World::new().await?).await?;
    next_is_kept(World::in_memory()).await
}

/// Its clock was behind that of whoever deleted the one before.
async fn next_is_kept<B>(world: World<B>) -> Result<()>
where
    Table<B>: Store,
{
    let before = 45;
    let created = |n: u64, at: Timestamp| Execution { pipeline_created_at: Some(at), ..execution(n) };
    for n in 30..45 {
        let created_at = if n < 38 { at(1) } else { at(2) };
        world
            .put([
                Row::Execution(created(n, created_at)),
                Row::Success(success(n)),
                Row::Decision(DecisionList::Pipeline(shop()), decision(n, 3)),
            ])
            .await?;
    }
    world.put([Row::Slot(slot(1, 0, 37)), Row::Slot(slot(2, 0, 38))]).await?;
    assert!(world.table.purge_history(&shop(), Some(at(1)), execution_id(before)).await?);
    let page = || PageRequest { limit: 100, after: None };
    let expected: Vec<_> = (38..45).rev().map(execution_id).collect();
    let left = world.table.list_executions(&shop(), page()).await?;
    assert_eq!(left.items.iter().map(|execution| execution.id).collect::<Vec<_>>(), expected);
    let left = world.table.list_successes(&shop(), &deploy(), page()).await?;
    assert_eq!(left.items.iter().map(|success| success.execution).collect::<Vec<_>>(), expected);
    let left = world.table.list_decisions(&DecisionList::Pipeline(shop()), page()).await?;
    assert_eq!(left.items.len(), expected.len());
    assert_eq!(world.table.slots_of(&shop(), at(1)).await?, []);
    assert_eq!(world.table.slots_of(&shop(), at(2)).await?, [slot(2, 0, 38)]);
    Ok(())
}
