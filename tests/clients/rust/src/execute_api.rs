//! Has CodePipeline's client sign for API Gateway: the setting that an endpoint in an account needs.
//!
//! ```ignore
//! let config = aws_sdk_codepipeline::config::Builder::from(&sdk_config).interceptor(SignForExecuteApi).build();
//! ```

use aws_smithy_runtime_api::{
    box_error::BoxError,
    client::{
        interceptors::{Intercept, context::BeforeTransmitInterceptorContextMut},
        runtime_components::RuntimeComponents,
    },
};
use aws_smithy_types::config_bag::ConfigBag;
use aws_types::SigningName;

/// The interceptor.
#[derive(Debug)]
pub struct SignForExecuteApi;

impl Intercept for SignForExecuteApi {
    fn name(&self) -> &'static str {
        "SignForExecuteApi"
    }

    fn modify_before_signing(
        &self,
        _context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        config.interceptor_state().store_put(SigningName::from_static("execute-api"));
        Ok(())
    }
}
