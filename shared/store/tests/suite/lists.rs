//! Pages and order.

use anyhow::Result;
use domain::{PipelineName, StageState, Tokens};
use engine::ports::{DecisionList, Page, PageRequest, Row, Store, StoreError};
use store::Table;

use crate::samples::*;
use crate::world::{World, on_both_tables, one_request};

/// Reads a list to its end, `limit` at a time, and tells the sizes of its pages.
macro_rules! all_pages {
    ($limit:expr, |$page:ident| $question:expr) => {{
        let (mut items, mut sizes, mut after) = (Vec::new(), Vec::new(), None);
        loop {
            let $page = PageRequest { limit: $limit, after };
            let page: Page<_> = $question.await?;
            sizes.push(page.items.len());
            items.extend(page.items);
            after = page.next;
            if after.is_none() {
                break (items, sizes);
            }
        }
    }};
}

async fn executions_are_listed_newest_first_in_pages<B>(world: World<B>) -> Result<()>
where
    Table<B>: Store,
{
    world.put((0..6).map(|n| Row::Execution(execution(n)))).await?;
    let (found, sizes) = all_pages!(4, |page| world.table.list_executions(&shop(), page));
    assert_eq!(found.iter().map(|found| found.id).collect::<Vec<_>>(), [5, 4, 3, 2, 1, 0].map(execution_id));
    assert_eq!(sizes, [4, 2]);
    let (_, sizes) = all_pages!(3, |page| world.table.list_executions(&shop(), page));
    assert_eq!(sizes, [3, 3], "the last page is never empty");
    Ok(())
}

async fn runs_are_listed_newest_first_in_all_and_of_one_execution<B>(world: World<B>) -> Result<()>
where
    Table<B>: Store,
{
    world.put([run(1, 1), run(1, 3), run(2, 2), run(2, 4)].map(Row::ActionRun)).await?;
    let (found, _) = all_pages!(3, |page| world.table.list_action_runs(&shop(), None, page));
    assert_eq!(found.iter().map(|run| run.id).collect::<Vec<_>>(), [4, 2, 3, 1].map(run_id));
    let (found, _) = all_pages!(1, |page| world.table.list_action_runs(&shop(), Some(execution_id(1)), page));
    assert_eq!(found.iter().map(|run| run.id).collect::<Vec<_>>(), [3, 1].map(run_id));
    Ok(())
}

async fn rules_are_listed_newest_first_in_all_and_of_one_execution<B>(world: World<B>) -> Result<()>
where
    Table<B>: Store,
{
    world.put([rule_run(1, 1), rule_run(1, 3), rule_run(2, 2), rule_run(2, 4)].map(Row::RuleRun)).await?;
    let (found, _) = all_pages!(3, |page| world.table.list_rule_runs(&shop(), None, page));
    assert_eq!(found, [rule_run(2, 4), rule_run(2, 2), rule_run(1, 3), rule_run(1, 1)]);
    let (found, _) = all_pages!(1, |page| world.table.list_rule_runs(&shop(), Some(execution_id(1)), page));
    assert_eq!(found, [rule_run(1, 3), rule_run(1, 1)]);
    Ok(())
}

async fn successes_watches_and_effects_are_in_order_of_time<B>(world: World<B>) -> Result<()>
where
    Table<B>: Store,
{
    world.put((1..4).map(|n| Row::Success(success(n)))).await?;
    world.put([300, 5, 40].map(|until| Row::OpenWatch(watch(&format!("until {until}"), until)))).await?;
    world.put([300, 5, 40].map(|since| Row::Effect(effect(since)))).await?;
    world.put([2, 1].map(|n| Row::OpenExecution(open_execution(n)))).await?;

    let (found, _) = all_pages!(2, |page| world.table.list_successes(&shop(), &deploy(), page));
    assert_eq!(found.iter().map(|found| found.execution).collect::<Vec<_>>(), [3, 2, 1].map(execution_id));
    let (found, _) = all_pages!(2, |page| world.table.open_watches(page));
    assert_eq!(found.iter().map(|found| found.until).collect::<Vec<_>>(), [5, 40, 300].map(at));
    let (found, _) = all_pages!(2, |page| world.table.pending_effects(page));
    assert_eq!(found.iter().map(|found| found.since).collect::<Vec<_>>(), [5, 40, 300].map(at));
    let (found, _) = all_pages!(2, |page| world.table.open_executions(page));
    assert_eq!(found.len(), 2, "watches are not among open executions");
    Ok(())
}

