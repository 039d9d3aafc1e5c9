//! A user's own Lambda function: looks at a release right after it was deployed, and answers CodePipeline's job.
//!
//! It runs as a real bootstrap process and knows nothing of Lastgood: it would do the same for CodePipeline.

use std::io::{Cursor, Read};

use anyhow::{Context, bail};
use lambda_runtime::{LambdaEvent, service_fn};
use serde_json::{Value, json};
use zip::ZipArchive;

use super::Client;

/// Serves invocations until the process ends. `endpoint` is where the services are.
///
/// # Errors
/// The Lambda Runtime API cannot be reached.
pub async fn serve(endpoint: &str) -> Result<(), lambda_runtime::Error> {
    let client = Client::new(endpoint)?;
    lambda_runtime::run(service_fn(|event: LambdaEvent<Value>| {
        let client = client.clone();
        async move { handle(&client, &event.payload["CodePipeline.job"]).await.map_err(lambda_runtime::Error::from) }
    }))
    .await
}

async fn handle(client: &Client, job: &Value) -> anyhow::Result<()> {
    let id = job["id"].as_str().context("the event holds no job")?;
    match check(client, &job["data"]).await {
        Ok(()) => client.call("PutJobSuccessResult", &json!({ "jobId": id })).await?,
        Err(error) => {
            let details = json!({ "type": "JobFailed", "message": format!("{error:#}") });
            client.call("PutJobFailureResult", &json!({ "jobId": id, "failureDetails": details })).await?
        }
    };
    Ok(())
}

/// The release must hold its `appspec.yml`, and the site must serve the release's page.
async fn check(client: &Client, data: &Value) -> anyhow::Result<()> {
    let at = &data["inputArtifacts"][0]["location"]["s3Location"];
    let (bucket, key) = (at["bucketName"].as_str(), at["objectKey"].as_str());
    let artifact = format!("{}/{}", bucket.unwrap_or_default(), key.unwrap_or_default());
    let archive = client.page(&artifact).await?.context("the artifact is gone")?;
    let mut archive = ZipArchive::new(Cursor::new(archive))?;
    if archive.by_name("appspec.yml").is_err() {
        bail!("the release has no appspec.yml");
    }
    let mut expected = Vec::new();
    archive.by_name("index.html")?.read_to_end(&mut expected)?;
    let site = data["actionConfiguration"]["configuration"]["UserParameters"].as_str().unwrap_or_default();
    if client.page(site).await?.as_deref() != Some(expected.as_slice()) {
        bail!("{site} does not serve the release's page");
    }
    Ok(())
}
