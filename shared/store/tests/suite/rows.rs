//! Every row comes back as it was stored, one version on, by one request.

use anyhow::Result;
use domain::{
    ActionRun, ConditionKind, ConditionRun, ContentId, CustomType, CustomTypeCount, Execution, Incident, Job, Kept,
    LastLook, PipelineIndex, StageState, Success, TaggedResource, Watch, Webhook,
};
use engine::ports::{
    DecisionList, PageRequest, Precondition, ResourceTags, Row, StartMarker, Store, StoreError, Write,
};
use uuid::Uuid;

use crate::samples::*;
use crate::world::{World, one_request};

fn page() -> PageRequest {
    PageRequest { limit: 10, after: None }
}

#[tokio::test]
async fn a_pipeline_comes_back_whole() -> Result<()> {
    let world = World::new().await?;
    assert!(one_request!(world, world.table.load_pipeline(&shop())).is_none());
    world
        .put([
            Row::Pipeline(pipeline()),
            Row::Stage(stage()),
            Row::LatestAction(run(1, 1)),
            Row::Waiting(waiting("Deploy", 10)),
            Row::Waiting(waiting("Deploy", 9)),
            Row::Condition(condition(1, "QUEUED")),
            // Neither belongs to the pipeline `shop`.
            Row::Stage(StageState::new("shop2".parse()?, deploy())),
            Row::Execution(execution(1)),
            Row::Condition(condition(2, "PARALLEL")),
        ])
        .await?;
    let view = one_request!(world, world.table.load_pipeline(&shop())).unwrap();
    assert_eq!(view.index, PipelineIndex { version: 1, ..pipeline() });
    assert_eq!(view.stages.into_values().collect::<Vec<_>>(), [StageState { version: 1, ..stage() }]);
    assert_eq!(view.actions, [ActionRun { version: 1, ..run(1, 1) }]);
    assert_eq!(view.conditions, [ConditionRun { version: 1, ..condition(1, "QUEUED") }]);
    assert_eq!(view.waiting, [waiting("Deploy", 9), waiting("Deploy", 10)]);
    assert!(world.table.load_pipeline(&"shop2".parse()?).await?.is_none(), "a stage alone is no pipeline");
    Ok(())
}

#[tokio::test]
async fn single_rows_come_back_by_one_read() -> Result<()> {
    let world = World::new().await?;
    let cause = "x".repeat(5000);
    world
        .put([
            Row::Definition(definition(2)),
            Row::Execution(execution(1)),
            Row::ActionRun(run(1, 1)),
            Row::ActionRun(run(1, 2)),
            Row::ActionRun(run(2, 3)),
            Row::Job(job()),
            Row::Condition(condition(1, "PARALLEL")),
            Row::Start(marker(&cause)),
            Row::Webhook(webhook("push")),
            Row::Tags(tags()),
        ])
        .await?;
    assert_eq!(one_request!(world, world.table.load_definition(&shop(), 2)), Some(definition(2)));
    assert_eq!(world.table.load_definition(&shop(), 1).await?, None);
    let found = one_request!(world, world.table.load_execution(&shop(), execution_id(1)));
    assert_eq!(found, Some(Execution { version: 1, ..execution(1) }));
    let found = one_request!(world, world.table.load_action_run(&shop(), execution_id(1), run_id(1)));
    assert_eq!(found, Some(ActionRun { version: 1, ..run(1, 1) }));
    let found = one_request!(world, world.table.load_job(Uuid::from_u128(7)));
    assert_eq!(found, Some(Job { version: 1, ..job() }));
    let found = one_request!(world, world.table.load_condition(execution_id(1), &deploy(), ConditionKind::BeforeEntry));
    assert_eq!(found, Some(ConditionRun { version: 1, ..condition(1, "PARALLEL") }));
    assert_eq!(
        one_request!(world, world.table.load_start(&shop(), &cause)),
        Some(StartMarker { version: 1, ..marker(&cause) })
    );
    assert_eq!(
        one_request!(world, world.table.load_tags(&tags().resource)),
        Some(ResourceTags { version: 1, ..tags() })
    );

    assert_eq!(
        one_request!(world, world.table.load_webhook(&"push".parse()?)),
        Some(Webhook { version: 1, ..webhook("push") })
    );

    assert_eq!(world.table.load_execution(&shop(), execution_id(2)).await?, None);
    assert_eq!(world.table.load_action_run(&shop(), execution_id(1), run_id(3)).await?, None, "of another execution");
    assert_eq!(world.table.load_job(Uuid::nil()).await?, None);
    assert_eq!(world.table.load_start(&shop(), "other").await?, None);
    assert_eq!(world.table.load_webhook(&"pus".parse()?).await?, None);
    assert_eq!(world.table.load_tags(&TaggedResource::webhook("shop")).await?, None);
    Ok(())
}

