//! Lists pipelines; LASTGOOD_SIGNING has it sign for API Gateway, as infra/clients/README.md tells.

use aws_sdk_codepipeline::{Client, config::Builder};
use client_rust::{execute_api::SignForExecuteApi, settings};

#[tokio::main]
async fn main() -> Result<(), aws_sdk_codepipeline::Error> {
    let mut config = Builder::from(&settings().await);
    if std::env::var_os("LASTGOOD_SIGNING").is_some() {
        config = config.interceptor(SignForExecuteApi);
    }
    Client::from_conf(config.build()).list_pipelines().send().await?;
    Ok(())
}
