//! One address for every service: a request goes to the service its signature names.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
};

use axum::{Router, body::Body, extract::ConnectInfo};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{
    HeaderMap, Request, Response, StatusCode,
    header::{AUTHORIZATION, HOST, SET_COOKIE},
};
use http_body_util::{BodyExt, Limited};
use local_lambda::Functions;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::{
    access::{self, Caller, Gate},
    dynamodb::DynamoDb,
    event_bus::{EVENTS_PATH, EventBus},
    regions::Regions,
    topics::{MESSAGES_PATH, Topics},
};

/// Largest body of an API request: API Gateway's limit (spec 10.3). Lambda's is lower, for the event that holds it.
const API_BODY_BYTES_MAX: usize = 10 * 1024 * 1024;

/// The services behind the address.
pub(crate) struct Services {
    pub(crate) gate: Gate,
    pub(crate) s3: Router,
    pub(crate) states: Router,
    pub(crate) cloudwatch: Router,
    pub(crate) lambda: Router,
    pub(crate) regions: Regions,
    pub(crate) sts: Router,
    pub(crate) events: EventBus,
    pub(crate) topics: Topics,
    pub(crate) dynamodb: DynamoDb,
    pub(crate) functions: Functions,
}

/// A service, as signatures name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    Api,
    Webhooks,
    S3,
    DynamoDb,
    States,
    CloudWatch,
    Lambda,
    Sts,
    Events,
    Sns,
}

/// The router that serves everything.
pub(crate) fn router(services: Services) -> Router {
    let services = Arc::new(services);
    Router::new().fallback(move |request: Request<Body>| {
        let services = Arc::clone(&services);
        async move { services.serve(request).await }
    })
}

impl Services {
    async fn serve(&self, request: Request<Body>) -> Response<Body> {
        let service = service_of(&request);
        let page = access::is_page(&request).then(|| is_local(&request));
        let region = self.regions.of(service, signed(&request, REGION_PART));
        let (mut request, caller) = match self.gate.admit(service, region, request).await {
            Ok(admitted) => admitted,
            Err(refusal) => return refusal,
        };
        if let Some(caller) = &caller {
            request.extensions_mut().insert(local_lambda::CallerArn(caller.arn.clone()));
        }
        let router = match service {
            Service::Api => return self.call_api(request, "$default", self.authorizer(caller, page)).await,
            Service::Webhooks => return self.call_api(request, api::WEBHOOK_ROUTE, Value::Null).await,
            Service::DynamoDb => return self.dynamodb.call(request).await,
            Service::Events => return self.events.call(request).await,
            Service::Sns => return self.topics.call(request).await,
            Service::S3 => {
                if self.regions.are_several() {
                    request.extensions_mut().insert(local_s3::SignedRegion(region.to_owned()));
                }
                &self.s3
            }
            Service::States => &self.states,
            Service::CloudWatch => &self.cloudwatch,
            Service::Lambda => self.regions.lambda(region).unwrap_or(&self.lambda),
            Service::Sts => &self.sts,
        };
        match router.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }

    /// What API Gateway's authoriser would say. Pages of the console are for whoever is at this machine; where every
    /// request has to be signed, which browsers cannot do, they are for nobody.
    fn authorizer(&self, caller: Option<Caller>, page: Option<bool>) -> Value {
        if let Some(is_local) = page {
            let is_open = !self.gate.is_strict() && is_local;
            return if is_open { json!({ "localConsole": true }) } else { Value::Null };
        }
        caller.map_or(Value::Null, |caller| {
            json!({ "iam": { "accessKey": caller.access_key_id, "accountId": crate::ACCOUNT, "userArn": caller.arn } })
        })
    }