#[tokio::test]
async fn listed_rows_come_back_by_one_query() -> Result<()> {
    let world = World::new().await?;
    let key = "a/b#c ü.zip";
    world
        .put([
            Row::Summary(summary("shop")),
            Row::OpenExecution(open_execution(1)),
            Row::Success(success(1)),
            Row::Watch(watch("errors", 60)),
            Row::Watch(watch("slow", 60)),
            Row::OpenWatch(watch("errors", 60)),
            Row::Incident(incident()),
            Row::OpenIncident(incident()),
            Row::OpenCondition(condition(1, "QUEUED")),
            Row::RuleRun(rule_run(1, 1)),
            Row::Record(record(1, "StageEntered", 1)),
            Row::Hold(hold("shop", "Deploy")),
            Row::Kept(kept("shop", 9)),
            Row::Kept(kept("blog", 8)),
            Row::KeptDue(kept("shop", 9).due()),
            Row::KeptDue(kept("blog", 8).due()),
            Row::Effect(effect(1)),
            Row::Source(source(key)),
            Row::Webhook(webhook("push")),
            Row::Webhook(webhook("@")),
            Row::Slot(slot(1, 10, 1)),
            Row::Slot(slot(1, 9, 2)),
            Row::Slot(slot(2, 9, 3)),
        ])
        .await?;
    let table = &world.table;
    assert_eq!(one_request!(world, table.list_pipelines(page())).items, [summary("shop")]);
    assert_eq!(one_request!(world, table.open_executions(page())).items, [open_execution(1)]);
    assert_eq!(one_request!(world, table.kept_of(&shop())), [Kept { version: 1, ..kept("shop", 9) }]);
    let due = one_request!(world, table.kept_due(page())).items;
    assert_eq!(due, [kept("blog", 8).due(), kept("shop", 9).due()], "those that are due first first");
    let successes = one_request!(world, table.list_successes(&shop(), &deploy(), page()));
    assert_eq!(successes.items, [Success { version: 1, ..success(1) }]);
    let stored = |rule| Watch { version: 1, ..watch(rule, 60) };
    assert_eq!(one_request!(world, table.watches_of(ALARM)), [stored("errors"), stored("slow")]);
    assert_eq!(one_request!(world, table.open_watches(page())).items, [stored("errors")]);
    let stored = Incident { version: 1, ..incident() };
    assert_eq!(one_request!(world, table.load_incident(ALARM)), Some(stored.clone()));
    assert_eq!(one_request!(world, table.open_incidents(page())).items, [stored]);
    assert_eq!(table.load_incident("arn:other").await?, None);
    assert_eq!(one_request!(world, table.open_conditions(page())).items, [condition(1, "QUEUED")]);
    assert_eq!(one_request!(world, table.list_rule_runs(&shop(), None, page())).items, [rule_run(1, 1)]);
    assert_eq!(one_request!(world, table.list_records(execution_id(1), page())).items, [record(1, "StageEntered", 1)]);
    assert_eq!(one_request!(world, table.list_holds(None, page())).items, [hold("shop", "Deploy")]);
    assert_eq!(one_request!(world, table.pending_effects(page())).items, [effect(1)]);
    assert_eq!(one_request!(world, table.sources_of("uploads", key)), [source(key)]);
    assert_eq!(table.sources_of("uploads", "other").await?, []);
    let stored = |name| Webhook { version: 1, ..webhook(name) };
    assert_eq!(one_request!(world, table.list_webhooks(page())).items, [stored("@"), stored("push")]);
    assert_eq!(one_request!(world, table.slots_of(&shop(), at(1))), [slot(1, 9, 2), slot(1, 10, 1)]);
    assert_eq!(table.slots_of(&shop(), at(3)).await?, [], "a pipeline made anew");
    Ok(())
}

