//! CodePipeline's API as its clients speak it: JSON 1.1 over HTTP.

use anyhow::{Context, ensure};
use bytes::Bytes;
use http::{
    Request, StatusCode,
    header::{AUTHORIZATION, CONTENT_TYPE},
};
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::Value;

/// Says which service is meant, which is all that stand-ins look at.
const SIGNATURE: &str = "AWS4-HMAC-SHA256 Credential=any/20261126/us-east-1/codepipeline/aws4_request";

/// A client of the endpoint.
#[derive(Clone)]
pub(super) struct CodePipeline {
    endpoint: String,
    http: Client<HttpConnector, Full<Bytes>>,
}

impl CodePipeline {
    /// Talks to `endpoint`.
    pub(super) fn at(endpoint: String) -> Self {
        Self { endpoint, http: Client::builder(TokioExecutor::new()).build_http() }
    }

    /// Calls an operation, such as `GetPipeline`.
    ///
    /// # Errors
    /// No answer, or one that refuses.
    pub(super) async fn call(&self, operation: &str, input: Value) -> anyhow::Result<Value> {
        self.call_target(&format!("CodePipeline_20150709.{operation}"), &input).await
    }

    /// Calls an operation by its whole target, such as `Lastgood_20261201.ListRollbackCandidates`.
    ///
    /// # Errors
    /// No answer, or one that refuses.
    pub(super) async fn call_target(&self, operation: &str, input: &Value) -> anyhow::Result<Value> {
        let request = Request::post(&self.endpoint)
            .header(CONTENT_TYPE, "application/x-amz-json-1.1")
            .header("x-amz-target", operation)
            .header(AUTHORIZATION, SIGNATURE)
            .body(Full::new(Bytes::from(input.to_string())))?;
        self.send(operation, request).await
    }

    /// Invokes a function and waits for its answer, as whoever hands an event over by hand.
    ///
    /// # Errors
    /// No answer, or one that refuses; the function's own error.
    pub(super) async fn invoke(&self, function: &str, event: &Value) -> anyhow::Result<Value> {
        let path = format!("{}/2015-03-31/functions/{function}/invocations", self.endpoint);
        let answer = self.send(function, Request::post(path).body(Full::new(Bytes::from(event.to_string())))?).await?;
        ensure!(answer["errorMessage"].is_null(), "{function}: {answer}");
        Ok(answer)
    }

    async fn send(&self, operation: &str, request: Request<Full<Bytes>>) -> anyhow::Result<Value> {
        let response = self.http.request(request).await.with_context(|| format!("{operation}: no answer"))?;
        let status = response.status();
        let body =
            response.into_body().collect().await.with_context(|| format!("{operation}: half an answer"))?.to_bytes();
        ensure!(status == StatusCode::OK, "{operation}: {status} {}", String::from_utf8_lossy(&body));
        if body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&body).with_context(|| format!("{operation}: not JSON"))
    }
}
