//! What state machines ask of other services (SDK integrations), as signed AWS JSON requests. Step Functions is this
//! process itself; any other service is where an option says it is.

use std::{collections::BTreeMap, str::FromStr, time::Duration, time::SystemTime};

use anyhow::Context;
use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use http::{Method, Request};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::{
    client::legacy::{Client as Http, connect::HttpConnector},
    rt::TokioExecutor,
};
use local_states::{FunctionError, ServiceCall};
use serde_json::{Map, Value};

use crate::{REGION, access::INTERNAL_KEY_ID};

/// Longest time one request may take.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Largest answer; Step Functions takes 256 KiB as a result.
const ANSWER_BYTES_MAX: usize = 4 << 20;

/// A service that speaks AWS JSON with members in camel case.
struct Spoken {
    /// As SDK integrations name it.
    service: &'static str,
    /// As errors name it.
    errors: &'static str,
    /// As signatures name it.
    signing: &'static str,
    target: &'static str,
    version: &'static str,
}

const SPOKEN: [Spoken; 3] = [
    Spoken { service: "sfn", errors: "Sfn", signing: "states", target: "AWSStepFunctions", version: "1.0" },
    Spoken {
        service: "codebuild",
        errors: "CodeBuild",
        signing: "codebuild",
        target: "CodeBuild_20161006",
        version: "1.1",
    },
    Spoken {
        service: "codedeploy",
        errors: "CodeDeploy",
        signing: "codedeploy",
        target: "CodeDeploy_20141006",
        version: "1.1",
    },
];

/// What a stand-in of GitHub's API is called, which source actions ask.
pub(crate) const GITHUB: &str = "github";

/// Where a service is that this process is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The service as SDK integrations name it, such as `codebuild`.
    pub service: String,
    /// Its address, such as `http://127.0.0.1:5000`.
    pub url: String,
}

impl FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (service, url) = text.split_once('=').ok_or_else(|| {
            format!("'{text}' is not of the form SERVICE=URL, such as codebuild=http://127.0.0.1:5000")
        })?;
        let spoken = SPOKEN.iter().map(|spoken| spoken.service);
        let known: Vec<&str> = spoken.chain([GITHUB]).collect();
        if !known.contains(&service) {
            return Err(format!("'{service}' is not a service that can be asked here: {}", known.join(", ")));
        }
        // No TLS here, and nobody's real keys: this is for stand-ins.
        if !url.starts_with("http://") || url.parse::<http::Uri>().is_err() {
            return Err(format!("'{url}' is not an address of a stand-in, such as http://127.0.0.1:5000"));
        }
        Ok(Self { service: service.to_owned(), url: url.trim_end_matches('/').to_owned() })
    }
}

/// The services that state machines can ask.
pub(crate) struct ServiceClient {
    endpoints: BTreeMap<String, String>,
    key: Credentials,
    http: Http<HttpConnector, Full<bytes::Bytes>>,
}

impl ServiceClient {
    /// `own` is the address of this process, and `secret` that of its key.
    pub(crate) fn new(own: &str, secret: &str, endpoints: Vec<Endpoint>) -> Self {
        let mut known = BTreeMap::from([("sfn".to_owned(), own.to_owned())]);
        known.extend(endpoints.into_iter().map(|endpoint| (endpoint.service, endpoint.url)));
        Self {
            endpoints: known,
            key: Credentials::new(INTERNAL_KEY_ID, secret, None, None, "local"),
            http: Http::builder(TokioExecutor::new()).build_http(),
        }
    }

    /// Asks for an operation. The role is not taken on: keys are worth the same everywhere here.
    pub(crate) async fn call(&self, call: &ServiceCall) -> Result<Value, FunctionError> {
        let service = call.service.as_str();
        let spoken = SPOKEN.iter().find(|spoken| spoken.service == service);
        let (Some(spoken), Some(url)) = (spoken, self.endpoints.get(service)) else {
            return Err(no_endpoint(service, spoken.is_some()));
        };
        let unreachable = |error: anyhow::Error| FunctionError {
            error: format!("{}.SdkClientException", spoken.errors),
            cause: format!("{service} at {url} does not answer: {error:#}"),
        };
        let asked = tokio::time::timeout(TIMEOUT, self.send(spoken, url, call)).await;
        let (is_good, answer) = asked.context("it took too long").and_then(|sent| sent).map_err(unreachable)?;
        if is_good {
            return Ok(renamed(answer, &|first| first.to_ascii_uppercase()));
        }
        let text = |members: [&str; 2]| members.iter().find_map(|member| answer[*member].as_str()).unwrap_or_default();
        let name = text(["__type", "code"]).rsplit('#').next().unwrap_or_default().to_owned();
        let name = if name.is_empty() { spoken.errors.to_owned() } else { name };
        let suffix = if name.ends_with("Exception") { "" } else { "Exception" };
        let cause = text(["message", "Message"]).to_owned();
        Err(FunctionError { error: format!("{}.{name}{suffix}", spoken.errors), cause })
    }

