//! A table of its own for each test.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::SeqCst};

use anyhow::Result;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{BehaviorVersion, Config, Credentials, Region};
use aws_sdk_dynamodb::types::AttributeValue;
use dynoxide::Database;
use engine::ports::{Clock, Precondition, Row, Store, Write};
use jiff::Timestamp;
use store::{DynamoDb, Memory, Operation, Table, create_table};

use crate::samples::at;

pub(crate) const TABLE: &str = "lastgood";

/// A clock that is set by hand, to a second of the tests' time. The samples are of its first minutes.
#[derive(Clone, Default)]
pub(crate) struct Hand(Arc<AtomicI64>);

impl Hand {
    pub(crate) fn set(&self, second: i64) {
        self.0.store(second, SeqCst);
    }
}

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        at(self.0.load(SeqCst))
    }
}

pub(crate) struct World<B = DynamoDb> {
    pub(crate) table: Table<B>,
    pub(crate) clock: Hand,
    /// Of DynamoDB, where the table is there.
    client: Option<Client>,
}

impl World<Memory> {
    pub(crate) fn in_memory() -> Self {
        let clock = Hand::default();
        Self { table: Table::in_memory(clock.clone()), clock, client: None }
    }
}

impl<B> World<B>
where
    Table<B>: Store,
{
    /// Stores rows without a precondition, a transaction's worth at a time.
    pub(crate) async fn put(&self, rows: impl IntoIterator<Item = Row>) -> Result<()> {
        let writes: Vec<Write> = rows.into_iter().map(|row| Write::Put(row, Precondition::None)).collect();
        for chunk in writes.chunks(engine::ports::WRITES_MAX) {
            self.table.commit(chunk.to_vec()).await?;
        }
        Ok(())
    }
}

impl World {
    pub(crate) async fn new() -> Result<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        tokio::spawn(dynoxide::server::serve_on(listener, Database::memory()?));
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-west-1"))
            .credentials_provider(Credentials::new("id", "secret", None, None, "tests"))
            .endpoint_url(format!("http://{address}"))
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .build();
        let client = Client::from_conf(config);
        create_table(&client, TABLE).await?;
        let clock = Hand::default();
        Ok(Self { table: Table::new(client.clone(), TABLE, clock.clone()), clock, client: Some(client) })
    }

    pub(crate) fn client(&self) -> &Client {
        self.client.as_ref().expect("a table in DynamoDB has a client")
    }

    /// Requests of one operation so far.
    pub(crate) fn requests(&self, operation: Operation) -> u64 {
        self.table.usage().0.get(&operation).map_or(0, |usage| usage.requests)
    }

    /// Every item of the table, by partition and sort key.
    pub(crate) async fn items(&self) -> Result<Vec<HashMap<String, AttributeValue>>> {
        Ok(self.client().scan().table_name(TABLE).send().await?.items.unwrap_or_default())
    }
}

/// Runs `question` and demands that it took exactly one request.
macro_rules! one_request {
    ($world:expr, $question:expr) => {{
        let before = $world.table.usage().requests();
        let answer = $question.await?;
        assert_eq!($world.table.usage().requests() - before, 1, "{}", stringify!($question));
        answer
    }};
}
pub(crate) use one_request;

/// Tests that hold for the table in DynamoDB and for the one in memory.
macro_rules! on_both_tables {
    ($($test:ident,)*) => {
        $(mod $test {
            use crate::world::World;

            #[tokio::test]
            async fn in_dynamodb() -> anyhow::Result<()> {
                super::$test(World::new().await?).await
            }

            #[tokio::test]
            async fn in_memory() -> anyhow::Result<()> {
                super::$test(World::in_memory()).await
            }
        })*
    };
}
pub(crate) use on_both_tables;