    /// Does API Gateway's part: payload format 2.0 in, the function's answer out (spec 10.3).
    async fn call_api(&self, request: Request<Body>, route: &str, authorizer: Value) -> Response<Body> {
        let (head, body) = request.into_parts();
        let Ok(body) = Limited::new(body, API_BODY_BYTES_MAX).collect().await else {
            return too_large();
        };
        let mut headers = joined(&head.headers);
        headers.insert("x-forwarded-proto".to_owned(), json!("http"));
        let cookies = headers.remove("cookie").unwrap_or_default();
        let cookies: Vec<&str> = cookies.as_str().unwrap_or_default().split(';').map(str::trim).collect();
        let host = headers.get("host").and_then(Value::as_str).unwrap_or_default().to_owned();
        let peer = head.extensions.get::<ConnectInfo<SocketAddr>>();
        let source = peer.map_or(Ipv4Addr::LOCALHOST.into(), |ConnectInfo(peer)| peer.ip().to_canonical());
        let event = json!({
            "version": "2.0",
            "routeKey": route,
            "rawPath": head.uri.path(),
            "rawQueryString": head.uri.query().unwrap_or_default(),
            "headers": headers,
            "cookies": cookies,
            "requestContext": {
                "accountId": crate::ACCOUNT,
                "stage": "$default",
                "domainName": host,
                "http": { "method": head.method.as_str(), "path": head.uri.path(), "sourceIp": source },
                "authorizer": authorizer,
            },
            "body": STANDARD.encode(body.to_bytes()),
            "isBase64Encoded": true,
        });
        match self.functions.invoke("lastgood-api", event).await {
            Ok(reply) => from_reply(&reply),
            Err(error) if error.is_too_large() => too_large(),
            Err(_) => plain(StatusCode::INTERNAL_SERVER_ERROR, r#"{"message":"Internal Server Error"}"#),
        }
    }
}

/// Whether a browser was sent to this machine by its address or as localhost. Another name may be somebody else's that
/// only leads here, and its pages would count as ours.
fn is_local(request: &Request<Body>) -> bool {
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
    let name = name.map_or(host, |(name, _)| name);
    let address = name.trim_start_matches('[').trim_end_matches(']');
    name == "localhost" || name.ends_with(".localhost") || address.parse::<IpAddr>().is_ok()
}

/// Headers as API Gateway passes them on: values of equal names joined by commas.
fn joined(headers: &HeaderMap) -> serde_json::Map<String, Value> {
    let values = |name| headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect::<Vec<_>>();
    headers.keys().map(|name| (name.as_str().to_owned(), json!(values(name).join(",")))).collect()
}

fn from_reply(reply: &Value) -> Response<Body> {
    let text = reply["body"].as_str().unwrap_or_default();
    let body = match reply["isBase64Encoded"].as_bool() {
        Some(true) => STANDARD.decode(text).unwrap_or_default(),
        _ => text.as_bytes().to_vec(),
    };
    let status = reply["statusCode"].as_u64().and_then(|status| u16::try_from(status).ok()).unwrap_or(502);
    let mut response = Response::builder().status(status);
    for (name, value) in reply["headers"].as_object().into_iter().flatten() {
        response = response.header(name, value.as_str().unwrap_or_default());
    }
    for cookie in reply["cookies"].as_array().into_iter().flatten() {
        response = response.header(SET_COOKIE, cookie.as_str().unwrap_or_default());
    }
    response.body(Body::from(body)).unwrap_or_else(|_| plain(StatusCode::BAD_GATEWAY, r#"{"message":"Bad Gateway"}"#))
}

fn too_large() -> Response<Body> {
    plain(StatusCode::PAYLOAD_TOO_LARGE, r#"{"message":"Request Entity Too Large"}"#)
}

fn plain(status: StatusCode, body: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response
}

impl Service {
    /// What signatures may call it; the first is what its own clients say.
    pub(crate) fn names(self) -> &'static [&'static str] {
        match self {
            // API Gateway's name, for clients that were set up for an account; and that of our own operations.
            Self::Api => &["codepipeline", "execute-api", "lastgood"],
            // They bring their own proof.
            Self::Webhooks => &[],
            Self::S3 => &["s3"],
            Self::DynamoDb => &["dynamodb"],
            Self::States => &["states"],
            Self::CloudWatch => &["monitoring", "cloudwatch"],
            Self::Lambda => &["lambda"],
            Self::Sts => &["sts"],
            Self::Events => &["events"],
            Self::Sns => &["sns"],
        }
    }

    const ALL: [Self; 9] = [
        Self::Api,
        Self::S3,
        Self::DynamoDb,
        Self::States,
        Self::CloudWatch,
        Self::Lambda,
        Self::Sts,
        Self::Events,
        Self::Sns,
    ];

    fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|service| service.names().contains(&name))
    }
}

/// The service a request is for: by its signature, else by what only that service's requests look like, else S3, so
/// that a browser can look at a deployed site.
fn service_of(request: &Request<Body>) -> Service {
    if let Some(service) = signed(request, SERVICE_PART).and_then(Service::named) {
        return service;
    }
    if request.uri().path().starts_with("/webhooks/") {
        return Service::Webhooks;
    }
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let target = header("x-amz-target").split('.').next().unwrap_or_default().to_owned();
    let path = request.uri().path();
    let named = if target.is_empty() { path.strip_prefix("/service/").unwrap_or_default() } else { &target };
    match named {
        name if name.starts_with("CodePipeline_") || name.starts_with("Lastgood_") => Service::Api,
        name if name.starts_with("DynamoDB_") => Service::DynamoDb,
        name if name.starts_with("AWSStepFunctions") => Service::States,
        name if name.starts_with("GraniteServiceVersion") => Service::CloudWatch,
        "AWSEvents" => Service::Events,
        "" if path == EVENTS_PATH => Service::Events,
        "" if path == MESSAGES_PATH => Service::Sns,
        "" if path.starts_with("/2015-03-31/functions") => Service::Lambda,
        "" if path == "/console" || path.starts_with("/console/") => Service::Api,
        "" => Service::S3,
        _ => Service::Api,
    }
}

/// Parts of a credential scope.
const REGION_PART: usize = 2;
const SERVICE_PART: usize = 3;

/// A part of what a request says that it is signed for.
fn signed(request: &Request<Body>, part: usize) -> Option<&str> {
    in_header(request.headers(), part).or_else(|| presigned(request.uri().query()?, part))
}

/// `AWS4-HMAC-SHA256 Credential=<key>/<date>/<region>/<service>/aws4_request, ...`
fn in_header(headers: &HeaderMap, part: usize) -> Option<&str> {
    headers.get(AUTHORIZATION)?.to_str().ok()?.split_once("Credential=")?.1.split('/').nth(part)
}

/// The same in the query of a presigned URL, where the slashes are encoded.
fn presigned(query: &str, part: usize) -> Option<&str> {
    let credential = query.split('&').find_map(|pair| pair.strip_prefix("X-Amz-Credential="))?;
    if credential.contains('/') { credential.split('/').nth(part) } else { credential.split("%2F").nth(part) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(headers: &[(&str, &str)], uri: &str) -> Request<Body> {
        let mut request = Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(Body::empty()).unwrap()
    }

    #[test]
    fn pages_are_for_this_machine_by_its_own_names() {
        for (host, expected) in [
            ("127.0.0.1:4180", true),
            ("localhost:4180", true),
            ("shop.localhost", true),
            ("[::1]:4180", true),
            ("192.0.2.7", true),
            ("evil.example:4180", false),
            ("localhost.evil.example", false),
            ("", false),
        ] {
            assert_eq!(is_local(&request(&[("host", host)], "/console")), expected, "{host}");
        }
    }

    #[test]
    fn a_request_goes_to_the_service_its_signature_names() {
        for (service, expected) in [
            ("codepipeline", Service::Api),
            ("execute-api", Service::Api),
            ("s3", Service::S3),
            ("dynamodb", Service::DynamoDb),
            ("states", Service::States),
            ("monitoring", Service::CloudWatch),
            ("lambda", Service::Lambda),
            ("sts", Service::Sts),
            ("events", Service::Events),
            ("sns", Service::Sns),
        ] {
            let signature =
                format!("AWS4-HMAC-SHA256 Credential=AKIA/20261123/eu-west-1/{service}/aws4_request, Signature=0");
            let target = ("x-amz-target", "CodePipeline_20150709.ListPipelines");
            assert_eq!(service_of(&request(&[("authorization", &signature), target], "/")), expected);
        }
    }

    #[test]
    fn unsigned_requests_are_told_apart_by_their_form() {
        for (headers, uri, expected) in [
            (vec![("x-amz-target", "DynamoDB_20120810.Scan")], "/", Service::DynamoDb),
            (vec![("x-amz-target", "AWSStepFunctions.ListExecutions")], "/", Service::States),
            (vec![("x-amz-target", "AWSEvents.PutEvents")], "/", Service::Events),
            (vec![], "/_events", Service::Events),
            (vec![], "/_messages", Service::Sns),
            (vec![], "/events", Service::S3),
            (vec![("x-amz-target", "Lastgood_20261201.ListRollbackCandidates")], "/", Service::Api),
            (vec![], "/service/CodePipeline_20150709/operation/ListPipelines", Service::Api),
            (vec![], "/service/GraniteServiceVersion20100801/operation/PutMetricData", Service::CloudWatch),
            (vec![], "/2015-03-31/functions/check/invocations", Service::Lambda),
            (vec![], "/webhooks/shop-push-0123", Service::Webhooks),
            (vec![("x-amz-target", "CodePipeline_20150709.DeletePipeline")], "/webhooks/x", Service::Webhooks),
            (vec![], "/webhooks", Service::S3),
            (vec![], "/site/index.html", Service::S3),
            (vec![], "/site/a?X-Amz-Credential=AKIA%2F20261123%2Fus-east-1%2Fs3%2Faws4_request", Service::S3),
        ] {
            assert_eq!(service_of(&request(&headers, uri)), expected, "{uri}");
        }
    }
}