#[tokio::test]
async fn decisions_are_listed_newest_first_by_pipeline_stage_and_execution() -> Result<()> {
    let world = World::new().await?;
    for decision in [decision(1, 10), decision(2, 300), decision(1, 40)] {
        let rows = DecisionList::all_of(&decision).into_iter().map(|list| Row::Decision(list, decision.clone()));
        world.put(rows).await?;
    }
    // Beside the decisions of an execution lies its history.
    world.put([Row::Record(record(1, "Started", 10))]).await?;
    let stage = |name: &str| DecisionList::Stage(shop(), name.parse().unwrap());
    for (list, expected) in [
        (DecisionList::All, &[300, 40, 10][..]),
        (DecisionList::Pipeline(shop()), &[300, 40, 10]),
        (stage("Deploy"), &[300, 40, 10]),
        (stage("Verify"), &[]),
        (DecisionList::Pipeline("shop2".parse()?), &[]),
        (DecisionList::Execution(execution_id(1)), &[40, 10]),
        (DecisionList::Execution(execution_id(99)), &[300, 40, 10]),
    ] {
        let (found, _) = all_pages!(2, |page| world.table.list_decisions(&list, page));
        let found: Vec<_> = found.into_iter().map(|decision| decision.at).collect();
        assert_eq!(found, expected.iter().map(|second| at(*second)).collect::<Vec<_>>(), "{list:?}");
        one_request!(world, world.table.list_decisions(&list, PageRequest { limit: 1, after: None }));
    }
    Ok(())
}

async fn holds_are_listed_in_all_and_of_one_pipeline<B>(world: World<B>) -> Result<()>
where
    Table<B>: Store,
{
    let held = [hold("shop", "Deploy"), hold("shop", "Verify"), hold("shop2", "Deploy")];
    world.put(held.iter().rev().cloned().map(Row::Hold)).await?;
    world.put([Row::OpenExecution(open_execution(1)), Row::OpenWatch(watch("errors", 60))]).await?;
    let (found, sizes) = all_pages!(2, |page| world.table.list_holds(None, page));
    assert_eq!((&found[..], &sizes[..]), (&held[..], &[2, 1][..]));
    let name = shop();
    let (found, _) = all_pages!(2, |page| world.table.list_holds(Some(&name), page));
    assert_eq!(found, held[..2]);
    Ok(())
}

async fn records_of_one_instant_keep_the_order_they_were_written_in<B>(world: World<B>) -> Result<()>
where
    Table<B>: Store,
{
    let events: Vec<String> = (0..30).map(|n| format!("Event{}", 29 - n)).collect();
    world.put(events.iter().map(|event| Row::Record(record(1, event, 1)))).await?;
    world.put([Row::Record(record(1, "Earlier", 0)), Row::Record(record(2, "Elsewhere", 0))]).await?;
    let (found, _) = all_pages!(7, |page| world.table.list_records(execution_id(1), page));
    let found: Vec<&str> = found.iter().map(|record| record.event.as_str()).collect();
    assert_eq!(found[0], "Earlier");
    assert_eq!(found[1..], events.iter().map(String::as_str).collect::<Vec<_>>());
    Ok(())
}

#[tokio::test]
async fn the_newest_page_costs_the_same_however_long_the_history() -> Result<()> {
    let world = World::new().await?;
    let mut costs = Vec::new();
    for range in [0..20, 20..400] {
        world.put(range.map(|n| Row::Success(success(n)))).await?;
        let before = world.table.usage();
        let page = PageRequest { limit: 10, after: None };
        one_request!(world, world.table.list_successes(&shop(), &deploy(), page));
        costs.push(world.table.usage().read_units() - before.read_units());
    }
    assert_eq!(costs[0], costs[1]);
    assert!(costs[0] > 0.0, "capacity is counted");
    Ok(())
}

