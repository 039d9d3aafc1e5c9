//! The table's own shape, for where no template creates it: the local process and tests.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::client::Waiters;
use aws_sdk_dynamodb::error::{BuildError, DisplayErrorContext};
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType, TimeToLiveSpecification,
    TimeToLiveStatus,
};

use crate::items::{EXPIRES_AT, PK, SK};

/// DynamoDB takes seconds to create a table; a minute means that something is wrong.
const CREATION_S_MAX: u64 = 60;

/// The table could not be created.
#[derive(Debug, thiserror::Error)]
#[error("the table {table} could not be created: {reason}")]
pub struct TableError {
    table: String,
    reason: String,
}

/// Creates the table called `name` with its TTL; a table that exists stays as it is.
///
/// # Errors
/// [`TableError`] when DynamoDB refuses or does not answer. Calling again completes what was begun.
pub async fn create_table(client: &Client, name: &str) -> Result<(), TableError> {
    create(client, name).await.map_err(|reason| TableError { table: name.to_owned(), reason })
}

async fn create(client: &Client, name: &str) -> Result<(), String> {
    let mut request = client.create_table().table_name(name).billing_mode(BillingMode::PayPerRequest);
    for (attribute, kind) in [(PK, KeyType::Hash), (SK, KeyType::Range)] {
        request = request
            .attribute_definitions(definition(attribute).map_err(|error| error.to_string())?)
            .key_schema(element(attribute, kind).map_err(|error| error.to_string())?);
    }
    match request.send().await {
        Err(error) if !error.as_service_error().is_some_and(|error| error.is_resource_in_use_exception()) => {
            return Err(DisplayErrorContext(&error).to_string());
        }
        _ => {}
    }
    let wait = client.wait_until_table_exists().table_name(name).wait(Duration::from_secs(CREATION_S_MAX));
    wait.await.map_err(|error| DisplayErrorContext(&error).to_string())?;
    enable_expiry(client, name).await
}

/// DynamoDB refuses to enable what is enabled.
async fn enable_expiry(client: &Client, name: &str) -> Result<(), String> {
    let described = client.describe_time_to_live().table_name(name).send().await;
    let described = described.map_err(|error| DisplayErrorContext(&error).to_string())?;
    let status = described.time_to_live_description.and_then(|description| description.time_to_live_status);
    if matches!(status, Some(TimeToLiveStatus::Enabled | TimeToLiveStatus::Enabling)) {
        return Ok(());
    }
    let specification = TimeToLiveSpecification::builder().enabled(true).attribute_name(EXPIRES_AT).build();
    let specification = specification.map_err(|error| error.to_string())?;
    let request = client.update_time_to_live().table_name(name).time_to_live_specification(specification);
    request.send().await.map_err(|error| DisplayErrorContext(&error).to_string())?;
    Ok(())
}

fn definition(attribute: &str) -> Result<AttributeDefinition, BuildError> {
    AttributeDefinition::builder().attribute_name(attribute).attribute_type(ScalarAttributeType::S).build()
}

fn element(attribute: &str, kind: KeyType) -> Result<KeySchemaElement, BuildError> {
    KeySchemaElement::builder().attribute_name(attribute).key_type(kind).build()
}
