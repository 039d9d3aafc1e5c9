//! What API Gateway's HTTP API sends and takes: payload format 2.0, as far as it matters here (spec 10.3).

use std::borrow::Cow;
use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::{ActionExecutionId, ExecutionId, PipelineName, partition_of};
use engine::{EngineError, Settings};
use protocol::HttpReply;
use serde::{Deserialize, Serialize};

/// Most characters of an access key id (IAM's limit).
const KEY_ID_CHARS_MAX: usize = 128;

/// What a request gets that is none of the protocol's.
const NOT_SERVED: &str = "This is the endpoint of Lastgood, which speaks the API of AWS CodePipeline; there is no page here. \
    Point a client at this address: set AWS_ENDPOINT_URL_CODEPIPELINE to it, or call \
    `aws codepipeline list-pipelines --endpoint-url <this address>`.";

/// A request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ApiEvent {
    /// Key of the route that let the request in.
    pub route_key: String,
    /// Path without the query.
    pub raw_path: String,
    /// The query, as it was sent.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub raw_query_string: String,
    /// Cookies, each `name=value`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cookies: Vec<String>,
    /// Variables of the API's stage.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub stage_variables: BTreeMap<String, String>,
    /// Headers; names in lower case, values of equal names joined by commas.
    pub headers: BTreeMap<String, String>,
    /// What API Gateway knows of the request.
    pub request_context: RequestContext,
    /// The body, as text or in base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// Whether [`body`](Self::body) is base64. CBOR always is; JSON may be.
    pub is_base64_encoded: bool,
}

/// What API Gateway knows of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RequestContext {
    /// The HTTP request.
    pub http: Http,
    /// Host that the client called, one of the API's own; empty: what the client says it called.
    pub domain_name: String,
    /// API Gateway's id of the request, by which its access log tells of it; empty where there is no API Gateway.
    pub request_id: String,
    /// Who was let in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authorizer: Option<Authorizer>,
}

/// The HTTP request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Http {
    /// Method in upper case.
    pub method: String,
    /// Address of the client.
    pub source_ip: String,
}

/// What an authoriser found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Authorizer {
    /// Of the IAM authoriser.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iam: Option<Iam>,
    /// The action in whose name a state machine of this installation asks. API Gateway never sets it, and what it says is
    /// looked up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<AskingAction>,
    /// Of the JWT authoriser.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwt: Option<Jwt>,
    /// Whether the request comes from a page of the process on a laptop, whose users may do everything. API Gateway never
    /// sets it.
    #[serde(rename = "localConsole", skip_serializing_if = "std::ops::Not::not")]
    pub local_console: bool,
}

/// What the JWT authoriser found in a token whose signature, issuer, audience and time are right.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Jwt {
    /// The token's claims.
    pub claims: BTreeMap<String, serde_json::Value>,
}

/// An action that asks for something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AskingAction {
    /// Its pipeline.
    pub pipeline: PipelineName,
    /// Its execution.
    pub execution_id: ExecutionId,
    /// Its run.
    pub action_execution_id: ActionExecutionId,
}

/// What the IAM authoriser found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Iam {
    /// ARN of the caller.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_arn: Option<String>,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiReply {
    /// HTTP status.
    pub status_code: u16,
    /// Headers; names in lower case.
    pub headers: BTreeMap<String, String>,
    /// Cookies to set.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cookies: Vec<String>,
    /// The body, as text or in base64.
    pub body: String,
    /// Whether [`body`](Self::body) is base64.
    pub is_base64_encoded: bool,
}

