//! DynamoDB: dynoxide on a port of its own, reached through the one address like everything else.

use std::{path::Path, sync::Arc};

use anyhow::Context;
use axum::body::Body;
use http::{Request, Response, StatusCode, Uri, uri::PathAndQuery};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::{net::TcpListener, sync::watch};

/// A running DynamoDB.
#[derive(Clone)]
pub(crate) struct DynamoDb {
    authority: Arc<str>,
    client: Client<HttpConnector, Body>,
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
        tokio::spawn(dynoxide::server::serve_with_shutdown(listener, database, async move {
            // An error means that the sender is gone, which says stop as well.
            let _ = stop.changed().await;
        }));
        Ok(Self { authority: authority.into(), client: Client::builder(TokioExecutor::new()).build_http() })
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

fn unavailable() -> Response<Body> {
    let mut response = Response::new(Body::from(r#"{"__type":"com.amazon.coral.availability#ServiceUnavailable"}"#));
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    response
}