#[tokio::test]
async fn jobs_that_wait_come_back_by_type_and_value_oldest_first() -> Result<()> {
    let world = World::new().await?;
    let rows = [
        queued_job(12, Some("shop")),
        queued_job(9, Some("shop")),
        queued_job(10, Some("shop-2")),
        queued_job(11, None),
    ];
    world.put(rows.clone().map(Row::QueuedJob)).await?;
    let [twelve, nine, other, none] = rows;
    for (queue, expected) in [
        (&nine.queue, vec![nine.clone(), twelve]),
        (&other.queue, vec![other.clone()]),
        (&none.queue, vec![none.clone()]),
    ] {
        assert_eq!(one_request!(world, world.table.queued_jobs(queue, page())).items, expected);
    }
    world.table.commit(vec![Write::Delete(Row::QueuedJob(nine.clone()))]).await?;
    assert_eq!(world.table.queued_jobs(&nine.queue, page()).await?.items.len(), 1);
    Ok(())
}

#[tokio::test]
async fn custom_types_come_back_alone_and_together() -> Result<()> {
    let world = World::new().await?;
    assert_eq!(one_request!(world, world.table.load_custom_type_count()), CustomTypeCount::default());
    let count = CustomTypeCount { in_use: 2, version: 0 };
    world
        .put([
            Row::CustomType(custom_type("2")),
            Row::CustomType(custom_type("1")),
            Row::CustomTypeCount(count.clone()),
        ])
        .await?;
    let stored = |version: &str| CustomType { version: 1, ..custom_type(version) };
    assert_eq!(one_request!(world, world.table.custom_types()), [stored("1"), stored("2")]);
    assert_eq!(one_request!(world, world.table.load_custom_type(&custom_id("2"))), Some(stored("2")));
    assert_eq!(one_request!(world, world.table.load_custom_type_count()), CustomTypeCount { version: 1, ..count });
    assert_eq!(world.table.load_custom_type(&custom_id("3")).await?, None);
    Ok(())
}

#[tokio::test]
async fn the_last_look_is_the_one_that_was_noted_last() -> Result<()> {
    let world = World::new().await?;
    assert_eq!(one_request!(world, world.table.load_last_look()), None);
    for minute in [5, 10] {
        let look = LastLook { at: at(minute) };
        world.put([Row::LastLook(look)]).await?;
        assert_eq!(one_request!(world, world.table.load_last_look()), Some(look));
    }
    Ok(())
}

#[tokio::test]
async fn executions_come_with_their_pipelines_row_by_one_query() -> Result<()> {
    let world = World::new().await?;
    let first = |limit| PageRequest { limit, after: None };
    let (head, found) = one_request!(world, world.table.list_executions_with_head(&shop(), first(2)));
    assert_eq!((head, found.items.len(), found.next), (None, 0, None));
    world.put((0..3).map(|n| Row::Execution(execution(n)))).await?;
    let (head, found) = one_request!(world, world.table.list_executions_with_head(&shop(), first(2)));
    assert_eq!((head, found.items.len(), found.next.is_some()), (None, 2, true), "without a head");
    world.put([Row::Head(pipeline())]).await?;
    for (limit, more) in [(2, true), (3, false), (100, false)] {
        let (head, found) = one_request!(world, world.table.list_executions_with_head(&shop(), first(limit)));
        assert_eq!(head, Some(pipeline()));
        let plain = one_request!(world, world.table.list_executions(&shop(), first(limit)));
        assert_eq!((found.next.is_some(), &found), (more, &plain));
    }
    let next = world.table.list_executions(&shop(), first(2)).await?.next;
    let after = PageRequest { limit: 2, after: next };
    let (head, found) = one_request!(world, world.table.list_executions_with_head(&shop(), after));
    assert_eq!((head, found.items.iter().map(|row| row.id).collect::<Vec<_>>()), (None, vec![execution_id(0)]));
    Ok(())
}