impl ApiEvent {
    /// The body's bytes.
    ///
    /// # Errors
    /// A refusal where it claims to be base64 and is not.
    pub(crate) fn body_bytes(&self) -> Result<Cow<'_, [u8]>, EngineError> {
        let body = self.body.as_deref().unwrap_or_default();
        if !self.is_base64_encoded {
            return Ok(Cow::Borrowed(body.as_bytes()));
        }
        STANDARD.decode(body).map(Cow::Owned).map_err(|_| {
            let message = "The event's body is not base64, although isBase64Encoded says so.";
            EngineError::refused("SerializationException", message)
        })
    }

    /// API Gateway's id of the request.
    pub(crate) fn gateway_request_id(&self) -> Option<&str> {
        Some(self.request_context.request_id.as_str()).filter(|id| !id.is_empty())
    }

    /// The value of a cookie. API Gateway sends them apart from the headers; others do not.
    pub(crate) fn cookie(&self, name: &str) -> Option<&str> {
        let in_header = self.headers.get("cookie").map(String::as_str).unwrap_or_default();
        let all = self.cookies.iter().flat_map(|cookie| cookie.split(';')).chain(in_header.split([';', ',']));
        all.filter_map(|cookie| cookie.trim().split_once('=')).find(|(given, _)| *given == name).map(|(_, value)| value)
    }

    /// The address at which the client reached the endpoint, such as
    /// `https://a1b2c3d4e5.execute-api.eu-west-1.amazonaws.com`.
    pub(crate) fn endpoint(&self) -> String {
        let header = |name: &str| self.headers.get(name).map(String::as_str);
        // API Gateway sets it; only a laptop does without TLS.
        let scheme = if header("x-forwarded-proto") == Some("http") { "http" } else { "https" };
        let host = match self.request_context.domain_name.as_str() {
            "" => header("host").unwrap_or_default(),
            name => name,
        };
        format!("{scheme}://{host}")
    }

    /// ARN of whoever sent the request: what the authoriser says; else the access key that claims to have signed, for
    /// endpoints where nobody checks signatures; else the account itself.
    pub(crate) fn caller(&self, settings: &Settings) -> String {
        let (account, partition) = (&settings.account, partition_of(&settings.region));
        let iam = self.request_context.authorizer.as_ref().and_then(|authorizer| authorizer.iam.as_ref());
        if let Some(arn) = iam.and_then(|iam| iam.user_arn.as_ref()) {
            return arn.clone();
        }
        match self.headers.get("authorization").and_then(|header| access_key_id(header)) {
            Some(id) => format!("arn:{partition}:iam::{account}:user/{id}"),
            None => format!("arn:{partition}:iam::{account}:root"),
        }
    }
}

/// The access key id of a `Credential=<id>/<scope>` in a version 4 signature.
fn access_key_id(authorization: &str) -> Option<&str> {
    let (_, credential) = authorization.split_once("Credential=")?;
    let (id, _) = credential.split_once('/')?;
    let is_id = (1..=KEY_ID_CHARS_MAX).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    is_id.then_some(id)
}

impl ApiReply {
    /// The answer to a request that is none of the protocol's.
    pub(crate) fn not_served(request_id: &str) -> Self {
        let headers = [("content-type", "application/json"), ("x-amzn-requestid", request_id)];
        Self {
            status_code: 404,
            headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            cookies: Vec::new(),
            body: serde_json::json!({ "message": NOT_SERVED }).to_string(),
            is_base64_encoded: false,
        }
    }
}

impl From<HttpReply> for ApiReply {
    /// CBOR is no text and travels in base64.
    fn from(reply: HttpReply) -> Self {
        let headers = reply.headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let (body, is_base64_encoded) = match String::from_utf8(reply.body) {
            Ok(text) if !is_cbor(&headers) => (text, false),
            Ok(text) => (STANDARD.encode(text), true),
            Err(binary) => (STANDARD.encode(binary.as_bytes()), true),
        };
        Self { status_code: reply.status, headers, cookies: Vec::new(), body, is_base64_encoded }
    }
}

fn is_cbor(headers: &BTreeMap<String, String>) -> bool {
    headers.contains_key("smithy-protocol")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        Settings {
            account: "111122223333".into(),
            region: "eu-west-1".into(),
            bucket: "definitions".into(),
            dead_letters: None,
            console: None,
        }
    }

    fn from_header(authorization: &str) -> String {
        let headers = [("authorization".to_owned(), authorization.to_owned())].into();
        ApiEvent { headers, ..ApiEvent::default() }.caller(&settings())
    }

    #[test]
    fn the_caller_is_who_the_authoriser_says_then_who_claims_to_have_signed() {
        let signed = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261123/eu-west-1/codepipeline/aws4_request, \
                      SignedHeaders=host, Signature=0123abcd";
        assert_eq!(from_header(signed), "arn:aws:iam::111122223333:user/AKIDEXAMPLE");
        for useless in ["", "Basic eA==", "Credential=", "Credential=/x", "Credential=a b/x", "Credential=ä/x"] {
            assert_eq!(from_header(useless), "arn:aws:iam::111122223333:root", "{useless}");
        }
        let ana = "arn:aws:sts::111122223333:assumed-role/oncall/ana";
        let event: ApiEvent = serde_json::from_value(serde_json::json!({
            "headers": {"authorization": signed},
            "requestContext": {"authorizer": {"iam": {"userArn": ana, "accessKey": "AKIDEXAMPLE"}}},
        }))
        .unwrap();
        assert_eq!(event.caller(&settings()), ana);
    }
}