async fn pipelines_are_glanced_at_in_the_order_of_their_names<B>(world: World<B>) -> Result<()>
where
    Table<B>: Store,
{
    let named = |number: u32| -> PipelineName { format!("shop-{number:02}").parse().expect("a name") };
    for number in 0..30 {
        let (mut index, mut state, mut waits) = (pipeline(), stage(), waiting("Deploy", 1));
        index.name = named(number);
        (state.pipeline, waits.pipeline) = (named(number), named(number));
        // Only in the last two can somebody wait.
        state.occupant = state.occupant.filter(|_| number == 28);
        state.inbound.enabled = number != 29;
        state.arrivals = 1;
        let mut other = run(1, 1);
        other.pipeline = named(number);
        let waits = (number >= 28).then_some(Row::Waiting(waits));
        let rows = [Row::Pipeline(index), Row::Stage(state), Row::LatestAction(other)];
        world.put(rows.into_iter().chain(waits)).await?;
    }
    let names: Vec<_> = (0..32).rev().map(named).collect();
    let found = world.table.load_glances(&names).await?;
    let seen: Vec<_> =
        found.iter().map(|view| (view.index.name.clone(), view.stages.len(), view.waiting.len())).collect();
    let expected: Vec<_> = (0..30).rev().map(|number| (named(number), 1, usize::from(number >= 28))).collect();
    assert_eq!(seen, expected);
    assert!(found.iter().all(|view| view.actions.is_empty() && view.conditions.is_empty()));
    assert!(world.table.load_glances(&[]).await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn what_is_asked_for_together_is_one_request() -> Result<()> {
    let world = World::new().await?;
    world.put((0..6).map(|n| Row::Execution(execution(n)))).await?;
    let wanted = [1, 4, 9].map(|n| (shop(), execution_id(n))).into();
    let mut found = one_request!(world, world.table.load_executions(&wanted));
    found.sort_by_key(|one| one.id);
    assert_eq!(found.iter().map(|one| one.id).collect::<Vec<_>>(), [1, 4].map(execution_id));

    // Its stage is occupied: once somebody has waited for it, who waits is read too.
    for (arrivals, expected) in [(0, 2), (1, 3)] {
        let stage = StageState { arrivals, ..stage() };
        world.put([Row::Pipeline(pipeline()), Row::Stage(stage)]).await?;
        let before = world.table.usage().requests();
        world.table.load_glances(&[shop(), "gone".parse()?]).await?;
        assert_eq!(world.table.usage().requests() - before, expected);
    }
    Ok(())
}

async fn what_exceeds_a_megabyte_is_read_to_the_end<B>(world: World<B>) -> Result<()>
where
    Table<B>: Store,
{
    let large = |arrival| {
        let mut waiting = waiting("Deploy", arrival);
        waiting.token = Tokens::of("x".repeat(300_000));
        Row::Waiting(waiting)
    };
    world.put([Row::Pipeline(pipeline())]).await?;
    for arrival in 0..5 {
        world.put([large(arrival)]).await?;
    }
    let view = world.table.load_pipeline(&shop()).await?.expect("it is there");
    assert_eq!(view.waiting.iter().map(|waiting| waiting.arrival).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    Ok(())
}

async fn page_requests_that_make_no_sense_are_refused<B>(world: World<B>) -> Result<()>
where
    Table<B>: Store,
{
    for (limit, after, expected) in [
        (0, None, "a page holds 1 to 1000 items, not 0"),
        (1001, None, "a page holds 1 to 1000 items, not 1001"),
        (1, Some(""), "the page token does not belong to this list"),
        (1, Some("EXECUTION#x"), "the page token does not belong to this list"),
    ] {
        let page = PageRequest { limit, after: after.map(str::to_owned) };
        let refused = world.table.open_watches(page).await.expect_err("it is refused");
        assert!(matches!(&refused, StoreError::Broken(why) if why == expected), "{refused:?}");
    }
    Ok(())
}

on_both_tables! {
    executions_are_listed_newest_first_in_pages,
    runs_are_listed_newest_first_in_all_and_of_one_execution,
    rules_are_listed_newest_first_in_all_and_of_one_execution,
    successes_watches_and_effects_are_in_order_of_time,
    holds_are_listed_in_all_and_of_one_pipeline,
    records_of_one_instant_keep_the_order_they_were_written_in,
    pipelines_are_glanced_at_in_the_order_of_their_names,
    what_exceeds_a_megabyte_is_read_to_the_end,
    page_requests_that_make_no_sense_are_refused,
}
