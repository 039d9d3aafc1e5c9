//! Clients of the Rust SDK as a user sets them up: credentials, region and endpoint from the environment.

pub mod declaration;
pub mod execute_api;

use aws_config::{BehaviorVersion, SdkConfig};

/// The settings in the environment.
pub async fn settings() -> SdkConfig {
    // Plain HTTP: the local process has no TLS.
    let http = aws_smithy_http_client::Builder::new().build_http();
    aws_config::defaults(BehaviorVersion::latest()).http_client(http).load().await
}