#[tokio::test]
async fn rows_tell_when_they_may_go() -> Result<()> {
    let world = World::new().await?;
    let day = 86_400;
    world
        .put([
            Row::Pipeline(pipeline()),
            Row::Execution(execution(1)),
            Row::ActionRun(run(1, 1)),
            Row::LatestAction(run(1, 1)),
            Row::Success(success(1)),
            Row::Record(record(1, "Started", 1)),
            Row::Decision(DecisionList::Pipeline(shop()), decision(1, 1)),
            Row::Hold(hold("shop", "Deploy")),
            Row::Watch(watch("errors", 60)),
            Row::OpenWatch(watch("errors", 60)),
            Row::Job(job()),
            Row::RuleRun(rule_run(1, 1)),
            Row::OpenCondition(condition(1, "PARALLEL")),
            Row::Start(marker("token")),
            Row::Slot(slot(1, 9, 1)),
            Row::Effect(effect(1)),
            Row::Webhook(webhook("push")),
        ])
        .await?;
    let mut ends = std::collections::BTreeMap::new();
    for item in world.items().await? {
        let end = item.get("expiresAt").map(|value| value.as_n().unwrap().parse::<i64>().unwrap());
        ends.insert(item["type"].as_s().unwrap().clone(), end);
    }
    let second = |second| at(second).as_second();
    for (row, end) in [
        ("Pipeline", None),
        ("LatestAction", None),
        ("Effect", None),
        ("Webhook", None),
        ("OpenCondition", None),
        ("RuleRun", Some(second(1) + 366 * day)),
        ("Execution", Some(second(1) + 366 * day)),
        ("ActionRun", Some(second(1) + 366 * day)),
        ("Success", Some(second(1) + 366 * day)),
        ("Record", Some(second(1) + 366 * day)),
        ("Decision", Some(second(1) + 366 * day)),
        ("Hold", None),
        ("Watch", Some(second(60) + day)),
        ("OpenWatch", Some(second(60) + day)),
        ("Job", Some(second(5) + 61 * day)),
        ("Slot", Some(second(7) + 366 * day)),
        ("Start", Some(1_800_000_000)),
    ] {
        assert_eq!(ends[row], end, "{row}");
    }
    let expiry = world.client().describe_time_to_live().table_name(crate::world::TABLE).send().await?;
    let description = expiry.time_to_live_description.unwrap();
    assert_eq!(description.attribute_name.as_deref(), Some("expiresAt"));
    Ok(())
}

#[tokio::test]
async fn creating_a_table_that_exists_keeps_it() -> Result<()> {
    let world = World::new().await?;
    world.put([Row::Job(job())]).await?;
    store::create_table(world.client(), crate::world::TABLE).await?;
    assert!(world.table.load_job(job().id).await?.is_some());
    Ok(())
}

#[tokio::test]
async fn revoked_content_is_found_by_any_of_its_names_and_demanded_to_be_absent() -> Result<()> {
    let world = World::new().await?;
    let content = |n: usize| ContentId::named(&format!("etag:{n}"));
    let names: Vec<ContentId> = (0..3).map(content).collect();
    assert!(one_request!(world, world.table.load_revoked(&names)).is_empty());
    assert!(one_request!(world, world.table.load_revoked(&names[..1])).is_empty());
    world.put([Row::Revoked(revoked("etag:1")), Row::Revoked(revoked("etag:7"))]).await?;
    assert_eq!(one_request!(world, world.table.load_revoked(&names)), [revoked("etag:1")]);
    assert_eq!(one_request!(world, world.table.load_revoked(&names[1..2])), [revoked("etag:1")]);
    let listed = one_request!(world, world.table.list_revoked(page())).items;
    assert_eq!(listed, [revoked("etag:1"), revoked("etag:7")]);

    let demand = |n: usize| Write::Check(Row::Unrevoked(content(n)), Precondition::Absent);
    let also = || Write::Put(Row::Stage(stage()), Precondition::None);
    let refused = world.table.commit(vec![demand(1), also()]).await;
    assert!(matches!(refused, Err(StoreError::Contended)), "{refused:?}");
    world.table.commit(vec![demand(2), also()]).await?;
    world.table.commit(vec![Write::Delete(Row::Revoked(revoked("etag:1")))]).await?;
    world.table.commit(vec![demand(1), also()]).await?;
    let stored = world.table.commit(vec![Write::Put(Row::Unrevoked(content(1)), Precondition::None)]).await;
    assert!(stored.is_err(), "it is no row: {stored:?}");
    Ok(())
}
