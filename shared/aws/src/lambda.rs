//! Lambda: invokes the user's functions.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use aws_sdk_lambda::Client;
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::InvocationType;
use aws_types::{SdkConfig, region::Region};
use engine::ports::{CloudError, Functions};
use serde_json::Value;

use crate::cloud_error::cloud_error;

/// Lambda functions of the account that the client is for, in its region and others.
#[derive(Debug, Clone)]
pub struct LambdaFunctions {
    client: Client,
    /// Made when first asked for: a client keeps its connections.
    elsewhere: Arc<Mutex<BTreeMap<String, Client>>>,
}

impl LambdaFunctions {
    /// Over a client made from `config`.
    pub fn connect(config: &SdkConfig) -> Self {
        Self::new(Client::new(config))
    }

    /// Invokes through `client`.
    pub fn new(client: Client) -> Self {
        Self { client, elsewhere: Arc::default() }
    }

    fn client_in(&self, region: Option<&str>) -> Client {
        let Some(region) = region else { return self.client.clone() };
        let mut elsewhere = self.elsewhere.lock().unwrap_or_else(PoisonError::into_inner);
        let region = region.to_owned();
        let make = || Client::from_conf(self.client.config().to_builder().region(Region::new(region.clone())).build());
        elsewhere.entry(region.clone()).or_insert_with(make).clone()
    }
}

impl Functions for LambdaFunctions {
    async fn invoke(&self, region: Option<&str>, function: &str, payload: &Value) -> Result<(), CloudError> {
        let request = self
            .client_in(region)
            .invoke()
            .function_name(function)
            .invocation_type(InvocationType::Event)
            .payload(Blob::new(payload.to_string()));
        let what = format!("the function {function}");
        request.send().await.map_err(|error| cloud_error(error, &what, &["ResourceNotFoundException"]))?;
        Ok(())
    }

    async fn is_there(&self, region: Option<&str>, function: &str) -> Result<bool, CloudError> {
        let request = self.client_in(region).get_function_configuration().function_name(function);
        let what = format!("the function {function}");
        match request.send().await.map_err(|error| cloud_error(error, &what, &["ResourceNotFoundException"])) {
            Ok(_) => Ok(true),
            Err(CloudError::NotFound(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::replies::{Replies, reply};

    #[tokio::test]
    async fn a_missing_function_is_told_from_one_that_is_invoked() {
        let error_type = [("x-amzn-errortype", "ResourceNotFoundException")];
        let absent = reply(404, &error_type, r#"{"Type":"User","Message":"no"}"#);
        let replies = Replies::of([reply(202, &[], ""), absent]);
        let functions = LambdaFunctions::new(Client::new(&replies.config()));
        functions.invoke(None, "smoke", &json!({"job": 1})).await.unwrap();
        assert_eq!(replies.body(0), br#"{"job":1}"#);
        assert_eq!(replies.header(0, "x-amz-invocation-type"), "Event");
        let error = functions.invoke(None, "smoke", &json!({})).await.unwrap_err();
        assert_eq!(error.to_string(), "the function smoke is not there");
    }

    #[tokio::test]
    async fn a_version_is_there_or_not_or_nobody_can_say() {
        let error = |name: &str| [("x-amzn-errortype", name.to_owned())];
        let say = |status: u16, name: &str| {
            let headers = error(name);
            reply(status, &headers.each_ref().map(|(key, value)| (*key, value.as_str())), r#"{"Message":"no"}"#)
        };
        let replies = Replies::of([
            reply(200, &[], r#"{"FunctionName":"smoke"}"#),
            say(404, "ResourceNotFoundException"),
            say(403, "AccessDeniedException"),
        ]);
        let functions = LambdaFunctions::new(Client::new(&replies.config()));
        assert!(functions.is_there(None, "smoke:7").await.unwrap());
        assert!(!functions.is_there(None, "smoke:7").await.unwrap());
        assert!(matches!(functions.is_there(None, "smoke:7").await, Err(CloudError::Denied(_))));
    }

    #[tokio::test]
    async fn a_function_of_another_region_is_asked_there() {
        let replies = Replies::of([reply(202, &[], ""), reply(202, &[], "")]);
        let functions = LambdaFunctions::new(Client::new(&replies.config()));
        functions.invoke(Some("ap-south-1"), "smoke", &json!({})).await.unwrap();
        functions.invoke(None, "smoke", &json!({})).await.unwrap();
        for (request, region) in [(0, "ap-south-1"), (1, "eu-west-1")] {
            let signed = replies.header(request, "authorization");
            assert!(signed.contains(&format!("/{region}/lambda/")), "{signed}");
        }
    }
}
