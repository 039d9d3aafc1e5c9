//! The table in memory counts as DynamoDB bills.

use anyhow::Result;
use engine::ports::{PageRequest, Precondition, Row, Store, Write};
use store::{Table, Usage};

use crate::samples::*;
use crate::world::{Hand, World};

/// Asks something of every kind, with items below and above the sizes at which the next unit begins.
async fn ask<S: Store>(table: &S) -> Result<()> {
    let put = |row: Row| Write::Put(row, Precondition::None);
    let long = |bytes: usize| {
        let mut run = run(1, 1);
        run.configuration.insert("Notes".to_owned(), "x".repeat(bytes));
        Row::ActionRun(run)
    };
    table
        .commit(vec![put(Row::Pipeline(pipeline())), put(Row::Stage(stage())), put(Row::Execution(execution(1)))])
        .await?;
    table.commit(vec![put(long(3000))]).await?;
    table.commit(vec![put(long(50))]).await?;
    table.commit(vec![put(Row::Job(job())), Write::Delete(long(50))]).await?;
    table.commit(vec![put(long(9000)), Write::Check(Row::Job(job()), Precondition::Version(1))]).await?;
    table.load_pipeline(&shop()).await?;
    table.load_execution(&shop(), execution_id(1)).await?;
    table.load_execution(&shop(), execution_id(9)).await?;
    table.list_action_runs(&shop(), None, PageRequest { limit: 10, after: None }).await?;
    table.open_watches(PageRequest { limit: 10, after: None }).await?;
    table.commit(vec![Write::Delete(long(50))]).await?;
    Ok(())
}

#[tokio::test]
async fn a_metered_table_counts_as_dynamodb_bills() -> Result<()> {
    let (world, metered) = (World::new().await?, Table::metered(Hand::default()));
    ask(&world.table).await?;
    ask(&metered).await?;
    assert_eq!(metered.usage(), world.table.usage());
    assert!(metered.usage().write_units() > 20.0 && metered.usage().read_units() > 5.0, "{:?}", metered.usage());
    let in_memory = Table::in_memory(Hand::default());
    ask(&in_memory).await?;
    assert_eq!(in_memory.usage(), Usage::default(), "who does not ask for it does not pay for it");
    Ok(())
}

#[tokio::test]
async fn what_is_stored_is_counted_with_what_dynamodb_adds() -> Result<()> {
    let table = Table::metered(Hand::default());
    assert_eq!(table.stored_bytes()?, 0);
    ask(&table).await?;
    let stored = table.stored_bytes()?;
    assert!((1000..5000).contains(&stored), "{stored}");
    Ok(())
}

#[tokio::test]
async fn what_is_stored_counts_for_the_days_that_it_is_kept() -> Result<()> {
    let table = Table::metered(Hand::default());
    table.commit(vec![Write::Put(Row::Job(job()), Precondition::None)]).await?;
    let (bytes, from) = (table.stored_bytes()?, job().created_at);
    assert_eq!(table.stored_byte_days(from, 366)?, bytes * 61, "jobs go after two months");
    assert_eq!(table.stored_byte_days(from, 7)?, bytes * 7);
    table.commit(vec![Write::Put(Row::Pipeline(pipeline()), Precondition::None)]).await?;
    let more = table.stored_bytes()? - bytes;
    assert_eq!(table.stored_byte_days(from, 366)?, bytes * 61 + more * 366, "a pipeline stays");
    Ok(())
}
