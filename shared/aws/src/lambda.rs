//! Lambda: invokes the user's functions.

use aws_sdk_lambda::Client;
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::InvocationType;
use aws_types::SdkConfig;
use engine::ports::{CloudError, Functions};
use serde_json::Value;

use crate::cloud_error::cloud_error;

/// Lambda functions of the account and region that the client is for.
#[derive(Debug, Clone)]
pub struct LambdaFunctions {
    client: Client,
}

impl LambdaFunctions {
    /// Over a client made from `config`.
    pub fn connect(config: &SdkConfig) -> Self {
        Self::new(Client::new(config))
    }

    /// Invokes through `client`.
    pub fn new(client: Client) -> Self {
        Self { client }
    }
}

impl Functions for LambdaFunctions {
    async fn invoke(&self, function: &str, payload: &Value) -> Result<(), CloudError> {
        let request = self
            .client
            .invoke()
            .function_name(function)
            .invocation_type(InvocationType::Event)
            .payload(Blob::new(payload.to_string()));
        let what = format!("the function {function}");
        request.send().await.map_err(|error| cloud_error(error, &what, &["ResourceNotFoundException"]))?;
        Ok(())
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
        functions.invoke("smoke", &json!({"job": 1})).await.unwrap();
        assert_eq!(replies.body(0), br#"{"job":1}"#);
        assert_eq!(replies.header(0, "x-amz-invocation-type"), "Event");
        let error = functions.invoke("smoke", &json!({})).await.unwrap_err();
        assert_eq!(error.to_string(), "the function smoke is not there");
    }
}
