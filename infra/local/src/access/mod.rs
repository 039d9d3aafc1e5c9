//! Who may come in: signatures checked at the door of every service, as AWS does, where the keys are known.

mod keys;
mod refusal;
mod replays;

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use anyhow::ensure;
use axum::body::Body;
use engine::ports::{Clock, Entropy};
use http::{HeaderMap, Request, Response, StatusCode, Uri, request::Parts};
use http_body_util::{BodyExt, Limited};
use jiff::Timestamp;
use local_lambda::Functions;
use protocol::signature::{Claim, Expected, Payload, SignatureError, SignedRequest, named_key};

pub use keys::{Keys, KeysError};

use crate::{ACCOUNT, front::Service};
use replays::Replays;

/// Id of the key that our functions and the user's sign with. Its secret is made anew at every start.
pub(crate) const INTERNAL_KEY_ID: &str = "AKIALASTGOODLOCAL000";
/// Largest body held to check its signature: DynamoDB's limit, the largest of all services' but S3, whose bodies are not held.
const BODY_BYTES_MAX: usize = 16 << 20;

/// Who may reach the system, and whether they have to prove who they are.
#[derive(Debug, Clone)]
pub struct Access {
    /// The address to listen on.
    pub bind: IpAddr,
    /// Keys that are verified wherever a request names one.
    pub keys: Option<Keys>,
    /// Whether requests signed by nobody, or by an unknown key, are refused.
    pub strict: bool,
}

impl Default for Access {
    /// This machine only, and everybody on it.
    fn default() -> Self {
        Self { bind: Ipv4Addr::LOCALHOST.into(), keys: None, strict: false }
    }
}

impl Access {
    /// Whether the settings go together.
    ///
    /// # Errors
    /// Others than this machine's users could do everything, or nobody anything.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        ensure!(
            !self.strict || self.keys.is_some(),
            "--strict refuses everybody whose key is unknown, and no key is known. Add --keys FILE"
        );
        ensure!(
            self.bind.is_loopback() || self.strict,
            "everybody who reaches {} could do everything, since unsigned requests are served. Add --keys FILE and \
             --strict, or leave --bind out to serve this machine only",
            self.bind
        );
        Ok(())
    }
}

/// Who signed a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    pub(crate) access_key_id: String,
    pub(crate) arn: String,
}

/// The door.
pub(crate) struct Gate {
    access: Access,
    internal_secret: String,
    functions: Functions,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    replays: Replays,
}

/// A key that somebody holds.
struct Known {
    secret: String,
    session_token: Option<String>,
    arn: String,
    expires: Option<Timestamp>,
}