    async fn send(&self, spoken: &Spoken, url: &str, call: &ServiceCall) -> anyhow::Result<(bool, Value)> {
        let operation = renamed_name(&call.operation, &|first| first.to_ascii_uppercase());
        let body = renamed(call.parameters.clone(), &|first| first.to_ascii_lowercase()).to_string();
        let headers = [
            ("content-type", format!("application/x-amz-json-{}", spoken.version)),
            ("x-amz-target", format!("{}.{operation}", spoken.target)),
        ];
        let mut request = Request::builder().method(Method::POST).uri(format!("{url}/"));
        for (name, value) in &headers {
            request = request.header(*name, value);
        }
        let mut request = request.body(Full::from(body.clone()))?;
        let identity = self.key.clone().into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(REGION)
            .name(spoken.signing)
            .time(SystemTime::from(engine::ports::Clock::now(&runtime::SystemClock)))
            .settings(SigningSettings::default())
            .build()?;
        let signable = SignableRequest::new(
            "POST",
            request.uri().to_string(),
            headers.iter().map(|(name, value)| (*name, value.as_str())),
            SignableBody::Bytes(body.as_bytes()),
        )?;
        let (instructions, _) = sign(signable, &params.into())?.into_parts();
        instructions.apply_to_request_http1x(&mut request);
        let response = self.http.request(request).await?;
        let is_good = response.status().is_success();
        let answer = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
        let answer = answer.map_err(|error| anyhow::anyhow!("{error}"))?.to_bytes();
        if answer.is_empty() {
            return Ok((is_good, Value::Object(Map::new())));
        }
        Ok((is_good, serde_json::from_slice(&answer).context("the answer is not JSON")?))
    }
}

fn no_endpoint(service: &str, is_spoken: bool) -> FunctionError {
    let cause = if is_spoken {
        format!(
            "{service} is not a part of this process. Start it with --endpoint {service}=URL of a stand-in for it, or \
             put a Lambda function in the action's place."
        )
    } else {
        format!("{service} cannot be asked by this process: it does not speak AWS JSON. Run this action in an account.")
    };
    FunctionError { error: "Lastgood.NoEndpoint".to_owned(), cause }
}

/// `value` with the first letter of every member's name changed. Members of AWS's shapes are meant; names that are data
/// suffer, which none of the answers used has.
fn renamed(value: Value, first: &impl Fn(&char) -> char) -> Value {
    match value {
        Value::Object(members) => {
            let members = members.into_iter();
            Value::Object(members.map(|(name, value)| (renamed_name(&name, first), renamed(value, first))).collect())
        }
        Value::Array(items) => items.into_iter().map(|item| renamed(item, first)).collect(),
        other => other,
    }
}

fn renamed_name(name: &str, first: &impl Fn(&char) -> char) -> String {
    let mut letters = name.chars();
    letters.next().map(|letter| first(&letter)).into_iter().chain(letters).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn endpoints_are_read_or_refused_with_what_to_write() {
        let read = "codebuild=http://127.0.0.1:5000/".parse();
        let expected = Endpoint { service: "codebuild".to_owned(), url: "http://127.0.0.1:5000".to_owned() };
        assert_eq!(read, Ok(expected));
        for text in ["codebuild", "s3=http://127.0.0.1:1", "codebuild=https://codebuild.eu-west-1.amazonaws.com"] {
            assert!(text.parse::<Endpoint>().is_err(), "{text}");
        }
    }

    #[test]
    fn members_are_named_as_each_side_names_them() {
        let pascal = json!({"EnvironmentVariablesOverride": [{"Name": "Color", "Value": "Green"}]});
        let camel = json!({"environmentVariablesOverride": [{"name": "Color", "value": "Green"}]});
        assert_eq!(renamed(pascal.clone(), &|first| first.to_ascii_lowercase()), camel);
        assert_eq!(renamed(camel, &|first| first.to_ascii_uppercase()), pascal);
    }

    #[tokio::test]
    async fn a_service_that_is_nowhere_is_told_with_what_to_do() {
        let client = ServiceClient::new("http://127.0.0.1:1", "secret", Vec::new());
        let call = |service: &str| ServiceCall {
            service: service.to_owned(),
            operation: "startBuild".to_owned(),
            parameters: json!({}),
            role: None,
        };
        let error = client.call(&call("codebuild")).await.unwrap_err();
        assert_eq!(error.error, "Lastgood.NoEndpoint");
        assert!(error.cause.contains("--endpoint codebuild=URL"), "{}", error.cause);
        assert!(client.call(&call("cloudformation")).await.unwrap_err().cause.contains("in an account"));
        assert_eq!(client.call(&call("sfn")).await.unwrap_err().error, "Sfn.SdkClientException");
    }
}
