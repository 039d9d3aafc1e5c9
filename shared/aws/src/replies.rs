//! Canned replies for tests: a client gets them in order, and what it sent can be looked at.

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_http_client::test_util::{ReplayEvent, StaticReplayClient};
use aws_smithy_runtime_api::client::behavior_version::BehaviorVersion;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::retry::RetryConfig;
use aws_types::SdkConfig;
use aws_types::region::Region;

/// A service that says what it was told to say.
pub(crate) struct Replies(StaticReplayClient);

/// One reply.
pub(crate) fn reply(status: u16, headers: &[(&str, &str)], body: impl Into<Vec<u8>>) -> ReplayEvent {
    let request = http::Request::builder().body(SdkBody::empty()).expect("an empty request is well formed");
    let mut response = http::Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    ReplayEvent::new(request, response.body(SdkBody::from(body.into())).expect("canned headers are well formed"))
}

impl Replies {
    pub(crate) fn of(replies: impl IntoIterator<Item = ReplayEvent>) -> Self {
        Self(StaticReplayClient::new(replies.into_iter().collect()))
    }

    /// Configuration of a client that gets the replies.
    pub(crate) fn config(&self) -> SdkConfig {
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-west-1"))
            .credentials_provider(SharedCredentialsProvider::new(Credentials::new("id", "secret", None, None, "tests")))
            .retry_config(RetryConfig::disabled())
            .http_client(self.0.clone())
            .build()
    }

    /// Body of the request at `position`.
    pub(crate) fn body(&self, position: usize) -> Vec<u8> {
        self.request(position, |request| request.body().bytes().expect("these services send no streams").to_vec())
    }

    /// A header of the request at `position`; empty where it is not there.
    pub(crate) fn header(&self, position: usize, name: &str) -> String {
        self.request(position, |request| request.headers().get(name).unwrap_or_default().to_owned())
    }

    /// How many requests were sent.
    pub(crate) fn count(&self) -> usize {
        self.0.actual_requests().count()
    }

    fn request<T>(
        &self,
        position: usize,
        look: impl Fn(&aws_smithy_runtime_api::client::orchestrator::HttpRequest) -> T,
    ) -> T {
        look(self.0.actual_requests().nth(position).expect("as many requests were sent as are looked at"))
    }
}