impl Gate {
    /// A door with a new internal key. `functions` knows the sessions of assumed roles.
    pub(crate) fn new(access: Access, functions: Functions, clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Self {
        let mut random = [0; 32];
        entropy.fill(&mut random);
        let internal_secret = random.iter().map(|byte| format!("{byte:02x}")).collect();
        Self { access, internal_secret, functions, clock, entropy, replays: Replays::default() }
    }

    /// Whether everybody has to prove who they are.
    pub(crate) fn is_strict(&self) -> bool {
        self.access.strict
    }

    /// Secret of the key that functions sign with.
    pub(crate) fn internal_secret(&self) -> &str {
        &self.internal_secret
    }

    /// Lets a request for `service` of `region` in, and says who it is from if that was proven.
    ///
    /// # Errors
    /// The service's refusal.
    pub(crate) async fn admit(
        &self,
        service: Service,
        region: &str,
        request: Request<Body>,
    ) -> Result<(Request<Body>, Option<Caller>), Response<Body>> {
        let (parts, body) = request.into_parts();
        let Some(keys) = self.access.keys.as_ref().filter(|_| !is_open(service, &parts)) else {
            return Ok((Request::from_parts(parts, body), None));
        };
        let named = with_signed(&parts, named_key);
        let known = named.as_deref().and_then(|id| self.find(keys, id));
        let Some(known) = known else {
            if self.access.strict {
                let error = with_signed(&parts, |signed| match Claim::read(signed) {
                    Ok(None) => SignatureError::Missing,
                    Ok(Some(_)) => SignatureError::UnknownKey,
                    Err(error) => error,
                });
                return Err(self.refuse(service, &parts, error));
            }
            return Ok((Request::from_parts(parts, body), None));
        };
        // S3 compares the body with the claimed digest as it reads it.
        let (body, held) = match service {
            Service::S3 => (body, None),
            _ => match Limited::new(body, BODY_BYTES_MAX).collect().await {
                Ok(body) => (Body::empty(), Some(body.to_bytes())),
                Err(_) => return Err(too_large()),
            },
        };
        let payload = held.as_deref().map_or(Payload::Claimed, Payload::Body);
        match with_signed(&parts, |signed| self.verify(service, region, signed, payload, &known)) {
            Ok(access_key_id) => {
                let body = held.map_or(body, Body::from);
                Ok((Request::from_parts(parts, body), Some(Caller { access_key_id, arn: known.arn })))
            }
            Err(error) => Err(self.refuse(service, &parts, error)),
        }
    }

    fn find(&self, keys: &Keys, id: &str) -> Option<Known> {
        if id == INTERNAL_KEY_ID {
            return Some(Known {
                secret: self.internal_secret.clone(),
                session_token: None,
                arn: format!("arn:aws:sts::{ACCOUNT}:assumed-role/lastgood-local/functions"),
                expires: None,
            });
        }
        if let Some(key) = keys.find(id) {
            return Some(Known {
                secret: key.secret.clone(),
                session_token: key.session_token.clone(),
                arn: key.arn.clone(),
                expires: None,
            });
        }
        let session = self.functions.session(id)?;
        Some(Known {
            secret: session.secret,
            session_token: Some(session.token),
            arn: session.arn,
            expires: Some(session.expires),
        })
    }

    /// The id of the key that signed.
    fn verify(
        &self,
        service: Service,
        region: &str,
        signed: &SignedRequest<'_>,
        payload: Payload<'_>,
        known: &Known,
    ) -> Result<String, SignatureError> {
        let now = self.clock.now();
        let claim = Claim::read(signed)?.ok_or(SignatureError::Missing)?;
        // A header can be worded so that it names one key at first sight and another when read in full.
        if named_key(signed).as_deref() != Some(claim.access_key_id()) {
            return Err(SignatureError::Incomplete("Authorization header has 'Credential' more than once.".to_owned()));
        }
        let expected = Expected {
            secret: &known.secret,
            session_token: known.session_token.as_deref(),
            region,
            services: service.names(),
        };
        claim.verify(signed, payload, &expected, now)?;
        if known.expires.is_some_and(|expires| expires <= now) {
            return Err(SignatureError::ExpiredToken);
        }
        if service == Service::Api
            && let Some(first) = self.replays.first_use(claim.signature(), now)
        {
            return Err(SignatureError::Skewed(format!(
                "Signature expired: it was used before, at {first:.0}. Sign every request anew."
            )));
        }
        Ok(claim.access_key_id().to_owned())
    }

    fn refuse(&self, service: Service, parts: &Parts, error: SignatureError) -> Response<Body> {
        let id = self.entropy.uuid().to_string();
        tracing::info!(request.id = id, api.error = error.code().name(), "refused a request to {service:?}");
        refusal::response(service, &parts.uri, &parts.headers, error, &id)
    }
}

/// What has no signature by its nature: webhooks, which bring their own proof, and pages for browsers. The API answers
/// operations on any path, so a request that names one is no page.
fn is_open(service: Service, parts: &Parts) -> bool {
    service == Service::Webhooks || (service == Service::Api && is_page_of(&parts.uri, &parts.headers))
}

/// Whether a request is for a page of the console.
pub(crate) fn is_page(request: &Request<Body>) -> bool {
    is_page_of(request.uri(), request.headers())
}

fn is_page_of(uri: &Uri, headers: &HeaderMap) -> bool {
    let path = uri.path();
    let is_operation = ["x-amz-target", "smithy-protocol"].iter().any(|name| headers.contains_key(*name));
    !is_operation && (path == "/console" || path.starts_with("/console/"))
}

/// The head of a request as its signature covers it.
fn with_signed<T>(parts: &Parts, look: impl FnOnce(&SignedRequest<'_>) -> T) -> T {
    let headers: Vec<(&str, &[u8])> =
        parts.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    look(&SignedRequest {
        method: parts.method.as_str(),
        path: parts.uri.path(),
        query: parts.uri.query().unwrap_or_default(),
        headers: &headers,
    })
}

fn too_large() -> Response<Body> {
    let mut response = Response::new(Body::from(r#"{"message":"Request Entity Too Large"}"#));
    *response.status_mut() = StatusCode::PAYLOAD_TOO_LARGE;
    response
}
