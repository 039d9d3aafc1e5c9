//! What has expired is not there, however long DynamoDB keeps it.

use anyhow::Result;
use engine::ports::{DecisionList, PageRequest, Precondition, Row, StartMarker, Store, StoreError, Write};
use store::Table;

use crate::samples::*;
use crate::world::{World, on_both_tables};

const DAY: i64 = 86_400;
const YEAR: i64 = 366 * DAY;

fn page(limit: u32) -> PageRequest {
    PageRequest { limit, after: None }
}

async fn history_is_shown_for_a_year<B>(world: World<B>) -> Result<()>
where
    Table<B>: Store,
{
    world
        .put([
            Row::Head(pipeline()),
            Row::Execution(execution(1)),
            Row::Execution(execution(2)),
            Row::Success(success(1)),
            Row::Success(success(2)),
            Row::ActionRun(run(1, 1)),
            Row::RuleRun(rule_run(1, 1)),
            Row::Record(record(1, "Started", 1)),
            Row::Decision(DecisionList::Pipeline(shop()), decision(1, 1)),
            Row::Slot(slot(1, 9, 1)),
            Row::Job(job()),
        ])
        .await?;
    let table = &world.table;
    world.clock.set(YEAR);
    assert!(table.load_execution(&shop(), execution_id(1)).await?.is_some(), "there is a second left");
    assert!(table.load_job(job().id).await?.is_none(), "jobs go after two months");

    world.clock.set(YEAR + 1);
    assert!(table.load_execution(&shop(), execution_id(1)).await?.is_none());
    let both = [1, 2].map(|n| (shop(), execution_id(n))).into();
    let found: Vec<_> = table.load_executions(&both).await?.into_iter().map(|found| found.id).collect();
    assert_eq!(found, [execution_id(2)]);
    let listed: Vec<_> = table.list_executions(&shop(), page(10)).await?.items.into_iter().map(|row| row.id).collect();
    assert_eq!(listed, [execution_id(2)]);
    let (head, found) = table.list_executions_with_head(&shop(), page(10)).await?;
    assert_eq!((head.is_some(), found.items.len()), (true, 1));
    let successes = table.list_successes(&shop(), &deploy(), page(10)).await?.items;
    assert_eq!(successes.iter().map(|row| row.execution).collect::<Vec<_>>(), [execution_id(2)]);
    assert!(table.load_action_run(&shop(), execution_id(1), run_id(1)).await?.is_none());
    assert!(table.list_action_runs(&shop(), None, page(10)).await?.items.is_empty());
    assert!(table.list_rule_runs(&shop(), None, page(10)).await?.items.is_empty());
    assert!(table.list_records(execution_id(1), page(10)).await?.items.is_empty());
    assert!(table.list_decisions(&DecisionList::Pipeline(shop()), page(10)).await?.items.is_empty());
    assert_eq!(table.slots_of(&shop(), at(1)).await?.len(), 1, "it was taken some seconds later");
    world.clock.set(YEAR + 7);
    assert!(table.slots_of(&shop(), at(1)).await?.is_empty());
    Ok(())
}

async fn a_page_is_not_empty_while_another_follows<B>(world: World<B>) -> Result<()>
where
    Table<B>: Store,
{
    world
        .put([("a", 1), ("b", 2), ("c", 300), ("d", 400)].map(|(rule, until)| Row::OpenWatch(watch(rule, until))))
        .await?;
    world.clock.set(DAY + 2);
    let first = world.table.open_watches(page(1)).await?;
    assert_eq!(first.items.iter().map(|row| row.rule.as_str()).collect::<Vec<_>>(), ["c"]);
    let second = world.table.open_watches(PageRequest { limit: 1, after: first.next }).await?;
    assert_eq!((second.items[0].rule.as_str(), second.next), ("d", None));
    world.clock.set(DAY + 400);
    let none = world.table.open_watches(page(1)).await?;
    assert_eq!((none.items.len(), none.next), (0, None));
    Ok(())
}

async fn what_has_expired_makes_place_for_one<B>(world: World<B>) -> Result<()>
where
    Table<B>: Store,
{
    let again = || StartMarker { execution: execution_id(2), expires_at: 1_900_000_000, ..marker("token") };
    let renew = |precondition| vec![Write::Put(Row::Start(again()), precondition)];
    world.put([Row::Start(marker("token"))]).await?;
    world.clock.set(marker("token").expires_at - at(0).as_second() - 1);
    let refused = world.table.commit(renew(Precondition::Version(0))).await;
    assert!(matches!(refused, Err(StoreError::Contended)), "{refused:?}");

    world.clock.set(marker("token").expires_at - at(0).as_second());
    assert_eq!(world.table.load_start(&shop(), "token").await?, None);
    let demand = |row| vec![Write::Put(Row::Job(job()), Precondition::None), Write::Check(row, Precondition::Absent)];
    world.table.commit(demand(Row::Start(again()))).await?;
    world.table.commit(renew(Precondition::Version(0))).await?;
    for precondition in [Precondition::Version(0), Precondition::Absent] {
        let refused = world.table.commit(renew(precondition)).await;
        assert!(matches!(refused, Err(StoreError::Contended)), "{refused:?}");
    }
    assert_eq!(world.table.load_start(&shop(), "token").await?, Some(StartMarker { version: 1, ..again() }));
    Ok(())
}

on_both_tables! {
    history_is_shown_for_a_year,
    a_page_is_not_empty_while_another_follows,
    what_has_expired_makes_place_for_one,
}
