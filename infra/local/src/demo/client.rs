//! A plain client: CodePipeline's JSON protocol and S3 and CloudWatch through the AWS SDK, all at one address.

use std::time::Duration;

use anyhow::{Context, bail};
use aws_sdk_s3::config::retry::RetryConfig;
use axum::body::Body;
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use hyper_util::{
    client::legacy::{Client as Http, connect::HttpConnector},
    rt::TokioExecutor,
};
use protocol::{Operation, Service};
use serde_json::{Value, json};

use crate::handlers;

/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Longest time to wait for something to be seen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// A client of the system at one address.
#[derive(Clone)]
pub struct Client {
    endpoint: String,
    http: Http<HttpConnector, Body>,
    /// Uploads, and reads what is there.
    pub s3: aws_sdk_s3::Client,
    /// Sends metrics, and reads alarms.
    pub cloudwatch: aws_sdk_cloudwatch::Client,
}

/// CodePipeline refused a call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{exception}: {message}")]
pub struct ApiError {
    /// The exception's name.
    pub exception: String,
    /// Its message.
    pub message: String,
}

impl Client {
    /// A client of the system at `endpoint`.
    ///
    /// # Errors
    /// Never in practice: the settings are constants.
    pub fn new(endpoint: &str) -> anyhow::Result<Self> {
        let sdk = handlers::config()?.sdk_config_at(endpoint);
        // An upload repeated after a lost answer is a second version, so a second release. Who uploads looks first.
        let at_once = sdk.to_builder().retry_config(RetryConfig::disabled()).build();
        Ok(Self {
            endpoint: endpoint.to_owned(),
            http: Http::builder(TokioExecutor::new()).build_http(),
            s3: aws::s3::client(&at_once),
            cloudwatch: aws_sdk_cloudwatch::Client::new(&sdk),
        })
    }

    /// Calls an operation of CodePipeline, or of Lastgood's extension. A system that does not answer, as while it is
    /// started again, is asked again.
    ///
    /// # Errors
    /// [`ApiError`] (by downcast) for a refusal; anything else after two minutes without an answer.
    pub async fn call(&self, operation: &str, input: &Value) -> anyhow::Result<Value> {
        let ours = Operation::find(Service::Lastgood, operation).is_some();
        let service = if ours { Service::Lastgood } else { Service::CodePipeline }.target();
        let build = || {
            Request::builder()
                .method(Method::POST)
                .uri(format!("{}/", self.endpoint))
                .header("x-amz-target", format!("{service}.{operation}"))
                .header("content-type", "application/x-amz-json-1.1")
                .body(Body::from(input.to_string()))
        };
        let (status, body) = self.patiently(build).await.with_context(|| operation.to_owned())?;
        let answer: Value = if body.is_empty() { json!({}) } else { serde_json::from_slice(&body)? };
        if status.is_success() {
            return Ok(answer);
        }
        let text = |name: &str| answer[name].as_str().unwrap_or_default().to_owned();
        Err(ApiError { exception: text("__type"), message: text("message") }.into())
    }

    /// Reads a page as a browser does; `None` where there is none.
    ///
    /// # Errors
    /// No answer after two minutes, or an answer that is neither.
    pub async fn page(&self, path: &str) -> anyhow::Result<Option<Vec<u8>>> {
        let build = || Request::builder().uri(format!("{}/{path}", self.endpoint)).body(Body::empty());
        let (status, body) = self.patiently(build).await.with_context(|| path.to_owned())?;
        match status {
            StatusCode::OK => Ok(Some(body)),
            StatusCode::NOT_FOUND => Ok(None),
            other => bail!("{path} answers {other}"),
        }
    }

    async fn patiently(
        &self,
        build: impl Fn() -> Result<Request<Body>, http::Error>,
    ) -> anyhow::Result<(StatusCode, Vec<u8>)> {
        eventually("an answer", async || {
            let response = match self.http.request(build()?).await {
                Ok(response) => response,
                Err(_) => return Ok(None),
            };
            let status = response.status();
            if status.is_server_error() {
                return Ok(None);
            }
            Ok(response.into_body().collect().await.ok().map(|body| (status, body.to_bytes().to_vec())))
        })
        .await
    }
}

/// Looks until there is something to see.
pub(crate) async fn eventually<T>(
    what: &str,
    look: impl AsyncFnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    eventually_within(what, PATIENCE, look).await
}

/// Looks for so long at most.
pub(crate) async fn eventually_within<T>(
    what: &str,
    patience: Duration,
    mut look: impl AsyncFnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let looking = async {
        loop {
            if let Some(seen) = look().await? {
                return Ok(seen);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    tokio::time::timeout(patience, looking)
        .await
        .with_context(|| format!("after {} seconds there is still no sign of {what}", patience.as_secs()))?
}
