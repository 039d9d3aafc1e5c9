//! DynamoDB: dynoxide on a port of its own, reached through the one address like everything else.

use std::{path::Path, sync::Arc};

use anyhow::Context;
use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use axum::body::Body;
use http::{Request, Response, StatusCode, Uri, uri::PathAndQuery};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use jiff::SignedDuration;
use runtime::Timer;
use tokio::{net::TcpListener, sync::watch, task::spawn_blocking};

use crate::TABLE;

/// How often what has expired is removed.
const SWEEP_EVERY: SignedDuration = SignedDuration::from_hours(1);

/// A running DynamoDB.
#[derive(Clone)]
pub(crate) struct DynamoDb {
    authority: Arc<str>,
    client: Client<HttpConnector, Body>,
    database: dynoxide::Database,
}

impl DynamoDb {
    /// Opens the database in `dir` and serves it until `stop` changes.
    pub(crate) async fn start(dir: &Path, mut stop: watch::Receiver<bool>) -> anyhow::Result<Self> {
        std::fs::create_dir_all(dir)?;
        let file = dir.join("dynamodb.sqlite");
        let file = file.to_str().context("the data directory's path is not UTF-8")?;
        let database = dynoxide::Database::new(file).map_err(|error| anyhow::anyhow!("DynamoDB: {error}"))?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let authority = listener.local_addr()?.to_string();
        tokio::spawn(dynoxide::server::serve_with_shutdown(listener, database.clone(), async move {
            // An error means that the sender is gone, which says stop as well.
            let _ = stop.changed().await;
        }));
        let client = Client::builder(TokioExecutor::new()).build_http();
        Ok(Self { authority: authority.into(), client, database })
    }

    /// Removes what has expired, now and again, as DynamoDB does by itself.
    pub(crate) async fn keep_swept(self, clock: Arc<dyn Timer>) {
        loop {
            self.sweep().await;
            clock.sleep_until(clock.now() + SWEEP_EVERY).await;
        }
    }

    /// Removes what has expired; how many items that were. It looks at each item once, a few at a time, and lets others
    /// go between.
    async fn sweep(&self) -> usize {
        let database = self.database.clone();
        match spawn_blocking(move || database.sweep_ttl()).await {
            Ok(Ok(removed)) => removed,
            Ok(Err(error)) => {
                tracing::warn!("what has expired is still in the table: {error}");
                0
            }
            // The process ends.
            Err(_) => 0,
        }
    }

    /// Passes a request on.
    pub(crate) async fn call(&self, mut request: Request<Body>) -> Response<Body> {
        let path = request.uri().path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
        let uri = Uri::builder().scheme("http").authority(&*self.authority).path_and_query(path).build();
        let Ok(uri) = uri else { return unavailable() };
        *request.uri_mut() = uri;
        match self.client.request(request).await {
            Ok(response) => response.map(Body::new),
            Err(error) => {
                tracing::warn!("DynamoDB does not answer: {error}");
                unavailable()
            }
        }
    }
}

/// Creates the table where it is not there.
///
/// # Errors
/// DynamoDB's refusal.
pub(crate) async fn create_table(client: &aws_sdk_dynamodb::Client) -> anyhow::Result<()> {
    store::create_table(client, TABLE).await?;
    // dynoxide makes a table in two steps. A process that was killed between them has left one that is known and has no
    // place for items: it holds nothing, so it is made anew.
    let looked = client.scan().table_name(TABLE).limit(1).send().await;
    if looked.is_err_and(|error| error.message().is_some_and(|message| message.contains("no such table"))) {
        client.delete_table().table_name(TABLE).send().await.context("a table that was created by half")?;
        store::create_table(client, TABLE).await?;
    }
    Ok(())
}

fn unavailable() -> Response<Body> {
    let mut response = Response::new(Body::from(r#"{"__type":"com.amazon.coral.availability#ServiceUnavailable"}"#));
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    response
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::types::AttributeValue;

    use super::*;
    use crate::handlers;

    #[tokio::test]
    async fn what_has_expired_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let (_stop, stopped) = watch::channel(false);
        let dynamodb = DynamoDb::start(dir.path(), stopped).await.unwrap();
        let endpoint = format!("http://{}", dynamodb.authority);
        let client = aws_sdk_dynamodb::Client::new(&handlers::config().unwrap().sdk_config_at(&endpoint));
        store::create_table(&client, TABLE).await.unwrap();
        let key = |text: &str| AttributeValue::S(text.to_owned());
        for (sort, expires_at) in [("past", Some(1)), ("future", Some(9_000_000_000_i64)), ("kept", None)] {
            let put = client.put_item().table_name(TABLE).item("PK", key("row")).item("SK", key(sort));
            let put = match expires_at {
                Some(at) => put.item("expiresAt", AttributeValue::N(at.to_string())),
                None => put,
            };
            put.send().await.unwrap();
        }
        assert_eq!(dynamodb.sweep().await, 1);
        let left = client.scan().table_name(TABLE).send().await.unwrap();
        let mut left: Vec<&String> = left.items().iter().map(|item| item["SK"].as_s().unwrap()).collect();
        left.sort();
        assert_eq!(left, ["future", "kept"]);
        assert_eq!(dynamodb.sweep().await, 0);
    }

    #[tokio::test]
    async fn a_table_that_was_created_by_half_is_created_whole() {
        let dir = tempfile::tempdir().unwrap();
        let (_stop, stopped) = watch::channel(false);
        let dynamodb = DynamoDb::start(dir.path(), stopped).await.unwrap();
        let endpoint = format!("http://{}", dynamodb.authority);
        let client = aws_sdk_dynamodb::Client::new(&handlers::config().unwrap().sdk_config_at(&endpoint));
        create_table(&client).await.unwrap();
        let file = rusqlite::Connection::open(dir.path().join("dynamodb.sqlite")).unwrap();
        file.execute(&format!("DROP TABLE \"{TABLE}\""), []).unwrap();
        assert!(client.scan().table_name(TABLE).send().await.is_err());

        create_table(&client).await.unwrap();
        let row = AttributeValue::S("row".to_owned());
        let put = client.put_item().table_name(TABLE).item("PK", row.clone()).item("SK", row);
        put.send().await.unwrap();
        create_table(&client).await.unwrap();
        assert_eq!(client.scan().table_name(TABLE).send().await.unwrap().count(), 1, "nothing is made anew twice");
    }
}
