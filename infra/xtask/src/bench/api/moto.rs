//! moto's server, which imitates AWS, with the same pipeline.

use std::{path::Path, process::Stdio, time::Duration};

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use http::{Request, header::AUTHORIZATION};
use http_body_util::Full;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use serde_json::json;
use tokio::{net::TcpListener, process::Child};

use super::super::{client::CodePipeline, reference::declaration};

/// Looks until the server answers, and the time between two.
const LOOKS_MAX: u32 = 150;
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// moto wants to find the pipeline's role, and that CodePipeline may take it on.
const TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"codepipeline.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;
/// moto's account.
const ACCOUNT: &str = "123456789012";

/// A running server; dropped, it stops.
pub(super) struct Moto {
    pub(super) api: CodePipeline,
    _process: Child,
}

impl Moto {
    /// Starts `program` on a free port and creates the reference pipeline in it.
    pub(super) async fn start(program: &Path) -> anyhow::Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0").await?.local_addr()?.port();
        let process = tokio::process::Command::new(program)
            .args(["--host", "127.0.0.1", "--port", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("start {}", program.display()))?;
        let endpoint = format!("http://127.0.0.1:{port}");
        create_role(&endpoint).await?;
        let api = CodePipeline::at(endpoint);
        let mut pipeline = declaration(false);
        pipeline["roleArn"] = format!("arn:aws:iam::{ACCOUNT}:role/lastgood-bench").into();
        api.call("CreatePipeline", json!({ "pipeline": pipeline })).await.context("moto")?;
        Ok(Self { api, _process: process })
    }
}

async fn create_role(endpoint: &str) -> anyhow::Result<()> {
    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("Action", "CreateRole").append_pair("Version", "2010-05-08");
    form.append_pair("RoleName", "lastgood-bench").append_pair("AssumeRolePolicyDocument", TRUST);
    let form = Bytes::from(form.finish());
    for _ in 0..LOOKS_MAX {
        let request = Request::post(endpoint)
            .header(AUTHORIZATION, "AWS4-HMAC-SHA256 Credential=any/20261126/us-east-1/iam/aws4_request")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Full::new(form.clone()))?;
        match client.request(request).await {
            Ok(response) => {
                ensure!(response.status().is_success(), "moto does not create a role: {}", response.status());
                return Ok(());
            }
            Err(_) => tokio::time::sleep(LOOK_EVERY).await,
        }
    }
    bail!("moto does not answer")
}
